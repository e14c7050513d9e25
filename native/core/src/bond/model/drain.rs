//! Letting the standing queue out, to see the delay without it; and telling a queue from a path that
//! has become longer, which looks the same at first.

use std::time::Duration;

use super::observation::Observation;
use crate::time::Instant;

/// The base delay fell: by more than a clock's drift.
const FALLEN: i64 = 300_000;
/// Queue that is left when a drain is over, seconds.
const EMPTY: f64 = 0.001;
/// No drain is longer.
const SPAN_MAX: f64 = 10.0;

/// What a drain has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The queue is not out yet.
    Going,
    /// It is.
    Drained,
    /// It does not go out: it is no queue, or someone else's.
    Stuck,
    /// It is no queue, and the capacity learnt from it is none.
    NoQueue,
}

/// A drain in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    until: Instant,
    /// Since when the base has not fallen.
    since: Instant,
    base: i64,
    /// The capacity before the queue was there, or at the start.
    pub capacity: f64,
    /// Since when what arrives is what is sent.
    matched_since: Option<Instant>,
    /// The queue had grown too long, rather than stood too long.
    forced: bool,
}

impl Drain {
    pub fn begin(seen: &Observation, capacity: f64, forced: bool) -> Self {
        let span = 3.0 * seen.rtt + 0.1 + 4.0 * seen.queue;
        Self {
            until: seen.now + Duration::from_secs_f64(span.min(SPAN_MAX)),
            since: seen.now,
            base: seen.base,
            capacity,
            matched_since: None,
            forced,
        }
    }

    pub fn look(&mut self, seen: &Observation, target: f64) -> Outcome {
        if seen.base < self.base.saturating_sub(FALLEN) {
            self.base = seen.base;
            self.since = seen.now;
        }
        let empty = if self.forced { target } else { EMPTY };
        let looked = (seen.now - self.since).as_secs_f64() > seen.rtt + 0.02;
        let drained = seen.queue < empty + seen.jitter / 2.0;
        if self.is_no_queue(seen) {
            Outcome::NoQueue
        } else if drained && (looked || self.forced) {
            Outcome::Drained
        } else if seen.now >= self.until {
            Outcome::Stuck
        } else {
            Outcome::Going
        }
    }

    /// A queue that drains lets more out than comes in. When for a while just what is sent arrives,
    /// and that is well below the capacity, then there is none.
    fn is_no_queue(&mut self, seen: &Observation) -> bool {
        let Some(sample) = seen.sample else {
            return false;
        };
        let expected = sample.sent * (1.0 - seen.loss);
        let matched = (sample.arrived / expected - 1.0).abs() < 0.05;
        if !matched || expected > 0.9 * self.capacity {
            self.matched_since = None;
            return false;
        }
        let since = *self.matched_since.get_or_insert(seen.now);
        (seen.now - since).as_secs_f64() > sample.span + 0.01
    }
}
