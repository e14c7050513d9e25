//! What people see of the peers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::handoff::{BondGauge, PathGauge, PathHealth};
use crate::identity::{NodeId, PublicKey};
use crate::time::Instant;

use super::paths::Path;
use super::peer::Peer;
use super::{Control, PeerState};

/// How a path stands, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// It has not answered yet.
    Probing,
    /// It carries, and does well.
    Healthy,
    /// A probe, or packets on it, were lost.
    Degraded,
    /// It has not answered for long.
    Failed,
    /// It does well and waits for another to fail.
    Standby,
}

impl PathState {
    /// The name that `paths` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Probing => "probing",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Standby => "standby",
        }
    }
}

/// A path to a peer. What is unmeasured is nothing, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct PathStatus {
    /// Our number of it.
    pub id: Option<u8>,
    /// The interface at our end.
    pub interface: Option<Arc<str>>,
    /// Our end, as bound; with the address of the interface where that is known.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: SocketAddr,
    /// How it stands.
    pub state: PathState,
    /// Whether frames and bare data go here.
    pub primary: bool,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Variation of the delay.
    pub jitter: Option<Duration>,
    /// Share of packets lost lately, 0 to 1.
    pub loss: Option<f64>,
    /// Estimated capacity, bytes a second.
    pub capacity: Option<u64>,
    /// Time that packets wait in its queue.
    pub queue: Option<Duration>,
    /// Bytes sent on it; of a peer with one path, all.
    pub sent_bytes: u64,
    /// Bytes received on it, where that is known.
    pub received_bytes: Option<u64>,
    /// Share of the peer's packets that it gets, 0 to 1.
    pub weight: Option<f64>,
    /// The largest inner packet it carries.
    pub inner_mtu: u16,
}

/// What bonding did for a peer: packets since it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondStatus {
    /// Held back for an earlier one.
    pub reorder_held: u64,
    /// Gaps given up at their deadline.
    pub reorder_timeouts: u64,
    /// Lost and sent again.
    pub repaired: u64,
    /// Sent twice from the start.
    pub duplicates: u64,
    /// Delivered after those that should have followed.
    pub late: u64,
}

impl From<&BondGauge> for BondStatus {
    fn from(gauge: &BondGauge) -> Self {
        Self {
            reorder_held: gauge.reorder_held.load(Relaxed),
            reorder_timeouts: gauge.reorder_timeouts.load(Relaxed),
            repaired: gauge.repaired.load(Relaxed),
            duplicates: gauge.duplicates.load(Relaxed),
            late: gauge.late.load(Relaxed),
        }
    }
}

/// A peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    /// Its X25519 key.
    pub public_key: PublicKey,
    /// Its node id, whose overlay address it may use without that being configured.
    pub node_id: Option<NodeId>,
    /// How it stands.
    pub state: PeerState,
    /// Time since the current session began.
    pub session_age: Option<Duration>,
    /// How long the last handshake of ours took.
    pub handshake_took: Option<Duration>,
    /// Authenticated traffic: packets and bytes sent.
    pub transmitted: (u64, u64),
    /// Authenticated traffic: packets and bytes received.
    pub received: (u64, u64),
    /// The largest inner packet it may be sent.
    pub inner_mtu: u16,
    /// Its paths, those with a number first.
    pub paths: Vec<PathStatus>,
    /// What bonding did.
    pub bond: BondStatus,
}

impl PeerStatus {
    /// The path that frames and bare data take.
    pub fn primary(&self) -> Option<&PathStatus> {
        self.paths.iter().find(|path| path.primary)
    }
}

impl Control {
    /// All peers, by place.
    pub fn status(&self, now: Instant) -> Vec<PeerStatus> {
        let statuses = self.peers.values().map(|peer| PeerStatus {
            public_key: peer.config.public_key,
            node_id: peer.config.node_id,
            state: peer.state,
            session_age: peer.current.as_ref().map(|keypair| now - keypair.created),
            handshake_took: peer.handshake_took,
            transmitted: (
                peer.activity.transmitted.packets(),
                peer.activity.transmitted.bytes(),
            ),
            received: (
                peer.activity.delivered.packets(),
                peer.activity.delivered.bytes(),
            ),
            inner_mtu: peer.inner_mtu(),
            paths: self.path_statuses(peer),
            bond: BondStatus::from(&*peer.bond),
        });
        statuses.collect()
    }

    fn path_statuses(&self, peer: &Peer) -> Vec<PathStatus> {
        let only = peer.paths.alone();
        let statuses = peer.paths.iter().map(|path| {
            let mut status = self.path_status(peer, path);
            if only && status.primary {
                // With one path, what is the peer's is the path's.
                status.sent_bytes = peer.activity.transmitted.bytes();
                status.received_bytes = Some(peer.activity.delivered.bytes());
            }
            status
        });
        let mut statuses: Vec<PathStatus> = statuses.collect();
        statuses.sort_by_key(|status| (status.id.is_none(), status.id));
        statuses
    }

    fn path_status(&self, peer: &Peer, path: &Path) -> PathStatus {
        let endpoint = path.endpoint;
        let socket = self
            .sockets
            .iter()
            .find(|socket| socket.id == endpoint.socket);
        let gauge = &*path.gauge;
        let primary = peer.endpoint == Some(endpoint);
        PathStatus {
            id: path.id().map(|id| id.0),
            interface: socket.and_then(|socket| socket.interface.clone()),
            local: socket.map(|socket| {
                let address = socket.addresses.first().copied();
                SocketAddr::new(address.unwrap_or(socket.local.ip()), socket.local.port())
            }),
            remote: endpoint.remote,
            state: state_of(peer, path, primary),
            primary,
            rtt: measured_micros(&gauge.rtt_us).or(path.rtt()),
            jitter: measured_micros(&gauge.jitter_us),
            loss: beyond_one(&gauge.loss_ppm).map(|ppm| f64::from(ppm) / 1e6),
            capacity: Some(gauge.capacity.load(Relaxed)).filter(|rate| *rate > 0),
            queue: beyond_one(&gauge.queue_us).map(|us| Duration::from_micros(us.into())),
            sent_bytes: gauge.sent_bytes.load(Relaxed),
            received_bytes: None,
            weight: weight(gauge),
            inner_mtu: path.pmtu.current(),
        }
    }
}

fn state_of(peer: &Peer, path: &Path, primary: bool) -> PathState {
    if peer.current.is_none() {
        return PathState::Failed;
    }
    match path.probing.health {
        _ if !path.probing.validated => PathState::Probing,
        PathHealth::Failed => PathState::Failed,
        PathHealth::Degraded => PathState::Degraded,
        PathHealth::Healthy if primary || path.is_bulk() => PathState::Healthy,
        PathHealth::Healthy => PathState::Standby,
    }
}

fn measured_micros(gauge: &AtomicU32) -> Option<Duration> {
    let micros = gauge.load(Relaxed);
    (micros > 0).then(|| Duration::from_micros(micros.into()))
}

/// A value that is kept plus one, so that a measured zero differs from "not measured".
fn beyond_one(gauge: &AtomicU32) -> Option<u32> {
    gauge.load(Relaxed).checked_sub(1)
}

fn weight(gauge: &PathGauge) -> Option<f64> {
    beyond_one(&gauge.weight).map(|share| f64::from(share) / 1000.0)
}
