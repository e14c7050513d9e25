//! What the control law sees at a report, and over a round trip of reports.

use super::rate::Sample;
use crate::time::Instant;

/// What the law sees at a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub now: Instant,
    /// Smoothed round trip.
    pub rtt: f64,
    pub jitter: f64,
    /// Queue now, jitter filtered out.
    pub queue: f64,
    /// Persistent loss.
    pub loss: f64,
    /// The path's base delay, nanoseconds.
    pub base: i64,
    pub sample: Option<Sample>,
    /// Packets passed and arrived since the last report.
    pub passed: u64,
    pub arrived: u64,
    /// The report's highest sequence, and the next one to be sent.
    pub highest: u64,
    pub next: u64,
}

/// One round trip of reports.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// Over when this sequence has arrived.
    pub end: u64,
    /// The most queue in it, seconds.
    pub queue_max: f64,
    /// Not all the while did packets wait for the path.
    pub unlimited: bool,
}

impl Round {
    pub fn count(&mut self, seen: &Observation) {
        self.queue_max = self.queue_max.max(seen.queue);
        self.unlimited |= !seen.is_limited();
    }
}

impl Observation {
    /// Whether packets waited for the path, as far as the sample goes.
    pub fn is_limited(&self) -> bool {
        self.sample.is_some_and(|sample| sample.limited)
    }
}
