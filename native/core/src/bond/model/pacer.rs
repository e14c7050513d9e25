//! When the next packet may leave: a debt in bytes, paid off at the rate.

use std::time::Duration;

use crate::time::Instant;

/// What may be caught up after a late wake-up or an idle moment.
const CREDIT: f64 = 0.002;
/// A debt beyond this is forgiven: the rate has risen since, or the path restarted.
const DEBT_MAX: f64 = 1.0;

/// The debt.
#[derive(Debug)]
pub(super) struct Pacer {
    debt: f64,
    at: Instant,
}

impl Pacer {
    pub fn new(now: Instant) -> Self {
        Self { debt: 0.0, at: now }
    }

    /// Seconds until the debt is paid; negative while there is credit.
    pub fn wait(&self, now: Instant, rate: f64) -> f64 {
        let wait = self.debt / rate - (now - self.at).as_secs_f64();
        wait.clamp(-CREDIT, DEBT_MAX)
    }

    pub fn charge(&mut self, now: Instant, bytes: usize, rate: f64) {
        self.debt = self.wait(now, rate) * rate + bytes as f64;
        self.at = now;
    }

    pub fn ready_at(&self, now: Instant, rate: f64) -> Instant {
        now + Duration::from_secs_f64(self.wait(now, rate).max(0.0))
    }
}
