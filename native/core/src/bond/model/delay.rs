//! Round trip and relative one-way delay of the path, their minima and their jitter.
//!
//! One-way delays are the receiver's clock minus the sender's: meaningless alone, exact as differences
//! in time and between paths of one peer. What exceeds the windowed minimum is queue.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// A minimum older than this no longer holds: routes change, clocks drift by up to 1 ms in 10 s.
const WINDOW: Duration = Duration::from_secs(10);
/// Granularity of the windowed minimum.
const STEP: Duration = Duration::from_secs(1);

/// Minimum over [`WINDOW`], in steps.
#[derive(Debug, Default)]
pub(super) struct WindowedMin {
    steps: VecDeque<(Instant, i64)>,
}

impl WindowedMin {
    pub fn sample(&mut self, now: Instant, value: i64) {
        while (self.steps.front()).is_some_and(|(began, _)| now - *began > WINDOW) {
            self.steps.pop_front();
        }
        match self.steps.back_mut() {
            Some((began, min)) if now - *began < STEP => *min = value.min(*min),
            _ => self.steps.push_back((now, value)),
        }
    }

    pub fn get(&self) -> Option<i64> {
        self.steps.iter().map(|(_, min)| *min).min()
    }

    /// Forgets what was before and starts from `value`.
    pub fn reset(&mut self, now: Instant, value: i64) {
        self.steps.clear();
        self.steps.push_back((now, value));
    }
}

/// Delays of one path, nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// One-way delay of the last report.
    pub last: Option<i64>,
    base: WindowedMin,
    jitter: f64,
    smoothed_rtt: Option<f64>,
    min_rtt: WindowedMin,
}

impl Delays {
    /// The one-way delay of a packet sent at `sent` that arrived at `arrived` microseconds of the
    /// receiver's clock, which wraps: the value nearest to `near`.
    pub fn one_way(sent: Instant, arrived: u32, near: i64) -> i64 {
        let sent = (sent.as_nanos() / 1000) as u32;
        let near = near / 1000;
        let offset = arrived.wrapping_sub(sent).wrapping_sub(near as u32) as i32;
        near.saturating_add(i64::from(offset)).saturating_mul(1000)
    }

    pub fn sample(&mut self, now: Instant, delay: i64) {
        if let Some(last) = self.last {
            // RFC 3550, section 6.4.1: the mean deviation between consecutive samples.
            self.jitter += (delay.abs_diff(last) as f64 - self.jitter) / 16.0;
        }
        self.last = Some(delay);
        self.base.sample(now, delay);
    }

    /// RFC 6298, section 2: an average of one eighth per sample, as these come several a round trip.
    pub fn sample_rtt(&mut self, now: Instant, rtt: Duration) {
        let nanos = rtt.as_nanos() as f64;
        let smoothed = self.smoothed_rtt.get_or_insert(nanos);
        *smoothed += (nanos - *smoothed) / 8.0;
        self.min_rtt.sample(now, nanos as i64);
    }

    /// The path is longer than it was: `delay` is free of queue.
    pub fn rebase(&mut self, now: Instant, delay: i64) {
        self.base.reset(now, delay);
    }

    pub fn base(&self) -> Option<i64> {
        self.base.get()
    }

    pub fn rtt(&self) -> Option<Duration> {
        self.smoothed_rtt.map(|n| Duration::from_nanos(n as u64))
    }

    pub fn min_rtt(&self) -> Option<Duration> {
        let min = self.min_rtt.get()?;
        Some(Duration::from_nanos(min.unsigned_abs()))
    }

    pub fn jitter(&self) -> Option<Duration> {
        self.last?;
        Some(Duration::from_nanos(self.jitter as u64))
    }
}
