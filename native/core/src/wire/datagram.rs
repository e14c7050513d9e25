//! What is on the wire: datagrams told apart by type and length, and nothing else.
//!
//! Types 1 to 4 are WireGuard's (whitepaper, section 5.4), to the byte. Type 5 carries one of those
//! through a relay. Type 6 is a probe before there is a session: who knows a node's public key learns
//! from it under which address the node sees the prober. Parsing checks form alone; that a datagram is
//! genuine is for its keys to say.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use blake2::digest::Mac;
use blake2::digest::consts::U16;
use blake2::{Blake2s256, Blake2sMac, Digest};

use crate::identity::PublicKey;

type Mac16 = Blake2sMac<U16>;

/// First byte of a handshake initiation.
pub const INITIATION: u8 = 1;
/// First byte of a handshake response.
pub const RESPONSE: u8 = 2;
/// First byte of a cookie reply.
pub const COOKIE_REPLY: u8 = 3;
/// First byte of transport data.
pub const TRANSPORT: u8 = 4;
/// First byte of a relayed datagram.
pub const RELAY: u8 = 5;
/// First byte of a bootstrap probe or of the reply to one; the second byte tells which.
pub const PROBE: u8 = 6;

/// Bytes of a handshake initiation.
pub const INITIATION_LEN: usize = 148;
/// Bytes of a handshake response.
pub const RESPONSE_LEN: usize = 92;
/// Bytes of a cookie reply.
pub const COOKIE_REPLY_LEN: usize = 64;
/// Bytes before the payload of transport data.
pub const TRANSPORT_HEADER_LEN: usize = 16;
/// Bytes of transport data without payload: header and tag.
pub const TRANSPORT_MIN_LEN: usize = TRANSPORT_HEADER_LEN + 16;
/// Bytes before a relayed datagram.
pub const RELAY_HEADER_LEN: usize = 8;
/// Bytes of a probe and of its reply: equal, so that a reply amplifies nothing.
pub const PROBE_LEN: usize = 56;

/// Bytes of a probe that its MAC covers.
const PROBE_BODY_LEN: usize = PROBE_LEN - 16;
const PROBE_REQUEST: u8 = 0;
const PROBE_REPLY: u8 = 1;
const PROBE_REQUEST_LABEL: &[u8] = b"whalescale probe v1";
const PROBE_REPLY_LABEL: &[u8] = b"whalescale probe reply v1";

/// A datagram of correct form, borrowed from the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// Type 1, the first handshake message.
    Initiation(&'a [u8; INITIATION_LEN]),
    /// Type 2, the second handshake message.
    Response(&'a [u8; RESPONSE_LEN]),
    /// Type 3, the answer to a handshake message under load.
    CookieReply(&'a [u8; COOKIE_REPLY_LEN]),
    /// Type 4, a sealed packet.
    Transport {
        /// The receiver's index of the session.
        receiver: u32,
        /// The nonce.
        counter: u64,
    },
    /// Type 5, a datagram of type 1 to 4 on its way through a relay.
    Relay {
        /// The binding that the relay forwards along.
        channel: u32,
        /// The relayed datagram, itself of correct form.
        inner: &'a [u8],
    },
    /// Type 6, a probe; [`ProbeKey::open_request`] checks it.
    Probe(&'a [u8; PROBE_LEN]),
    /// Type 6, the reply to a probe; [`ProbeKey::open_reply`] checks it.
    ProbeReply(&'a [u8; PROBE_LEN]),
}

/// Why bytes are nothing that this protocol sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The type is unknown, or not allowed in this place.
    Type,
    /// The length is not one of the type's.
    Length,
    /// A reserved byte is not zero.
    Reserved,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "unknown type",
            Self::Length => "wrong length for its type",
            Self::Reserved => "reserved bytes are not zero",
        })
    }
}

impl std::error::Error for Malformed {}

