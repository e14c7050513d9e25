//! Control: handshakes, timers, addresses and the wishes of the outside, for all peers.
//!
//! One owner for every fact that is not a packet: which peers exist, which keys are in use, where a
//! peer is. Inputs are commands, handshake messages and the reports of the packet machines; outputs
//! are updates for those machines, handshake messages to send, and events for the outside. Order
//! matters: a receiving key is always handed over before the message that lets the other end use it.
//!
//! - [`handshakes`](self) (`handshakes.rs`): initiating, responding, cookies;
//! - `timers.rs`: WireGuard's timers, and when to look again;
//! - `frames.rs`: HELLO, probes, pings; `repeat.rs`: until they are answered;
//! - `messages.rs`: messages and signatures for those above; `reach.rs`: where we and peers are reached;
//! - `paths/`: the paths to one peer, as values; `links.rs`: what is done about them;
//! - `peer.rs`: what is known of one peer; `status.rs`: what people see of it.

mod frames;
mod handshakes;
mod links;
mod messages;
mod paths;
mod peer;
mod reach;
mod repeat;
mod status;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::aead::AeadBackend;
use crate::constants::{limits, mtu};
use crate::drops::DropCounters;
use crate::entropy::Entropy;
use crate::handoff::{
    Endpoint, FromReceiver, FromSender, HandshakeBytes, PeerIndex, SocketId, ToReceiver, ToSender,
};
use crate::handshake::limiter::RateLimiter;
use crate::handshake::mac::CookieChecker;
use crate::handshake::tai64n::Tai64n;
use crate::identity::{NodeId, PresharedKey, PublicKey, Secret};
use crate::routes::{IpPrefix, Overlap, Routes};
use crate::time::{Instant, Now};
use crate::wire::frame::Announcement;

pub use peer::PeerState;
pub use status::{BondStatus, PathState, PathStatus, PeerStatus};

use frames::Pings;
use handshakes::Load;
use peer::Peer;

/// What control needs to know of the node itself.
pub struct Settings {
    /// The node's key.
    pub secret: Secret,
    /// The cipher.
    pub backend: Arc<dyn AeadBackend>,
    /// The operating system's randomness.
    pub entropy: Box<dyn Entropy + Send>,
    /// The greatest handshake timestamp ever sent, from before the last restart.
    pub timestamp_floor: Tai64n,
    /// A fixed inner MTU, or discovery.
    pub inner_mtu: Option<u16>,
    /// Where refused handshakes are counted.
    pub drops: Arc<DropCounters>,
}

/// A peer as configured.
#[derive(Clone)]
pub struct PeerConfig {
    /// Its X25519 key: what makes it this peer.
    pub public_key: PublicKey,
    /// Its node id; a peer without one is stock WireGuard and only ever sees bare WireGuard.
    pub node_id: Option<NodeId>,
    /// Mixed into the handshake; all zeros without one.
    pub preshared_key: PresharedKey,
    /// Destinations routed to it, and sources accepted from it.
    pub allowed_ips: Vec<IpPrefix>,
    /// Where to try it, in order; at most [`limits::ENDPOINTS`] are used.
    pub endpoints: Vec<SocketAddr>,
    /// Send something at least this often, to keep NAT mappings open.
    pub persistent_keepalive: Option<Duration>,
}

impl PeerConfig {
    /// The interval of the persistent keepalive; zero means none, as it does for `wg`.
    fn keepalive_interval(&self) -> Option<Duration> {
        self.persistent_keepalive
            .filter(|interval| !interval.is_zero())
    }
}

/// Desired state, or a wish, from outside. All but `Ping`, `Message` and `Sign` are idempotent.
pub enum Command {
    /// The UDP sockets there are.
    Sockets(Vec<LocalSocket>),
    /// A peer, new or changed.
    Peer(Box<PeerConfig>),
    /// The peer with this key is gone.
    RemovePeer(PublicKey),
    /// Measure the round trip to a Whalescale peer, and say so with this token.
    Ping { peer: PublicKey, token: u32 },
    /// Send a message to a Whalescale peer. Without a session one is opened, and the message waits for
    /// it with at most [`limits::MESSAGES_WAITING`] others.
    Message {
        peer: PublicKey,
        kind: u8,
        body: Vec<u8>,
    },
    /// Sign by the node's key under this domain (PROTOCOL, section 1.4), and say so with this token.
    Sign {
        token: u32,
        domain: String,
        body: Vec<u8>,
    },
    /// Begin a handshake, or go on with one at the next address, unless the peer was heard just now.
    Connect(PublicKey),
}

