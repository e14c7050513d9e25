//! Which packets are of the latency class: those of flows that send little.
//!
//! Such a flow (a request, an answer, a name look-up, an acknowledgement, a voice) gains everything
//! from the fastest path and from not being held, and costs the bond almost nothing. A flow that has
//! spent its allowance is bulk, and stays so until it pauses, so that its packets keep one order.
//! One that begins with a full packet while nothing else is bulk has nothing to overtake: it is bulk
//! from that packet on, so that a loss among its first ones is repaired and not seen.

use std::time::Duration;

use crate::inner::ip;
use crate::time::Instant;

/// Flows told apart; two in one slot share an allowance, which only makes them bulk sooner.
const SLOTS: usize = 1024;
/// Bytes that a flow may send at once: a request or an answer of a few packets.
const ALLOWANCE: f64 = 12_000.0;
/// Bytes a second that it earns: 100 requests of a kilobyte each, or two voices.
const EARNED: f64 = 120_000.0;
/// A bulk flow that was silent for this long begins anew: longer than any round trip in use.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
struct Flow {
    credit: f64,
    seen: Instant,
    bulk: bool,
}

/// The allowances of all flows to one peer.
pub(crate) struct Classifier {
    flows: Box<[Flow]>,
    /// When a packet last was bulk.
    bulk_at: Option<Instant>,
}

/// Whether a packet of `len` bytes is about as long as they may be: the sender has more than it holds.
pub(crate) fn is_full(len: usize, inner_mtu: usize) -> bool {
    len >= inner_mtu - inner_mtu / 16
}

impl Default for Classifier {
    fn default() -> Self {
        let fresh = Flow {
            credit: ALLOWANCE,
            seen: Instant::default(),
            bulk: false,
        };
        Self {
            flows: vec![fresh; SLOTS].into_boxed_slice(),
            bulk_at: None,
        }
    }
}

impl Classifier {
    /// Whether this inner packet, which may be `full`, is of the latency class.
    pub(crate) fn is_sparse(&mut self, packet: &[u8], full: bool, now: Instant) -> bool {
        let alone = self.bulk_at.is_none_or(|at| now - at >= PAUSE);
        let slot = flow_hash(packet) as usize % SLOTS;
        let Some(flow) = self.flows.get_mut(slot) else {
            return false;
        };
        let silence = now - flow.seen;
        flow.seen = now;
        flow.credit = (flow.credit + silence.as_secs_f64() * EARNED).min(ALLOWANCE);
        if silence >= PAUSE {
            flow.bulk = false;
        }
        if !flow.bulk {
            flow.credit -= packet.len() as f64;
            flow.bulk = flow.credit < 0.0 || full && alone;
        }
        if flow.bulk {
            self.bulk_at = Some(now);
        }
        !flow.bulk
    }
}

/// A hash of addresses, protocol and ports (FNV-1a) of a packet or its first 64 bytes; without
/// ports where some packets of a flow may not have them: fragments, and behind extension headers.
/// Whoever chooses flows that collide only harms itself: they come from this machine.
pub(crate) fn flow_hash(packet: &[u8]) -> u64 {
    let Some(first) = packet.first() else {
        return 0;
    };
    let (addresses, protocol, ports) = match first >> 4 {
        4 => (12..20, 9, 4 * usize::from(first & 15)),
        6 => (8..40, 6, 40),
        _ => return 0,
    };
    let protocol = packet.get(protocol).copied().unwrap_or_default();
    // More fragments, or an offset (RFC 791, section 3.1).
    let fragment = packet.get(6..8).and_then(<[u8]>::first_chunk);
    let fragment = fragment.is_some_and(|at| u16::from_be_bytes(*at) & 0x3fff != 0);
    let ports = match protocol {
        ip::TCP | ip::UDP if first >> 4 == 6 || !fragment => packet.get(ports..ports + 4),
        _ => None,
    };
    let addresses = packet.get(addresses).unwrap_or_default();
    let bytes = addresses.iter().chain(ports.unwrap_or_default());
    bytes
        .chain([&protocol])
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// UDP over IPv4, of this length, from this port.
    fn packet(len: usize, port: u8) -> Vec<u8> {
        let mut packet = vec![0; len];
        (packet[0], packet[9], packet[21]) = (0x45, ip::UDP, port);
        packet
    }

    #[test]
    fn a_flow_that_begins_with_a_full_packet_and_has_nothing_to_overtake_is_bulk() {
        let mut classifier = Classifier::default();
        assert!(classifier.is_sparse(&packet(100, 1), false, at(1)));
        assert!(!classifier.is_sparse(&packet(1400, 1), true, at(2)));
        assert!(!classifier.is_sparse(&packet(100, 1), false, at(3)));
    }

    #[test]
    fn beside_bulk_a_flow_begins_in_the_latency_class_and_leaves_it_with_its_allowance() {
        let mut classifier = Classifier::default();
        classifier.is_sparse(&packet(1400, 1), true, at(1));
        let sparse = (0..20).filter(|_| classifier.is_sparse(&packet(1400, 2), true, at(2)));
        assert_eq!(sparse.count(), 8);
    }
}