/// Tells what a datagram is by its first four bytes and its length.
pub fn parse(bytes: &[u8]) -> Result<Datagram<'_>, Malformed> {
    let Some(([kind, second, third, fourth], _)) = bytes.split_first_chunk() else {
        return Err(Malformed::Length);
    };
    if [*third, *fourth] != [0, 0] || (*second != 0 && *kind != PROBE) {
        return Err(Malformed::Reserved);
    }
    match (*kind, *second) {
        (INITIATION, _) => exact(bytes).map(Datagram::Initiation),
        (RESPONSE, _) => exact(bytes).map(Datagram::Response),
        (COOKIE_REPLY, _) => exact(bytes).map(Datagram::CookieReply),
        (TRANSPORT, _) => parse_transport(bytes),
        (RELAY, _) => parse_relay(bytes),
        (PROBE, PROBE_REQUEST) => exact(bytes).map(Datagram::Probe),
        (PROBE, PROBE_REPLY) => exact(bytes).map(Datagram::ProbeReply),
        _ => Err(Malformed::Type),
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length)
}

fn parse_transport(bytes: &[u8]) -> Result<Datagram<'_>, Malformed> {
    if bytes.len() < TRANSPORT_MIN_LEN {
        return Err(Malformed::Length);
    }
    let [_, _, _, _, a, b, c, d, counter @ ..] = bytes
        .first_chunk::<TRANSPORT_HEADER_LEN>()
        .ok_or(Malformed::Length)?;
    Ok(Datagram::Transport {
        receiver: u32::from_le_bytes([*a, *b, *c, *d]),
        counter: u64::from_le_bytes(*counter),
    })
}

fn parse_relay(bytes: &[u8]) -> Result<Datagram<'_>, Malformed> {
    let ([_, _, _, _, channel @ ..], inner) = bytes
        .split_first_chunk::<RELAY_HEADER_LEN>()
        .ok_or(Malformed::Length)?;
    // One hop only: a relayed datagram within a relayed datagram could be made to loop.
    if !matches!(inner.first(), Some(&(INITIATION..=TRANSPORT))) {
        return Err(Malformed::Type);
    }
    parse(inner)?;
    Ok(Datagram::Relay {
        channel: u32::from_le_bytes(*channel),
        inner,
    })
}

/// Writes the 16 bytes before the payload of transport data.
pub fn write_transport_header(out: &mut [u8; TRANSPORT_HEADER_LEN], receiver: u32, counter: u64) {
    out[..4].copy_from_slice(&[TRANSPORT, 0, 0, 0]);
    out[4..8].copy_from_slice(&receiver.to_le_bytes());
    out[8..].copy_from_slice(&counter.to_le_bytes());
}

/// Writes the 8 bytes before a relayed datagram.
pub fn write_relay_header(out: &mut [u8; RELAY_HEADER_LEN], channel: u32) {
    out[..4].copy_from_slice(&[RELAY, 0, 0, 0]);
    out[4..].copy_from_slice(&channel.to_le_bytes());
}

/// The index by which the sender of an initiation wants to be addressed.
pub fn initiation_sender(message: &[u8; INITIATION_LEN]) -> u32 {
    let [_, _, _, _, a, b, c, d, ..] = *message;
    u32::from_le_bytes([a, b, c, d])
}

/// The index by which the sender of a response wants to be addressed.
pub fn response_sender(message: &[u8; RESPONSE_LEN]) -> u32 {
    let [_, _, _, _, a, b, c, d, ..] = *message;
    u32::from_le_bytes([a, b, c, d])
}

/// The index that a response is addressed to: the initiation's sender index.
pub fn response_receiver(message: &[u8; RESPONSE_LEN]) -> u32 {
    let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *message;
    u32::from_le_bytes([a, b, c, d])
}

