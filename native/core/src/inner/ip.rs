//! The IP header of an inner packet, either version.
//!
//! Every function is total. What [`parse`] returns lies within the packet: `header_len <= total_len
//! <= packet.len()`. The three look-ups beside it serve the packet path, which needs one field only.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Protocol numbers (IANA) this module and its neighbours tell apart.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// Length of an IPv4 header without options, in bytes.
pub const IPV4_LEN: usize = 20;
/// Length of an IPv6 header without extensions, in bytes.
pub const IPV6_LEN: usize = 40;

/// Extension headers followed in one packet. RFC 8200 section 4.1 orders seven, one of them twice.
const MAX_EXTENSIONS: usize = 8;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// The bytes are no IP packet: a wrong version, or a length that contradicts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a well-formed IP packet")
    }
}

impl core::error::Error for Malformed {}

/// Whether a packet is a fragment, and whether it holds the transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// Not fragmented.
    Whole,
    /// The fragment at offset 0, which has the transport header.
    First,
    /// Any other.
    Later,
}

/// What an IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// 4 or 6.
    pub version: u8,
    /// Bytes before the upper-layer protocol: with IPv4's options or IPv6's extension headers.
    pub header_len: usize,
    /// Bytes of the whole packet; what follows them is padding.
    pub total_len: usize,
    /// The upper-layer protocol, after any extension headers.
    pub protocol: u8,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Whether this is a fragment.
    pub fragment: Fragment,
}

/// Reads the header of the packet that begins at the first byte.
///
/// # Errors
/// [`Malformed`] when the version is neither 4 nor 6 or any length leaves the packet.
pub fn parse(packet: &[u8]) -> Result<IpHeader, Malformed> {
    let total_len = total_len(packet).ok_or(Malformed)?;
    let source = source(packet).ok_or(Malformed)?;
    let destination = destination(packet).ok_or(Malformed)?;
    let packet = packet.get(..total_len).ok_or(Malformed)?;
    let (header_len, protocol, fragment) = match source {
        IpAddr::V4(_) => upper_layer_v4(packet)?,
        IpAddr::V6(_) => upper_layer_v6(packet)?,
    };
    let version = if source.is_ipv4() { 4 } else { 6 };
    Ok(IpHeader {
        version,
        header_len,
        total_len,
        protocol,
        source,
        destination,
        fragment,
    })
}

/// The destination address, without judging the rest of the packet.
#[inline]
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    address(packet, 16, 24)
}

/// The source address, without judging the rest of the packet.
#[inline]
pub fn source(packet: &[u8]) -> Option<IpAddr> {
    address(packet, 12, 8)
}

#[inline]
fn address(packet: &[u8], v4: usize, v6: usize) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let bytes: &[u8; IPV4_LEN] = packet.first_chunk()?;
            let octets: &[u8; 4] = bytes[v4..].first_chunk()?;
            Some(IpAddr::V4(Ipv4Addr::from(*octets)))
        }
        6 => {
            let bytes: &[u8; IPV6_LEN] = packet.first_chunk()?;
            let octets: &[u8; 16] = bytes[v6..].first_chunk()?;
            Some(IpAddr::V6(Ipv6Addr::from(*octets)))
        }
        _ => None,
    }
}

/// The packet's length as its header tells, without the padding that may follow.
///
/// `None` when it is shorter than the header or longer than `packet`.
#[inline]
pub fn total_len(packet: &[u8]) -> Option<usize> {
    let (header, total) = match packet.first()? >> 4 {
        4 => {
            let bytes: &[u8; IPV4_LEN] = packet.first_chunk()?;
            let header = usize::from(bytes[0] & 15) * 4;
            (
                header.max(IPV4_LEN),
                usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            )
        }
        6 => {
            let bytes: &[u8; IPV6_LEN] = packet.first_chunk()?;
            (
                IPV6_LEN,
                IPV6_LEN + usize::from(u16::from_be_bytes([bytes[4], bytes[5]])),
            )
        }
        _ => return None,
    };
    (header <= total && total <= packet.len()).then_some(total)
}

fn upper_layer_v4(packet: &[u8]) -> Result<(usize, u8, Fragment), Malformed> {
    let bytes: &[u8; IPV4_LEN] = packet.first_chunk().ok_or(Malformed)?;
    let header_len = usize::from(bytes[0] & 15) * 4;
    if header_len < IPV4_LEN || header_len > packet.len() {
        return Err(Malformed);
    }
    let word = u16::from_be_bytes([bytes[6], bytes[7]]);
    let fragment = match (word & 0x1fff, word & 0x2000) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    };
    Ok((header_len, bytes[9], fragment))
}

/// Follows the extension headers (RFC 8200 section 4) up to the first that is not one of those any
/// node may skip.
fn upper_layer_v6(packet: &[u8]) -> Result<(usize, u8, Fragment), Malformed> {
    let mut protocol = *packet.get(6).ok_or(Malformed)?;
    let mut offset = IPV6_LEN;
    let mut fragment = Fragment::Whole;
    for _ in 0..MAX_EXTENSIONS {
        if !matches!(
            protocol,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
        ) {
            return Ok((offset, protocol, fragment));
        }
        let rest = packet.get(offset..).ok_or(Malformed)?;
        let header: &[u8; 8] = rest.first_chunk().ok_or(Malformed)?;
        let length = if protocol == FRAGMENT {
            8
        } else {
            8 + 8 * usize::from(header[1])
        };
        if length > rest.len() {
            return Err(Malformed);
        }
        if protocol == FRAGMENT {
            fragment = match u16::from_be_bytes([header[2], header[3]]) {
                word if word & 0xfff8 != 0 => Fragment::Later,
                word if word & 1 != 0 => Fragment::First,
                _ => fragment, // an atomic fragment (RFC 6946) is whole
            };
        }
        protocol = header[0];
        offset += length;
        if fragment == Fragment::Later {
            return Ok((offset, protocol, fragment));
        }
    }
    Err(Malformed)
}
