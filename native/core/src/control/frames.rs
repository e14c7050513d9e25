//! Control frames inside a session: HELLO, probes, pings (design, section 4).

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::bond::shim::SHIM_LEN;
use crate::constants::limits;
use crate::handoff::{Endpoint, PathId, PeerIndex, ToReceiver, ToSender};
use crate::identity::PublicKey;
use crate::time::{Instant, Now};
use crate::wire::frame::{self, Frame, Plaintext};

use super::peer::Peer;
use super::repeat::Repeat;
use super::{CommandError, Control, Event, Output};

/// Version of the protocol that HELLO announces.
const VERSION: u16 = 1;
/// Pings and sizes under way to one peer: two for each path, and as many pings.
const PROBES: usize = 3 * limits::PATHS;
/// What bonding takes of a packet's room.
pub(super) const SHIM: u16 = SHIM_LEN as u16;

/// Where and how a frame arrived.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    /// Receiver index of the keypair.
    pub index: u32,
    pub from: Endpoint,
    /// Bytes of the datagram.
    pub datagram: usize,
}

/// Our HELLO under the current keypair, and what the other end's said.
#[derive(Default)]
pub(super) struct Hello {
    repeat: Repeat,
    peer_instance: Option<u64>,
}

impl Hello {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.repeat.at()
    }

    /// Whether the other end ever said hello.
    pub(super) fn is_answered(&self) -> bool {
        self.peer_instance.is_some()
    }

    /// It was answered, or its session is over.
    pub(super) fn stop(&mut self) {
        self.repeat = Repeat::default();
    }
}

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

    /// Queues a frame; a stock peer never gets one, whatever led here.
    pub(super) fn send_frame(
        &mut self,
        peer: PeerIndex,
        endpoint: Option<Endpoint>,
        frame: &Frame,
    ) {
        if !self.peers.get(&peer).is_some_and(Peer::speaks_frames) {
            return;
        }
        let mut plaintext = Vec::new();
        frame.encode(&mut plaintext);
        self.outputs.push_back(Output::Sender(ToSender::Frame {
            peer,
            endpoint,
            plaintext,
        }));
    }

    /// The initiator of every new session says hello, and repeats it until answered.
    pub(super) fn start_hello(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self
            .peers
            .get_mut(&index)
            .filter(|peer| peer.speaks_frames())
        else {
            return;
        };
        peer.hello.repeat = Repeat::starting(now);
        self.repeat_hello(index, now);
    }

    pub(super) fn repeat_hello(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.hello.repeat.take(now) {
            self.send_hello(index, false);
        }
    }

    fn send_hello(&mut self, index: PeerIndex, reply: bool) {
        let node_id = *self.settings.secret.node_id().as_bytes();
        self.send_frame(
            index,
            None,
            &Frame::Hello {
                version: VERSION,
                node_id,
                instance: self.instance,
                reply,
            },
        );
    }

    /// Takes a frame that was authenticated as the peer's.
    pub(super) fn handle_frame(
        &mut self,
        index: PeerIndex,
        arrival: Arrival,
        plaintext: &[u8],
        now: Instant,
    ) {
        let Ok(Plaintext::Frame(frame)) = frame::parse(plaintext) else {
            return;
        };
        match frame {
            Frame::Hello {
                node_id,
                instance,
                reply,
                ..
            } => {
                self.handle_hello(index, arrival, node_id, instance, reply);
                self.greet(index, now);
            }
            Frame::PathProbe { token, .. } => {
                let received = u16::try_from(arrival.datagram).unwrap_or(u16::MAX);
                let reply = Frame::PathProbeReply {
                    token,
                    received,
                    observed: Some(arrival.from.remote),
                };
                self.send_frame(index, Some(arrival.from), &reply);
                self.heard_from(index, arrival.from, now);
                self.ask_for_address(index, now);
            }
            Frame::PathProbeReply {
                token, observed, ..
            } => {
                let known = self.handle_probe_reply(index, arrival.from, token, now);
                if let Some(observed) = observed.filter(|_| known) {
                    self.observed(index, arrival.from, observed);
                }
            }
            Frame::Message { kind, body } => self.handle_message(index, arrival.from, kind, body),
            Frame::PathAnnounce {
                number,
                addresses,
                reply,
            } => self.handle_announcement(index, arrival.from, number, addresses, reply, now),
            Frame::PathBind {
                reply: true,
                path,
                token,
                ..
            } => {
                if let Some(peer) = self.peers.get_mut(&index) {
                    peer.paths.bound(PathId(path), token);
                }
                self.settle(index, now);
            }
            Frame::PathBind {
                path, token, link, ..
            } => {
                self.handle_bind(index, arrival.from, path, token, link, now);
            }
        }
    }

    fn handle_hello(
        &mut self,
        index: PeerIndex,
        arrival: Arrival,
        node_id: [u8; 32],
        instance: u64,
        reply: bool,
    ) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.config.node_id.map(|known| *known.as_bytes()) != Some(node_id) {
            return;
        }
        let restarted = peer
            .hello
            .peer_instance
            .replace(instance)
            .is_some_and(|known| known != instance);
        if reply && peer.is_of_this_round(arrival.index) {
            peer.hello.stop();
        }
        let key = peer.config.public_key;
        if restarted {
            peer.paths.peer_restarted();
            self.outputs
                .push_back(Output::Receiver(ToReceiver::Restarted(index)));
            self.outputs
                .push_back(Output::Sender(ToSender::Restarted(index)));
            self.outputs
                .push_back(Output::Event(Event::Restarted { peer: key }));
        }
        if !reply {
            self.send_hello(index, true);
        }
    }

    /// Whether it answered a probe of ours.
    fn handle_probe_reply(
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