/// The index that a cookie reply is addressed to: the sender index of what it answers.
pub fn cookie_reply_receiver(message: &[u8; COOKIE_REPLY_LEN]) -> u32 {
    let [_, _, _, _, a, b, c, d, ..] = *message;
    u32::from_le_bytes([a, b, c, d])
}

/// Builds and checks the probes to one node and its replies to them.
///
/// Both are MACed under that node's public key: a filter against scanners, not authentication. What
/// keeps others from forging a reply is the random id, which only those on the way can see.
///
/// After the four bytes of type come the id (16), in a reply the observed address (16, IPv4 mapped
/// into IPv6) and port (2, little-endian), zeros up to byte 40, and the MAC (16) of all before.
#[derive(Clone)]
pub struct ProbeKey {
    request: Mac16,
    reply: Mac16,
}

impl ProbeKey {
    /// The key for probes to `receiver`.
    pub fn new(receiver: &PublicKey) -> Self {
        Self {
            request: keyed(PROBE_REQUEST_LABEL, receiver),
            reply: keyed(PROBE_REPLY_LABEL, receiver),
        }
    }

    /// A probe with a random `id`, never used before.
    pub fn request(&self, id: &[u8; 16]) -> [u8; PROBE_LEN] {
        sealed(&self.request, PROBE_REQUEST, id, &[0; 18])
    }

    /// The id of a genuine probe.
    pub fn open_request(&self, probe: &[u8; PROBE_LEN]) -> Option<[u8; 16]> {
        opened(&self.request, probe).map(|(id, _)| id)
    }

    /// The reply to the probe `id`, which came from `observed`.
    pub fn reply(&self, id: &[u8; 16], observed: SocketAddr) -> [u8; PROBE_LEN] {
        sealed(&self.reply, PROBE_REPLY, id, &encode_address(observed))
    }

    /// The id and the observed address of a genuine reply. The id must be of a probe still waiting.
    pub fn open_reply(&self, reply: &[u8; PROBE_LEN]) -> Option<([u8; 16], SocketAddr)> {
        opened(&self.reply, reply).map(|(id, address)| (id, decode_address(&address)))
    }
}

fn keyed(label: &[u8], receiver: &PublicKey) -> Mac16 {
    let key = Blake2s256::new()
        .chain_update(label)
        .chain_update(receiver.as_bytes());
    Mac16::new(&key.finalize())
}

fn sealed(mac: &Mac16, kind: u8, id: &[u8; 16], content: &[u8; 18]) -> [u8; PROBE_LEN] {
    let mut out = [0; PROBE_LEN];
    let (body, tag) = out.split_at_mut(PROBE_BODY_LEN);
    body[..2].copy_from_slice(&[PROBE, kind]);
    body[4..20].copy_from_slice(id);
    body[20..38].copy_from_slice(content);
    tag.copy_from_slice(&mac.clone().chain_update(body).finalize().into_bytes());
    out
}

fn opened(mac: &Mac16, bytes: &[u8; PROBE_LEN]) -> Option<([u8; 16], [u8; 18])> {
    let (body, tag) = bytes.split_first_chunk::<PROBE_BODY_LEN>()?;
    mac.clone().chain_update(body).verify_slice(tag).ok()?;
    let (id, rest) = body[4..].split_first_chunk()?;
    Some((*id, *rest.first_chunk()?))
}

/// An address and a port in 18 bytes: IPv6, or IPv4 mapped into it, and the port, little-endian.
pub(super) fn encode_address(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut out = [0; 18];
    out[..16].copy_from_slice(&ip.octets());
    out[16..].copy_from_slice(&address.port().to_le_bytes());
    out
}

/// The reverse of [`encode_address`]; a mapped address comes back as the IPv4 address it is.
pub(super) fn decode_address(bytes: &[u8; 18]) -> SocketAddr {
    let [ip @ .., low, high] = *bytes;
    let ip = Ipv6Addr::from(ip).to_canonical();
    SocketAddr::new(ip, u16::from_le_bytes([low, high]))
}
