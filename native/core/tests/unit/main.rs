//! Each machine of the core by itself, laid out as `src` is: vectors, properties, naive twins.
//!
//! One binary, so that the core is linked once and not for every file.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod backlog;
mod bond;
mod handshake;
mod identity;
mod inner;
mod lane;
mod protocol;
mod replay;
mod routes;
mod wire;
