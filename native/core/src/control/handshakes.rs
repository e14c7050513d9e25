//! Initiating, responding and the defences around both (WireGuard whitepaper, sections 5.3, 5.4, 6).

use std::time::Duration;

use crate::constants::{limits, protocol};
use crate::drops::DropReason;
use crate::handoff::{Endpoint, HandshakeBytes, PeerIndex, ToSender};
use crate::handshake::noise::{Initiator, Responder};
use crate::handshake::tai64n::Tai64n;
use crate::time::{Instant, Now};
use crate::wire::datagram::{self, Datagram};

use super::peer::{Keypair, Pending, Unconfirmed};
use super::{Control, Event, Output, PeerState};

impl Control {
    /// Starts a handshake, unless one is under way or was a moment ago.
    pub(super) fn initiate(&mut self, index: PeerIndex, now: Now) {
        let Some(peer) = self.peers.get(&index) else {
            return;
        };
        let too_soon = peer
            .initiation_sent
            .is_some_and(|sent| now.instant - sent < protocol::REKEY_TIMEOUT);
        if peer.pending.is_some() || too_soon {
            return;
        }
        if !self.attempt(index, now.instant, 0, now) {
            self.outputs
                .push_back(Output::Sender(ToSender::DropStaged(index)));
        }
    }

    /// Sends an initiation of a series that began at `started` to the address in `place` of those to
    /// try; false if there is none, and nothing changed.
    pub(super) fn attempt(
        &mut self,
        index: PeerIndex,
        started: Instant,
        place: usize,
        now: Now,
    ) -> bool {
        let Some(to) = self.next_endpoint(index, place) else {
            return false;
        };
        let local_index = self.draw_index(index);
        let timestamp = Tai64n::from_unix(now.unix).max(self.greatest_timestamp.next());
        let Some(peer) = self.peers.get_mut(&index) else {
            return false;
        };
        let settings = &mut self.settings;
        let started_handshake = Initiator::start(
            &settings.secret,
            &peer.config.public_key,
            &peer.config.preshared_key,
            local_index,
            timestamp,
            settings.entropy.as_mut(),
        );
        let Ok((initiator, mut message)) = started_handshake else {
            self.release_index(local_index);
            return false;
        };
        peer.signers.sign(to, &mut message, now.instant);
        let jitter_millis =
            u64::from(settings.entropy.u32()) % protocol::REKEY_JITTER_MAX.as_millis() as u64;
        let retry_at = now.instant + protocol::REKEY_TIMEOUT + Duration::from_millis(jitter_millis);
        let pending = Pending {
            initiator,
            index: local_index,
            to,
            started,
            sent: now.instant,
            retry_at,
            next: place.wrapping_add(1),
            forged: 0,
        };
        let abandoned = peer.pending.replace(pending);
        peer.initiation_sent = Some(now.instant);
        peer.activity.note_handshake_sent(now.instant);
        peer.activity.stop_awaiting_answer();
        let connected = peer.current.is_some();
        if let Some(abandoned) = abandoned {
            self.release_index(abandoned.index);
        }
        self.greatest_timestamp = timestamp;
        self.outputs
            .push_back(Output::Event(Event::Timestamp(timestamp)));
        self.send_handshake(to, &message);
        if !connected {
            self.set_state(index, PeerState::Handshaking);
        }
        true
    }

    /// Retries rotate: the current address, other known paths, then the configured ones.
    fn next_endpoint(&self, index: PeerIndex, place: usize) -> Option<Endpoint> {
        let peer = self.peers.get(&index)?;
        let known = peer.paths.iter().filter(|path| path.probing.validated);
        let known = known.map(|path| path.endpoint);
        let configured = peer.config.endpoints.iter().take(limits::ENDPOINTS);
        let best = configured
            .clone()
            .filter_map(|remote| self.endpoint_to(*remote));
        // Other sockets have their turn when each address had its own.
        let rest = configured.flat_map(|remote| self.endpoints_to(*remote).skip(1));
        let mut candidates: Vec<Endpoint> = Vec::new();
        for endpoint in peer
            .endpoint
            .into_iter()
            .chain(known)
            .chain(best)
            .chain(rest)
        {
            if !candidates.contains(&endpoint) && candidates.len() < limits::PATHS {
                candidates.push(endpoint);
            }
        }
        let place = place.checked_rem(candidates.len())?;
        candidates.get(place).copied()
    }

