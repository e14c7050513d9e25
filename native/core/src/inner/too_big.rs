//! The answer to an inner packet that is too long for the tunnel, given to the local stack.
//!
//! ICMP "fragmentation needed" with the next hop's MTU (RFC 792, RFC 1191) or ICMPv6 "packet too
//! big" (RFC 4443 section 3.2). It comes from the packet's own destination: that address is allowed
//! for the peer, passes every reverse-path filter, and needs no address of ours.

use core::net::IpAddr;

use super::checksum::{complete, pseudo_header, sum};
use super::ip::{self, Fragment, ICMP, ICMPV6, IPV4_LEN, IPV6_LEN, IpHeader};

/// Longest answer, in bytes: the IPv6 minimum MTU, which RFC 4443 section 3.2 sets as the limit.
pub const MAX_ANSWER: usize = 1280;
/// Longest answer over IPv4, in bytes (RFC 1812 section 4.3.2.3).
const MAX_ANSWER_V4: usize = 576;
const ICMP_LEN: usize = 8;
const HOP_LIMIT: u8 = 64;

/// Writes the answer to `out` and returns its length, or `None` when RFC 1122 section 3.2.2 or
/// RFC 4443 section 2.4 (e) forbid one.
///
/// `mtu` is the longest inner packet that fits, in bytes. An IPv4 packet gets its answer whether or
/// not it allows fragmenting, since the tunnel does not fragment.
pub fn too_big(packet: &[u8], mtu: u16, out: &mut [u8; MAX_ANSWER]) -> Option<usize> {
    let header = ip::parse(packet).ok()?;
    if !answerable(packet, &header) {
        return None;
    }
    let packet = packet.get(..header.total_len)?;
    Some(if header.version == 4 {
        answer_v4(packet, mtu, out)
    } else {
        answer_v6(packet, mtu, out)
    })
}

fn answerable(packet: &[u8], header: &IpHeader) -> bool {
    let single = |address: IpAddr| match address {
        IpAddr::V4(v4) => !(v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified()),
        IpAddr::V6(v6) => !(v6.is_multicast() || v6.is_unspecified()),
    };
    header.fragment != Fragment::Later
        && single(header.source)
        && single(header.destination)
        && !is_icmp_error(packet, header)
}

/// An ICMP message about another packet, or one too short to tell.
fn is_icmp_error(packet: &[u8], header: &IpHeader) -> bool {
    let kind = packet[..header.total_len].get(header.header_len);
    match (header.version, header.protocol, kind) {
        (4, ICMP, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (6, ICMPV6, Some(kind)) => *kind < 128 || *kind == 137,
        (4, ICMP, None) | (6, ICMPV6, None) => true,
        _ => false,
    }
}

fn answer_v4(packet: &[u8], mtu: u16, out: &mut [u8; MAX_ANSWER]) -> usize {
    let quoted = packet.len().min(MAX_ANSWER_V4 - IPV4_LEN - ICMP_LEN);
    let total = IPV4_LEN + ICMP_LEN + quoted;
    let (ip_header, icmp) = out[..total].split_at_mut(IPV4_LEN);
    ip_header.fill(0);
    ip_header[0] = 0x45;
    ip_header[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    ip_header[6] = 0x40; // DF
    ip_header[8] = HOP_LIMIT;
    ip_header[9] = ICMP;
    ip_header[12..16].copy_from_slice(&packet[16..20]);
    ip_header[16..20].copy_from_slice(&packet[12..16]);
    let checksum = complete(sum(ip_header));
    ip_header[10..12].copy_from_slice(&checksum.to_be_bytes());

    let [high, low] = mtu.to_be_bytes();
    icmp[..ICMP_LEN].copy_from_slice(&[3, 4, 0, 0, 0, 0, high, low]);
    icmp[ICMP_LEN..].copy_from_slice(&packet[..quoted]);
    let checksum = complete(sum(icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    total
}

fn answer_v6(packet: &[u8], mtu: u16, out: &mut [u8; MAX_ANSWER]) -> usize {
    let quoted = packet.len().min(MAX_ANSWER - IPV6_LEN - ICMP_LEN);
    let icmp_len = ICMP_LEN + quoted;
    let (ip_header, icmp) = out[..IPV6_LEN + icmp_len].split_at_mut(IPV6_LEN);
    ip_header[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    ip_header[4..6].copy_from_slice(&(icmp_len as u16).to_be_bytes());
    ip_header[6] = ICMPV6;
    ip_header[7] = HOP_LIMIT;
    ip_header[8..24].copy_from_slice(&packet[24..40]);
    ip_header[24..40].copy_from_slice(&packet[8..24]);

    let [high, low] = mtu.to_be_bytes();
    icmp[..ICMP_LEN].copy_from_slice(&[2, 0, 0, 0, 0, 0, high, low]);
    icmp[ICMP_LEN..].copy_from_slice(&packet[..quoted]);
    let pseudo = pseudo_header(&ip_header[8..40], ICMPV6, icmp_len);
    let checksum = complete(pseudo + sum(icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    IPV6_LEN + icmp_len
}
