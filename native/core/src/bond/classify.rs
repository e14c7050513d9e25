//! Which packets are of the latency class: those of flows that send little.
//!
//! Such a flow (a request, an answer, a name look-up, an acknowledgement, a voice) gains everything
//! from the fastest path and from not being held, and costs the bond almost nothing. A flow that has
//! spent its allowance is bulk, and stays so until it pauses, so that its packets keep one order.

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
pub(crate) struct Classifier(Box<[Flow]>);

impl Default for Classifier {
    fn default() -> Self {
        let fresh = Flow {
            credit: ALLOWANCE,
            seen: Instant::default(),
            bulk: false,
        };
        Self(vec![fresh; SLOTS].into_boxed_slice())
    }
}

impl Classifier {
    /// Whether this inner packet, of which `bytes` will be sent, is of the latency class.
    pub(crate) fn is_sparse(&mut self, packet: &[u8], bytes: usize, now: Instant) -> bool {
        let slot = flow_hash(packet) as usize % SLOTS;
        let Some(flow) = self.0.get_mut(slot) else {
            return false;
        };
        let silence = now - flow.seen;
        flow.seen = now;
        flow.credit = (flow.credit + silence.as_secs_f64() * EARNED).min(ALLOWANCE);
        if silence >= PAUSE {
            flow.bulk = false;
        }
        if flow.bulk {
            return false;
        }
        flow.credit -= bytes as f64;
        flow.bulk = flow.credit < 0.0;
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
