//! Messages: what those above this library tell each other inside sessions, and signatures for it.
//!
//! Nothing here looks into a body. A message is sent once and may be lost, as any datagram; who needs
//! more repeats it. Invariant: a stock peer never gets one, whatever was asked.

use std::collections::VecDeque;

use crate::constants::limits;
use crate::drops::DropReason;
use crate::handoff::{Endpoint, PeerIndex};
use crate::identity::PublicKey;
use crate::time::Now;
use crate::wire::frame::{Frame, MESSAGE_TYPES};

use super::{CommandError, Control, Event, Output};

/// Messages that wait for a session, the oldest first.
#[derive(Default)]
pub(super) struct Waiting(VecDeque<Frame>);

impl Waiting {
    /// Adds one; says whether the oldest had to go for it.
    fn add(&mut self, message: Frame) -> bool {
        let full = self.0.len() >= limits::MESSAGES_WAITING;
        if full {
            self.0.pop_front();
        }
        self.0.push_back(message);
        full
    }
}

impl Control {
    /// Sends a message, or lets it wait while a session opens.
    pub(super) fn message(
        &mut self,
        key: &PublicKey,
        kind: u8,
        body: Vec<u8>,
        now: Now,
    ) -> Result<(), CommandError> {
        let index = *self.by_key.get(key).ok_or(CommandError::UnknownPeer)?;
        if !MESSAGE_TYPES.contains(&kind) || body.len() > limits::MESSAGE_BODY {
            return Err(CommandError::NotAMessage);
        }
        let connected = self.has_key(index, now.instant);
        let peer = self
            .peers
            .get_mut(&index)
            .ok_or(CommandError::UnknownPeer)?;
        if !peer.speaks_frames() {
            return Err(CommandError::NotWhalescale);
        }
        let message = Frame::Message { kind, body };
        if connected {
            self.send_frame(index, None, &message);
            return Ok(());
        }
        if peer.waiting.add(message) {
            self.settings.drops.count(DropReason::MessageQueueFull);
        }
        self.initiate(index, now);
        let opens = |peer: &super::peer::Peer| peer.pending.is_some() || peer.next.is_some();
        if !self.peers.get(&index).is_some_and(opens) {
            self.drop_waiting(index);
        }
        Ok(())
    }

    /// There is a session: what waited for it goes.
    pub(super) fn send_waiting_messages(&mut self, index: PeerIndex) {
        for message in self.take_waiting(index) {
            self.send_frame(index, None, &message);
        }
    }

    /// There will be none.
    pub(super) fn drop_waiting(&mut self, index: PeerIndex) {
        let count = self.take_waiting(index).len() as u64;
        self.settings
            .drops
            .add(DropReason::MessageUnreachable, count);
    }

    fn take_waiting(&mut self, index: PeerIndex) -> VecDeque<Frame> {
        let peer = self.peers.get_mut(&index);
        peer.map_or_else(VecDeque::new, |peer| std::mem::take(&mut peer.waiting.0))
    }

    /// Takes a message that was authenticated as the peer's; how many, the receive machine has bounded.
    pub(super) fn handle_message(
        &mut self,
        index: PeerIndex,
        from: Endpoint,
        kind: u8,
        body: Vec<u8>,
    ) {
        if let Some(peer) = self.peers.get(&index) {
            self.outputs.push_back(Output::Event(Event::Message {
                peer: peer.config.public_key,
                kind,
                body,
                remote: from.remote,
            }));
        }
    }

    /// Signs by the node's key, which does not leave this machine.
    pub(super) fn sign(
        &mut self,
        token: u32,
        domain: &str,
        body: &[u8],
    ) -> Result<(), CommandError> {
        if domain.len() > limits::SIGNED_DOMAIN || body.len() > limits::SIGNED_BODY {
            return Err(CommandError::TooLongToSign);
        }
        let signature = self.settings.secret.sign(domain, body);
        self.outputs
            .push_back(Output::Event(Event::Signed { token, signature }));
        Ok(())
    }
}
