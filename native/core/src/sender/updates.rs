//! What control decides, and what that releases: keys, addresses, paths, frames to send.

use std::sync::Arc;

use crate::bond::transmit::Bond;
use crate::drops::DropReason;
use crate::handoff::{Endpoint, PeerIndex, SendKey, ToSender};
use crate::time::Instant;

use super::{Peer, SendError, Sender, Transmit, padded, peer_mut};

impl Sender {
    /// Applies what control decided. New keys release what was staged; call [`Self::flush`] after.
    ///
    /// `emit` is used when the slab fills up meanwhile.
    pub fn handle_update(
        &mut self,
        update: ToSender,
        now: Instant,
        mut emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        match update {
            ToSender::Routes(routes) => self.routes = Some(routes),
            ToSender::Peer {
                peer,
                activity,
                bond,
            } => {
                let place = usize::from(peer.0);
                if self.peers.len() <= place {
                    self.peers.resize_with(place + 1, || None);
                }
                if let Some(slot) = self.peers.get_mut(place) {
                    *slot = Some(Peer::new(activity, bond));
                }
            }
            ToSender::RemovePeer(peer) => {
                self.flush(now, &mut emit);
                if let Some(slot) = self.peers.get_mut(usize::from(peer.0)) {
                    *slot = None;
                }
            }
            ToSender::Endpoint {
                peer,
                endpoint,
                inner_mtu,
            } => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    found.endpoint = Some(endpoint);
                    found.inner_mtu = inner_mtu;
                }
                self.release_staged(peer, now, &mut emit);
            }
            path @ (ToSender::Path { .. }
            | ToSender::RemovePath { .. }
            | ToSender::Restarted(_)) => self.change_path(path, now),
            ToSender::Keypair { peer, key } => self.install(peer, key, now, &mut emit),
            ToSender::ForgetKey(peer) => {
                self.flush(now, &mut emit);
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    found.key = None;
                }
            }
            ToSender::DropStaged(peer) => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    self.drops
                        .add(DropReason::Unreachable, found.staging.clear());
                }
            }
            ToSender::Frame {
                peer,
                endpoint,
                plaintext,
            } => {
                if self.is_full() {
                    self.flush(now, &mut emit);
                }
                self.append_frame(peer, endpoint, &plaintext, now);
            }
        }
    }

    fn change_path(&mut self, change: ToSender, now: Instant) {
        let policy = self.policy;
        let memory = &self.ring_memory;
        match change {
            ToSender::Path {
                peer,
                path,
                endpoint,
                role,
                gauge,
            } => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    let counters = &found.gauge;
                    let bond = found.bond.get_or_insert_with(|| {
                        let counters = Arc::clone(counters);
                        Box::new(Bond::new(peer, policy, counters, memory.clone()))
                    });
                    bond.put_path(path, endpoint, role, gauge, now);
                }
            }
            ToSender::Restarted(peer) => {
                let found = peer_mut(&mut self.peers, peer);
                if let Some(bond) = found.and_then(|found| found.bond.as_mut()) {
                    bond.restart(now);
                }
            }
            ToSender::RemovePath { peer, path } => {
                let found = peer_mut(&mut self.peers, peer);
                if let Some(bond) = found.and_then(|found| found.bond.as_mut()) {
                    bond.remove_path(path, now);
                }
            }
            _ => {}
        }
    }

    fn install(
        &mut self,
        index: PeerIndex,
        key: SendKey,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        // What is in the slab was meant for the old key, and goes out under it.
        self.flush(now, &mut *emit);
        let Some(peer) = peer_mut(&mut self.peers, index) else {
            return;
        };
        let confirm = key.confirm;
        peer.key = Some(key);
        peer.counter = 0;
        peer.asked = None;
        let data_waits = !peer.staging.is_empty() && peer.endpoint.is_some();
        if confirm && !data_waits {
            self.append_frame(index, None, &[], now);
        }
        self.release_staged(index, now, emit);
    }

    fn release_staged(
        &mut self,
        index: PeerIndex,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        loop {
            let Some(peer) = peer_mut(&mut self.peers, index) else {
                return;
            };
            if peer.endpoint.is_none() || !peer.key_usable(now) {
                return;
            }
            let Some((vnet, packet)) = peer.staging.pop() else {
                return;
            };
            if self.is_full() {
                self.flush(now, &mut *emit);
            }
            if let Err(reason) = self.route_and_write(&vnet, &packet, now) {
                self.drops.count(reason);
            }
        }
    }

    pub(super) fn append_frame(
        &mut self,
        index: PeerIndex,
        endpoint: Option<Endpoint>,
        plaintext: &[u8],
        now: Instant,
    ) {
        let Some(peer) = peer_mut(&mut self.peers, index) else {
            return;
        };
        if !peer.key_usable(now) {
            return;
        }
        let Some(endpoint) = endpoint.or(peer.endpoint) else {
            self.drops.count(DropReason::NoEndpoint);
            return;
        };
        // A frame stands alone: one that does not fit the path must not take data down with it.
        self.slab.close_run();
        let len = padded(plaintext.len(), usize::from(peer.inner_mtu));
        if let Some(payload) = self.slab.append(index, endpoint, len, false) {
            let (body, padding) = payload.split_at_mut(plaintext.len());
            body.copy_from_slice(plaintext);
            padding.fill(0);
        }
        self.slab.close_run();
    }
}
