//! What a link may do to a packet it carries: flip a bit, mark congestion, copy it.

/// Something a link carries. A duplicated packet is a clone.
pub trait Packet: Clone {
    /// Flips one bit, chosen by `choice` (uniform over all values).
    fn flip_bit(&mut self, choice: u64);

    /// Marks Congestion Experienced; returns false, unchanged, if the packet is not ECN-capable.
    fn mark_congestion(&mut self) -> bool;
}

/// Opaque bytes, not ECN-capable.
impl Packet for Vec<u8> {
    fn flip_bit(&mut self, choice: u64) {
        flip_bit(self, choice);
    }

    fn mark_congestion(&mut self) -> bool {
        false
    }
}

/// A whole IPv4 or IPv6 packet, ECN-capable if its header says so (RFC 3168).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpPacket(pub Vec<u8>);

impl Packet for IpPacket {
    fn flip_bit(&mut self, choice: u64) {
        flip_bit(&mut self.0, choice);
    }

    fn mark_congestion(&mut self) -> bool {
        match self.0.as_mut_slice() {
            [first, tos, header @ ..] if *first >> 4 == 4 => mark_ipv4(tos, header),
            [first, second, ..] if *first >> 4 == 6 => {
                // The traffic class straddles the first two bytes; its ECN bits are bits 5 and 4 of the second.
                let capable = *second & 0x30 != 0;
                *second |= if capable { 0x30 } else { 0 };
                capable
            }
            _ => false,
        }
    }
}

/// `header` is what follows the TOS byte, so that the checksum is at 8 and 9.
fn mark_ipv4(tos: &mut u8, header: &mut [u8]) -> bool {
    let (Some(&[high, low]), true) = (
        header.get(8..10).and_then(|c| c.first_chunk()),
        *tos & 3 != 0,
    ) else {
        return false;
    };
    let marked = *tos | 3;
    // RFC 1624: HC' = ~(~HC + ~m + m'), in one's complement; the other half of the word is unchanged.
    let sum = u32::from(!u16::from_be_bytes([high, low]))
        + u32::from(!u16::from(*tos))
        + u32::from(marked);
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = ((folded & 0xffff) + (folded >> 16)) as u16;
    if let Some(checksum) = header.get_mut(8..10) {
        checksum.copy_from_slice(&(!folded).to_be_bytes());
    }
    *tos = marked;
    true
}

pub(crate) fn flip_bit(bytes: &mut [u8], choice: u64) {
    let bits = (bytes.len() as u64).saturating_mul(8);
    let Some(bit) = choice.checked_rem(bits) else {
        return;
    };
    if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(header: &[u8]) -> u16 {
        let sum: u32 = header
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        !(((sum & 0xffff) + (sum >> 16)) as u16)
    }

    fn ipv4(tos: u8, id: u16) -> IpPacket {
        let mut header = vec![
            0x45, tos, 0, 20, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        header[4..6].copy_from_slice(&id.to_be_bytes());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        IpPacket(header)
    }

    #[test]
    fn marking_an_ipv4_packet_keeps_its_checksum_valid_for_every_identification() {
        for tos in [0xb9, 0x01, 0x02, 0x03] {
            for id in 0..=u16::MAX {
                let mut packet = ipv4(tos, id);
                assert!(packet.mark_congestion());
                assert_eq!(packet.0[1], tos | 3);
                assert_eq!(checksum(&packet.0), 0, "tos {tos:#x} id {id}");
            }
        }
    }

    #[test]
    fn a_packet_that_is_not_ecn_capable_stays_as_it_is() {
        for mut packet in [
            ipv4(0xb8, 1),
            IpPacket(vec![0x60, 0x0f, 0, 0]),
            IpPacket(vec![0x45]),
        ] {
            let before = packet.clone();
            assert!(!packet.mark_congestion());
            assert_eq!(packet, before);
        }
    }

    #[test]
    fn marking_an_ipv6_packet_touches_only_the_two_ecn_bits() {
        let mut packet = IpPacket(vec![0x6b, 0xaf, 0, 0]);
        assert!(packet.mark_congestion());
        assert_eq!(packet.0, [0x6b, 0xbf, 0, 0]);
    }

    #[test]
    fn flipping_a_bit_changes_exactly_one_and_an_empty_packet_is_left_alone() {
        for choice in [0, 7, 8, 100, u64::MAX] {
            let mut bytes = vec![0u8; 13];
            bytes.flip_bit(choice);
            assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
        let mut empty = Vec::new();
        Packet::flip_bit(&mut empty, 5);
        assert!(empty.is_empty());
    }
}
