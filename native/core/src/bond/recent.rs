//! The largest of the recent durations.
//!
//! Two epochs: the maximum of the present one and that of the one before. A value therefore counts
//! for one to two epochs; nothing is stored per sample.

use std::time::Duration;

use crate::time::Instant;

/// The maximum of what was seen in the last one to two epochs.
pub(crate) struct RecentMax {
    epoch: Duration,
    started: Instant,
    present: Duration,
    before: Duration,
}

impl RecentMax {
    /// Nothing seen.
    pub(crate) const fn new(epoch: Duration) -> Self {
        Self {
            epoch,
            started: Instant::from_nanos(0),
            present: Duration::ZERO,
            before: Duration::ZERO,
        }
    }

    /// Adds a sample.
    pub(crate) fn add(&mut self, now: Instant, sample: Duration) {
        self.tick(now);
        self.present = self.present.max(sample);
    }

    /// Lets old samples go.
    pub(crate) fn tick(&mut self, now: Instant) {
        let age = now - self.started;
        if age >= self.epoch {
            self.before = if age >= 2 * self.epoch {
                Duration::ZERO
            } else {
                self.present
            };
            self.present = Duration::ZERO;
            self.started = now;
        }
    }

    /// The maximum; zero if there is none.
    pub(crate) fn get(&self) -> Duration {
        self.present.max(self.before)
    }
}
