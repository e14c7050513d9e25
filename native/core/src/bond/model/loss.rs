//! Loss over the last seconds, and the part of it that is there whatever the rate.
//!
//! A packet counts as lost while the highest sequence has passed it and it has not arrived; one that
//! arrives late is taken back, since both counters are cumulative.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// Length of one period of counting.
const PERIOD: Duration = Duration::from_millis(500);
/// Periods kept: the last two seconds and the present one.
const PERIODS: usize = 5;
/// Packets without which a period says nothing.
const ENOUGH: u64 = 20;

#[derive(Clone, Copy, Debug)]
struct Period {
    began: Instant,
    passed: u64,
    arrived: u64,
}

impl Period {
    fn loss(&self) -> f64 {
        let lost = self.passed.saturating_sub(self.arrived);
        lost as f64 / self.passed.max(1) as f64
    }
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Loss {
    periods: VecDeque<Period>,
}

impl Loss {
    pub fn sample(&mut self, now: Instant, passed: u64, arrived: u64) {
        match self.periods.back_mut() {
            Some(period) if now - period.began < PERIOD || period.passed < ENOUGH => {
                period.passed = period.passed.saturating_add(passed);
                period.arrived = period.arrived.saturating_add(arrived);
            }
            _ => {
                self.periods.push_back(Period {
                    began: now,
                    passed,
                    arrived,
                });
                if self.periods.len() > PERIODS {
                    self.periods.pop_front();
                }
            }
        }
    }

    /// So many of those that arrived had been lost before.
    pub fn repaired(&mut self, packets: u64) {
        if let Some(period) = self.periods.back_mut() {
            period.arrived = period.arrived.saturating_sub(packets);
        }
    }

    /// Loss of the last seconds, 0 to 1.
    pub fn recent(&self) -> Option<f64> {
        let passed: u64 = self.periods.iter().map(|p| p.passed).sum();
        let lost: f64 = (self.periods.iter())
            .map(|p| p.loss() * p.passed as f64)
            .sum();
        (passed >= ENOUGH).then(|| (lost / passed as f64).min(1.0))
    }

    /// Loss that no period was free of: a radio's, not that of a queue that overflowed once.
    pub fn persistent(&self) -> f64 {
        let complete = self.periods.len().saturating_sub(1);
        let complete = self.periods.iter().take(complete);
        complete.map(Period::loss).reduce(f64::min).unwrap_or(0.0)
    }
}
