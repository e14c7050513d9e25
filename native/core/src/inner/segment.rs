//! Outbound: cuts what the TUN device hands over into inner packets, each complete in itself.
//!
//! [`plan`] reads the headers once; [`Segmenter::write`] then makes any one packet in a single pass
//! over its payload: the headers are copied and patched, the payload is summed while it is copied.
//! All lengths come from the packet itself. Of the virtio-net header only the kind, the segment size
//! and, for an ordinary packet, the place of its checksum are used, and those are checked.

use core::fmt;

use super::checksum::{complete, copy_and_sum, pseudo_header, sum};
use super::field;
use super::ip::{self, Fragment, Malformed, TCP, UDP};
use super::vnet::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

const TCP_LEN: usize = 20;
const UDP_LEN: usize = 8;
/// TCP flags, as bits of the 16-bit word at offset 12 of the header.
const FIN: u16 = 0x01;
const PSH: u16 = 0x08;
const CWR: u16 = 0x80;

/// Why a packet from the TUN device cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentError {
    /// A super-packet's IP header is malformed.
    MalformedIp,
    /// The checksum's place lies outside the packet.
    ChecksumOutside,
    /// A kind of super-packet that was never asked for.
    UnknownGsoType(u8),
    /// A super-packet with a segment size of zero.
    ZeroSegmentSize,
    /// The IP version or protocol is not the one which the kind of super-packet demands.
    WrongProtocol,
    /// A fragment cannot be a super-packet.
    Fragmented,
    /// The TCP or UDP header is cut short, or its length is impossible.
    TruncatedTransport,
}

impl fmt::Display for SegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedIp => f.write_str("super-packet with a malformed IP header"),
            Self::ChecksumOutside => f.write_str("checksum outside of the packet"),
            Self::UnknownGsoType(kind) => write!(f, "unknown kind of super-packet: {kind}"),
            Self::ZeroSegmentSize => f.write_str("super-packet with a segment size of zero"),
            Self::WrongProtocol => f.write_str("super-packet of another protocol than announced"),
            Self::Fragmented => f.write_str("super-packet that is a fragment"),
            Self::TruncatedTransport => f.write_str("super-packet with a bad TCP or UDP header"),
        }
    }
}

impl core::error::Error for SegmentError {}

impl From<Malformed> for SegmentError {
    fn from(_: Malformed) -> Self {
        Self::MalformedIp
    }
}

/// What a packet read from the TUN device becomes: `count` inner packets, all of `segment_len` bytes
/// but the last, which has `last_len`.
#[derive(Clone, Copy, Debug)]
pub struct Segmenter {
    work: Work,
    count: usize,
    segment_len: usize,
    last_len: usize,
}

#[derive(Clone, Copy, Debug)]
enum Work {
    /// Complete as it is.
    Copy,
    /// Its checksum is missing: the sum over all from `start`, to be stored at `field`.
    Complete { start: usize, field: usize },
    /// A super-packet.
    Split(Split),
}

/// A super-packet's headers, read once.
#[derive(Clone, Copy, Debug)]
struct Split {
    transport: Transport,
    ip_v4: Option<Ipv4>,
    /// Bytes before the transport header.
    ip_len: usize,
    /// Bytes before the payload.
    header_len: usize,
    /// Payload bytes of each segment but the last.
    payload_len: usize,
    /// Pseudo-header without its length, and transport header without its varying fields.
    transport_sum: u64,
}

/// What varies between the IPv4 headers of a super-packet's segments.
#[derive(Clone, Copy, Debug)]
struct Ipv4 {
    id: u16,
    /// The header without total length, identification and checksum.
    sum: u64,
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp { sequence: u32, flags: u16 },
    Udp,
}

/// Reads the headers of `packet` and says what it becomes.
///
/// # Errors
/// A [`SegmentError`] when the two headers contradict each other or the packet.
pub fn plan(vnet: &VnetHeader, packet: &[u8]) -> Result<Segmenter, SegmentError> {
    let (version, protocol) = match vnet.gso_type & !GSO_ECN {
        GSO_NONE => return plan_single(vnet, packet),
        GSO_TCPV4 => (Some(4), TCP),
        GSO_TCPV6 => (Some(6), TCP),
        GSO_UDP_L4 => (None, UDP),
        _ => return Err(SegmentError::UnknownGsoType(vnet.gso_type)),
    };
    if vnet.gso_size == 0 {
        return Err(SegmentError::ZeroSegmentSize);
    }
    let header = ip::parse(packet)?;
    if header.protocol != protocol || version.is_some_and(|version| version != header.version) {
        return Err(SegmentError::WrongProtocol);
    }
    if header.fragment != Fragment::Whole {
        return Err(SegmentError::Fragmented);
    }
    let packet = &packet[..header.total_len];
    let split = Split::read(packet, &header, usize::from(vnet.gso_size))?;
    let payload = packet.len() - split.header_len;
    let count = payload.div_ceil(split.payload_len).max(1);
    let last_len = packet.len() - (count - 1) * split.payload_len;
    let segment_len = if count == 1 {
        last_len
    } else {
        split.header_len + split.payload_len
    };
    Ok(Segmenter {
        work: Work::Split(split),
        count,
        segment_len,
        last_len,
    })
}

fn plan_single(vnet: &VnetHeader, packet: &[u8]) -> Result<Segmenter, SegmentError> {
    let work = if vnet.flags & NEEDS_CSUM == 0 {
        Work::Copy
    } else {
        let start = usize::from(vnet.csum_start);
        let field = start + usize::from(vnet.csum_offset);
        if field + 2 > packet.len() {
            return Err(SegmentError::ChecksumOutside);
        }
        Work::Complete { start, field }
    };
    Ok(Segmenter {
        work,
        count: 1,
        segment_len: packet.len(),
        last_len: packet.len(),
    })
}

