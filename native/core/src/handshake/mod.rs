//! WireGuard's handshake (whitepaper, section 5.4) and its defences.
//!
//! A datagram that claims to be a handshake message meets them in this order: [`mac`] (a wrong mac1
//! gets silence; under load, a missing mac2 gets a cookie), [`limiter`], [`noise`], and last the
//! comparison of its [`tai64n`] timestamp.

pub mod limiter;
pub mod mac;
pub mod noise;
pub mod tai64n;
