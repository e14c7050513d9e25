//! What is inside a session: the plaintext of transport data.
//!
//! The first byte tells: `4x` and `6x` begin an inner IP packet, everything that a stock WireGuard
//! peer ever sees; `01` to `3f` begin a control frame; `8x` is for bonded data. A control frame is
//! type (1), flags (1), length of the body (2, little-endian), body. What follows the body is padding;
//! a body longer than known, an unknown flag and an unknown type are from a later version and ignored.
//! Of a message, only the type and the length are looked at.

use std::net::SocketAddr;

use crate::constants::limits;

use super::datagram::{decode_address, encode_address};

pub use super::datagram::Malformed;

/// Type of [`Frame::Hello`].
pub const HELLO: u8 = 0x01;
/// Type of [`Frame::PathProbe`].
pub const PATH_PROBE: u8 = 0x02;
/// Type of [`Frame::PathProbeReply`].
pub const PATH_PROBE_REPLY: u8 = 0x03;
/// Type of [`Frame::PathAnnounce`].
pub const PATH_ANNOUNCE: u8 = 0x08;
/// Type of [`Frame::PathBind`].
pub const PATH_BIND: u8 = 0x09;
/// Types of frames about paths, and of those that the packet path itself measures by (feedback, loss
/// reports).
pub const NATIVE_TYPES: std::ops::RangeInclusive<u8> = 0x04..=0x0f;
/// Types of [`Frame::Message`]: gossip, membership, signalling. What is inside is not this library's.
pub const MESSAGE_TYPES: std::ops::RangeInclusive<u8> = 0x10..=0x3f;
/// First bytes of bonded data: the type in the upper half, its flags in the lower. Reserved.
pub const BONDED_TYPES: std::ops::RangeInclusive<u8> = 0x80..=0x8f;

/// Bytes before the body of a control frame.
pub const FRAME_HEADER_LEN: usize = 4;
/// Bytes of the smallest path probe: header and token.
pub const PATH_PROBE_MIN: u16 = 12;

/// Last type of a control frame, known or not.
const LAST_CONTROL_TYPE: u8 = 0x3f;
/// Of [`Frame::Hello`], [`Frame::PathAnnounce`] and [`Frame::PathBind`]: it answers the other side's.
const FLAG_REPLY: u8 = 1;
/// Of [`Frame::PathProbeReply`]: it carries the observed address.
const FLAG_OBSERVED: u8 = 1;

/// An address at which a node can be reached, and the link behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The address, not validated.
    pub address: SocketAddr,
    /// The announcer's number of the link: equal for addresses that share it.
    pub link: u32,
}

/// Addresses of one announcement: at most [`limits::ENDPOINTS`], what exceeds them is ignored.
pub type Announcement = Vec<Announced>;

/// A control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Follows every new keypair and is repeated until answered.
    Hello {
        /// The sender's protocol version.
        version: u16,
        /// The sender's node id, not validated.
        node_id: [u8; 32],
        /// Random, drawn when the sender started: a new one says that its sequences begin anew.
        instance: u64,
        /// Whether this answers the other side's, so that two of them end the exchange.
        reply: bool,
    },
    /// Asks whether a path works, in one size (RFC 8899, section 4.1).
    PathProbe {
        /// Random; the reply proves by it that the probe arrived.
        token: u64,
        /// Bytes of the whole frame, padding included: at least [`PATH_PROBE_MIN`].
        size: u16,
    },
    /// Answers a path probe on the path that it came by.
    PathProbeReply {
        /// The probe's token.
        token: u64,
        /// The size of the probe as it arrived.
        received: u16,
        /// The address that the probe came from.
        observed: Option<SocketAddr>,
    },
    /// Tells all addresses of the sender's interfaces, in place of those told before.
    PathAnnounce {
        /// Grows with each change; the answer repeats it.
        number: u32,
        /// The addresses; none in an answer.
        addresses: Announcement,
        /// Whether this answers the other side's.
        reply: bool,
    },
    /// Says that what comes on this path is what the sender numbers so.
    PathBind {
        /// The sender's number of the path, not validated.
        path: u8,
        /// Random; the answer repeats it.
        token: u64,
        /// The sender's number of its link, as in an announcement.
        link: u32,
        /// Whether this answers the other side's.
        reply: bool,
    },
    /// Carries what those above this library tell each other, each kind by a type of its own.
    Message {
        /// One of [`MESSAGE_TYPES`].
        kind: u8,
        /// At most [`limits::MESSAGE_BODY`] bytes.
        body: Vec<u8>,
    },
}

/// The content of one transport datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plaintext<'a> {
    /// Nothing at all: it keeps the path open.
    Keepalive,
    /// An inner IP packet, with whatever padding follows it.
    Ip(&'a [u8]),
    /// A control frame.
    Frame(Frame),
    /// A control frame of this type, or bonded data, that this version does not know.
    Unknown(u8),
}

/// Tells what a plaintext is.
pub fn parse(plaintext: &[u8]) -> Result<Plaintext<'_>, Malformed> {
    let Some(kind) = plaintext.first() else {
        return Ok(Plaintext::Keepalive);
    };
    match *kind {
        0x40..=0x4f | 0x60..=0x6f => Ok(Plaintext::Ip(plaintext)),
        1..=LAST_CONTROL_TYPE => parse_control(plaintext),
        kind if BONDED_TYPES.contains(&kind) => Ok(Plaintext::Unknown(kind)),
        _ => Err(Malformed::Type),
    }
}