    pub(super) fn send_handshake(&mut self, to: Endpoint, message: &[u8]) {
        if let Ok(message) = HandshakeBytes::try_from(message) {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// Takes a handshake message; its mac1 was checked on receipt.
    pub(super) fn handle_handshake(&mut self, from: Endpoint, message: &[u8], now: Now) {
        let accepted = match datagram::parse(message) {
            Ok(Datagram::Initiation(bytes)) => self
                .admit(from, bytes, now.instant)
                .and_then(|()| self.respond(from, bytes, now.instant)),
            Ok(Datagram::Response(bytes)) => self
                .admit_response(from, bytes, now.instant)
                .and_then(|()| self.finish(from, bytes, now.instant)),
            Ok(Datagram::CookieReply(bytes)) => self.take_cookie(from, bytes, now.instant),
            _ => Err(DropReason::Malformed),
        };
        if let Err(reason) = accepted {
            self.settings.drops.count(reason);
        }
    }

    /// Answers an initiation: the new session opens at once, but seals only when it was used.
    fn respond(
        &mut self,
        from: Endpoint,
        message: &[u8; 148],
        now: Instant,
    ) -> Result<(), DropReason> {
        let refused = DropReason::HandshakeRefused;
        let responder = Responder::read(
            &self.settings.secret,
            message,
            self.settings.entropy.as_mut(),
        )
        .map_err(|_| refused)?;
        let index = *self.by_key.get(&responder.remote()).ok_or(refused)?;
        let peer = self.peers.get_mut(&index).ok_or(refused)?;
        let flooding = peer
            .initiation_accepted
            .is_some_and(|at| now - at < protocol::INITIATION_SPACING);
        if flooding || responder.timestamp() <= peer.greatest_timestamp {
            return Err(refused);
        }
        peer.greatest_timestamp = responder.timestamp();
        peer.initiation_accepted = Some(now);
        peer.activity.note_handshake_received(now);
        let preshared_key = peer.config.preshared_key.clone();
        let remote = responder.remote_index();
        let local = self.draw_index(index);
        let (mut response, keys) = match responder.respond(&preshared_key, local) {
            Ok(answer) => answer,
            Err(_) => {
                self.release_index(local);
                return Err(refused);
            }
        };
        self.open_with(index, local, &keys, false, now);
        let send = self.settings.backend.key(&keys.send);
        let keypair = Keypair {
            local,
            remote,
            created: now,
        };
        let peer = self.peers.get_mut(&index).ok_or(refused)?;
        peer.signers.sign(from, &mut response, now);
        peer.activity.note_handshake_sent(now);
        let replaced = peer
            .next
            .replace(Unconfirmed { keypair, send })
            .map(|next| next.keypair);
        // A session with a living address keeps it until the new one is proven (design, section 4).
        let takes_address =
            peer.endpoint.is_none() || peer.current.is_none() || !peer.speaks_frames();
        if let Some(replaced) = replaced {
            self.release_index(replaced.local);
        }
        if takes_address {
            self.set_endpoint(index, from, now);
        }
        self.send_handshake(from, &response);
        Ok(())
    }

    /// Completes our own handshake: the new session is current at once.
    fn finish(
        &mut self,
        from: Endpoint,
        message: &[u8; 92],
        now: Instant,
    ) -> Result<(), DropReason> {
        let refused = DropReason::HandshakeRefused;
        let given = datagram::response_receiver(message);
        let unknown = DropReason::UnknownHandshake;
        let index = *self.indices.get(&given).ok_or(unknown)?;
        let peer = self.peers.get_mut(&index).ok_or(unknown)?;
        let pending = peer
            .pending
            .as_mut()
            .filter(|pending| pending.index == given)
            .ok_or(refused)?;
        let keys = pending.initiator.finish(message).map_err(|_| {
            pending.forged = pending.forged.saturating_add(1);
            refused
        })?;
        let took = now - pending.sent;
        let asked = pending.to;
        peer.pending = None;
        peer.handshake_took = Some(took);
        peer.activity.note_handshake_received(now);
        let keypair = Keypair {
            local: given,
            remote: datagram::response_sender(message),
            created: now,
        };
        let next = peer.next.take().map(|next| next.keypair);
        for superseded in [peer.current.replace(keypair), next].into_iter().flatten() {
            self.retire(index, superseded);
        }
        if from == asked {
            self.set_endpoint(index, from, now);
            if let Some(peer) = self.peers.get_mut(&index) {
                peer.note_rtt(from, took);
            }
        }
        self.open_with(index, given, &keys, true, now);
        self.seal_with(index, self.settings.backend.key(&keys.send), true);
        // A response that came from elsewhere may be a copy that overtook the true one.
        self.moved(index, from, now);
        self.connected(index, true, now);
        Ok(())
    }

    fn take_cookie(
        &mut self,
        from: Endpoint,
        message: &[u8; 64],
        now: Instant,
    ) -> Result<(), DropReason> {
        let index = *self
            .indices
            .get(&datagram::cookie_reply_receiver(message))
            .ok_or(DropReason::UnknownHandshake)?;
        let peer = self
            .peers
            .get_mut(&index)
            .ok_or(DropReason::UnknownHandshake)?;
        if peer.signers.take_cookie(from, message, now) {
            Ok(())
        } else {
            Err(DropReason::HandshakeRefused)
        }
    }
}
