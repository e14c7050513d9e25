//! Probes: frames that ask for a reply, for a ping, a size or a sign of life, and what the reply says.
//!
//! A token that nobody can guess ties a reply to its probe. Probes of paths that are not proven yet are
//! [`Paths`](super::paths::Paths)' own.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::bond::shim::SHIM_LEN;
use crate::constants::limits;
use crate::handoff::{Endpoint, PeerIndex};
use crate::identity::PublicKey;
use crate::time::{Instant, Now};
use crate::wire::frame::Frame;

use super::{CommandError, Control, Event, Output};

/// Pings and sizes under way to one peer: two for each path, and as many pings.
const PROBES: usize = 3 * limits::PATHS;
/// What bonding takes of a packet's room.
pub(super) const SHIM: u16 = SHIM_LEN as u16;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody asked for the round trip, with this token.
    Ping(u32),
    /// The path to there carries inner packets of this size if there is a reply.
    Mtu(Endpoint, u16),
    /// The path to there carries anything at all if there is a reply.
    Liveness(Endpoint),
}

struct Probe {
    token: u64,
    purpose: Purpose,
    sent: Instant,
}

/// Probes under way to one peer; the oldest makes room for a new one.
#[derive(Default)]
pub(super) struct Probes(ArrayVec<Probe, PROBES>);

impl Probes {
    fn add(&mut self, probe: Probe) {
        if self.0.is_full() {
            self.0.remove(0);
        }
        self.0.push(probe);
    }

    fn take(&mut self, token: u64) -> Option<Probe> {
        let place = self.0.iter().position(|probe| probe.token == token)?;
        Some(self.0.remove(place))
    }
}

struct Ping {
    peer: PeerIndex,
    key: PublicKey,
    token: u32,
    sent: bool,
    deadline: Instant,
}

/// Pings under way, at most [`limits::PINGS`].
#[derive(Default)]
pub(super) struct Pings(Vec<Ping>);

impl Pings {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().map(|ping| ping.deadline).min()
    }

    pub(super) fn forget(&mut self, peer: PeerIndex) {
        self.0.retain(|ping| ping.peer != peer);
    }
}

impl Control {
    /// Carries out a ping; without a session, a handshake comes first.
    pub(super) fn ping(
        &mut self,
        key: &PublicKey,
        token: u32,
        now: Now,
    ) -> Result<(), CommandError> {
        let index = *self.by_key.get(key).ok_or(CommandError::UnknownPeer)?;
        let peer = self.peers.get(&index).ok_or(CommandError::UnknownPeer)?;
        if !peer.speaks_frames() {
            return Err(CommandError::NotWhalescale);
        }
        if self.pings.0.len() >= limits::PINGS {
            return Err(CommandError::TooManyPings);
        }
        let connected = peer.current.is_some();
        let deadline = now.instant + limits::PING_TIMEOUT;
        self.pings.0.push(Ping {
            peer: index,
            key: *key,
            token,
            sent: false,
            deadline,
        });
        if connected {
            self.send_waiting_pings(index, now.instant);
        } else {
            self.initiate(index, now);
        }
        Ok(())
    }

    pub(super) fn send_waiting_pings(&mut self, index: PeerIndex, now: Instant) {
        let waiting = self
            .pings
            .0
            .iter_mut()
            .filter(|ping| ping.peer == index && !ping.sent);
        let tokens: Vec<u32> = waiting
            .map(|ping| {
                ping.sent = true;
                ping.token
            })
            .collect();
        for token in tokens {
            self.probe(index, Purpose::Ping(token), now);
        }
    }

    pub(super) fn expire_pings(&mut self, now: Instant) {
        for ping in self.pings.0.extract_if(.., |ping| ping.deadline <= now) {
            self.outputs.push_back(Output::Event(Event::PingTimeout {
                peer: ping.key,
                token: ping.token,
            }));
        }
    }

    /// Sends a probe on the path in question, or to the peer's current address.
    pub(super) fn probe(&mut self, index: PeerIndex, purpose: Purpose, now: Instant) {
        let mut token = [0; 8];
        self.settings.entropy.fill(&mut token);
        let token = u64::from_le_bytes(token);
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        peer.probes.add(Probe {
            token,
            purpose,
            sent: now,
        });
        let (endpoint, size) = match purpose {
            // Bonded data has its shim in front of the inner packet.
            Purpose::Mtu(endpoint, size) => (Some(endpoint), size.saturating_add(SHIM)),
            Purpose::Liveness(endpoint) => (Some(endpoint), 0),
            Purpose::Ping(_) => (None, 0),
        };
        self.send_frame(index, endpoint, &Frame::PathProbe { token, size });
    }

    /// Whether it answered a probe of ours.
    pub(super) fn handle_probe_reply(
        &mut self,
        index: PeerIndex,
        from: Endpoint,
        token: u64,
        now: Instant,
    ) -> bool {
        if self.path_answered(index, from, token, now) {
            return true;
        }
        let Some(peer) = self.peers.get_mut(&index) else {
            return false;
        };
        let Some(probe) = peer.probes.take(token) else {
            return false;
        };
        let rtt = now - probe.sent;
        match probe.purpose {
            Purpose::Ping(token) => self.finish_ping(index, token, from, rtt),
            Purpose::Mtu(endpoint, size) if endpoint == from => {
                if let Some(path) = peer.paths.get_mut(from) {
                    path.pmtu.confirmed(size, now);
                }
                self.settle(index, now);
            }
            Purpose::Liveness(endpoint) if endpoint == from => peer.note_rtt(from, rtt),
            Purpose::Mtu(..) | Purpose::Liveness(_) => {}
        }
        true
    }

    fn finish_ping(&mut self, index: PeerIndex, token: u32, from: Endpoint, rtt: Duration) {
        let Some(place) = self
            .pings
            .0
            .iter()
            .position(|ping| ping.peer == index && ping.token == token)
        else {
            return;
        };
        let ping = self.pings.0.remove(place);
        let local = self.local_address(from.socket);
        let event = Event::Pong {
            peer: ping.key,
            token,
            rtt,
            local,
            remote: from.remote,
        };
        self.outputs.push_back(Output::Event(event));
    }
}
