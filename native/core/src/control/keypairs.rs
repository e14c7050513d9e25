//! Keypairs: what a completed handshake leads to, and what becomes of the one before it (WireGuard
//! whitepaper, section 6.1).

use std::sync::Arc;

use crate::aead::AeadKey;
use crate::handoff::{PeerIndex, ReceiveKey, SendKey, ToReceiver, ToSender};
use crate::handshake::noise::TransportKeys;
use crate::peek::PeekKey;
use crate::time::Instant;

use super::peer::Keypair;
use super::{Control, Output, PeerState};

impl Control {
    /// The other end used the session that it initiated: it becomes the current one.
    pub(super) fn confirm(&mut self, index: PeerIndex, local: u32, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let Some(next) = peer.next.take_if(|next| next.keypair.local == local) else {
            return;
        };
        // This session serves as well as the one that we were asking for (as in Linux).
        let abandoned = peer.pending.take();
        let superseded = peer.current.replace(next.keypair);
        // Its initiator is the one that says hello.
        peer.hello.stop();
        if let Some(abandoned) = abandoned {
            self.release_index(abandoned.index);
        }
        if let Some(superseded) = superseded {
            self.retire(index, superseded);
        }
        self.seal_with(index, next.send, false);
        self.connected(index, false, now);
    }

    /// Keeps a superseded keypair for the packets under it that are still on the way.
    pub(super) fn retire(&mut self, index: PeerIndex, keypair: Keypair) {
        let evicted = self
            .peers
            .get_mut(&index)
            .and_then(|peer| peer.previous.retire(keypair));
        if let Some(evicted) = evicted {
            self.release_index(evicted.local);
        }
    }

    /// Hands the receive machine the new key.
    pub(super) fn open_with(
        &mut self,
        index: PeerIndex,
        local: u32,
        keys: &TransportKeys,
        initiator: bool,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get(&index) else {
            return;
        };
        let key = ReceiveKey {
            key: self.settings.backend.key(&keys.receive),
            peek: PeekKey::new(&keys.receive),
            index: local,
            peer: index,
            activity: Arc::clone(&peer.activity),
            bond: Arc::clone(&peer.bond),
            created: now,
            initiator,
            frames: peer.speaks_frames(),
        };
        self.outputs
            .push_back(Output::Receiver(ToReceiver::Keypair(key)));
    }

    /// Hands the send machine the new key.
    pub(super) fn seal_with(&mut self, index: PeerIndex, key: Box<dyn AeadKey>, initiator: bool) {
        let Some(peer) = self.peers.get(&index) else {
            return;
        };
        let Some(current) = &peer.current else { return };
        let created = current.created;
        let confirm = initiator && !peer.speaks_frames();
        let key = SendKey {
            key,
            receiver: current.remote,
            created,
            initiator,
            confirm,
        };
        self.outputs
            .push_back(Output::Sender(ToSender::Keypair { peer: index, key }));
    }

    /// A session stands: what waited for it goes out.
    pub(super) fn connected(&mut self, index: PeerIndex, initiator: bool, now: Instant) {
        if initiator {
            self.start_hello(index, now);
        }
        self.set_state(index, PeerState::Connected);
        self.send_waiting_pings(index, now);
        self.send_waiting_messages(index);
    }
}
