//! What control knows of one peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::activity::Activity;
use crate::aead::AeadKey;
use crate::constants::limits;
use crate::constants::protocol;
use crate::handoff::{BondGauge, Endpoint, PeerIndex};
use crate::handshake::mac::MacSigner;
use crate::handshake::noise::Initiator;
use crate::handshake::tai64n::Tai64n;
use crate::identity::PublicKey;
use crate::pmtu::Sizing;
use crate::time::Instant;

use super::PeerConfig;
use super::frames::Hello;
use super::messages::Waiting;
use super::paths::Paths;
use super::probes::Probes;
use super::repeat::Repeat;

/// How a peer stands, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// No session, and no reason to have one.
    Idle,
    /// A first handshake is under way.
    Handshaking,
    /// There is a session.
    Connected,
    /// The last attempt at a handshake was given up.
    Unreachable,
}

impl PeerState {
    /// The name that `status` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Handshaking => "handshaking",
            Self::Connected => "connected",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A session in one direction of initiation.
pub(super) struct Keypair {
    /// The index that the other end's datagrams carry.
    pub local: u32,
    /// The index that ours carry.
    pub remote: u32,
    pub created: Instant,
}

/// Superseded sessions whose packets may still be on the way.
///
/// The whitepaper keeps one. When both ends initiate at once, each seals with the session that it
/// initiated itself, and a renewal by both supersedes two at either end while a third is in use.
const PREVIOUS: usize = 3;

/// Keypairs that still open, the latest last. Each ends by age, or when too many follow it.
#[derive(Default)]
pub(super) struct Previous(ArrayVec<Keypair, PREVIOUS>);

impl Previous {
    /// Keeps `keypair`; the one that had to make room is returned.
    pub(super) fn retire(&mut self, keypair: Keypair) -> Option<Keypair> {
        let evicted = self.0.is_full().then(|| self.0.remove(0));
        self.0.push(keypair);
        evicted
    }

    /// Takes one that is due; whether more are, only the next call tells.
    pub(super) fn take_if(&mut self, due: impl Fn(&Keypair) -> bool) -> Option<Keypair> {
        let place = self.0.iter().position(due)?;
        Some(self.0.remove(place))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Keypair> {
        self.0.iter()
    }
}

/// A session that the other end initiated and has not used yet.
pub(super) struct Unconfirmed {
    pub keypair: Keypair,
    pub send: Box<dyn AeadKey>,
}

/// Our initiation under way.
pub(super) struct Pending {
    pub initiator: Initiator,
    pub index: u32,
    /// Where the last attempt went.
    pub to: Endpoint,
    /// When the first of the attempts was made.
    pub started: Instant,
    pub sent: Instant,
    pub retry_at: Instant,
    /// The place of the next attempt's address among those to try.
    pub next: usize,
    /// Responses to it that were not authentic.
    pub forged: u8,
}

/// Addresses with a cookie at once: the configured ones, and one more that the peer moved to.
const SIGNERS: usize = limits::ENDPOINTS + 1;

/// One cookie per path (design, section 4, Moving): a cookie is only good from the address that the
/// other end saw us at, which differs from path to path.
pub(super) struct Signers {
    remote: PublicKey,
    known: ArrayVec<(Endpoint, MacSigner), SIGNERS>,
}

impl Signers {
    fn new(remote: PublicKey) -> Self {
        Self {
            remote,
            known: ArrayVec::new(),
        }
    }

    /// Signs a message to `to`.
    pub(super) fn sign(&mut self, to: Endpoint, message: &mut [u8], now: Instant) {
        if !self.known.iter().any(|(endpoint, _)| *endpoint == to) {
            if self.known.is_full() {
                self.known.remove(0);
            }
            self.known.push((to, MacSigner::new(&self.remote)));
        }
        if let Some((_, signer)) = self.known.iter_mut().find(|(endpoint, _)| *endpoint == to) {
            signer.sign(message, now);
        }
    }