impl Segmenter {
    /// How many inner packets there are, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Length of each inner packet but the last, in bytes.
    pub fn segment_len(&self) -> usize {
        self.segment_len
    }

    /// Length of the last inner packet, in bytes: at most [`Self::segment_len`].
    pub fn last_len(&self) -> usize {
        self.last_len
    }

    /// Writes inner packet `n` to `out`, complete with all checksums.
    ///
    /// # Panics
    /// When `packet` is not the one planned for, `n` is not below the count, or `out` has not the
    /// exact length.
    #[inline]
    pub fn write(&self, packet: &[u8], n: usize, out: &mut [u8]) {
        match &self.work {
            Work::Copy => out.copy_from_slice(packet),
            Work::Complete { start, field } => {
                out[..*start].copy_from_slice(&packet[..*start]);
                // The field holds the pseudo-header's sum, and is summed like the rest.
                let sum = copy_and_sum(&mut out[*start..], &packet[*start..]);
                field::write(out, *field, complete(sum));
            }
            Work::Split(split) => split.write(packet, n, n + 1 == self.count, out),
        }
    }
}

impl Split {
    fn read(
        packet: &[u8],
        header: &ip::IpHeader,
        payload_len: usize,
    ) -> Result<Self, SegmentError> {
        let ip_len = header.header_len;
        let (ip_header, rest) = packet.split_at(ip_len);
        let (transport, transport_len, transport_sum) = match header.protocol {
            TCP => read_tcp(rest)?,
            _ => read_udp(rest)?,
        };
        let (addresses, ip_v4) = if header.version == 4 {
            let id = field::read(ip_header, 4);
            let varying = [field::read(ip_header, 2), id, field::read(ip_header, 10)];
            (
                &ip_header[12..20],
                Some(Ipv4 {
                    id,
                    sum: sum_without(ip_header, varying),
                }),
            )
        } else {
            (&ip_header[8..40], None)
        };
        Ok(Self {
            transport,
            ip_v4,
            ip_len,
            header_len: ip_len + transport_len,
            payload_len,
            transport_sum: transport_sum + pseudo_header(addresses, header.protocol, 0),
        })
    }

    #[inline]
    fn write(&self, packet: &[u8], n: usize, last: bool, out: &mut [u8]) {
        let total = out.len();
        let (headers, payload) = out.split_at_mut(self.header_len);
        headers.copy_from_slice(&packet[..self.header_len]);
        let start = self.header_len + n * self.payload_len;
        let payload_sum = copy_and_sum(payload, &packet[start..start + payload.len()]);
        let (ip_header, transport) = headers.split_at_mut(self.ip_len);
        let transport_len = (total - self.ip_len) as u16;

        match self.ip_v4 {
            Some(Ipv4 { id, sum }) => {
                let id = id.wrapping_add(n as u16);
                field::write(ip_header, 2, total as u16);
                field::write(ip_header, 4, id);
                field::write(ip_header, 10, complete(sum + total as u64 + u64::from(id)));
            }
            None => field::write(ip_header, 4, (total - ip::IPV6_LEN) as u16),
        }

        let mut sum = self.transport_sum + payload_sum + u64::from(transport_len);
        match self.transport {
            Transport::Tcp { sequence, flags } => {
                let sequence = sequence.wrapping_add((n * self.payload_len) as u32);
                let flags =
                    flags & if n == 0 { !0 } else { !CWR } & if last { !0 } else { !(FIN | PSH) };
                transport[4..8].copy_from_slice(&sequence.to_be_bytes());
                field::write(transport, 12, flags);
                sum += u64::from(sequence) + u64::from(flags);
                field::write(transport, 16, complete(sum));
            }
            Transport::Udp => {
                field::write(transport, 4, transport_len);
                field::write(transport, 6, complete(sum + u64::from(transport_len)));
            }
        }
    }
}

fn read_tcp(bytes: &[u8]) -> Result<(Transport, usize, u64), SegmentError> {
    let fixed: &[u8; TCP_LEN] = bytes
        .first_chunk()
        .ok_or(SegmentError::TruncatedTransport)?;
    let length = usize::from(fixed[12] >> 4) * 4;
    if length < TCP_LEN || length > bytes.len() {
        return Err(SegmentError::TruncatedTransport);
    }
    let flags = field::read(fixed, 12);
    let varying = [
        field::read(fixed, 4),
        field::read(fixed, 6),
        flags,
        field::read(fixed, 16),
    ];
    let sequence = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let sum = sum_without(&bytes[..length], varying);
    Ok((Transport::Tcp { sequence, flags }, length, sum))
}

fn read_udp(bytes: &[u8]) -> Result<(Transport, usize, u64), SegmentError> {
    let fixed: &[u8; UDP_LEN] = bytes
        .first_chunk()
        .ok_or(SegmentError::TruncatedTransport)?;
    let sum = sum_without(fixed, [field::read(fixed, 4), field::read(fixed, 6)]);
    Ok((Transport::Udp, UDP_LEN, sum))
}

/// The partial sum of `header` with the fields of these values taken out (RFC 1624: subtracting is
/// adding the complement).
fn sum_without<const N: usize>(header: &[u8], fields: [u16; N]) -> u64 {
    fields
        .iter()
        .fold(sum(header), |sum, field| sum + u64::from(!field))
}
