//! The wire: what happens to a packet between leaving the queue and arriving.
//!
//! A packet never arrives before the propagation delay is over, and packets arrive in the order of departure
//! unless unordered jitter or reordering is configured.

use crate::config::LinkConfig;
use crate::packet::Packet;
use crate::random::Random;
use crate::setting::{Jitter, Loss, nanos};
use crate::stats::{DropReason, Stats};
use std::collections::BTreeMap;

/// Packets in propagation, and the random streams of the impairments.
#[derive(Debug, Clone)]
pub(crate) struct Wire<P> {
    /// By time of arrival, then by departure.
    propagating: BTreeMap<(u64, u64), (P, usize)>,
    departures: u64,
    last_arrival: u64,
    loss_is_bad: bool,
    loss: Random,
    jitter: Random,
    reorder: Random,
    corrupt: Random,
    duplicate: Random,
}

impl<P: Packet> Wire<P> {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            propagating: BTreeMap::new(),
            departures: 0,
            last_arrival: 0,
            loss_is_bad: false,
            loss: Random::new(seed, 1),
            jitter: Random::new(seed, 2),
            reorder: Random::new(seed, 3),
            corrupt: Random::new(seed, 4),
            duplicate: Random::new(seed, 5),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.propagating.len()
    }

    /// When the next packet arrives.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.propagating.keys().next().map(|(at, _)| *at)
    }

    /// A packet that has arrived by `now`.
    pub(crate) fn arrive(&mut self, now: u64) -> Option<(P, usize)> {
        let first = self.propagating.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Takes a packet that leaves the queue at `now`.
    pub(crate) fn carry(
        &mut self,
        now: u64,
        mut packet: P,
        len: usize,
        config: &LinkConfig,
        stats: &mut Stats,
    ) {
        let lost = self.is_lost(config.loss);
        if config.black_hole {
            return stats.count_drop(DropReason::BlackHole);
        }
        if lost {
            return stats.count_drop(DropReason::Loss);
        }
        if self.corrupt.chance(config.corrupt) {
            packet.flip_bit(self.corrupt.next());
            stats.corrupted += 1;
        }
        let arrival = self.arrival(now, config, stats);
        if self.duplicate.chance(config.duplicate) {
            stats.duplicated += 1;
            self.put(arrival, packet.clone(), len);
        }
        self.put(arrival, packet, len);
    }

    fn put(&mut self, arrival: u64, packet: P, len: usize) {
        self.propagating
            .insert((arrival, self.departures), (packet, len));
        self.departures += 1;
    }

    fn is_lost(&mut self, loss: Loss) -> bool {
        let probability = match loss {
            Loss::Independent(probability) => probability,
            Loss::Gilbert {
                enter_bad,
                leave_bad,
                loss_bad,
                loss_good,
            } => {
                let change = if self.loss_is_bad {
                    leave_bad
                } else {
                    enter_bad
                };
                self.loss_is_bad ^= self.loss.chance(change);
                if self.loss_is_bad {
                    loss_bad
                } else {
                    loss_good
                }
            }
        };
        self.loss.chance(probability)
    }

    fn arrival(&mut self, now: u64, config: &LinkConfig, stats: &mut Stats) -> u64 {
        let base = now.saturating_add(nanos(config.delay));
        let arrival = match config.jitter {
            Jitter::Ordered(max) => {
                let drawn = base.saturating_add(self.jitter.up_to(nanos(max)));
                self.last_arrival = self.last_arrival.max(drawn);
                self.last_arrival
            }
            Jitter::Unordered(max) => base.saturating_add(self.jitter.up_to(nanos(max))),
        };
        if !self.reorder.chance(config.reorder.probability) {
            return arrival;
        }
        stats.reordered += 1;
        arrival.saturating_add(nanos(config.reorder.by))
    }
}
