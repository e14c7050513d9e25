//! A deterministic, seeded emulator of network links.
//!
//! Pure: no clock, no threads, no sockets, no randomness but the seed's. Time is a `u64` of nanoseconds that the
//! caller passes in and never goes back. The same seed and the same calls give the same packets at the same
//! times, for ever. The process `whalescale-netem` runs the same code between network namespaces in real time.
//!
//! - [`Link`]: one direction of one link, carrying any [`Packet`].
//! - [`Network`]: addresses joined by links, to step protocol endpoints against each other.
//! - [`LinkConfig`]: what a link is; [`Schedule`]: how it varies over time; [`text`]: both as words.
//!
//! # Two endpoints on virtual time
//!
//! ```
//! use whalescale_netem::{LinkConfig, Loss, Network};
//!
//! let (laptop, server) = ("10.0.0.1:1000".parse()?, "192.0.2.1:2000".parse()?);
//! let mut net = Network::new(7);
//! net.link(laptop, server, LinkConfig { loss: Loss::Independent(0.01), ..LinkConfig::new(50, 10) });
//!
//! let mut now = 0;
//! let _ = net.send(now, laptop, server, b"ping");
//! while let Some(event) = net.next_event() {
//!     now = event;
//!     while let Some(delivery) = net.poll(now) {
//!         if delivery.bytes == b"ping" {
//!             let _ = net.send(now, delivery.to, delivery.from, b"pong");
//!         }
//!     }
//! }
//! // Twice 10 ms, and twice 32 bytes (4 and the IPv4 and UDP headers) at 50 Mbit/s.
//! assert_eq!(now, 20_010_240);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bottleneck;
mod config;
mod link;
mod network;
mod packet;
mod random;
mod schedule;
mod setting;
mod stats;
pub mod text;
mod wire;

pub use config::LinkConfig;
pub use link::Link;
pub use network::{Delivery, LinkId, Network};
pub use packet::{IpPacket, Packet};
pub use random::derive_seed;
pub use schedule::Schedule;
pub use setting::{Change, Jitter, Loss, QueueLimit, Reorder};
pub use stats::{DropReason, Stats, Verdict};