fn parse_control(plaintext: &[u8]) -> Result<Plaintext<'_>, Malformed> {
    let ([kind, flags, length @ ..], rest) = plaintext
        .split_first_chunk::<FRAME_HEADER_LEN>()
        .ok_or(Malformed::Length)?;
    let length = u16::from_le_bytes(*length);
    let mut body = Body(rest.get(..length.into()).ok_or(Malformed::Length)?);
    let frame = match *kind {
        HELLO => Frame::Hello {
            version: u16::from_le_bytes(body.take()?),
            node_id: body.take()?,
            instance: u64::from_le_bytes(body.take()?),
            reply: flags & FLAG_REPLY != 0,
        },
        PATH_PROBE => Frame::PathProbe {
            token: u64::from_le_bytes(body.take()?),
            size: u16::try_from(FRAME_HEADER_LEN + usize::from(length))
                .map_err(|_| Malformed::Length)?,
        },
        PATH_PROBE_REPLY => Frame::PathProbeReply {
            token: u64::from_le_bytes(body.take()?),
            received: u16::from_le_bytes(body.take()?),
            observed: if flags & FLAG_OBSERVED != 0 {
                Some(decode_address(&body.take()?))
            } else {
                None
            },
        },
        PATH_ANNOUNCE => parse_announcement(flags & FLAG_REPLY != 0, &mut body)?,
        PATH_BIND => Frame::PathBind {
            path: u8::from_le_bytes(body.take()?),
            token: u64::from_le_bytes(body.take()?),
            link: u32::from_le_bytes(body.take()?),
            reply: flags & FLAG_REPLY != 0,
        },
        kind if MESSAGE_TYPES.contains(&kind) => parse_message(kind, body.0)?,
        unknown => return Ok(Plaintext::Unknown(unknown)),
    };
    Ok(Plaintext::Frame(frame))
}

fn parse_announcement(reply: bool, body: &mut Body<'_>) -> Result<Frame, Malformed> {
    let number = u32::from_le_bytes(body.take()?);
    let [count] = body.take()?;
    let mut addresses = Announcement::new();
    for _ in 0..usize::from(count).min(limits::ENDPOINTS) {
        addresses.push(Announced {
            address: decode_address(&body.take()?),
            link: u32::from_le_bytes(body.take()?),
        });
    }
    Ok(Frame::PathAnnounce {
        number,
        addresses,
        reply,
    })
}

fn parse_message(kind: u8, body: &[u8]) -> Result<Frame, Malformed> {
    if body.len() > limits::MESSAGE_BODY {
        return Err(Malformed::Length);
    }
    let body = body.to_vec();
    Ok(Frame::Message { kind, body })
}

/// The part of a body not yet read.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed::Length)?;
        self.0 = rest;
        Ok(*field)
    }
}

impl Frame {
    /// Appends the frame to `out`, without padding to 16, which is the sealing side's.
    ///
    /// A path probe smaller than [`PATH_PROBE_MIN`] is encoded with that size. Of a message's body,
    /// what exceeds [`limits::MESSAGE_BODY`] is left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Hello {
                version,
                node_id,
                instance,
                reply,
            } => {
                put_header(out, HELLO, u8::from(reply) * FLAG_REPLY, 42);
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(&node_id);
                out.extend_from_slice(&instance.to_le_bytes());
            }
            Self::PathProbe { token, size } => {
                let padding = size.saturating_sub(PATH_PROBE_MIN);
                put_header(out, PATH_PROBE, 0, 8 + padding);
                out.extend_from_slice(&token.to_le_bytes());
                out.resize(out.len() + usize::from(padding), 0);
            }
            Self::PathProbeReply {
                token,
                received,
                observed,
            } => {
                let (flags, length) = observed.map_or((0, 10), |_| (FLAG_OBSERVED, 28));
                put_header(out, PATH_PROBE_REPLY, flags, length);
                out.extend_from_slice(&token.to_le_bytes());
                out.extend_from_slice(&received.to_le_bytes());
                if let Some(address) = observed {
                    out.extend_from_slice(&encode_address(address));
                }
            }
            Self::PathAnnounce {
                number,
                ref addresses,
                reply,
            } => put_announcement(out, number, addresses, reply),
            Self::PathBind {
                path,
                token,
                link,
                reply,
            } => {
                put_header(out, PATH_BIND, u8::from(reply) * FLAG_REPLY, 13);
                out.push(path);
                out.extend_from_slice(&token.to_le_bytes());
                out.extend_from_slice(&link.to_le_bytes());
            }
            Self::Message { kind, ref body } => {
                let body = body.get(..limits::MESSAGE_BODY).unwrap_or(body);
                put_header(out, kind, 0, body.len() as u16);
                out.extend_from_slice(body);
            }
        }
    }
}

fn put_announcement(out: &mut Vec<u8>, number: u32, addresses: &[Announced], reply: bool) {
    let count = addresses.len().min(limits::ENDPOINTS) as u8;
    let flags = u8::from(reply) * FLAG_REPLY;
    put_header(out, PATH_ANNOUNCE, flags, 5 + 22 * u16::from(count));
    out.extend_from_slice(&number.to_le_bytes());
    out.push(count);
    for announced in addresses.iter().take(count.into()) {
        out.extend_from_slice(&encode_address(announced.address));
        out.extend_from_slice(&announced.link.to_le_bytes());
    }
}

fn put_header(out: &mut Vec<u8>, kind: u8, flags: u8, length: u16) {
    let [low, high] = length.to_le_bytes();
    out.extend_from_slice(&[kind, flags, low, high]);
}
