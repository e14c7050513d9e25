//! What people see of the peers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::identity::PublicKey;
use crate::time::Instant;

use super::{Control, PeerState};

/// A path to a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PathStatus {
    /// Our end, as bound.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: SocketAddr,
    /// Smoothed round trip; nothing until measured.
    pub rtt: Option<Duration>,
    /// The largest inner packet it carries.
    pub inner_mtu: u16,
}

/// A peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    /// Its X25519 key.
    pub public_key: PublicKey,
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
    /// The path in use.
    pub path: Option<PathStatus>,
}

impl Control {
    /// All peers, by place.
    pub fn status(&self, now: Instant) -> Vec<PeerStatus> {
        let statuses = self.peers.values().map(|peer| PeerStatus {
            public_key: peer.config.public_key,
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
            path: peer.endpoint.map(|endpoint| PathStatus {
                local: self.local_address(endpoint.socket),
                remote: endpoint.remote,
                rtt: peer.rtt,
                inner_mtu: peer.pmtu.current(),
            }),
        });
        statuses.collect()
    }
}
