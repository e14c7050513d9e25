//! The Whalescale protocol as pure state machines.
//!
//! Nothing here opens a socket, starts a thread, reads a clock or draws a random number: time and
//! entropy are parameters, packets are byte slices, and results come back as values. The same code
//! therefore runs under virtual time in tests and under real threads in the addon.
//!
//! The modules follow a packet: [`lane`] lets it wait, [`routes`] finds the peer, [`sender`] seals,
//! [`receiver`] opens, [`control`] shakes hands and keeps the timers.
#![forbid(unsafe_code)]

pub mod activity;
pub mod aead;
pub mod backlog;
pub mod bond;
pub mod busy_poll;
pub mod constants;
pub mod control;
pub mod drops;
pub mod entropy;
pub mod handoff;
pub mod handshake;
pub mod identity;
pub mod inner;
pub mod lane;
pub mod peek;
pub mod pmtu;
pub mod receiver;
pub mod replay;
pub mod routes;
pub mod sender;
mod staging;
pub mod time;
pub mod wire;
