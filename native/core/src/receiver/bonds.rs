//! What each peer sends over several paths, and what all of them may hold back together.

use std::collections::BTreeMap;

use crate::bond::receive::Inbound;
use crate::bond::reorder::{Budget, Depth};
use crate::handoff::PeerIndex;
use crate::time::Instant;

/// The receiving ends of all bonds. One begins with the first word of its peer.
pub(super) struct Bonds {
    each: BTreeMap<PeerIndex, Inbound>,
    depth: Depth,
    budget: Budget,
}

impl Bonds {
    /// None yet; each will hold `depth`.
    pub fn new(depth: Depth) -> Self {
        Self {
            each: BTreeMap::new(),
            depth,
            budget: Budget::default(),
        }
    }

    pub fn of(&mut self, peer: PeerIndex) -> &mut Inbound {
        let new = || Inbound::new(self.depth, self.budget.clone());
        self.each.entry(peer).or_insert_with(new)
    }

    pub fn remove(&mut self, peer: PeerIndex) {
        self.each.remove(&peer);
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerIndex, &mut Inbound)> {
        self.each.iter_mut()
    }

    /// When the first of them has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.each.values().filter_map(Inbound::next_deadline).min()
    }
}
