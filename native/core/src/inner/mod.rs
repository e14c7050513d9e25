//! Inner IP packets: what the TUN device gives and takes.
//!
//! Outbound, [`segment`] cuts a super-packet into packets; inbound, [`coalesce`] joins packets
//! into super-packets again. Both lean on [`ip`] for parsing and [`checksum`] for the sums.

pub mod checksum;
pub mod coalesce;
pub mod ecn;
mod field;
pub mod ip;
pub mod segment;
pub mod too_big;
pub mod vnet;
