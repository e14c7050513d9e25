//! What the three machines hand each other, as values through bounded queues.
//!
//! Control owns peers, keys and addresses and tells the two packet machines what to use; they tell
//! control what they saw. Nothing is shared but [`Activity`] and immutable tables.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use arrayvec::ArrayVec;

use crate::activity::Activity;
use crate::aead::AeadKey;
use crate::bond::bare::LossReport;
use crate::bond::feedback::Feedback;
use crate::peek::PeekKey;
use crate::routes::Routes;
use crate::time::Instant;

/// A peer's place in the tables of all three machines, given by control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIndex(pub u16);

/// A local UDP socket, as the addon numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u16);

/// Where datagrams go to or come from: the two ends of a direct path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The socket at our end.
    pub socket: SocketId,
    /// The address at the other end.
    pub remote: SocketAddr,
}

/// The sending end's number of one of its paths to a peer, 0 to 15; the receiving end is told which
/// address belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u8);

/// What a path is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRole {
    /// It carries its share.
    Bulk,
    /// It shares its link with a path that carries: it waits for that one to fail.
    Standby,
}

/// How a path does, judged by authenticated data outstanding (design, section 5, Health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathHealth {
    /// What is sent arrives.
    Healthy,
    /// What was sent should have been reported by now.
    Degraded,
    /// Nothing has been heard for long; probing goes on.
    Failed,
}

/// What the send machine measures on a path, for people to see. Zero is "not measured".
#[derive(Debug, Default)]
pub struct PathGauge {
    /// Smoothed round trip, microseconds.
    pub rtt_us: AtomicU32,
    /// Variation of the delay, microseconds.
    pub jitter_us: AtomicU32,
    /// Lost packets of the last seconds, per million, plus one.
    pub loss_ppm: AtomicU32,
    /// Estimated capacity, bytes a second.
    pub capacity: AtomicU64,
    /// Time that packets wait in the path's queue, microseconds, plus one.
    pub queue_us: AtomicU32,
    /// Bytes sent on it.
    pub sent_bytes: AtomicU64,
    /// Bytes of authentic datagrams that came by it, as the receive machine counts them.
    pub received_bytes: AtomicU64,
    /// Share of the peer's packets that it gets, per mille, plus one.
    pub weight: AtomicU32,
}

/// What bonding does for a peer, for people to see: totals since the peer is known.
#[derive(Debug, Default)]
pub struct BondGauge {
    /// Packets that the reordering buffer held back for an earlier one.
    pub reorder_held: AtomicU64,
    /// Gaps that it gave up at their deadline.
    pub reorder_timeouts: AtomicU64,
    /// Lost packets that were sent again.
    pub repaired: AtomicU64,
    /// Packets sent twice from the start.
    pub duplicates: AtomicU64,
    /// Packets delivered after the packets that should have followed them.
    pub late: AtomicU64,
    /// Round trips of the best and the slowest path in use, microseconds, as the send machine measures
    /// them; the receive machine is as patient with what is missing.
    pub best_rtt_us: AtomicU32,
    pub slowest_rtt_us: AtomicU32,
    /// Bytes a second that the paths which carry are known to end at, for each copy of a feedback.
    pub reverse_rate: AtomicU64,
}

/// Allowed IPs of all peers: where a packet goes, and which sources a peer may use.
pub type PeerRoutes = Arc<Routes<PeerIndex>>;

/// From control to the send machine.
pub enum ToSender {
    /// Route by this table from now on.
    Routes(PeerRoutes),
    /// A new peer at this index, replacing any other.
    Peer {
        peer: PeerIndex,
        activity: Arc<Activity>,
        bond: Arc<BondGauge>,
    },
    /// Forget the peer.
    RemovePeer(PeerIndex),
    /// Send the peer's packets here, none longer than `inner_mtu`.
    Endpoint {
        peer: PeerIndex,
        endpoint: Endpoint,
        inner_mtu: u16,
    },
    /// The peer was restarted, and knows nothing of what was sent so far.
    Restarted(PeerIndex),
    /// Bonded packets may take this path, new or changed.
    Path {
        peer: PeerIndex,
        path: PathId,
        endpoint: Endpoint,
        role: PathRole,
        gauge: Arc<PathGauge>,
    },
    /// The path is gone.
    RemovePath { peer: PeerIndex, path: PathId },
    /// Seal with this key from now on, and send what waited for it.
    Keypair { peer: PeerIndex, key: SendKey },
    /// Nothing more may be sealed for this peer until it has a new key.
    ForgetKey(PeerIndex),
    /// The peer is unreachable: drop what waits for it.
    DropStaged(PeerIndex),
    /// Seal and send this plaintext (empty: a keepalive) as it is, to `endpoint` if given.
    Frame {
        peer: PeerIndex,
        endpoint: Option<Endpoint>,
        plaintext: Vec<u8>,
    },
}