    /// Takes a cookie for messages to `from`; says whether it was authentic.
    pub(super) fn take_cookie(&mut self, from: Endpoint, reply: &[u8; 64], now: Instant) -> bool {
        let signer = self
            .known
            .iter_mut()
            .find(|(endpoint, _)| *endpoint == from);
        signer.is_some_and(|(_, signer)| signer.take_cookie(reply, now))
    }
}

/// A peer. Its keypairs are WireGuard's (whitepaper, section 6.1): the current one seals, the
/// previous ones still open, and the next one waits for the other end to use it.
pub(super) struct Peer {
    pub index: PeerIndex,
    pub config: PeerConfig,
    pub activity: Arc<Activity>,
    pub bond: Arc<BondGauge>,
    pub signers: Signers,
    pub state: PeerState,
    /// Where handshakes, frames and bare data go.
    pub endpoint: Option<Endpoint>,
    /// When it was last asked where it sees us.
    pub asked: Option<Instant>,
    /// The address that the outside was last told.
    pub told: Option<SocketAddr>,
    /// What the packet machines were last told of it.
    pub published: Option<(Endpoint, u16)>,
    pub pending: Option<Pending>,
    pub previous: Previous,
    pub current: Option<Keypair>,
    pub next: Option<Unconfirmed>,
    /// The greatest timestamp of the peer's initiations, against replays.
    pub greatest_timestamp: Tai64n,
    pub initiation_accepted: Option<Instant>,
    pub initiation_sent: Option<Instant>,
    /// When control last asked for a keepalive; the packet path may not have sent it yet.
    pub keepalive_queued: Option<Instant>,
    /// When the path in use was last looked after because data had no answer.
    pub stalled: Option<Instant>,
    /// How long the last handshake of ours took.
    pub handshake_took: Option<Duration>,
    pub hello: Hello,
    pub probes: Probes,
    /// Messages until there is a session.
    pub waiting: Waiting,
    pub paths: Paths,
    /// Our announcement, until it is answered.
    pub announce: Repeat,
}

impl Peer {
    pub(super) fn new(index: PeerIndex, config: PeerConfig, inner_mtu: Option<u16>) -> Self {
        let stock = config.node_id.is_none();
        Self {
            index,
            activity: Arc::new(Activity::default()),
            bond: Arc::default(),
            signers: Signers::new(config.public_key),
            state: PeerState::Idle,
            endpoint: None,
            asked: None,
            told: None,
            published: None,
            pending: None,
            previous: Previous::default(),
            current: None,
            next: None,
            greatest_timestamp: Tai64n::default(),
            initiation_accepted: None,
            initiation_sent: None,
            keepalive_queued: None,
            stalled: None,
            handshake_took: None,
            hello: Hello::default(),
            probes: Probes::default(),
            waiting: Waiting::default(),
            paths: Paths::new(sizing(inner_mtu, stock)),
            announce: Repeat::default(),
            config,
        }
    }

    /// Takes a changed configuration; sessions stay.
    pub(super) fn reconfigure(&mut self, config: PeerConfig, inner_mtu: Option<u16>) {
        if self.config.node_id != config.node_id {
            self.waiting = Waiting::default();
            self.hello = Hello::default();
            self.probes = Probes::default();
            self.paths = Paths::new(sizing(inner_mtu, config.node_id.is_none()));
        }
        if self.config.endpoints != config.endpoints && self.current.is_none() {
            self.endpoint = None;
            if let Some(pending) = &mut self.pending {
                // The first of the new ones has its turn as soon as may be.
                pending.next = 0;
                pending.retry_at = pending.retry_at.min(pending.sent + spacing(&config));
            }
        }
        self.config = config;
    }

    /// Whether the peer speaks Whalescale's frames.
    pub(super) fn speaks_frames(&self) -> bool {
        self.config.node_id.is_some()
    }

    /// Whether the keypair of this index is the current one, or was made along with it: when both
    /// ends initiate at once, each uses the session that it initiated.
    pub(super) fn is_of_this_round(&self, local: u32) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        let twin = |keypair: &&Keypair| current.created - keypair.created < protocol::REKEY_TIMEOUT;
        let twins = self.previous.iter().filter(twin);
        twins.chain([current]).any(|keypair| keypair.local == local)
    }

    /// Notes a round trip on the path to `endpoint`.
    pub(super) fn note_rtt(&mut self, endpoint: Endpoint, sample: Duration) {
        if let Some(path) = self.paths.get_mut(endpoint) {
            path.probing.note_round_trip(sample);
        }
    }

    /// The largest inner packet that the peer may be sent.
    pub(super) fn inner_mtu(&self) -> u16 {
        self.paths.inner_mtu(self.endpoint)
    }
}

/// The least time between two handshakes with a peer. The whitepaper's (section 6.1) holds for stock
/// peers; nodes may be asked sooner, each address in its turn (decision 0032).
pub(super) fn spacing(config: &PeerConfig) -> Duration {
    match config.node_id {
        Some(_) => limits::CONNECT_SPACING,
        None => protocol::REKEY_TIMEOUT,
    }
}

/// Stock peers answer no probes, so nothing can be discovered.
fn sizing(inner_mtu: Option<u16>, stock: bool) -> Sizing {
    match inner_mtu {
        Some(size) => Sizing::Fixed(size),
        None if stock => Sizing::Assumed,
        None => Sizing::Auto,
    }
}
