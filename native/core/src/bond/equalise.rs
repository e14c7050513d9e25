//! Lets an inner flow use a slower path whose congestion control would never fill a queue: BBR.
//!
//! Such a flow sends at the rate that it has seen delivered, keeps twice its least round trip in
//! flight, and so leaves no queue of which a slower path could take the packet whose turn it meets
//! (decision 0025). This gives a slower path packets *before* their turn. The other end holds what
//! comes after them, so that the flow's round trip is the slower path's. Then:
//! - what the flow sends in excess of the faster paths, to see whether there is more, goes by the
//!   slower one, arrives, and counts: its rate rises;
//! - now and then the slower path pauses, and what is held goes on as one lump. The flow sees its
//!   acknowledgements come in lumps and keeps as much more in flight, as it would on a radio link
//!   (draft-ietf-ccwg-bbr, "extra acked"), which is what a round trip above twice the least one takes.
//!
//! A flow that goes by its window (CUBIC, Reno) fills the queue by itself and would only be slowed.
//! So this begins only where the faster paths have been full for a while and the queue empty time and
//! again, ends when it does not pay, and is not tried again soon.
//!
//! Invariant: it only moves packets forward to a slower path that is ready; it holds back and drops none.

use std::time::Duration;

use crate::time::Instant;

use super::schedule::{Candidate, Choice};

/// A path that is no later than this needs no help: its queue is soon there.
const NEARBY: Duration = Duration::from_millis(10);
/// Round trips of a look: BBR looks for more rate, and makes up for it, once in eight.
const LOOK_ROUNDS: u32 = 8;
/// Looks in a row that must agree; a growing window leaves a queue in the second.
const LOOKS: u32 = 2;
/// Share of what the faster paths carry that makes them full.
const FULL: f64 = 0.9;
/// Share of the slower path in use that is no matter for concern.
const USED: f64 = 0.5;
/// Round trips of a cycle: BBR remembers lumps for five at least.
const CYCLE_ROUNDS: u32 = 5;
/// Packets that the slower path gets in the time by which it is later, to keep what follows held.
const STITCHES: u32 = 10;
/// Share of the rate before that is a loss.
const LOSS: f64 = 0.8;
/// What it has to bring to go on, and the cycles that it has for that.
const GAIN: f64 = 1.05;
const PATIENCE: u32 = 6;
/// Until the next trial after one that did not pay: doubled by each, up to the longest.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(160);
/// A load that was away for so long is another one.
const PAUSE: Duration = Duration::from_millis(500);

/// What was sent since a look or a cycle began.
#[derive(Clone, Copy)]
struct Tally {
    began: Instant,
    near: usize,
    far: usize,
    /// The least that waited.
    least: usize,
}

impl Tally {
    fn from(began: Instant) -> Self {
        Self {
            began,
            near: 0,
            far: 0,
            least: usize::MAX,
        }
    }

    /// Bytes a second.
    fn rate(&self, now: Instant) -> f64 {
        (self.near + self.far) as f64 / (now - self.began).as_secs_f64()
    }
}

#[derive(Clone, Copy)]
enum State {
    /// So many looks in a row have found the far path idle beside full ones.
    Watching { found: u32 },
    Equalising {
        /// Bytes a second before.
        before: f64,
        /// Cycles so far; the first one is a single lump, to give the window its start.
        cycle: u32,
        gained: bool,
        /// Cycles in a row with a loss.
        losses: u32,
    },
}

/// The delays as of the begin of a look or a cycle.
#[derive(Clone, Copy)]
struct Delays {
    /// The far path's place.
    far: usize,
    /// How much later it delivers than the first.
    later: Duration,
    /// Round trip of the first.
    rtt: Duration,
    /// Bytes a second of all but the far one, and of that.
    near_link: f64,
    far_link: f64,
}

impl Delays {
    /// None: there is no path that is far, or nothing is known of the others.
    fn of(paths: &[Candidate]) -> Option<Self> {
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
}

/// The state for one peer. See the module's header.
pub(crate) struct Equaliser {
    state: State,
    delays: Option<Delays>,
    tally: Tally,
    /// When anything was sent, and by the far path.
    sent_at: Instant,
    far_at: Instant,
    /// Whether the last choice was ours.
    forced: bool,
    not_before: Instant,
    retry: Duration,
}

impl Default for Equaliser {
    fn default() -> Self {
        let start = Instant::default();
        Self {
            state: State::Watching { found: 0 },
            delays: None,
            tally: Tally::from(start),
            sent_at: start,
            far_at: start,
            forced: false,
            not_before: start,
            retry: RETRY,
        }
    }
}

impl Equaliser {
    /// Whether more waits for the path of the last choice, when `left` bytes do behind that packet of `bytes`.
    pub(crate) fn is_backlogged(
        &self,
        now: Instant,
        bytes: usize,
        left: usize,
        choice: Choice,
    ) -> bool {
        match self.delays.filter(|_| self.forced) {
            None => left > choice.ahead,
            // What waits for a path that is about to pause does not wait for its pacing.
            Some(delays) => left >= 2 * bytes && self.holds(now + delays.later, &delays),
        }
    }

