//! Datagrams, and the frames inside a session.

mod datagram;
mod frame;
