//! A has several uplinks, B one address: as many paths.

use std::net::SocketAddr;
use std::time::Duration;

use whalescale_core::handoff::SocketId;
use whalescale_netem::{Change, LinkConfig, LinkId, QueueLimit};

use crate::node::{Setup, socket};
use crate::pair::{Pair, address, ms, secs};

/// A's addresses, one for each uplink.
const A: [&str; 4] = [
    "192.0.2.1:51820",
    "198.51.100.1:51820",
    "203.0.113.1:51820",
    "198.18.0.1:51820",
];
const B: &str = "192.0.2.2:51820";

pub struct Uplinks {
    pub pair: Pair,
    links: Vec<(SocketAddr, LinkId)>,
}

/// Mbit/s and milliseconds one way, with a queue of 60 ms.
pub fn uplink(mbit: u64, delay: u64) -> LinkConfig {
    queued(mbit, delay, ms(60))
}

pub fn queued(mbit: u64, delay: u64, queue: Duration) -> LinkConfig {
    LinkConfig {
        queue: QueueLimit::Time(queue),
        ..LinkConfig::new(mbit, delay)
    }
}

impl Uplinks {
    /// The paths are found, and nothing was sent on them yet.
    pub fn new(seed: u64, configs: &[LinkConfig]) -> Self {
        Self::with(seed, configs, Setup::default())
    }

    pub fn with(seed: u64, configs: &[LinkConfig], setup: Setup) -> Self {
        let mut pair = Pair::with(seed, configs[0].clone(), setup, |_, _| {});
        let mut links = Vec::new();
        let mut sockets = Vec::new();
        for ((id, text), config) in (0..).zip(A).zip(configs) {
            let local = address(text);
            let link = pair.network.link(local, address(B), config.clone());
            links.push((local, link));
            sockets.push(socket(SocketId(id), local, u32::from(id) + 1));
        }
        let now = pair.now();
        pair.a.set_sockets(sockets, now);
        pair.b
            .set_sockets(vec![socket(SocketId(0), address(B), 1)], now);
        pair.connect();
        pair.run_for(secs(3));
        for node in [&mut pair.a, &mut pair.b] {
            node.forget();
        }
        Self { pair, links }
    }

    /// Nothing comes to A any more by the uplink of this place.
    pub fn deafen(&mut self, place: usize) {
        let (local, nanos) = (self.links[place].0, self.pair.nanos);
        let change = Change::BlackHole(true);
        assert!(self.pair.network.apply(nanos, address(B), local, change));
    }

    /// Cuts or restores the uplink of this place.
    pub fn cut(&mut self, place: usize, is_cut: bool) {
        let link = self.links[place].1;
        self.pair.network.cut(self.pair.nanos, link, is_cut);
    }
}
