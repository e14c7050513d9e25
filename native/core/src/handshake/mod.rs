//! WireGuard's handshake (whitepaper, section 5.4) and its defences.

pub mod limiter;
pub mod mac;
pub mod noise;
pub mod tai64n;
