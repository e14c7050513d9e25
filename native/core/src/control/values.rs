//! The values that cross control's border: what it is told from outside, and what it wants done.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::aead::AeadBackend;
use crate::drops::DropCounters;
use crate::entropy::Entropy;
use crate::handoff::{Endpoint, HandshakeBytes, SocketId, ToReceiver, ToSender};
use crate::handshake::tai64n::Tai64n;
use crate::identity::{NodeId, PresharedKey, PublicKey, Secret};
use crate::routes::{IpPrefix, Overlap};

use super::PeerState;

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
    /// Where to try it, in order; at most [`limits::ENDPOINTS`](crate::constants::limits::ENDPOINTS) are used.
    pub endpoints: Vec<SocketAddr>,
    /// Send something at least this often, to keep NAT mappings open.
    pub persistent_keepalive: Option<Duration>,
}

impl PeerConfig {
    /// The interval of the persistent keepalive; zero means none, as it does for `wg`.
    pub(super) fn keepalive_interval(&self) -> Option<Duration> {
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
    /// it with at most [`limits::MESSAGES_WAITING`](crate::constants::limits::MESSAGES_WAITING) others.
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
    /// There are [`limits::PEERS`](crate::constants::limits::PEERS) peers already.
    TooManyPeers,
    /// Two peers claim one prefix.
    Overlap(Overlap),
    /// No peer has this key.
    UnknownPeer,
    /// The peer is stock WireGuard, which knows neither pings nor messages.
    NotWhalescale,
    /// [`limits::PINGS`](crate::constants::limits::PINGS) pings are under way already.
    TooManyPings,
    /// The kind is none of a message's, or the body exceeds [`limits::MESSAGE_BODY`](crate::constants::limits::MESSAGE_BODY).
    NotAMessage,
    /// The domain exceeds [`limits::SIGNED_DOMAIN`](crate::constants::limits::SIGNED_DOMAIN), or the body [`limits::SIGNED_BODY`](crate::constants::limits::SIGNED_BODY).
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
    /// A ping did not come back in [`limits::PING_TIMEOUT`](crate::constants::limits::PING_TIMEOUT).
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
    /// Where the node itself can be reached, all of it: at most [`limits::NETWORK_ADDRESSES`](crate::constants::limits::NETWORK_ADDRESSES).
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
