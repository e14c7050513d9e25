//! Whether a far path stays idle beside full ones because of a flow that leaves no queue for it.
//!
//! A flow that goes by its window does so for moments only, while the window passes what the faster
//! paths hold: from then on its queue grows with every look. That of BBR comes and goes.

use std::time::Duration;

use crate::bond::schedule::Candidate;
use crate::time::Instant;

/// A path that is no later than this needs no help: its queue is soon there.
const NEARBY: Duration = Duration::from_millis(10);
/// Round trips of a look: BBR looks for more rate, and makes up for it, once in eight.
const ROUNDS: u32 = 8;
/// Looks that must find the queue shrunk, or empty. One that a window fills shrinks only by a loss.
const FOUND: u32 = 2;
/// What of the queue before counts as that.
const SHRUNK: f64 = 0.97;
/// Looks in a row that may find it grown in between.
const GROWN: u32 = 5;
/// Share of what the faster paths carry that makes them full.
const FULL: f64 = 0.95;
/// Share of the far path's rate from which on it is in use.
const USED: f64 = 0.5;

/// What was sent since a look or a cycle began.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    pub began: Instant,
    pub near: usize,
    pub far: usize,
    /// The least that waited.
    pub least: usize,
}

impl Tally {
    pub fn from(began: Instant) -> Self {
        Self {
            began,
            near: 0,
            far: 0,
            least: usize::MAX,
        }
    }

    /// Bytes a second.
    pub fn rate(&self, now: Instant) -> f64 {
        (self.near + self.far) as f64 / (now - self.began).as_secs_f64()
    }
}

/// The delays as of the begin of a look or a cycle.
#[derive(Clone, Copy)]
pub(super) struct Delays {
    /// The far path's place.
    pub far: usize,
    /// How much later it delivers than the first.
    pub later: Duration,
    /// Round trip of the first.
    pub rtt: Duration,
    /// Bytes a second of all but the far one, and of that.
    near_link: f64,
    far_link: f64,
}

impl Delays {
    /// None: there is no path that is far, or nothing is known of the others.
    pub fn of(paths: &[Candidate]) -> Option<Self> {
        let first = paths.iter().min_by_key(|path| path.arrival)?;
        let far = paths.iter().max_by_key(|path| path.arrival)?;
        let later = far.arrival.saturating_sub(first.arrival).unsigned_abs();
        let later = Duration::from_nanos(later);
        let near = paths.iter().filter(|path| path.place != far.place);
        let known = first.proven && later > NEARBY;
        known.then_some(Self {
            far: far.place,
            later,
            rtt: first.rtt?,
            near_link: near.map(|path| path.link).sum(),
            far_link: far.link,
        })
    }

    /// How long a look takes.
    pub fn look(&self) -> Duration {
        self.rtt * ROUNDS
    }
}

/// What the looks so far have found.
#[derive(Clone, Copy, Default)]
pub(super) struct Looks {
    /// Those that found the far path starved and the queue not grown.
    found: u32,
    /// Those since then that found it grown.
    grown: u32,
    /// What waited at least during the last one.
    least: usize,
}

impl Looks {
    /// One more look is over, in which the packets had `bytes`. True: the far path is starved.
    pub fn add(&mut self, tally: &Tally, now: Instant, bytes: usize, delays: &Delays) -> bool {
        let shrunk = (SHRUNK * self.least as f64).max(2.0 * bytes as f64);
        let has_shrunk = tally.least as f64 <= shrunk;
        if !is_idle(tally, now, delays) || !has_shrunk && self.grown >= GROWN {
            *self = Self::default();
            return false;
        }
        self.least = tally.least;
        if has_shrunk {
            self.found += 1;
            self.grown = 0;
        } else {
            self.grown += 1;
        }
        self.found >= FOUND
    }
}

/// Whether the others were full, and the far path got little.
fn is_idle(tally: &Tally, now: Instant, delays: &Delays) -> bool {
    let span = (now - tally.began).as_secs_f64();
    tally.near as f64 >= FULL * delays.near_link * span
        && (tally.far as f64) < USED * delays.far_link * span
}
