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
//! So this begins only where [`look`] finds a far path starved, ends when it does not pay, and is not
//! tried again soon.
//!
//! Invariant: it only moves packets forward to a slower path that is ready; it holds back and drops none.

mod look;
mod trial;

use std::time::Duration;

use crate::time::Instant;

use super::schedule::{Candidate, Choice};
use look::{Delays, Looks, Surge, Tally};
use trial::Trial;

/// Packets that the slower path gets in the time by which it is later, to keep what follows held.
const STITCHES: u32 = 10;
/// Until the next trial after one that did not pay: doubled by each, up to the longest.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(160);
/// A load that was away for so long is another one.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
enum State {
    Watching(Looks),
    Equalising(Trial),
}

/// The state for one peer. See the module's header.
pub(crate) struct Equaliser {
    state: State,
    delays: Option<Delays>,
    tally: Tally,
    /// When anything was sent, by the far path, and when that was there.
    sent_at: Instant,
    far_at: Instant,
    seen_at: Instant,
    /// Whether the last choice was ours.
    forced: bool,
    not_before: Instant,
    retry: Duration,
}

impl Default for Equaliser {
    fn default() -> Self {
        let start = Instant::default();
        Self {
            state: State::Watching(Looks::default()),
            delays: None,
            tally: Tally::from(start),
            sent_at: start,
            far_at: start,
            seen_at: start,
            forced: false,
            not_before: start,
            retry: RETRY,
        }
    }
}

impl Equaliser {
    /// What to send next instead of `choice`, when `queued` bytes wait, the first packet has `bytes`,
    /// and these are the `paths` of use.
    pub(crate) fn revise(
        &mut self,
        now: Instant,
        (bytes, queued): (usize, usize),
        paths: &[Candidate],
        choice: Option<Choice>,
    ) -> Option<Choice> {
        if self.is_far_there(paths) {
            self.seen_at = now;
        }
        if now - self.sent_at.min(self.seen_at) >= PAUSE {
            self.watch(now, paths);
        }
        self.sent_at = now;
        self.turn(now, (bytes, queued), paths);
        self.tally.least = self.tally.least.min(queued);
        let forced = self.forced(now, (bytes, queued), paths, choice);
        self.forced = forced.is_some();
        let revised = forced.or(choice);
        if let (Some(delays), Some(revised)) = (&self.delays, revised) {
            self.tally.count(revised.place, bytes);
            if revised.place == delays.far {
                self.far_at = now;
            }
        }
        revised
    }

    /// The queue is shorter by a packet that was dropped: what its flow does then is no sign of BBR.
    pub(crate) fn dropped(&mut self) {
        if let State::Watching(looks) = &mut self.state {
            looks.surge = Surge::default();
        }
    }

    /// Whether more waits for the path of the last choice, when `left` bytes remain and a packet has `bytes`.
    pub(crate) fn is_backlogged(
        &self,
        now: Instant,
        (bytes, left): (usize, usize),
        choice: Choice,
    ) -> bool {
        match self.delays.as_ref().filter(|_| self.forced) {
            None => left > choice.ahead,
            // What waits for a path that is about to pause does not wait for its pacing.
            Some(delays) => left >= 2 * bytes && self.is_on(now + delays.later, delays),
        }
    }

    fn is_far_there(&self, paths: &[Candidate]) -> bool {
        let far = self.delays.as_ref().map(|delays| delays.far);
        paths.len() > 1 && paths.iter().any(|path| Some(path.place) == far)
    }

    fn watch(&mut self, now: Instant, paths: &[Candidate]) {
        self.state = State::Watching(Looks::default());
        self.delays = None;
        self.begin(now, paths);
    }

    fn begin(&mut self, now: Instant, paths: &[Candidate]) {
        if let Some(delays) = Delays::of(paths) {
            self.delays = Some(delays);
            self.seen_at = now;
        }
        self.tally = Tally::from(now);
    }

    /// Whether a look or a cycle is over, and what follows from it.
    fn turn(&mut self, now: Instant, (bytes, queued): (usize, usize), paths: &[Candidate]) {
        let Some(delays) = &self.delays else {
            return self.begin(now, paths);
        };
        if let State::Watching(looks) = &mut self.state
            && looks.surge.is_over(queued, delays)
        {
            return self.begin(now, paths);
        }
        let passed = now - self.tally.began;
        match &mut self.state {
            State::Watching(looks) if passed >= looks.length(delays) => {
                let starved = looks.add(&self.tally, now, bytes, delays);
                if starved && now >= self.not_before {
                    self.state = State::Equalising(Trial::after(self.tally.rate(now)));
                }
                self.begin(now, paths);
            }
            State::Equalising(trial) if passed >= trial.length(delays) => {
                let trial = *trial;
                self.judge(now, trial, paths);
            }
            _ => {}
        }
    }

    /// A cycle is over: does it pay?
    fn judge(&mut self, now: Instant, mut trial: Trial, paths: &[Candidate]) {
        if trial.pays(self.tally.rate(now)) {
            self.state = State::Equalising(trial);
            self.begin(now, paths);
            return;
        }
        self.watch(now, paths);
        if trial.has_gained() {
            self.retry = RETRY;
        } else {
            self.not_before = now + self.retry;
            self.retry = (self.retry * 2).min(RETRY_MAX);
        }
    }

