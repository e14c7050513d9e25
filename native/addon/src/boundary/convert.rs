//! JavaScript's names of the peers, and what it sees of the running agent.

use std::collections::BTreeMap;
use std::time::Duration;

use napi::Result;
use whalescale_core::control;
use whalescale_core::identity::{PublicKey, Secret};

use crate::aead;
use crate::agent::control::{ControlSide, SocketStatus};

use super::error;
use super::types::{Identity, PathStats, PeerStats, Stats, TunStats, UdpStats};

/// JavaScript's names of the peers.
#[derive(Default)]
pub(super) struct Names {
    by_key: BTreeMap<PublicKey, String>,
    by_name: BTreeMap<String, PublicKey>,
}

impl Names {
    pub(super) fn add(&mut self, name: &str, key: PublicKey) {
        self.by_key.insert(key, name.to_owned());
        self.by_name.insert(name.to_owned(), key);
    }

    pub(super) fn key(&self, name: &str) -> Result<PublicKey> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| error("ENOPEER", format_args!("no peer {name}")))
    }

    pub(super) fn remove(&mut self, name: &str, key: &PublicKey) {
        self.by_name.remove(name);
        self.by_key.remove(key);
    }

    pub(super) fn name(&self, key: &PublicKey) -> String {
        self.by_key
            .get(key)
            .cloned()
            .unwrap_or_else(|| key.to_string())
    }
}

pub(super) fn identity(secret: &Secret) -> Identity {
    let node_id = secret.node_id();
    Identity {
        node_id: node_id.to_string(),
        wireguard_public_key: secret.public_key().to_string(),
        overlay_ipv6: node_id.overlay_address().to_string(),
    }
}

pub(super) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

pub(super) fn stats(control: &ControlSide, names: &Names, backend: &str, tun_name: &str) -> Stats {
    let sockets = control.sockets();
    let tun = control.tun();
    let gso = sockets.iter().all(|socket| socket.granted.gso);
    let udp = |socket: &SocketStatus| UdpStats {
        interface: socket.interface.clone(),
        local: socket.local.to_string(),
        gso: socket.granted.gso,
        gro: socket.granted.gro,
        receive_buffer: u32::try_from(socket.granted.receive_buffer).unwrap_or(u32::MAX),
        send_buffer: u32::try_from(socket.granted.send_buffer).unwrap_or(u32::MAX),
        kernel_drops: socket.kernel_drops,
    };
    Stats {
        aead: backend.into(),
        aead_available: aead::available()
            .iter()
            .map(|backend| backend.name().into())
            .collect(),
        ipsec_mb_unavailable: aead::ipsec_mb().err().map(|reason| reason.to_string()),
        port: sockets.first().map_or(0, |socket| socket.local.port()),
        inner_mtu: control.inner_mtu(),
        tun: TunStats {
            name: tun_name.into(),
            vnet_header: tun.vnet(),
            tso: tun.offload().tso,
            uso: tun.offload().uso,
        },
        udp: sockets.iter().map(udp).collect(),
        drops: control
            .drops()
            .into_iter()
            .map(|(name, count)| (name.into(), count as f64))
            .collect(),
        peers: control
            .peers()
            .iter()
            .map(|peer| peer_stats(peer, names, gso))
            .collect(),
    }
}

fn peer_stats(peer: &control::PeerStatus, names: &Names, gso: bool) -> PeerStats {
    let (tx_packets, tx_bytes) = peer.transmitted;
    let (rx_packets, rx_bytes) = peer.received;
    let endpoint = peer.primary().map(|path| path.remote.to_string());
    PeerStats {
        id: names.name(&peer.public_key),
        overlay_ipv6: peer.node_id.map(|id| id.overlay_address().to_string()),
        state: peer.state.name().into(),
        endpoint,
        latest_handshake_ms: peer.session_age.map(millis),
        handshake_ms: peer.handshake_took.map(millis),
        tx_bytes: tx_bytes as f64,
        rx_bytes: rx_bytes as f64,
        tx_packets: tx_packets as f64,
        rx_packets: rx_packets as f64,
        inner_mtu: peer.inner_mtu,
        reorder_held: peer.bond.reorder_held as f64,
        reorder_timeouts: peer.bond.reorder_timeouts as f64,
        repaired: peer.bond.repaired as f64,
        duplicates: peer.bond.duplicates as f64,
        late: peer.bond.late as f64,
        paths: peer
            .paths
            .iter()
            .map(|path| path_stats(path, gso))
            .collect(),
    }
}

fn path_stats(path: &control::PathStatus, gso: bool) -> PathStats {
    PathStats {
        id: path.id.map(u32::from),
        interface: path.interface.as_deref().map(str::to_owned),
        local: path
            .local
            .map_or_else(String::new, |local| local.to_string()),
        remote: path.remote.to_string(),
        kind: "direct".into(),
        state: path.state.name().into(),
        rtt_ms: path.rtt.map(millis),
        jitter_ms: path.jitter.map(millis),
        loss_pct: path.loss.map(|share| share * 100.0),
        rate_mbps: path.capacity.map(|bytes| bytes as f64 * 8.0 / 1e6),
        queue_ms: path.queue.map(millis),
        tx_bytes: path.sent_bytes as f64,
        rx_bytes: path.received_bytes.map(|bytes| bytes as f64),
        weight: path.weight,
        mtu: Some(path.inner_mtu),
        gso,
    }
}
