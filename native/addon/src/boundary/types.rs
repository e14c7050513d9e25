//! The values that cross to JavaScript and back. `index.d.ts` is generated from these.

use std::collections::HashMap;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// How an agent starts.
#[napi(object)]
pub struct OpenConfig {
    /// The TUN device's descriptor, which the agent takes over.
    pub tun_fd: i32,
    pub tun_name: String,
    /// Whether it was opened with IFF_VNET_HDR.
    pub vnet_header: bool,
    /// The open key file, which is read; it stays the caller's.
    pub key_fd: i32,
    /// A fixed inner MTU; without it, path-MTU discovery.
    pub mtu: Option<u16>,
    /// The last `Timestamp` event of an earlier run: 24 hexadecimal digits.
    pub timestamp_floor: Option<String>,
    /// The cipher backend by name; without it, the fastest.
    pub aead: Option<String>,
    /// How packets are spread over several paths, by name; without it, `edpf`.
    pub scheduler: Option<String>,
    /// Packets that the reordering buffer of one peer holds at most; without it, what the paths'
    /// rates and delays ask for.
    pub depth: Option<u16>,
}

/// Who a node is.
#[napi(object)]
pub struct Identity {
    pub node_id: String,
    pub wireguard_public_key: String,
    pub overlay_ipv6: String,
}

/// Desired state, or a wish. All but `Ping`, `Message` and `Sign` are idempotent.
#[napi(discriminant = "type")]
pub enum Command {
    /// UDP sockets on this port (0 is any) of these interfaces: `auto` is every one that is fit,
    /// `exclude` takes some out, `metered` names those that cost money.
    Sockets {
        port: u16,
        interfaces: Vec<String>,
        exclude: Vec<String>,
        metered: Vec<String>,
    },
    /// All addresses and routes of the TUN device.
    Link {
        addresses: Vec<String>,
        routes: Vec<String>,
    },
    /// A peer, new or changed. `id` is the caller's name for it.
    Peer {
        id: String,
        node_id: Option<String>,
        wireguard_public_key: String,
        preshared_key_fd: Option<i32>,
        endpoints: Vec<String>,
        allowed_ips: Vec<String>,
        persistent_keepalive: Option<u16>,
    },
    /// The peer is gone.
    RemovePeer { id: String },
    /// Measure the round trip; `Pong` or `PingTimeout` carries the token.
    Ping { id: String, token: u32 },
    /// Send a message of this kind (16 to 63) in the session with the peer, at most 1120 bytes;
    /// without a session one is opened, and the message waits for it. Not to a stock peer.
    Message {
        id: String,
        kind: u8,
        body: Uint8Array,
    },
    /// Sign by the node's key under this domain (PROTOCOL, section 1.4); `Signed` carries the token.
    Sign {
        token: u32,
        domain: String,
        body: Uint8Array,
    },
    /// Begin a handshake now, unless there is a session or one is under way.
    Connect { id: String },
}

/// News.
#[napi(discriminant = "type")]
pub enum Event {
    /// A peer's state changed, or its confirmed address did.
    Peer {
        id: String,
        state: String,
        endpoint: Option<String>,
        handshake_ms: Option<f64>,
    },
    /// The peer was restarted since it last said hello.
    Restarted {
        id: String,
    },
    /// Keep this for the next start's `timestampFloor`.
    Timestamp {
        value: String,
    },
    Pong {
        id: String,
        token: u32,
        rtt_us: f64,
        local: Option<String>,
        remote: String,
        kind: String,
    },
    PingTimeout {
        id: String,
        token: u32,
    },
    /// A message from a peer, and the address that it came from.
    Message {
        id: String,
        kind: u8,
        body: Uint8Array,
        remote: String,
    },
    /// What `Sign` asked for: 64 bytes.
    Signed {
        token: u32,
        signature: Uint8Array,
    },
    /// All addresses with ports at which the node itself can be reached, at start and when they change.
    Network {
        sockets: Vec<NetworkAddress>,
    },
    /// The address that a peer sees us at, through this interface, when it changes.
    Observed {
        id: String,
        interface: Option<String>,
        address: String,
    },
    /// The TUN device's MTU changed.
    Mtu {
        inner_mtu: u16,
    },
    /// Something that works, but not as well as it could.
    Warning {
        code: String,
        message: String,
    },
    /// The agent cannot go on; close it.
    Fatal {
        message: String,
    },
    /// Events that were lost because JavaScript was busy.
    Dropped {
        count: u32,
    },
}

/// An address of the node, and the interface that has it.
#[napi(object)]
pub struct NetworkAddress {
    pub interface: Option<String>,
    pub address: String,
}

#[napi(object)]
pub struct TunStats {
    pub name: String,
    pub vnet_header: bool,
    pub tso: bool,
    pub uso: bool,
}

#[napi(object)]
pub struct UdpStats {
    pub interface: Option<String>,
    pub local: String,
    pub gso: bool,
    pub gro: bool,
    pub receive_buffer: u32,
    pub send_buffer: u32,
    pub kernel_drops: u32,
}

#[napi(object)]
pub struct PathStats {
    /// Our number of it, once it has answered.
    pub id: Option<u32>,
    pub interface: Option<String>,
    pub local: String,
    pub remote: String,
    pub kind: String,
    pub state: String,
    pub rtt_ms: Option<f64>,
    pub jitter_ms: Option<f64>,
    pub loss_pct: Option<f64>,
    pub rate_mbps: Option<f64>,
    pub queue_ms: Option<f64>,
    pub tx_bytes: f64,
    pub rx_bytes: Option<f64>,
    pub weight: Option<f64>,
    pub mtu: Option<u16>,
    pub gso: bool,
    /// Whether either end counts its interface among the expensive ones.
    pub metered: bool,
}

#[napi(object)]
pub struct PeerStats {
    pub id: String,
    /// Derived from the node id, and allowed without being configured.
    pub overlay_ipv6: Option<String>,
    pub state: String,
    pub endpoint: Option<String>,
    /// Age of the session.
    pub latest_handshake_ms: Option<f64>,
    /// How long our last handshake took.
    pub handshake_ms: Option<f64>,
    pub tx_bytes: f64,
    pub rx_bytes: f64,
    pub tx_packets: f64,
    pub rx_packets: f64,
    pub inner_mtu: u16,
    /// Packets that waited for an earlier one.
    pub reorder_held: f64,
    /// Gaps given up at their deadline.
    pub reorder_timeouts: f64,
    /// Lost packets sent again.
    pub repaired: f64,
    /// Packets sent twice from the start.
    pub duplicates: f64,
    /// Packets delivered after those that should have followed.
    pub late: f64,
    pub paths: Vec<PathStats>,
}

#[napi(object)]
pub struct Stats {
    pub aead: String,
    pub aead_available: Vec<String>,
    /// Why ipsec-mb is not among the available ones.
    pub ipsec_mb_unavailable: Option<String>,
    pub port: u16,
    pub inner_mtu: u16,
    pub tun: TunStats,
    pub udp: Vec<UdpStats>,
    pub drops: HashMap<String, f64>,
    pub peers: Vec<PeerStats>,
}