/// One of the node's UDP sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSocket {
    /// The addon's number for it.
    pub id: SocketId,
    /// Its address; the family decides which remotes it reaches.
    pub local: SocketAddr,
    /// The interface that it is bound to.
    pub interface: Option<Arc<str>>,
    /// The number of that interface's link, 0 without one.
    pub link: u32,
    /// The interface's addresses of the family, to be announced.
    pub addresses: Vec<IpAddr>,
    /// What the routing table leads through the interface; more may be reached by trying.
    pub routes: Vec<IpPrefix>,
    /// Whether traffic on it costs money.
    pub metered: bool,
}

impl LocalSocket {
    /// A socket that is bound to no interface.
    pub fn unbound(id: SocketId, local: SocketAddr) -> Self {
        Self {
            id,
            local,
            interface: None,
            link: 0,
            addresses: Vec::new(),
            routes: Vec::new(),
            metered: false,
        }
    }
}

/// An address of the node's own, and the interface that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// The interface's name.
    pub interface: Option<Arc<str>>,
    /// The address, with the port of the socket there.
    pub address: SocketAddr,
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// There are [`limits::PEERS`] peers already.
    TooManyPeers,
    /// Two peers claim one prefix.
    Overlap(Overlap),
    /// No peer has this key.
    UnknownPeer,
    /// The peer is stock WireGuard, which knows neither pings nor messages.
    NotWhalescale,
    /// [`limits::PINGS`] pings are under way already.
    TooManyPings,
    /// The kind is none of a message's, or the body exceeds [`limits::MESSAGE_BODY`].
    NotAMessage,
    /// The domain exceeds [`limits::SIGNED_DOMAIN`], or the body [`limits::SIGNED_BODY`].
    TooLongToSign,
}

/// News for the outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A peer's state changed, or the address that it was confirmed to be at.
    Peer {
        peer: PublicKey,
        state: PeerState,
        endpoint: Option<SocketAddr>,
        handshake: Option<Duration>,
    },
    /// A handshake used this timestamp: a restart must not go below it.
    Timestamp(Tai64n),
    /// A ping came back.
    Pong {
        peer: PublicKey,
        token: u32,
        rtt: Duration,
        local: Option<SocketAddr>,
        remote: SocketAddr,
    },
    /// A ping did not come back in [`limits::PING_TIMEOUT`].
    PingTimeout { peer: PublicKey, token: u32 },
    /// A message came from a peer; it is authentic, and no more is known of it.
    Message {
        peer: PublicKey,
        kind: u8,
        body: Vec<u8>,
        remote: SocketAddr,
    },
    /// The signature that was asked for with this token.
    Signed { token: u32, signature: [u8; 64] },
    /// Where the node itself can be reached, all of it: at most [`limits::NETWORK_ADDRESSES`].
    Network(Vec<OwnAddress>),
    /// The peer sees us at this address. It is the peer's word.
    Observed {
        peer: PublicKey,
        interface: Option<Arc<str>>,
        address: SocketAddr,
    },
    /// The TUN device should have this MTU.
    InnerMtu(u16),
    /// The fixed inner MTU does not pass the path to this peer.
    PathTooSmall { peer: PublicKey, inner_mtu: u16 },
    /// The peer was restarted since it last said hello.
    Restarted { peer: PublicKey },
}

/// What control wants done.
pub enum Output {
    /// Send a handshake message.
    Send {
        to: Endpoint,
        message: HandshakeBytes,
    },
    /// Hand this to the send machine.
    Sender(ToSender),
    /// Hand this to the receive machine.
    Receiver(ToReceiver),
    /// Tell the outside.
    Event(Event),
}

/// The control machine. See the module's header.
pub struct Control {
    settings: Settings,
    peers: BTreeMap<PeerIndex, Peer>,
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

    fn put_peer(&mut self, mut config: PeerConfig, now: Now) -> Result<(), CommandError> {
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

    fn remove_peer(&mut self, key: &PublicKey) -> Result<(), CommandError> {
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
        let found = self.find_index();
        if found.is_none() {
            self.publish_routes();
            return self.find_index();
        }
        found
    }

    fn find_index(&self) -> Option<PeerIndex> {
        let last = self.peers.last_key_value().map(|(index, _)| index);
        let last = last.max(self.vacated.last());
        let after = last.map_or(0, |last| last.0.saturating_add(1));
        let limit = u16::try_from(limits::PEERS).unwrap_or(u16::MAX);
        // Places before are looked through only when those after run out.
        let mut places = (after..limit).chain(0..limit).map(PeerIndex);
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

    fn publish_routes(&mut self) {
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

/// The one address that a Whalescale peer has by itself (design, section 4, Identity).
fn overlay_prefix(node_id: NodeId) -> Option<IpPrefix> {
    IpPrefix::new(node_id.overlay_address().into(), 128).ok()
}
