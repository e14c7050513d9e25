//! The native half of the agent: threads, TUN and UDP input/output, netlink and the cipher backends
//! around `whalescale-core`, behind a small N-API boundary.

pub mod aead;
pub mod agent;
pub mod boundary;
pub mod io;
pub mod netlink;
