//! The handshake: against bytes captured from wireguard-go, against itself, against forgers.

mod capture;
mod captured;
mod limiter;
mod mac;
mod noise;
mod tai64n;
