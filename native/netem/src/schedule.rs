//! How a link varies over time: a list of changes, played once or for ever.
//!
//! Times count from zero of the caller's clock. Equal times keep the order in which they were written.

use crate::setting::{Change, nanos};
use std::time::Duration;

/// Changes and when they happen.
///
/// ```
/// use std::time::Duration;
/// use whalescale_netem::{Change, Schedule};
///
/// // Dead from second 5 to second 8 of every 20.
/// let outages = Schedule::default()
///     .at(Duration::from_secs(5), Change::BlackHole(true))
///     .at(Duration::from_secs(8), Change::BlackHole(false))
///     .every(Duration::from_secs(20));
/// # assert_eq!(outages.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    steps: Vec<(Duration, Change)>,
    period: Option<Duration>,
}

impl Schedule {
    /// Adds a change at `time`.
    #[must_use]
    pub fn at(mut self, time: Duration, change: Change) -> Self {
        let place = self.steps.partition_point(|(at, _)| *at <= time);
        self.steps.insert(place, (time, change));
        self
    }

    /// Repeats the whole list every `period`. Changes at or after the period are never reached; a
    /// period of zero means played once.
    #[must_use]
    pub fn every(mut self, period: Duration) -> Self {
        self.period = (!period.is_zero()).then_some(period);
        self
    }

    /// A trace of rates in bits per second, one per `interval`, repeated for ever.
    pub fn rates(interval: Duration, rates: &[u64]) -> Self {
        let mut schedule = Self::default();
        let mut time = Duration::ZERO;
        for &rate in rates {
            schedule = schedule.at(time, Change::Rate(Some(rate)));
            time = time.saturating_add(interval);
        }
        schedule.every(time)
    }

    /// Number of changes in the list.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True when nothing ever changes.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// A schedule being played.
#[derive(Debug, Clone)]
pub(crate) struct Player {
    steps: Vec<(u64, Change)>,
    period: Option<u64>,
    next: usize,
    round_start: u64,
}

impl Player {
    pub(crate) fn new(schedule: &Schedule) -> Self {
        let period = schedule.period.map(nanos);
        let steps = schedule
            .steps
            .iter()
            .map(|(at, change)| (nanos(*at), *change));
        let reached = steps.filter(|(at, _)| period.is_none_or(|period| *at < period));
        Self {
            steps: reached.collect(),
            period,
            next: 0,
            round_start: 0,
        }
    }

    /// When the next change happens; `None` when there is none left.
    pub(crate) fn next_at(&self) -> Option<u64> {
        let (at, _) = self.steps.get(self.next)?;
        self.round_start.checked_add(*at)
    }

    /// Takes the next change.
    pub(crate) fn take(&mut self) -> Option<Change> {
        let (_, change) = *self.steps.get(self.next)?;
        self.next += 1;
        if let (Some(period), true) = (self.period, self.next == self.steps.len()) {
            self.next = 0;
            self.round_start = self.round_start.saturating_add(period);
        }
        Some(change)
    }
}
