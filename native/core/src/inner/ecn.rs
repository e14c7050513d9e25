//! Marking an inner packet with Congestion Experienced instead of dropping it (RFC 3168).

use super::checksum::{complete, sum};
use super::field;
use super::ip::IPV4_LEN;

/// The ECN field, as the low two bits of the traffic class.
const FIELD: u8 = 0b11;
const NOT_ECT: u8 = 0b00;

/// Whether the flow of `packet` understands marks. False for what is no IP packet.
pub fn is_capable(packet: &[u8]) -> bool {
    let class = match packet {
        [first, second, ..] if first >> 4 == 4 => *second,
        // RFC 8200, section 3: version 4 bits, traffic class 8, flow label 20.
        [first, second, ..] if first >> 4 == 6 => second >> 4,
        _ => NOT_ECT,
    };
    class & FIELD != NOT_ECT
}

/// Marks `packet` and says so, or leaves it alone: its flow does not understand marks, or it is
/// no IP packet.
pub fn mark(packet: &mut [u8]) -> bool {
    if !is_capable(packet) {
        return false;
    }
    if packet[0] >> 4 == 6 {
        packet[1] |= FIELD << 4;
        return true;
    }
    let len = usize::from(packet[0] & 0xf) * 4;
    let Some(header) = packet.get_mut(..len).filter(|_| len >= IPV4_LEN) else {
        return false;
    };
    header[1] |= FIELD;
    field::write(header, 10, 0);
    let checksum = complete(sum(header));
    field::write(header, 10, checksum);
    true
}
