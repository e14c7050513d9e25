//! Endpoints joined by links: steps protocol endpoints against each other on virtual time.
//!
//! An endpoint is a socket address. A host with several uplinks is several addresses, each pair of
//! addresses with links of its own; pairs that share a bottleneck share a link.

use crate::config::LinkConfig;
use crate::link::Link;
use crate::packet::{Packet, flip_bit};
use crate::random::derive_seed;
use crate::setting::Change;
use crate::stats::{DropReason, Stats, Verdict};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A datagram that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrived, nanoseconds.
    pub at: u64,
    /// Where it seems to come from: behind a NAT, the NAT's address.
    pub from: SocketAddr,
    /// The endpoint that receives it.
    pub to: SocketAddr,
    /// The UDP payload.
    pub bytes: Vec<u8>,
    /// Congestion Experienced was marked on the way; every datagram counts as ECN-capable.
    pub congestion: bool,
}

/// A link of a [`Network`], both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkId(usize);

/// Endpoints and links. Equal seed and calls give equal results.
///
/// Sizes are those of whole IP packets: 28 bytes are added to a payload between IPv4 addresses, 48 between IPv6.
#[derive(Debug, Clone)]
pub struct Network {
    seed: u64,
    /// Both directions of link `i` are at `2 i` and `2 i + 1`.
    links: Vec<Link<Datagram>>,
    routes: BTreeMap<(SocketAddr, SocketAddr), usize>,
    /// Endpoints behind a NAT, and the address it shows.
    rebound: BTreeMap<SocketAddr, SocketAddr>,
}

#[derive(Debug, Clone)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
    congestion: bool,
}

impl Packet for Datagram {
    fn flip_bit(&mut self, choice: u64) {
        flip_bit(&mut self.bytes, choice);
    }

    fn mark_congestion(&mut self) -> bool {
        self.congestion = true;
        true
    }
}

impl Network {
    /// A network without links, whose random choices follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            links: Vec::new(),
            routes: BTreeMap::new(),
            rebound: BTreeMap::new(),
        }
    }

    /// Joins two addresses by a link that is the same in both directions.
    pub fn link(&mut self, a: SocketAddr, b: SocketAddr, config: LinkConfig) -> LinkId {
        self.link_asymmetric(a, b, config.clone(), config)
    }

    /// Joins two addresses by a link of its own kind in each direction. A pair joined before gets the new link
    /// for what is sent from now on.
    pub fn link_asymmetric(
        &mut self,
        a: SocketAddr,
        b: SocketAddr,
        ab: LinkConfig,
        ba: LinkConfig,
    ) -> LinkId {
        let first = self.links.len();
        for (index, config) in (first as u64..).zip([ab, ba]) {
            self.links
                .push(Link::new(config, derive_seed(self.seed, index)));
        }
        let id = LinkId(first / 2);
        self.share(id, a, b);
        id
    }

    /// Lets another pair of addresses use a link: one bottleneck for both, such as IPv4 and IPv6 of one WiFi.
    pub fn share(&mut self, link: LinkId, a: SocketAddr, b: SocketAddr) {
        self.routes.insert((a, b), 2 * link.0);
        self.routes.insert((b, a), 2 * link.0 + 1);
    }

    /// From now on, what `endpoint` sends seems to come from `shown`, and what is sent to `shown` reaches it, as
    /// after a NAT has forgotten its mapping, or a roaming host seen from outside. The address shown before leads
    /// nowhere; packets already on the way still arrive. `endpoint` itself goes on using its own address.
    pub fn rebind(&mut self, endpoint: SocketAddr, shown: SocketAddr) {
        self.rebound.insert(endpoint, shown);
    }

    /// Sends a datagram at `now` nanoseconds.
    pub fn send(&mut self, now: u64, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Verdict {
        let inside = self.endpoint_at(to);
        let link = inside.and_then(|inside| self.routes.get(&(from, inside)));
        let (Some(to), Some(link)) = (inside, link.and_then(|&index| self.links.get_mut(index)))
        else {
            return Verdict::Dropped(DropReason::NoRoute);
        };
        let headers = if to.is_ipv4() { 28 } else { 48 };
        let from = self.rebound.get(&from).copied().unwrap_or(from);
        let bytes = bytes.to_vec();
        let len = bytes.len() + headers;
        link.send(
            now,
            Datagram {
                from,
                to,
                bytes,
                congestion: false,
            },
            len,
        )
    }

    /// The next datagram that has arrived by `now`, the earliest first. Call until `None`.
    pub fn poll(&mut self, now: u64) -> Option<Delivery> {
        loop {
            let events = self
                .links
                .iter_mut()
                .filter_map(|link| Some((link.next_event()?, link)));
            let (at, link) = events
                .min_by_key(|(at, _)| *at)
                .filter(|(at, _)| *at <= now)?;
            if let Some(Datagram {
                from,
                to,
                bytes,
                congestion,
            }) = link.poll_deliver(at)
            {
                return Some(Delivery {
                    at,
                    from,
                    to,
                    bytes,
                    congestion,
                });
            }
        }
    }

    /// When to poll next, if nothing is sent before; see [`Link::next_event`].
    pub fn next_event(&self) -> Option<u64> {
        self.links.iter().filter_map(Link::next_event).min()
    }

    /// Changes a setting of the direction `from` -> `to`; false if no link joins them.
    pub fn apply(&mut self, now: u64, from: SocketAddr, to: SocketAddr, change: Change) -> bool {
        let link = self
            .routes
            .get(&(from, to))
            .and_then(|&index| self.links.get_mut(index));
        link.map(|link| link.apply(now, change)).is_some()
    }

    /// Cuts or restores both directions of a link: a silent black hole.
    pub fn cut(&mut self, now: u64, link: LinkId, is_cut: bool) {
        for direction in self.links.iter_mut().skip(2 * link.0).take(2) {
            direction.apply(now, Change::BlackHole(is_cut));
        }
    }

    /// The counters of the direction `from` -> `to`.
    pub fn stats(&self, from: SocketAddr, to: SocketAddr) -> Option<&Stats> {
        let &index = self.routes.get(&(from, to))?;
        self.links.get(index).map(Link::stats)
    }

    /// Datagrams on the way, over all links.
    pub fn in_flight(&self) -> usize {
        self.links.iter().map(Link::in_flight).sum()
    }

    /// The endpoint that answers to an address seen from outside.
    fn endpoint_at(&self, shown: SocketAddr) -> Option<SocketAddr> {
        let behind = self.rebound.iter().find(|(_, outside)| **outside == shown);
        match behind {
            Some((endpoint, _)) => Some(*endpoint),
            None if self.rebound.contains_key(&shown) => None,
            None => Some(shown),
        }
    }
}
