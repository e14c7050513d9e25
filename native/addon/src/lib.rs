//! (under construction)
pub mod aead;
pub mod io;