    /// What to send next instead of `choice`, when `queued` bytes wait, the first packet has `bytes`,
    /// and these are the useful `paths`.
    pub(crate) fn revise(
        &mut self,
        now: Instant,
        (bytes, queued): (usize, usize),
        paths: &[Candidate],
        choice: Option<Choice>,
    ) -> Option<Choice> {
        if now - self.sent_at >= PAUSE || !self.still_holds(paths) {
            self.watch(now, paths);
        }
        self.sent_at = now;
        self.turn(now, bytes, paths);
        self.tally.least = self.tally.least.min(queued);
        let forced = self.forced(now, (bytes, queued), paths, choice);
        let revised = forced.or(choice);
        self.forced = forced.is_some();
        if let (Some(delays), Some(revised)) = (self.delays, revised) {
            if revised.place == delays.far {
                self.far_at = now;
                self.tally.far += bytes;
            } else {
                self.tally.near += bytes;
            }
        }
        revised
    }

    /// Whether the far path is still there.
    fn still_holds(&self, paths: &[Candidate]) -> bool {
        self.delays.is_some_and(|delays| {
            paths.len() > 1 && paths.iter().any(|path| path.place == delays.far)
        })
    }

    fn watch(&mut self, now: Instant, paths: &[Candidate]) {
        self.state = State::Watching { found: 0 };
        self.delays = Delays::of(paths);
        self.tally = Tally::from(now);
    }

    /// Whether a look or a cycle is over, and what follows from it.
    fn turn(&mut self, now: Instant, bytes: usize, paths: &[Candidate]) {
        let Some(delays) = self.delays else { return };
        let passed = now - self.tally.began;
        match self.state {
            State::Watching { found } if passed >= delays.rtt * LOOK_ROUNDS => {
                let found = if self.is_starved(now, bytes, &delays) {
                    found + 1
                } else {
                    0
                };
                let before = self.tally.rate(now);
                self.state = State::Watching { found };
                if found >= LOOKS && now >= self.not_before {
                    self.state = State::Equalising {
                        before,
                        cycle: 0,
                        gained: false,
                        losses: 0,
                    };
                }
                self.delays = Delays::of(paths);
                self.tally = Tally::from(now);
            }
            State::Equalising { .. } if passed >= self.cycle_length(&delays) => {
                self.judge(now, paths);
            }
            _ => {}
        }
    }

    /// Whether the others were full, the queue was empty now and then, and the far path got little.
    fn is_starved(&self, now: Instant, bytes: usize, delays: &Delays) -> bool {
        let span = (now - self.tally.began).as_secs_f64();
        let little = delays.near_link * delays.rtt.as_secs_f64() / 8.0;
        self.tally.near as f64 >= FULL * delays.near_link * span
            && (self.tally.far as f64) < USED * delays.far_link * span
            && self.tally.least as f64 <= little.max(2.0 * bytes as f64)
    }

    fn cycle_length(&self, delays: &Delays) -> Duration {
        let round = delays.rtt + delays.later;
        match self.state {
            State::Equalising { cycle: 0, .. } => round + delays.later,
            _ => round * CYCLE_ROUNDS,
        }
    }

    /// Whether the far path is in use now, rather than pausing for the lump.
    fn holds(&self, now: Instant, delays: &Delays) -> bool {
        let passed = now - self.tally.began;
        match self.state {
            State::Watching { .. } => false,
            State::Equalising { cycle: 0, .. } => passed < delays.later / STITCHES,
            State::Equalising { .. } => passed + delays.later < self.cycle_length(delays),
        }
    }

    /// The last packet that waits, to a slower path before its turn.
    fn forced(
        &self,
        now: Instant,
        (bytes, queued): (usize, usize),
        paths: &[Candidate],
        choice: Option<Choice>,
    ) -> Option<Choice> {
        let delays = self.delays.filter(|delays| self.holds(now, delays))?;
        let last = |path: &Candidate| Choice {
            place: path.place,
            ahead: queued.saturating_sub(1),
        };
        let mut ready = paths.iter().filter(|path| path.ready);
        if now - self.far_at >= delays.later / STITCHES {
            return ready.find(|path| path.place == delays.far).map(last);
        }
        let excess = choice.is_none() && queued >= 2 * bytes;
        ready
            .filter(|_| excess)
            .min_by_key(|path| path.arrival)
            .map(last)
    }

    /// A cycle is over: does it pay?
    fn judge(&mut self, now: Instant, paths: &[Candidate]) {
        let State::Equalising {
            before,
            cycle,
            gained,
            losses,
        } = self.state
        else {
            return;
        };
        let ratio = self.tally.rate(now) / before;
        let gained = gained || ratio >= GAIN;
        let losses = if cycle > 0 && ratio < LOSS {
            losses + 1
        } else {
            0
        };
        let in_vain = losses > u32::from(gained) || !gained && cycle >= PATIENCE;
        if in_vain {
            self.watch(now, paths);
            if gained {
                self.retry = RETRY;
            } else {
                self.not_before = now + self.retry;
                self.retry = (self.retry * 2).min(RETRY_MAX);
            }
            return;
        }
        self.state = State::Equalising {
            before,
            cycle: cycle + 1,
            gained,
            losses,
        };
        self.delays = Delays::of(paths);
        self.tally = Tally::from(now);
    }
}
