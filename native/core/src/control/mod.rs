//! Control: handshakes, timers, addresses and the wishes of the outside, for all peers.
//!
//! One owner for every fact that is not a packet: which peers exist, which keys are in use, where a
//! peer is. Inputs are commands, handshake messages and the reports of the packet machines; outputs
//! are updates for those machines, handshake messages to send, and events for the outside. Order
//! matters: a receiving key is always handed over before the message that lets the other end use it.
//!
//! - `values.rs`: what crosses control's border; `roster.rs`: peers come and go;
//! - `handshakes.rs`: initiating and responding; `admission.rs`: which messages are worth it;
//!   `keypairs.rs`: what comes of them;
//! - `timers.rs`: WireGuard's timers, and when to look again;
//! - `frames.rs`: HELLO, and whose each frame is; `probes.rs`: pings, sizes, signs of life;
//!   `repeat.rs`: until they are answered;
//! - `messages.rs`: messages and signatures for those above; `reach.rs`: where we and peers are reached;
//! - `paths/`: the paths to one peer, as values; `links.rs`: what is done about them; `announcing.rs`: what
//!   the ends tell each other of them; `sizes.rs`: their MTU;
//! - `peer.rs`: what is known of one peer; `status.rs`: what people see of it.

mod admission;
mod announcing;
mod frames;
mod handshakes;
mod keypairs;
mod links;
mod messages;
mod paths;
mod peer;
mod probes;
mod reach;
mod repeat;
mod roster;
mod sizes;
mod status;
mod timers;
mod values;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crate::constants::mtu;
use crate::handoff::{
    Endpoint, FromReceiver, FromSender, PeerIndex, SocketId, ToReceiver, ToSender,
};
use crate::handshake::limiter::RateLimiter;
use crate::handshake::mac::CookieChecker;
use crate::handshake::tai64n::Tai64n;
use crate::identity::PublicKey;
use crate::routes::IpPrefix;
use crate::time::{Instant, Now};
use crate::wire::frame::Announcement;

pub use peer::PeerState;
pub use status::{BondStatus, PathState, PathStatus, PeerStatus};
pub use values::{
    Command, CommandError, Event, LocalSocket, Output, OwnAddress, PeerConfig, Settings,
};

use admission::Load;
use peer::Peer;
use probes::Pings;

/// The control machine. See the module's header.
pub struct Control {
    settings: Settings,
    peers: BTreeMap<PeerIndex, Peer>,
    next_place: u16,
    by_key: BTreeMap<PublicKey, PeerIndex>,
    /// Whose each prefix is.
    routes: BTreeMap<IpPrefix, PeerIndex>,
    /// Whether the packet machines have another table, and places that it may still name.
    routes_changed: bool,
    vacated: BTreeSet<PeerIndex>,
    /// Whose the receiver indices are that we gave out, for handshakes and keypairs.
    indices: BTreeMap<u32, PeerIndex>,
    sockets: Vec<LocalSocket>,
    /// What peers are told of our addresses, and how often that has changed.
    announcement: Announcement,
    announcement_number: u32,
    /// What the outside was told of our addresses.
    network: Option<Vec<OwnAddress>>,
    cookies: CookieChecker,
    limiter: RateLimiter,
    load: Load,
    pings: Pings,
    greatest_timestamp: Tai64n,
    instance: u64,
    inner_mtu: u16,
    outputs: VecDeque<Output>,
}

impl Control {
    /// A node without peers or sockets.
    pub fn new(mut settings: Settings) -> Self {
        let mut instance = [0; 8];
        settings.entropy.fill(&mut instance);
        Self {
            cookies: CookieChecker::new(&settings.secret.public_key()),
            limiter: RateLimiter::default(),
            load: Load::default(),
            pings: Pings::default(),
            greatest_timestamp: settings.timestamp_floor,
            instance: u64::from_le_bytes(instance),
            inner_mtu: settings.inner_mtu.unwrap_or(mtu::INNER_MIN),
            settings,
            peers: BTreeMap::new(),
            next_place: 0,
            by_key: BTreeMap::new(),
            routes: BTreeMap::new(),
            routes_changed: false,
            vacated: BTreeSet::new(),
            indices: BTreeMap::new(),
            sockets: Vec::new(),
            announcement: Announcement::new(),
            announcement_number: 0,
            network: None,
            outputs: VecDeque::new(),
        }
    }

