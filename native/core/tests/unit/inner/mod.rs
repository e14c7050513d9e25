//! Packets inside the tunnel; `packets` makes them and holds the naive twins.

mod checksum;
mod coalesce;
mod ecn;
mod ip;
pub mod packets;
mod segment;
mod too_big;
