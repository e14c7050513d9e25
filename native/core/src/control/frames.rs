//! Control frames inside a session: HELLO, path probes, pings (design, section 4).

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::constants::limits;
use crate::handoff::{Endpoint, PeerIndex, ToSender};
use crate::identity::PublicKey;
use crate::pmtu::Step;
use crate::time::{Instant, Now};
use crate::wire::frame::{self, Frame, Plaintext};

use super::peer::Peer;
use super::{CommandError, Control, Event, Output};

/// Version of the protocol that HELLO announces.
const VERSION: u16 = 1;
/// The first repetition of an unanswered HELLO, doubled each time.
const HELLO_INTERVAL: Duration = Duration::from_millis(250);
/// HELLO is not repeated less often than this.
const HELLO_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// Probes under way to one peer: a few pings, a challenge, a size.
const PROBES: usize = 16;
/// The path counts as alive for the MTU search if it brought anything within this span.
const ALIVE: Duration = Duration::from_secs(2);
/// There is traffic worth confirming the MTU for if data was sent within this span.
const BUSY: Duration = Duration::from_secs(30);

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
    repeat_at: Option<Instant>,
    interval: Duration,
    peer_instance: Option<u64>,
}

impl Hello {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.repeat_at
    }

    /// It was answered, or its session is over.
    pub(super) fn stop(&mut self) {
        self.repeat_at = None;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Somebody asked for the round trip, with this token.
    Ping(u32),
    /// The peer is at this address if the reply comes from there.
    Challenge(Endpoint),
    /// The path carries inner packets of this size if there is a reply.
    Mtu(u16),
    /// The path carries anything at all if there is a reply.
    Liveness,
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
            self.probe(index, Purpose::Ping(token), None, now);
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

    /// Sends a probe, to `endpoint` or the peer's current one.
    fn probe(
        &mut self,
        index: PeerIndex,
        purpose: Purpose,
        endpoint: Option<Endpoint>,
        now: Instant,
    ) {
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
        let size = match purpose {
            Purpose::Mtu(size) => size,
            _ => 0,
        };
        self.send_frame(index, endpoint, &Frame::PathProbe { token, size });
    }

    /// Queues a frame; a stock peer never gets one, whatever led here.
    fn send_frame(&mut self, peer: PeerIndex, endpoint: Option<Endpoint>, frame: &Frame) {
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
        peer.hello.interval = HELLO_INTERVAL;
        self.repeat_hello(index, now);
    }

    pub(super) fn repeat_hello(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        peer.hello.repeat_at = Some(now + peer.hello.interval);
        peer.hello.interval = (peer.hello.interval * 2).min(HELLO_INTERVAL_MAX);
        self.send_hello(index, false);
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
            } => self.handle_hello(index, arrival, node_id, instance, reply),
            Frame::PathProbe { token, .. } => {
                let received = u16::try_from(arrival.datagram).unwrap_or(u16::MAX);
                let reply = Frame::PathProbeReply {
                    token,
                    received,
                    observed: Some(arrival.from.remote),
                };
                self.send_frame(index, Some(arrival.from), &reply);
            }
            Frame::PathProbeReply { token, .. } => {
                self.handle_probe_reply(index, arrival.from, token, now)
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
            self.outputs
                .push_back(Output::Event(Event::Restarted { peer: key }));
        }
        if !reply {
            self.send_hello(index, true);
        }
    }

    fn handle_probe_reply(&mut self, index: PeerIndex, from: Endpoint, token: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let Some(probe) = peer.probes.take(token) else {
            return;
        };
        let rtt = now - probe.sent;
        if !matches!(probe.purpose, Purpose::Mtu(_)) {
            peer.note_rtt(rtt);
        }
        match probe.purpose {
            Purpose::Ping(token) => self.finish_ping(index, token, from, rtt),
            Purpose::Challenge(endpoint) if endpoint == from => self.set_endpoint(index, endpoint),
            Purpose::Mtu(size) if peer.endpoint == Some(from) => {
                let before = peer.pmtu.current();
                peer.pmtu.confirmed(size, now);
                if peer.pmtu.current() != before {
                    self.publish_endpoint(index);
                }
            }
            Purpose::Challenge(_) | Purpose::Mtu(_) | Purpose::Liveness => {}
        }
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

    /// A newer packet came from elsewhere. A stock peer roams at once (whitepaper, section 2.1); a
    /// Whalescale peer must first answer a challenge there (design, section 4, Moving).
    pub(super) fn moved(&mut self, index: PeerIndex, from: Endpoint, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.endpoint == Some(from) {
            return;
        }
        if peer.speaks_frames() && peer.endpoint.is_some() {
            peer.candidate = Some(from);
            self.probe(index, Purpose::Challenge(from), Some(from), now);
        } else {
            self.set_endpoint(index, from);
        }
    }

    /// Goes on with the search for the path's MTU.
    pub(super) fn probe_path(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let within = |at: Option<Instant>, span| at.is_some_and(|at| now - at < span);
        let alive = within(peer.activity.last_received(), ALIVE);
        let busy = within(peer.activity.last_data_sent(), BUSY);
        let before = peer.pmtu.current();
        let step = peer.pmtu.poll(now, alive, busy);
        if peer.pmtu.current() != before {
            self.publish_endpoint(index);
        }
        self.take_step(index, step, now);
    }

    /// The local link refused a datagram of this length on the peer's path.
    pub(super) fn path_refused(
        &mut self,
        index: PeerIndex,
        endpoint: Endpoint,
        datagram: usize,
        now: Instant,
    ) {
        let Some(peer) = self
            .peers
            .get_mut(&index)
            .filter(|peer| peer.endpoint == Some(endpoint))
        else {
            return;
        };
        let overhead = crate::aead::HEADER_LEN + crate::aead::TAG_LEN;
        let Ok(size) = u16::try_from(datagram.saturating_sub(overhead)) else {
            return;
        };
        let before = peer.pmtu.current();
        let step = peer.pmtu.refused(size, now);
        if peer.pmtu.current() != before {
            self.publish_endpoint(index);
        }
        self.take_step(index, step, now);
    }

    fn take_step(&mut self, index: PeerIndex, step: Option<Step>, now: Instant) {
        match step {
            Some(Step::Probe(size)) => {
                // A small one beside it tells a path that is too narrow from one that is dead.
                self.probe(index, Purpose::Liveness, None, now);
                self.probe(index, Purpose::Mtu(size), None, now);
            }
            Some(Step::TooSmall) => {
                let Some(peer) = self.peers.get(&index) else {
                    return;
                };
                let event = Event::PathTooSmall {
                    peer: peer.config.public_key,
                    inner_mtu: peer.pmtu.current(),
                };
                self.outputs.push_back(Output::Event(event));
            }
            None => {}
        }
    }
}