    /// Whether the far path is in use now, rather than pausing for the lump.
    fn is_on(&self, now: Instant, delays: &Delays) -> bool {
        let passed = now - self.tally.began;
        match self.state {
            State::Watching(_) => false,
            State::Equalising(trial) if trial.is_first() => passed < delays.later / STITCHES,
            State::Equalising(trial) => {
                let pauses = passed + delays.later >= trial.length(delays);
                !pauses || trial.is_loss(self.tally.rate(now))
            }
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
        let delays = self.delays.as_ref();
        let delays = delays.filter(|delays| self.is_on(now, delays))?;
        // The first lump is to be as large as can be.
        let first = matches!(self.state, State::Equalising(trial) if trial.is_first());
        let forced = |path: &Candidate| Choice {
            place: path.place,
            ahead: if first { 0 } else { queued.saturating_sub(1) },
        };
        let mut ready = paths.iter().filter(|path| path.ready);
        if now - self.far_at >= delays.later / STITCHES {
            return ready.find(|path| path.place == delays.far).map(forced);
        }
        let excess = choice.is_none() && queued >= 2 * bytes;
        ready
            .filter(|path| excess && delays.reaches(path.place))
            .min_by_key(|path| path.arrival)
            .map(forced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1500;
    const STEP: Duration = Duration::from_micros(250);
    /// Two packets a millisecond.
    const NEAR: f64 = 3e6;
    const FAR: f64 = 1e6;

    fn path(place: usize, link: f64, millis: i64, ready: bool) -> Candidate {
        Candidate {
            place,
            ready,
            open: true,
            arrival: millis * 1_000_000,
            rate: link,
            link,
            proven: true,
            rtt: Some(Duration::from_millis(20)),
        }
    }

    /// A near path that is kept full for `seconds`, with `queue(ms)` packets waiting, and one that is later by
    /// `later` ms and is given nothing of its own accord. Gives the times, in ms, at which it was.
    fn run(later: i64, seconds: u64, queue: impl Fn(u64) -> usize) -> Vec<u64> {
        let mut equaliser = Equaliser::default();
        let mut forced = Vec::new();
        for step in 0..seconds * 4000 {
            let now = Instant::from_nanos(step * STEP.as_nanos() as u64) + PAUSE;
            let takes = step % 2 == 0;
            let paths = [path(0, NEAR, 10, takes), path(1, FAR, 10 + later, true)];
            let queued = queue(step / 4).max(1) * PACKET;
            let choice = takes.then_some(Choice { place: 0, ahead: 0 });
            let revised = equaliser.revise(now, (PACKET, queued), &paths, choice);
            if revised.is_some_and(|choice| choice.place == 1) {
                forced.push(step / 4);
            }
        }
        forced
    }

    /// As BBR leaves it: some packets every eighth round.
    fn pulses(millis: u64) -> usize {
        if millis % 160 < 20 { 8 } else { 1 }
    }

    #[test]
    fn a_path_is_used_that_a_flow_without_a_queue_starves() {
        let forced = run(50, 1, pulses);
        assert!(!forced.is_empty());
        assert!(
            forced[0] >= 320,
            "no sooner than after two looks: {}",
            forced[0]
        );
    }

    #[test]
    fn a_path_that_is_hardly_later_is_left_alone() {
        assert_eq!(run(9, 2, pulses), []);
    }

    #[test]
    fn a_queue_that_grows_is_left_to_grow() {
        assert_eq!(run(50, 2, |millis| 3 + millis as usize / 16), []);
    }

    #[test]
    fn the_far_path_pauses_for_a_lump_in_every_cycle() {
        let forced = run(50, 2, pulses);
        let pauses = forced.windows(2).filter(|pair| pair[1] - pair[0] >= 50);
        // Cycles of five round trips of 70 ms, from about 0.45 s on.
        let count = pauses.count();
        assert!((3..=6).contains(&count), "{count}");
    }

    #[test]
    fn what_does_not_pay_ends_and_is_tried_ever_less_often() {
        // All that the far path gets the near one loses: nothing is gained.
        let mut equaliser = Equaliser::default();
        let mut active = Vec::new();
        for step in 0..40_000 {
            let now = Instant::from_nanos(step * STEP.as_nanos() as u64) + PAUSE;
            let takes = step % 2 == 0;
            let paths = [path(0, NEAR, 10, takes), path(1, FAR, 60, takes)];
            let choice = takes.then_some(Choice { place: 0, ahead: 0 });
            equaliser.revise(now, (PACKET, pulses(step / 4) * PACKET), &paths, choice);
            active.push(matches!(equaliser.state, State::Equalising(_)));
        }
        let begins = active
            .windows(2)
            .filter(|pair| pair == &[false, true])
            .count();
        assert!((2..=3).contains(&begins), "{begins} in ten seconds");
        assert_eq!(active.last(), Some(&false));
    }
}
