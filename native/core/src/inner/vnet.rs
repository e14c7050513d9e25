//! The virtio-net header that Linux puts before each packet of a TUN device opened with
//! `IFF_VNET_HDR`: which checksum is still missing and how a super-packet is to be cut.
//!
//! Ten bytes, in the byte order of the machine (`struct virtio_net_hdr`, virtio 1.2 section 5.1.6,
//! legacy interface). Parsing accepts every value; [`super::segment::plan`] judges them.

/// Length of the encoded header, in bytes.
pub const VNET_LEN: usize = 10;

/// `flags`: the checksum field holds only the pseudo-header's sum and must be completed.
pub const NEEDS_CSUM: u8 = 1;
/// `gso_type`: an ordinary packet.
pub const GSO_NONE: u8 = 0;
/// `gso_type`: TCP over IPv4, to be cut into segments.
pub const GSO_TCPV4: u8 = 1;
/// `gso_type`: TCP over IPv6, to be cut into segments.
pub const GSO_TCPV6: u8 = 4;
/// `gso_type`: UDP over either, to be cut into datagrams, each with its own UDP header.
pub const GSO_UDP_L4: u8 = 5;
/// Bit of `gso_type`: the TCP super-packet carries CWR, which belongs to its first segment alone.
pub const GSO_ECN: u8 = 0x80;

/// The header's fields. The default, all zero, announces a complete, ordinary packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VnetHeader {
    /// Only [`NEEDS_CSUM`] matters here.
    pub flags: u8,
    /// One of the `GSO_` values, raw, with or without [`GSO_ECN`].
    pub gso_type: u8,
    /// Length of all headers; a hint which forwarded packets get wrong, so nothing reads it.
    pub hdr_len: u16,
    /// Payload bytes of each segment but the last.
    pub gso_size: u16,
    /// Where the checksummed bytes begin, from the start of the IP packet.
    pub csum_start: u16,
    /// Where the checksum is stored, from `csum_start`.
    pub csum_offset: u16,
}

impl VnetHeader {
    /// Reads the ten bytes before a packet.
    pub fn parse(bytes: &[u8; VNET_LEN]) -> Self {
        let [flags, gso_type, fields @ ..] = *bytes;
        let [h0, h1, g0, g1, s0, s1, o0, o1] = fields;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            csum_start: u16::from_ne_bytes([s0, s1]),
            csum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// The ten bytes to write before a packet.
    pub fn encode(&self) -> [u8; VNET_LEN] {
        let [h0, h1] = self.hdr_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}