    /// What to do next; nothing when all is done.
    ///
    /// Routes come last, so that many commands in a row cost one table.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && self.routes_changed {
            self.publish_routes();
        }
        self.outputs.pop_front()
    }

    /// The MTU that the TUN device should have now.
    pub fn inner_mtu(&self) -> u16 {
        self.inner_mtu
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// The command was refused and changed nothing.
    pub fn handle_command(&mut self, command: Command, now: Now) -> Result<(), CommandError> {
        match command {
            Command::Sockets(sockets) => self.set_sockets(sockets, now.instant),
            Command::Peer(config) => self.put_peer(*config, now)?,
            Command::RemovePeer(key) => self.remove_peer(&key)?,
            Command::Ping { peer, token } => self.ping(&peer, token, now)?,
            Command::Message { peer, kind, body } => self.message(&peer, kind, body, now)?,
            Command::Sign {
                token,
                domain,
                body,
            } => self.sign(token, &domain, &body)?,
            Command::Connect(key) => self.connect(&key, now)?,
        }
        Ok(())
    }

    /// Takes what the send machine saw.
    pub fn handle_sender(&mut self, report: FromSender, now: Now) {
        match report {
            // Asked before the answer was there: the key is on its way to the send machine.
            FromSender::NeedKey(peer) if self.has_key(peer, now.instant) => {}
            FromSender::NeedKey(peer) | FromSender::KeyAged(peer) => self.initiate(peer, now),
            FromSender::LargeLost { peer, path } => self.suspect_size(peer, path, now.instant),
            FromSender::PathHealth { peer, path, health } => {
                self.path_judged(peer, path, health, now.instant);
            }
            FromSender::TooBig {
                peer,
                endpoint,
                datagram,
            } => self.path_refused(peer, endpoint, datagram, now.instant),
        }
    }

    /// Takes what the receive machine saw.
    pub fn handle_receiver(&mut self, report: FromReceiver, now: Now) {
        match report {
            FromReceiver::Handshake { from, message } => self.handle_handshake(from, &message, now),
            FromReceiver::Confirmed { peer, index } => self.confirm(peer, index, now.instant),
            FromReceiver::Moved { peer, from } => self.moved(peer, from, now.instant),
            FromReceiver::KeyAged(peer) => self.initiate(peer, now),
            FromReceiver::Frame {
                peer,
                index,
                from,
                datagram,
                plaintext,
            } => {
                let arrival = frames::Arrival {
                    index,
                    from,
                    datagram,
                };
                self.handle_frame(peer, arrival, &plaintext, now.instant);
                self.poll_paths(peer, now.instant);
            }
        }
    }

    fn has_key(&self, index: PeerIndex, now: Instant) -> bool {
        let peer = self.peers.get(&index);
        peer.and_then(|peer| peer.current.as_ref())
            .is_some_and(|current| now < current.expiry())
    }

    /// The device's MTU is the largest that any peer takes; a peer that takes less answers for itself.
    fn publish_inner_mtu(&mut self) {
        let largest = self.peers.values().map(Peer::inner_mtu).max();
        let inner_mtu = self
            .settings
            .inner_mtu
            .or(largest)
            .unwrap_or(mtu::INNER_MIN);
        if inner_mtu != self.inner_mtu {
            self.inner_mtu = inner_mtu;
            self.outputs
                .push_back(Output::Event(Event::InnerMtu(inner_mtu)));
        }
    }

    /// Sends the peer's packets to `endpoint` from now on: the peer is known to be there.
    fn set_endpoint(&mut self, index: PeerIndex, endpoint: Endpoint, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.endpoint == Some(endpoint) && peer.paths.get(endpoint).is_some() {
            return;
        }
        if !peer.speaks_frames() {
            peer.paths.clear();
        }
        peer.endpoint = Some(endpoint);
        if let Some(path) = peer.paths.ensure(endpoint, &self.sockets, true, now) {
            path.probing.trust(now);
        }
        self.settle(index, now);
    }

    /// Tells the packet machines the peer's current address and inner MTU, if they do not know.
    fn publish_endpoint(&mut self, index: PeerIndex) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let Some(endpoint) = peer.endpoint else {
            return;
        };
        let inner_mtu = peer.inner_mtu();
        let before = peer.published.replace((endpoint, inner_mtu));
        if before == Some((endpoint, inner_mtu)) {
            return;
        }
        self.outputs.push_back(Output::Sender(ToSender::Endpoint {
            peer: index,
            endpoint,
            inner_mtu,
        }));
        self.outputs
            .push_back(Output::Receiver(ToReceiver::Endpoint {
                peer: index,
                endpoint,
            }));
        self.tell_move(index);
        self.publish_inner_mtu();
    }

    fn set_state(&mut self, index: PeerIndex, state: PeerState) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if std::mem::replace(&mut peer.state, state) != state {
            self.tell_peer(index);
        }
    }

    /// Random, and not in use: receiver indices must not be guessable or collide.
    fn draw_index(&mut self, owner: PeerIndex) -> u32 {
        loop {
            let index = self.settings.entropy.u32();
            if let std::collections::btree_map::Entry::Vacant(place) = self.indices.entry(index) {
                place.insert(owner);
                return index;
            }
        }
    }

    fn release_index(&mut self, index: u32) {
        self.indices.remove(&index);
        self.outputs
            .push_back(Output::Receiver(ToReceiver::RemoveKeypair { index }));
    }

    fn local_address(&self, socket: SocketId) -> Option<SocketAddr> {
        self.sockets
            .iter()
            .find(|known| known.id == socket)
            .map(|known| known.local)
    }
}