/// The sending half of a keypair.
pub struct SendKey {
    /// Expanded key.
    pub key: Box<dyn AeadKey>,
    /// The index by which the other end knows it.
    pub receiver: u32,
    /// When its handshake completed.
    pub created: Instant,
    /// Whether this end initiated that handshake, and so is the one that renews it.
    pub initiator: bool,
    /// Whether the other end waits for a first packet under it: send a keepalive if no data waits.
    pub confirm: bool,
}

/// From control to the receive machine.
pub enum ToReceiver {
    /// Check inner sources against this table from now on.
    Routes(PeerRoutes),
    /// Accept datagrams with this receiver index.
    Keypair(ReceiveKey),
    /// Accept them no longer.
    RemoveKeypair { index: u32 },
    /// The peer's current address; any other one is news.
    Endpoint { peer: PeerIndex, endpoint: Endpoint },
    /// What the peer sends on its path of this number arrives from here.
    Path {
        peer: PeerIndex,
        path: PathId,
        endpoint: Endpoint,
        /// Drawn anew with each use of the number: another one means that its count begins anew.
        token: u64,
        /// Where to note what comes by it.
        gauge: Arc<PathGauge>,
    },
    /// The peer was restarted: its paths and sequences begin anew.
    Restarted(PeerIndex),
    /// Forget the peer: its place may be another's next. Its keys are removed one by one.
    RemovePeer(PeerIndex),
}

/// The receiving half of a keypair.
pub struct ReceiveKey {
    /// Expanded key.
    pub key: Box<dyn AeadKey>,
    /// The same, for the heads of packets.
    pub peek: PeekKey,
    /// Our index, which datagrams carry.
    pub index: u32,
    /// Whose it is.
    pub peer: PeerIndex,
    /// Where to note what arrives.
    pub activity: Arc<Activity>,
    /// Where to note what reordering does.
    pub bond: Arc<BondGauge>,
    /// When its handshake completed.
    pub created: Instant,
    /// Whether this end initiated; a responder's key is confirmed by its first packet.
    pub initiator: bool,
    /// Whether the peer speaks Whalescale's frames, or only bare WireGuard.
    pub frames: bool,
}

/// From the receive machine to the send machine of the same peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Crossing {
    /// The other end says what has arrived of ours.
    Feedback {
        peer: PeerIndex,
        feedback: Box<Feedback>,
    },
    /// The other end says what it misses of our bare data.
    Loss { peer: PeerIndex, report: LossReport },
    /// Tell the other end what has arrived of its: on the two best paths, or on all.
    Report {
        peer: PeerIndex,
        frame: Vec<u8>,
        everywhere: bool,
    },
    /// A newer authentic packet of a stock peer came from there: the answer goes there, too (whitepaper,
    /// section 2.1). Control hears of it as well, and is right where the two differ.
    Roamed { peer: PeerIndex, endpoint: Endpoint },
}

/// From the send machine to control.
#[derive(Debug, PartialEq, Eq)]
pub enum FromSender {
    /// There is traffic for a peer without a usable key.
    NeedKey(PeerIndex),
    /// The key is due for renewal.
    KeyAged(PeerIndex),
    /// How a bonded path does, when that changes.
    PathHealth {
        peer: PeerIndex,
        path: PathId,
        health: PathHealth,
    },
    /// Large packets are lost on a path that carries others: it may have shrunk.
    LargeLost { peer: PeerIndex, path: PathId },
    /// A datagram of this many bytes does not fit the path.
    TooBig {
        peer: PeerIndex,
        endpoint: Endpoint,
        datagram: usize,
    },
}

/// From the receive machine to control.
#[derive(Debug, PartialEq, Eq)]
pub enum FromReceiver {
    /// A handshake message with a valid mac1, or a cookie reply.
    Handshake {
        from: Endpoint,
        message: HandshakeBytes,
    },
    /// The first packet under a key that the other end initiated: it may be used for sending.
    Confirmed { peer: PeerIndex, index: u32 },
    /// A newer authentic packet came from another address than the current one: one that is no path of
    /// the peer, or data on a path while the current address is silent.
    Moved { peer: PeerIndex, from: Endpoint },
    /// The key is due for renewal.
    KeyAged(PeerIndex),
    /// A control frame.
    Frame {
        peer: PeerIndex,
        index: u32,
        from: Endpoint,
        datagram: usize,
        plaintext: Vec<u8>,
    },
}

/// Room for the longest handshake message, an initiation.
pub type HandshakeBytes = ArrayVec<u8, 148>;
