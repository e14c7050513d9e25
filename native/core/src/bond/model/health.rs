//! Whether the path still carries anything, judged by what is outstanding on it.
//!
//! The clock of silence runs only while packets are in flight: an idle path is not suspected. It
//! starts with the first of them and again with each report of progress. A failed path returns after
//! [`PROOFS`] signs of life over a while that doubles with each failure, so that a flapping one does
//! not keep taking traffic with it.

use std::time::Duration;

use crate::time::Instant;

/// Health of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Carries what it is given, as far as is known.
    Healthy,
    /// Silent for longer than a round trip explains: repeat elsewhere what is outstanding.
    Suspect,
    /// Silent for so long that it gets nothing but probes.
    Failed,
}

/// A path that progressed so lately is not suspected: three intervals of feedback under load.
const PROGRESS: Duration = Duration::from_millis(30);
/// Signs of life before a failed path is used again.
const PROOFS: u32 = 3;
/// The while over which they must come, after the first failure.
const TRIAL: Duration = Duration::from_millis(100);
/// Failures after which the while grows no more: 3.2 s.
const DOUBLINGS: u32 = 5;
/// A path healthy for this long starts over with the shortest trial.
const FORGIVEN: Duration = Duration::from_secs(20);

/// Silence that is explained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// When the oldest packet left of which nothing is known.
    pub oldest: Option<Instant>,
    /// How long it may take until a report passes a packet.
    pub answer: Duration,
    /// Time without progress until the path has failed.
    pub failed: Duration,
}

/// A failed path that shows signs of life.
#[derive(Clone, Copy, Debug)]
struct Trial {
    since: Instant,
    proofs: u32,
}

/// The state.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// Since when something is outstanding without progress.
    silent_since: Option<Instant>,
    failed: bool,
    trial: Option<Trial>,
    failures: u32,
    returned_at: Option<Instant>,
}

impl Vigil {
    /// A packet left; the clock of silence starts if it does not run.
    pub fn sent(&mut self, now: Instant) {
        self.silent_since.get_or_insert(now);
    }

    /// A report told of progress; `outstanding` says whether more is in flight.
    pub fn progress(&mut self, now: Instant, outstanding: bool) {
        self.silent_since = outstanding.then_some(now);
    }

    pub fn health(&self, now: Instant, patience: Patience) -> Health {
        let silence = self
            .silent_since
            .map_or(Duration::ZERO, |since| now - since);
        if self.failed || silence >= patience.failed {
            Health::Failed
        } else if self.suspicion(patience).is_some_and(|at| now >= at) {
            Health::Suspect
        } else {
            Health::Healthy
        }
    }

    /// When the path turns suspect if nothing is heard.
    pub fn suspicion(&self, patience: Patience) -> Option<Instant> {
        let since = self.silent_since.filter(|_| !self.failed)?;
        let oldest = patience.oldest.unwrap_or(since);
        Some((since + PROGRESS).max(oldest + patience.answer))
    }

    /// Enters the failed state if it is time; true at that moment.
    pub fn fail_if_due(&mut self, now: Instant, patience: Patience) -> bool {
        let due = !self.failed && self.health(now, patience) == Health::Failed;
        if due {
            let forgiven = (self.returned_at).is_none_or(|returned| now - returned > FORGIVEN);
            self.failures = if forgiven { 0 } else { self.failures + 1 };
            self.failed = true;
            self.trial = None;
            self.silent_since = None;
        }
        due
    }

    /// A sign of life; true if it brings the path back.
    pub fn proof(&mut self, now: Instant) -> bool {
        if !self.failed {
            return false;
        }
        let trial = self.trial.get_or_insert(Trial {
            since: now,
            proofs: 0,
        });
        trial.proofs += 1;
        let enough = TRIAL * (1 << self.failures.min(DOUBLINGS));
        let returns = trial.proofs >= PROOFS && now - trial.since >= enough;
        if returns {
            self.failed = false;
            self.trial = None;
            self.silent_since = None;
            self.returned_at = Some(now);
        }
        returns
    }
}
