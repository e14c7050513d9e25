//! (under construction)
pub mod aead;
