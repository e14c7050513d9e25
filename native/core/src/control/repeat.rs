//! Repeating what was not answered: at doubling intervals, up to a longest one.

use std::time::Duration;

use crate::time::Instant;

/// The first repetition.
const FIRST: Duration = Duration::from_millis(250);
/// Nothing is repeated less often than this.
const LONGEST: Duration = Duration::from_secs(5);

/// When something is due, again and again until it is answered; at rest by default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Repeat {
    at: Option<Instant>,
    interval: Duration,
}

impl Repeat {
    /// Due at once, and then repeated.
    pub(super) fn starting(now: Instant) -> Self {
        Self {
            at: Some(now),
            interval: FIRST,
        }
    }

    /// When it is due.
    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Whether it is due; if so, it will be again.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            self.at = Some(now + self.interval);
            self.interval = (self.interval * 2).min(LONGEST);
        }
        due
    }
}
