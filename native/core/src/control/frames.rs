//! Control frames inside a session: sending one, HELLO, and whose each that arrives is (design, section 4).

use crate::handoff::{Endpoint, PeerIndex, ToReceiver, ToSender};
use crate::time::Instant;
use crate::wire::frame::{self, Frame, Plaintext};

use super::announcing::Bound;
use super::peer::Peer;
use super::repeat::Repeat;
use super::{Control, Event, Output};

/// Version of the protocol that HELLO announces.
const VERSION: u16 = 1;
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

impl Control {
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
                path,
                token,
                link,
                metered,
                reply,
            } => {
                let bound = Bound {
                    path,
                    token,
                    link,
                    metered,
                };
                if reply {
                    self.handle_bound(index, &bound, now);
                } else {
                    self.handle_bind(index, arrival.from, &bound, now);
                }
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
}
