//! The rate at which the path delivers, from what arrived between two reports.
//!
//! Bytes acknowledged measure what was sent, not what the path can carry. A sample is therefore one
//! of two kinds (after the delivery rate samples of draft-ietf-ccwg-bbr): where a queue stood all the
//! while, the bottleneck was busy and its rate is known exactly; elsewhere it is a lower bound.

use std::collections::VecDeque;
use std::time::Duration;

use super::sent::Sent;

/// Reports remembered: a window of half a second at one in 2 ms.
const HISTORY: usize = 256;

/// The highest packet of one report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub sent: Sent,
    /// Relative one-way delay, nanoseconds.
    pub delay: i64,
    /// Bytes that had arrived on the path.
    pub bytes: u64,
}

impl Arrival {
    /// When it arrived, on the receiver's clock, nanoseconds.
    fn at(&self) -> i64 {
        (self.sent.at.as_nanos() as i64).saturating_add(self.delay)
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Bytes per second that arrived.
    pub arrived: f64,
    /// Bytes per second that were sent.
    pub sent: f64,
    /// Bytes per second that arrived or were lost on the way.
    pub passed: f64,
    /// Length, seconds.
    pub span: f64,
    /// Seconds since the previous report's arrival.
    pub step: f64,
    /// The least one-way delay in it, nanoseconds.
    pub least_delay: i64,
    /// Packets waited for this path throughout.
    pub limited: bool,
    /// Consecutive reports were no further apart than the queue was long, so that it cannot have
    /// been empty between them.
    pub dense: bool,
}

/// The reports of late, oldest first; arrival times strictly grow.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    history: VecDeque<Arrival>,
}

impl Arrivals {
    /// Notes an arrival and measures from at least `window` before it.
    pub fn sample(&mut self, arrival: Arrival, window: Duration, base: i64) -> Option<Sample> {
        let previous = self.history.back().copied();
        if previous.is_some_and(|last| arrival.at() <= last.at()) {
            return None;
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(arrival);
        let window = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let from = arrival.at().saturating_sub(window);
        let after = self.history.partition_point(|old| old.at() <= from);
        let start = after.checked_sub(1)?;
        self.measure(start, arrival, previous?, base)
    }

    fn measure(
        &self,
        start: usize,
        arrival: Arrival,
        previous: Arrival,
        base: i64,
    ) -> Option<Sample> {
        let first = *self.history.get(start)?;
        let span = seconds(arrival.at().saturating_sub(first.at()));
        let sending = (arrival.sent.at - first.sent.at).as_secs_f64();
        let within = || self.history.iter().skip(start);
        let pairs = within().zip(within().skip(1));
        let dense = pairs.into_iter().all(|(a, b)| {
            (b.sent.at - a.sent.at).as_nanos() as i64 <= a.delay.saturating_sub(base)
        });
        let sent = arrival.sent.total.saturating_sub(first.sent.total) as f64;
        Some(Sample {
            arrived: arrival.bytes.saturating_sub(first.bytes) as f64 / span,
            sent: sent / sending.max(1e-6),
            passed: sent / span,
            span,
            step: seconds(arrival.at().saturating_sub(previous.at())),
            least_delay: within().map(|a| a.delay).min()?,
            limited: arrival.sent.idle == first.sent.idle,
            dense,
        })
    }

    /// The last `count` arrivals, newest first.
    pub fn recent(&self, count: usize) -> impl Iterator<Item = &Arrival> {
        self.history.iter().rev().take(count)
    }

    pub fn clear(&mut self) {
        self.history.clear();
    }
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 * 1e-9
}
