//! Peers come, change and go: their places in the tables of all machines, and whose each prefix is.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::constants::limits;
use crate::handoff::{PeerIndex, ToReceiver, ToSender};
use crate::identity::{NodeId, PublicKey};
use crate::routes::{IpPrefix, Overlap, Routes};
use crate::time::Now;

use super::peer::Peer;
use super::{CommandError, Control, Output, PeerConfig};

impl Control {
    pub(super) fn put_peer(
        &mut self,
        mut config: PeerConfig,
        now: Now,
    ) -> Result<(), CommandError> {
        config
            .allowed_ips
            .extend(config.node_id.and_then(overlay_prefix));
        self.check_routes(&config)?;
        let key = config.public_key;
        if let Some(peer) = self
            .by_key
            .get(&key)
            .and_then(|index| self.peers.get_mut(index))
        {
            let index = peer.index;
            let before = std::mem::take(&mut peer.config.allowed_ips);
            let after = config.allowed_ips.clone();
            peer.reconfigure(config, self.settings.inner_mtu);
            self.route(index, &before, &after);
            self.refresh(index, now.instant);
        } else {
            let index = self.free_index().ok_or(CommandError::TooManyPeers)?;
            self.route(index, &[], &config.allowed_ips);
            let peer = Peer::new(index, config, self.settings.inner_mtu);
            self.outputs.push_back(Output::Sender(ToSender::Peer {
                peer: index,
                activity: Arc::clone(&peer.activity),
                bond: Arc::clone(&peer.bond),
            }));
            self.by_key.insert(key, index);
            self.peers.insert(index, peer);
        }
        self.publish_inner_mtu();
        if let Some(index) = self.by_key.get(&key).copied() {
            self.start_keepalive(index, now);
        }
        Ok(())
    }

    pub(super) fn remove_peer(&mut self, key: &PublicKey) -> Result<(), CommandError> {
        let index = self.by_key.remove(key).ok_or(CommandError::UnknownPeer)?;
        self.outputs
            .push_back(Output::Sender(ToSender::RemovePeer(index)));
        let given: Vec<u32> = self
            .indices
            .iter()
            .filter(|(_, owner)| **owner == index)
            .map(|(given, _)| *given)
            .collect();
        for given in given {
            self.release_index(given);
        }
        self.outputs
            .push_back(Output::Receiver(ToReceiver::RemovePeer(index)));
        if let Some(peer) = self.peers.remove(&index) {
            if !peer.config.allowed_ips.is_empty() {
                self.vacated.insert(index);
            }
            self.route(index, &peer.config.allowed_ips, &[]);
        }
        self.pings.forget(index);
        self.publish_inner_mtu();
        Ok(())
    }

    /// A place that neither a peer has nor a table in use may name; the latter is renewed if need be.
    fn free_index(&mut self) -> Option<PeerIndex> {
        if self.peers.len() >= limits::PEERS {
            return None;
        }
        let found = self.find_index().or_else(|| {
            self.publish_routes();
            self.find_index()
        })?;
        self.next_place = found.0 + 1;
        Some(found)
    }

    /// The next such place in turn: what is still in a queue about a removed peer finds nobody there.
    fn find_index(&self) -> Option<PeerIndex> {
        let limit = u16::try_from(limits::PEERS).unwrap_or(u16::MAX);
        let mut places = (self.next_place..limit).chain(0..limit).map(PeerIndex);
        places.find(|index| !self.peers.contains_key(index) && !self.vacated.contains(index))
    }

    /// Refuses a peer whose prefixes another one has, or that has one twice, before anything changes.
    fn check_routes(&self, new: &PeerConfig) -> Result<(), CommandError> {
        let own = self.by_key.get(&new.public_key);
        let mut seen = BTreeSet::new();
        let overlap = new.allowed_ips.iter().find(|prefix| {
            let owner = self.routes.get(prefix);
            !seen.insert(**prefix) || owner.is_some_and(|owner| Some(owner) != own)
        });
        overlap.map_or(Ok(()), |prefix| {
            Err(CommandError::Overlap(Overlap(*prefix)))
        })
    }

    /// Notes that the peer has the prefixes `after` in place of those `before`.
    fn route(&mut self, index: PeerIndex, before: &[IpPrefix], after: &[IpPrefix]) {
        if before == after {
            return;
        }
        for prefix in before {
            self.routes.remove(prefix);
        }
        for prefix in after {
            self.routes.insert(*prefix, index);
        }
        self.routes_changed = true;
    }

    pub(super) fn publish_routes(&mut self) {
        self.routes_changed = false;
        let prefixes = self.routes.iter().map(|(prefix, index)| (*prefix, *index));
        // No prefix is given twice: they are the keys of a map.
        if let Ok(routes) = Routes::build(prefixes).map(Arc::new) {
            self.outputs
                .push_back(Output::Sender(ToSender::Routes(Arc::clone(&routes))));
            self.outputs
                .push_back(Output::Receiver(ToReceiver::Routes(routes)));
            self.vacated.clear();
        }
    }
}

/// The one address that a Whalescale peer has by itself (design, section 4, Identity).
fn overlay_prefix(node_id: NodeId) -> Option<IpPrefix> {
    IpPrefix::new(node_id.overlay_address().into(), 128).ok()
}
