//! Inbound: joins adjacent packets of one flow into super-packets, for one `writev` each.
//!
//! Payload is never copied: a super-packet is the first packet with its headers rebuilt in place,
//! then the payloads of the others where they lie. Only neighbours join, so the order of delivery
//! stays that of the input, across flows too. What joins has proven its checksums first, because
//! the super-packet gets new ones; what stays alone is written untouched and proves nothing.
//! The rules are those of the kernel's own GRO for TCP and UDP.

use core::ops::Range;
use std::io::IoSlice;

use arrayvec::ArrayVec;

use super::checksum::{complete, fold, pseudo_header, sum};
use super::field;
use super::ip::{IPV4_LEN, IPV6_LEN, TCP, UDP};
use super::vnet::{GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

/// Most packets in one super-packet. 46 packets of 1420 bytes fill 64 KiB; this leaves room for
/// segments a third of that, and is far below the 1024 slices which `writev` takes (UIO_MAXIOV).
pub const MAX_PIECES: usize = 128;
/// Most datagrams in one UDP super-packet: before Linux 6.10 the TUN device refused more
/// (`UDP_MAX_SEGMENTS`).
pub const MAX_DATAGRAMS: usize = 64;
/// Longest super-packet, in bytes: what the IPv4 total length can say.
const MAX_TOTAL: usize = 65_535;

const TCP_LEN: usize = 20;
const UDP_LEN: usize = 8;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Which super-packets the TUN device takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offload {
    /// TCP over IPv4 and IPv6 (`TUN_F_TSO4`, `TUN_F_TSO6`).
    pub tcp: bool,
    /// UDP over IPv4 and IPv6 (`TUN_F_USO4`, `TUN_F_USO6`).
    pub udp: bool,
}

/// Hands every packet to `write`, in order, joined with its neighbours where the rules allow.
///
/// `packets` are the ranges of the inner packets in `arena`, without padding; a range outside of the
/// arena is left out. `write` gets the virtio-net header and the slices to write after it, at most
/// [`MAX_PIECES`].
#[inline]
pub fn coalesce(
    arena: &mut [u8],
    packets: &[Range<usize>],
    offload: Offload,
    mut write: impl FnMut(&VnetHeader, &[IoSlice<'_>]),
) {
    let mut rest = packets;
    while let Some((first, others)) = rest.split_first() {
        let run = Run::find(arena, first, others, offload);
        let joined = run.map_or(0, |run| run.count - 1);
        let (joined, after) = others.split_at(joined);
        rest = after;
        let vnet = match (&run, arena.get_mut(first.clone())) {
            (_, None) => continue,
            (None, _) => VnetHeader::default(),
            (Some(run), Some(head)) => run.rebuild(head),
        };
        let mut pieces = ArrayVec::<_, MAX_PIECES>::new();
        pieces.push(IoSlice::new(&arena[first.clone()]));
        let header_len = usize::from(vnet.hdr_len);
        pieces.extend(
            joined
                .iter()
                .map(|range| IoSlice::new(&arena[range.start + header_len..range.end])),
        );
        write(&vnet, &pieces);
    }
}

/// Two or more packets that join.
#[derive(Clone, Copy)]
struct Run {
    head: Segment,
    count: usize,
    /// Payload bytes of all of them.
    payload: usize,
    /// Whether the last one carries PSH.
    pushed: bool,
}

impl Run {
    /// The longest run that begins with `first`, or `None` when that stays alone.
    #[inline]
    fn find(
        arena: &[u8],
        first: &Range<usize>,
        others: &[Range<usize>],
        offload: Offload,
    ) -> Option<Self> {
        let head_bytes = arena.get(first.clone())?;
        let head = Segment::parse(head_bytes, offload)?;
        let mut run = Run {
            head,
            count: 1,
            payload: head.payload,
            pushed: head.pushed,
        };
        let mut full = head.pushed;
        let most = if head.protocol == UDP {
            MAX_DATAGRAMS
        } else {
            MAX_PIECES
        };
        for range in others {
            if full || run.count == most {
                break;
            }
            let Some(bytes) = arena.get(range.clone()) else {
                break;
            };
            let Some(next) = Segment::parse(bytes, offload) else {
                break;
            };
            if !run.continues(head_bytes, bytes, &next) {
                break;
            }
            if run.count == 1 && !head.proven(head_bytes) || !next.proven(bytes) {
                break;
            }
            run.count += 1;
            run.payload += next.payload;
            run.pushed = next.pushed;
            full = next.pushed || next.payload < head.payload;
        }
        (run.count > 1).then_some(run)
    }

    /// Whether `next` may follow the packets of this run, its checksums aside.
    #[inline]
    fn continues(&self, head_bytes: &[u8], bytes: &[u8], next: &Segment) -> bool {
        let head = &self.head;
        next.payload <= head.payload
            && head.headers + self.payload + next.payload <= MAX_TOTAL
            && self.same_ip(head_bytes, bytes)
            && (head.protocol == UDP || self.same_tcp(head_bytes, bytes, next))
    }

    /// Equal IP headers but for lengths, identification and checksum, and equal ports. The version
    /// comes first: behind it lies that both packets have headers of one length.
    #[inline]
    fn same_ip(&self, a: &[u8], b: &[u8]) -> bool {
        if self.head.transport == IPV6_LEN {
            return a[..4] == b[..4] && a[6..IPV6_LEN + 4] == b[6..IPV6_LEN + 4];
        }
        let dont_fragment = a[6] & 0x40 != 0;
        let next_id = field::read(a, 4).wrapping_add(self.count as u16);
        a[..2] == b[..2]
            && a[6..10] == b[6..10]
            && a[12..IPV4_LEN + 4] == b[12..IPV4_LEN + 4]
            && (dont_fragment || field::read(b, 4) == next_id)
    }

    /// Adjacent in sequence, with equal acknowledgement, header length, window and options.
    #[inline]
    fn same_tcp(&self, a: &[u8], b: &[u8], next: &Segment) -> bool {
        let (a, b) = (
            &a[self.head.transport..self.head.headers],
            &b[next.transport..next.headers],
        );
        sequence(b) == sequence(a).wrapping_add(self.payload as u32)
            && a[8..12] == b[8..12]
            && a[14..16] == b[14..16]
            && a[TCP_LEN..] == b[TCP_LEN..]
    }

    /// Makes the headers at the start of `head` those of the super-packet.
    fn rebuild(&self, head: &mut [u8]) -> VnetHeader {
        let Segment {
            transport,
            headers,
            protocol,
            payload,
            ..
        } = self.head;
        let total = headers + self.payload;
        let transport_len = total - transport;
        let (ip_header, rest) = head.split_at_mut(transport);
        let addresses = if transport == IPV4_LEN {
            field::write(ip_header, 2, total as u16);
            field::write(ip_header, 10, 0);
            field::write(ip_header, 10, complete(sum(ip_header)));
            &ip_header[12..]
        } else {
            field::write(ip_header, 4, transport_len as u16);
            &ip_header[8..]
        };
        let pseudo_sum = fold(pseudo_header(addresses, protocol, transport_len));
        let (gso_type, csum_offset) = match protocol {
            TCP if transport == IPV4_LEN => (GSO_TCPV4, 16),
            TCP => (GSO_TCPV6, 16),
            _ => (GSO_UDP_L4, 6),
        };
        if protocol == UDP {
            field::write(rest, 4, transport_len as u16);
        } else if self.pushed {
            rest[13] |= PSH;
        }
        field::write(rest, csum_offset, pseudo_sum);
        VnetHeader {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: headers as u16,
            gso_size: payload as u16,
            csum_start: transport as u16,
            csum_offset: csum_offset as u16,
        }
    }
}

/// A packet that may join others, as far as it alone can tell.
#[derive(Clone, Copy)]
struct Segment {
    protocol: u8,
    /// Offset of the transport header, which is also that of the IP version: no options, no
    /// extension headers.
    transport: usize,
    /// Offset of the payload.
    headers: usize,
    /// Payload bytes, at least 1.
    payload: usize,
    pushed: bool,
}

impl Segment {
    #[inline]
    fn parse(bytes: &[u8], offload: Offload) -> Option<Self> {
        let (transport, total, protocol) = match bytes.first()? {
            0x45 => {
                let ip: &[u8; IPV4_LEN] = bytes.first_chunk()?;
                if field::read(ip, 6) & 0x3fff != 0 {
                    return None; // a fragment
                }
                (IPV4_LEN, usize::from(field::read(ip, 2)), ip[9])
            }
            0x60..=0x6f => {
                let ip: &[u8; IPV6_LEN] = bytes.first_chunk()?;
                (IPV6_LEN, IPV6_LEN + usize::from(field::read(ip, 4)), ip[6])
            }
            _ => return None,
        };
        let rest = bytes.get(transport..)?;
        let (transport_len, pushed) = match protocol {
            TCP if offload.tcp => tcp(rest)?,
            UDP if offload.udp => udp(rest)?,
            _ => return None,
        };
        let headers = transport + transport_len;
        let payload = bytes.len().checked_sub(headers)?;
        (total == bytes.len() && payload > 0).then_some(Self {
            protocol,
            transport,
            headers,
            payload,
            pushed,
        })
    }

    /// Whether all checksums are right.
    #[inline]
    fn proven(&self, bytes: &[u8]) -> bool {
        let addresses_at = if self.transport == IPV4_LEN {
            match bytes.first_chunk::<IPV4_LEN>() {
                Some(ip) if fold(sum(ip)) == 0xffff => 12,
                _ => return false,
            }
        } else {
            8
        };
        // The addresses adjoin the transport header, so one sum covers both.
        let length = bytes.len() - self.transport;
        let pseudo = pseudo_header(&[], self.protocol, length);
        fold(pseudo + sum(&bytes[addresses_at..])) == 0xffff
    }
}

/// Header length, perhaps beyond the bytes, and PSH of a TCP segment that carries ACK, perhaps PSH,
/// and no other flag.
#[inline]
fn tcp(bytes: &[u8]) -> Option<(usize, bool)> {
    let header: &[u8; TCP_LEN] = bytes.first_chunk()?;
    let length = usize::from(header[12] >> 4) * 4;
    let plain = header[12] & 0x0f == 0 && header[13] & !PSH == ACK;
    (plain && length >= TCP_LEN).then_some((length, header[13] & PSH != 0))
}

/// Header length of a UDP datagram that fills its packet and has a checksum.
#[inline]
fn udp(bytes: &[u8]) -> Option<(usize, bool)> {
    let header: &[u8; UDP_LEN] = bytes.first_chunk()?;
    (usize::from(field::read(header, 4)) == bytes.len() && field::read(header, 6) != 0)
        .then_some((UDP_LEN, false))
}

#[inline(always)]
fn sequence(tcp: &[u8]) -> u32 {
    u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]])
}
