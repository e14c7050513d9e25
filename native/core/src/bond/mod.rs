//! Bonding: one peer's packets over several paths at once (design, section 5).
//!
//! Outbound, packets wait in one queue per peer, get their bucket sequence when a [`schedule`]r
//! sends them along a path, and stay in a ring until the other end has them. Inbound, each path's
//! arrivals are noted and reported back, and a reordering buffer restores the order.

pub mod arrivals;
pub mod bare;
pub(crate) mod classify;
mod equalise;
pub mod feedback;
pub mod model;
mod queue;
pub(crate) mod receive;
mod recent;
pub mod reorder;
pub(crate) mod ring;
pub mod schedule;
mod sequences;
pub mod shim;
pub(crate) mod transmit;
