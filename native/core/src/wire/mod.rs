//! What travels between nodes: datagrams outside a session, frames inside one.

pub mod datagram;
pub mod frame;
