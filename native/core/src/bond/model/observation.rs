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
    samples: u32,
    limited: u32,
}

impl Round {
    /// The round that is over when `end` has arrived.
    pub fn until(end: u64) -> Self {
        Self {
            end,
            ..Self::default()
        }
    }

    pub fn count(&mut self, seen: &Observation) {
        self.queue_max = self.queue_max.max(seen.queue);
        self.samples = self.samples.saturating_add(1);
        self.limited += u32::from(seen.is_limited());
    }

    /// Whether packets waited for the path most of the while.
    pub fn is_limited(&self) -> bool {
        2 * u64::from(self.limited) > u64::from(self.samples)
    }
}

impl Observation {
    /// Whether packets waited for the path, as far as the sample goes.
    pub fn is_limited(&self) -> bool {
        self.sample.is_some_and(|sample| sample.limited)
    }
}
