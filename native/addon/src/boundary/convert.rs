//! Between the values of JavaScript and those of the core.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use napi::Result;
use whalescale_core::control::{self, CommandError, PeerConfig};
use whalescale_core::identity::{NodeId, PresharedKey, PublicKey, Secret};

use crate::aead;
use crate::agent::control::{AgentEvent, ControlSide, SocketStatus};

use super::types::{Command, Event, Identity, PathStats, PeerStats, Stats, TunStats, UdpStats};
use super::{error, read_secret};

/// JavaScript's names of the peers.
#[derive(Default)]
pub(super) struct Names {
    by_key: BTreeMap<PublicKey, String>,
    by_name: BTreeMap<String, PublicKey>,
}

impl Names {
    fn add(&mut self, name: &str, key: PublicKey) {
        self.by_key.insert(key, name.to_owned());
        self.by_name.insert(name.to_owned(), key);
    }

    fn key(&self, name: &str) -> Result<PublicKey> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| error("ENOPEER", format_args!("no peer {name}")))
    }

    fn name(&self, key: &PublicKey) -> String {
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

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse()
        .map_err(|_| error("EINVAL", format_args!("{text} is not {what}")))
}

fn parse_all<T: FromStr>(texts: &[String], what: &str) -> Result<Vec<T>> {
    texts.iter().map(|text| parse(text, what)).collect()
}

/// The core's command; `Sockets` and `Link` are the agent's own.
pub(super) fn command(command: Command, names: &mut Names) -> Result<control::Command> {
    match command {
        Command::Peer {
            id,
            node_id,
            wireguard_public_key,
            preshared_key_fd,
            endpoints,
            allowed_ips,
            persistent_keepalive,
        } => {
            let public_key: PublicKey = parse(&wireguard_public_key, "a WireGuard public key")?;
            let node_id: Option<NodeId> = node_id
                .as_deref()
                .map(|text| parse(text, "a node id"))
                .transpose()?;
            if node_id.is_some_and(|node_id| node_id.public_key() != public_key) {
                return Err(error(
                    "EINVAL",
                    "nodeId and wireguardPublicKey are not of one key",
                ));
            }
            let secret = preshared_key_fd
                .map(|fd| read_secret(fd, "the preshared key file"))
                .transpose()?;
            let config = PeerConfig {
                public_key,
                node_id,
                preshared_key: secret.map_or_else(PresharedKey::default, |secret| {
                    PresharedKey::from_bytes(&secret)
                }),
                allowed_ips: parse_all(&allowed_ips, "a network prefix")?,
                endpoints: parse_all(&endpoints, "an address with a port")?,
                persistent_keepalive: persistent_keepalive
                    .map(|seconds| Duration::from_secs(seconds.into())),
            };
            names.add(&id, public_key);
            Ok(control::Command::Peer(Box::new(config)))
        }
        Command::RemovePeer { id } => {
            let key = names.key(&id)?;
            names.by_name.remove(&id);
            names.by_key.remove(&key);
            Ok(control::Command::RemovePeer(key))
        }
        Command::Ping { id, token } => Ok(control::Command::Ping {
            peer: names.key(&id)?,
            token,
        }),
        Command::Message { .. } | Command::Sign { .. } | Command::Connect { .. } => {
            Err(error("EBUG", "not carried out yet"))
        }
        Command::Sockets { .. } | Command::Link { .. } => {
            Err(error("EBUG", "not a command of the core"))
        }
    }
}

/// Why the core refused a command, for people.
pub(super) fn refusal(cause: CommandError) -> String {
    match cause {
        CommandError::TooManyPeers => "there are too many peers".into(),
        CommandError::Overlap(overlap) => format!("two peers have the allowed IP {}", overlap.0),
        CommandError::UnknownPeer => "there is no such peer".into(),
        CommandError::NotWhalescale => {
            "the peer is stock WireGuard, which answers no ping; ping its address".into()
        }
        CommandError::TooManyPings => "too many pings are under way".into(),
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// JavaScript's event; nothing for one that it does not need.
pub(super) fn event(event: AgentEvent, names: &Names) -> Option<Event> {
    Some(match event {
        AgentEvent::Warning { code, message } => Event::Warning {
            code: code.into(),
            message,
        },
        AgentEvent::Fatal(message) => Event::Fatal { message },
        AgentEvent::Core(event) => match event {
            control::Event::Peer {
                peer,
                state,
                endpoint,
                handshake,
            } => Event::Peer {
                id: names.name(&peer),
                state: state.name().into(),
                endpoint: endpoint.map(|endpoint| endpoint.to_string()),
                handshake_ms: handshake.map(millis),
            },
            control::Event::Timestamp(timestamp) => Event::Timestamp {
                value: timestamp.to_string(),
            },
            control::Event::Pong {
                peer,
                token,
                rtt,
                local,
                remote,
            } => Event::Pong {
                id: names.name(&peer),
                token,
                rtt_us: rtt.as_secs_f64() * 1e6,
                local: local.map(|local: SocketAddr| local.to_string()),
                remote: remote.to_string(),
                kind: "direct".into(),
            },
            control::Event::PingTimeout { peer, token } => Event::PingTimeout {
                id: names.name(&peer),
                token,
            },
            control::Event::InnerMtu(inner_mtu) => Event::Mtu { inner_mtu },
            control::Event::PathTooSmall { peer, inner_mtu } => Event::Warning {
                code: "pathTooSmall".into(),
                message: format!(
                    "the path to {} does not carry packets of {inner_mtu} bytes; set a smaller mtu",
                    names.name(&peer)
                ),
            },
            control::Event::Restarted { peer } => Event::Restarted {
                id: names.name(&peer),
            },
        },
    })
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
