//! Packets for the tests of the inner module, and the naive twins of its fast routines: everything
//! here works a byte at a time and recomputes all sums from scratch.

use proptest::prelude::*;
use whalescale_core::inner::segment::plan;
use whalescale_core::inner::vnet::{GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;
pub const ECE: u8 = 0x40;
pub const CWR: u8 = 0x80;

/// The one's complement sum of the big-endian words of `bytes`, not complemented.
pub fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for (at, byte) in bytes.iter().enumerate() {
        sum += if at % 2 == 0 {
            u32::from(*byte) << 8
        } else {
            u32::from(*byte)
        };
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

pub fn naive_checksum(bytes: &[u8]) -> u16 {
    match !naive_sum(bytes) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// One direction of a flow; its fields are those of its next packet.
#[derive(Clone, Debug)]
pub struct Flow {
    pub v6: bool,
    pub udp: bool,
    pub tos: u8,
    pub flow_label: u32,
    pub hop_limit: u8,
    pub dont_fragment: bool,
    pub id: u16,
    pub addresses: [u8; 32],
    pub ports: [u8; 4],
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: u8,
    pub window: u16,
    pub options: Vec<u8>,
}

impl Flow {
    pub fn tcp4() -> Self {
        Self {
            v6: false,
            udp: false,
            tos: 0,
            flow_label: 0,
            hop_limit: 64,
            dont_fragment: true,
            id: 0xfffe,
            addresses: core::array::from_fn(|at| at as u8 + 10),
            ports: [0x1f, 0x90, 0x00, 0x50],
            sequence: 0xffff_ff00,
            acknowledgement: 77,
            flags: ACK,
            window: 512,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        }
    }

    pub fn tcp6() -> Self {
        Self {
            v6: true,
            ..Self::tcp4()
        }
    }

    pub fn udp4() -> Self {
        Self {
            udp: true,
            ..Self::tcp4()
        }
    }

    pub fn udp6() -> Self {
        Self {
            udp: true,
            ..Self::tcp6()
        }
    }

    pub fn ip_len(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    pub fn header_len(&self) -> usize {
        self.ip_len() + if self.udp { 8 } else { 20 + self.options.len() }
    }

    fn transport_checksum_at(&self) -> usize {
        self.ip_len() + if self.udp { 6 } else { 16 }
    }

    /// The packet with this payload, its transport checksum still zero.
    fn bare(&self, payload: &[u8]) -> Vec<u8> {
        let total = self.header_len() + payload.len();
        let transport_len = (total - self.ip_len()) as u16;
        let protocol = if self.udp { 17 } else { 6 };
        let mut bytes = Vec::with_capacity(total);
        if self.v6 {
            let word = 6 << 28 | u32::from(self.tos) << 20 | self.flow_label;
            bytes.extend(word.to_be_bytes());
            bytes.extend(transport_len.to_be_bytes());
            bytes.extend([protocol, self.hop_limit]);
            bytes.extend(self.addresses);
        } else {
            bytes.extend([0x45, self.tos]);
            bytes.extend((total as u16).to_be_bytes());
            bytes.extend(self.id.to_be_bytes());
            bytes.extend([if self.dont_fragment { 0x40 } else { 0 }, 0]);
            bytes.extend([self.hop_limit, protocol, 0, 0]);
            bytes.extend(&self.addresses[..8]);
            let checksum = naive_checksum(&bytes);
            bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        bytes.extend(self.ports);
        if self.udp {
            bytes.extend(transport_len.to_be_bytes());
            bytes.extend([0, 0]);
        } else {
            bytes.extend(self.sequence.to_be_bytes());
            bytes.extend(self.acknowledgement.to_be_bytes());
            bytes.extend([((20 + self.options.len()) / 4 * 16) as u8, self.flags]);
            bytes.extend(self.window.to_be_bytes());
            bytes.extend([0, 0, 0, 0]);
            bytes.extend(&self.options);
        }
        bytes.extend(payload);
        bytes
    }

    /// A complete packet with all checksums.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = self.bare(payload);
        fix_transport_checksum(&mut packet, self.ip_len());
        packet
    }

    /// A complete packet, after which the flow stands at the next one.
    pub fn send(&mut self, payload: &[u8]) -> Vec<u8> {
        let packet = self.packet(payload);
        self.sequence = self.sequence.wrapping_add(payload.len() as u32);
        self.id = self.id.wrapping_add(1);
        packet
    }

    /// A super-packet as the TUN device hands it over.
    pub fn super_packet(&self, payload: &[u8], gso_size: u16) -> (VnetHeader, Vec<u8>) {
        let mut packet = self.bare(payload);
        let sum = naive_sum(&pseudo_header(&packet, self.ip_len()));
        let at = self.transport_checksum_at();
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let vnet = VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: match (self.udp, self.v6) {
                (true, _) => GSO_UDP_L4,
                (false, true) => GSO_TCPV6,
                (false, false) => GSO_TCPV4,
            },
            hdr_len: self.header_len() as u16,
            gso_size,
            csum_start: self.ip_len() as u16,
            csum_offset: (at - self.ip_len()) as u16,
        };
        (vnet, packet)
    }
}

fn pseudo_header(packet: &[u8], ip_len: usize) -> Vec<u8> {
    let v6 = packet[0] >> 4 == 6;
    let (addresses, protocol) = if v6 {
        (&packet[8..40], packet[6])
    } else {
        (&packet[12..20], packet[9])
    };
    let mut bytes = addresses.to_vec();
    bytes.extend((packet.len() as u32 - ip_len as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// Recomputes the checksum of TCP or UDP.
pub fn fix_transport_checksum(packet: &mut [u8], ip_len: usize) {
    let udp = packet[if packet[0] >> 4 == 6 { 6 } else { 9 }] == 17;
    let at = ip_len + if udp { 6 } else { 16 };
    packet[at..at + 2].fill(0);
    let mut summed = pseudo_header(packet, ip_len);
    summed.extend(&packet[ip_len..]);
    let checksum = naive_checksum(&summed);
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Recomputes the checksum of an IPv4 header.
pub fn fix_ip_checksum(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let checksum = naive_checksum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The naive twin of `plan` and `Segmenter::write`, for a well-formed super-packet without IP
/// options or extension headers.
pub fn naive_segments(packet: &[u8], gso_size: usize) -> Vec<Vec<u8>> {
    let v6 = packet[0] >> 4 == 6;
    let ip_len = if v6 { 40 } else { 20 };
    let udp = packet[if v6 { 6 } else { 9 }] == 17;
    let header_len = ip_len
        + if udp {
            8
        } else {
            usize::from(packet[ip_len + 12] >> 4) * 4
        };
    let (headers, payload) = packet.split_at(header_len);
    let chunks: Vec<&[u8]> = payload.chunks(gso_size).collect();
    let last = chunks.len() - 1;
    let mut sequence = u32::from_be_bytes(packet[ip_len + 4..ip_len + 8].try_into().unwrap());
    let mut id = u16::from_be_bytes([packet[4], packet[5]]);
    let mut segments = Vec::new();
    for (n, chunk) in chunks.into_iter().enumerate() {
        let mut segment = [headers, chunk].concat();
        let total = segment.len();
        let transport_len = ((total - ip_len) as u16).to_be_bytes();
        if v6 {
            segment[4..6].copy_from_slice(&transport_len);
        } else {
            segment[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            segment[4..6].copy_from_slice(&id.to_be_bytes());
            fix_ip_checksum(&mut segment);
        }
        if udp {
            segment[ip_len + 4..ip_len + 6].copy_from_slice(&transport_len);
        } else {
            segment[ip_len + 4..ip_len + 8].copy_from_slice(&sequence.to_be_bytes());
            if n != 0 {
                segment[ip_len + 13] &= !CWR;
            }
            if n != last {
                segment[ip_len + 13] &= !(FIN | PSH);
            }
        }
        fix_transport_checksum(&mut segment, ip_len);
        segments.push(segment);
        sequence = sequence.wrapping_add(chunk.len() as u32);
        id = id.wrapping_add(1);
    }
    segments
}

/// All packets that the segmenter makes of one from the TUN device.
pub fn segments(vnet: &VnetHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let segmenter = plan(vnet, packet).unwrap();
    let count = segmenter.count();
    let length = |n| {
        if n + 1 == count {
            segmenter.last_len()
        } else {
            segmenter.segment_len()
        }
    };
    (0..count)
        .map(|n| {
            let mut out = vec![0xa5; length(n)];
            segmenter.write(packet, n, &mut out);
            out
        })
        .collect()
}

/// A flow of either version and protocol, with random fields and options.
pub fn any_flow() -> impl Strategy<Value = Flow> {
    let kind = (any::<bool>(), any::<bool>(), any::<bool>());
    let ip = (
        any::<u8>(),
        0u32..1 << 20,
        any::<u8>(),
        any::<u16>(),
        any::<[u8; 32]>(),
    );
    let tcp = (any::<[u8; 4]>(), any::<u32>(), any::<u32>(), any::<u16>());
    let options =
        (0usize..=10).prop_flat_map(|words| prop::collection::vec(any::<u8>(), words * 4));
    (kind, ip, tcp, any::<bool>(), options).prop_map(|(kind, ip, tcp, push, options)| Flow {
        v6: kind.0,
        udp: kind.1,
        tos: ip.0,
        flow_label: ip.1,
        hop_limit: ip.2,
        dont_fragment: kind.2,
        id: ip.3,
        addresses: ip.4,
        ports: tcp.0,
        sequence: tcp.1,
        acknowledgement: tcp.2,
        flags: if push { ACK | PSH } else { ACK },
        window: tcp.3,
        options,
    })
}

/// `length` bytes that differ from place to place.
pub fn payload(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 7 + at / 251) as u8 ^ seed)
        .collect()
}
