//! How many messages each peer may send: a token bucket of its own, so that one that floods takes
//! neither the queue to control nor JavaScript's time from the others.
//!
//! Invariant: in any span of t seconds a peer has at most burst + rate * t messages taken. The bucket
//! belongs to the peer, not to a key: a new handshake fills nothing up.

use std::time::Duration;

use crate::constants::limits;
use crate::handoff::PeerIndex;
use crate::time::Instant;

/// What one message costs.
const COST: Duration = Duration::from_micros(1_000_000 / limits::MESSAGES_PER_SECOND as u64);
/// How far ahead of time a peer may be.
const AHEAD: Duration = COST.saturating_mul(limits::MESSAGE_BURST - 1);

/// Until when each peer's messages are accounted for, by its place.
#[derive(Default)]
pub(super) struct MessageRates(Vec<Instant>);

impl MessageRates {
    /// Whether one more message of the peer may be taken now; if so, it is counted.
    pub(super) fn allow(&mut self, peer: PeerIndex, now: Instant) -> bool {
        let place = usize::from(peer.0);
        if self.0.len() <= place {
            self.0.resize(place + 1, Instant::default());
        }
        let Some(accounted) = self.0.get_mut(place) else {
            return false;
        };
        let from = now.max(*accounted);
        let allowed = from - now <= AHEAD;
        if allowed {
            *accounted = from + COST;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerIndex = PeerIndex(3);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos((1_000_000 + millis) * 1_000_000)
    }

    fn taken(rates: &mut MessageRates, peer: PeerIndex, tries: u32, now: Instant) -> u32 {
        (0..tries).map(|_| u32::from(rates.allow(peer, now))).sum()
    }

    #[test]
    fn a_burst_is_taken_and_no_more() {
        let mut rates = MessageRates::default();
        let burst = limits::MESSAGE_BURST;
        assert_eq!(taken(&mut rates, PEER, 2 * burst, at(0)), burst);
    }

    #[test]
    fn a_flood_leaves_its_peer_the_rate_and_the_others_all_of_theirs() {
        let mut rates = MessageRates::default();
        taken(&mut rates, PEER, 1000, at(0));
        let later: u32 = (1..=10_000)
            .map(|millis| taken(&mut rates, PEER, 3, at(millis)))
            .sum();
        assert!((639..=641).contains(&later), "{later} in ten seconds");
        let other = PeerIndex(4);
        assert!(rates.allow(other, at(10_000)));
    }

    #[test]
    fn silence_fills_the_bucket_up_to_the_burst() {
        let mut rates = MessageRates::default();
        let burst = limits::MESSAGE_BURST;
        taken(&mut rates, PEER, burst, at(0));
        assert_eq!(taken(&mut rates, PEER, 1000, at(1_000_000)), burst);
    }
}
