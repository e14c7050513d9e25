//! Loss as a sign of too high a rate: a policer, or a buffer too short to show a queue, drops what
//! exceeds the capacity and tells in no other way.
//!
//! Loss is judged by the trial: over so many packets and so long that a burst on a radio link, or
//! packets that are merely out of order, do not decide.

use std::time::Duration;

use super::observation::Observation;
use crate::time::Instant;

/// Packets of a trial.
const PACKETS: u64 = 200;
/// The least time of a trial.
const SPAN: Duration = Duration::from_millis(100);
/// Packets of a trial in startup, at any length: a rate twice too high loses half of them.
const PACKETS_STARTUP: u64 = 50;
/// Persistent loss beyond this is a policer's all the same.
const LOSS_KNOWN: f64 = 0.25;
/// Loss beyond the persistent one that is a sign while the rate is at the capacity.
const EXCESS: f64 = 0.15;

/// Packets lost that contradict a rate that is only presumed: so many, and of all.
const LOST_MIN: u64 = 3;
const LOST_SHARE: f64 = 0.1;

/// Packets since loss was last judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    since: Instant,
    passed: u64,
    arrived: u64,
    /// The most queue among them, seconds: as much as the buffer holds, if it overflowed.
    pub queue_max: f64,
    /// The highest rate of arrival among them.
    pub rate: f64,
}

impl Trial {
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            passed: 0,
            arrived: 0,
            queue_max: 0.0,
            rate: 0.0,
        }
    }

    pub fn count(&mut self, seen: &Observation) {
        self.queue_max = self.queue_max.max(seen.queue);
        self.passed += seen.passed;
        self.arrived += seen.arrived;
        if let Some(sample) = seen.sample {
            self.rate = self.rate.max(sample.arrived);
        }
    }

    /// Whether some packets were lost, beyond those of a lossy radio or merely late.
    pub fn has_lost(&self) -> bool {
        let lost = self.passed.saturating_sub(self.arrived);
        lost > LOST_MIN && lost as f64 > LOST_SHARE * self.passed as f64
    }

    /// Whether enough was seen, at a rate that exceeds the capacity by the share `climb`.
    pub fn is_over(&self, now: Instant, climb: Option<f64>) -> bool {
        let startup = climb == Some(1.0) && self.passed >= PACKETS_STARTUP;
        startup || self.passed >= PACKETS && now - self.since >= SPAN
    }

    /// Whether more was lost than is lost anyway and that excess explains.
    pub fn is_lossy(&self, persistent: f64, climb: Option<f64>) -> bool {
        let lost = 1.0 - self.arrived as f64 / self.passed.max(1) as f64;
        let excess = climb.map_or(EXCESS, |excess| 0.1 + excess / 5.0);
        lost > persistent.min(LOSS_KNOWN) + excess
    }
}
