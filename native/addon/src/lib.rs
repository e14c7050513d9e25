//! (under construction)
pub mod aead;
pub mod io;
pub mod netlink;
