//! What arrived on each path of one peer, and the feedback made from it (design, section 5, Feedback).
//!
//! Invariants:
//! - a path's packets and bytes count what came by that path itself, once each; a repair that came by
//!   another path only fills the gap;
//! - a gap is reported once it is lost rather than late (three later packets and a time that adapts to
//!   the path), in every feedback from then on, until it is filled or [`HORIZON`] old;
//! - feedback is due only while there is something new to say or a last word to repeat, never more
//!   often than each [`SPACING`], and, where the reverse rate is known, no more often than 1 % of it
//!   allows, or each [`INTERVAL`].

mod path;

use std::time::Duration;

use crate::time::Instant;

use super::feedback::Feedback;
use super::shim::{SEQUENCE_BITS, Shim, extend};
pub use path::HORIZON;
use path::PathArrivals;

/// Path and bucket numbers of a shim.
const NUMBERS: usize = 16;
/// Feedbacks are at least this far apart, whatever happened.
pub const SPACING: Duration = Duration::from_millis(2);
/// Feedbacks are this far apart while data arrives, if neither the round trip nor the budget says otherwise.
pub const INTERVAL: Duration = Duration::from_millis(10);
/// The feedback after a silence comes this long after the first packet, to tell of its companions too.
const FIRST_DELAY: Duration = Duration::from_millis(1);
/// Times that the last word is repeated when nothing more arrives, each after twice the time.
const REPEATS: u32 = 3;
/// Doublings of the interval at most, while a gap is open: [`HORIZON`] ends it then.
const DOUBLINGS: u32 = 6;
/// Outer bytes of a feedback: IPv6, UDP, WireGuard's header and tag, frame header, padding.
const OVERHEAD: usize = 40 + 8 + 32 + 4 + 12;
/// The part of the reverse rate that feedback may take: one in this many bytes.
const RATE_SHARE: u64 = 100;
/// A path without arrivals for this long is not reported.
const REPORTED_FOR: Duration = Duration::from_secs(1);

/// What a packet was to its path and bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The whole number on the path.
    pub path_sequence: u64,
    /// The whole number in the bucket.
    pub bucket_sequence: u64,
    /// Nothing with this path sequence had arrived before, by any path.
    pub new_to_path: bool,
    /// It was missing, and came by another path than the one that lost it.
    pub repaired: bool,
}

/// Counters of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrivalStats {
    /// Missing packets that came by another path.
    pub repaired: u64,
    /// Authentic second copies.
    pub duplicates: u64,
}

/// The arrivals of one peer. About 5 KiB for each path in use.
#[derive(Default)]
pub struct Arrivals {
    paths: [Option<Box<PathArrivals>>; NUMBERS],
    /// Highest ordered sequence of each bucket.
    buckets: [u64; NUMBERS],
    stats: ArrivalStats,
    /// Feedbacks made.
    number: u32,
    /// Smallest time between two feedbacks of the regular kind.
    interval: Duration,
    /// The round trip of the best path: what is missing for longer was repaired, not late.
    rtt: Option<Duration>,
    /// Bytes a second that the other direction carries.
    reverse_rate: Option<u64>,
    /// Outer bytes of the last feedback.
    feedback_bytes: usize,
    last: Option<Instant>,
    due: Option<Instant>,
    /// Something arrived since the last feedback.
    news: bool,
    /// Feedbacks since the last one with news.
    repeats: u32,
}

impl Arrivals {
    /// Nothing arrived.
    pub fn new() -> Self {
        Self {
            interval: INTERVAL,
            ..Self::default()
        }
    }

    /// Notes a bonded datagram that the replay window found fresh.
    ///
    /// `datagram_bytes`: of the outer datagram. `same_path`: it came by the path that its shim names;
    /// otherwise it is a repair or a duplicate.
    pub fn note(
        &mut self,
        now: Instant,
        shim: &Shim,
        datagram_bytes: usize,
        same_path: bool,
    ) -> Arrival {
        let late_max = same_path.then(|| self.rtt.unwrap_or(Duration::MAX));
        let Some((path, bucket)) = self.place(now, shim) else {
            return Arrival::unknown(shim);
        };
        let path_sequence = path.extend(shim.path_sequence);
        let new_to_path = path.note(now, path_sequence);
        let missing = path.fill(now, path_sequence, late_max);
        if same_path {
            path.deliver(now, path_sequence, datagram_bytes);
        }
        let bucket_sequence = extend(*bucket, shim.bucket_sequence);
        if shim.ordered {
            *bucket = bucket_sequence.max(*bucket);
        }
        let repaired = missing && !same_path;
        self.stats.repaired += u64::from(repaired);
        self.schedule(now);
        Arrival {
            path_sequence,
            bucket_sequence,
            new_to_path,
            repaired,
        }
    }

    /// The number of this path is another path's now, which counts from the beginning.
    pub fn forget(&mut self, path: u8) {
        if let Some(place) = self.paths.get_mut(usize::from(path)) {
            *place = None;
        }
    }

    /// Counts a second copy: authentic, but the replay window had seen it.
    pub fn note_duplicate(&mut self) {
        self.stats.duplicates += 1;
    }

    /// Like [`Self::note_duplicate`], for a copy that came by the path that its shim names: the path
    /// delivered it, even though another one was faster. Without this, the slower path of a
    /// duplicated class would seem dead.
    pub fn note_copy(&mut self, now: Instant, shim: &Shim, datagram_bytes: usize) {
        self.note_duplicate();
        if let Some((path, _)) = self.place(now, shim) {
            let sequence = path.extend(shim.path_sequence);
            path.deliver(now, sequence, datagram_bytes);
            self.schedule(now);
        }
    }

    /// The smoothed round trip of the peer's best path: a quarter of it is the feedback interval.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.interval = (rtt / 4).clamp(SPACING, INTERVAL);
    }

    /// The bytes a second that the path for feedback carries, of which feedback may take 1 %; None:
    /// not known, no limit but the interval.
    pub fn set_reverse_rate(&mut self, bytes_per_second: Option<u64>) {
        self.reverse_rate = bytes_per_second;
    }

    /// When the next feedback is due, if there is something to report.
    pub fn next_feedback(&self) -> Option<Instant> {
        let urgent = self.paths.iter().flatten().filter_map(|path| path.urgent());
        let urgent = urgent.min().map(|at| match self.last {
            Some(last) => at.max(last + self.least(SPACING)),
            None => at,
        });
        [urgent, self.due].into_iter().flatten().min()
    }

    /// Makes the feedback that is due.
    pub fn feedback(&mut self, now: Instant) -> Feedback {
        self.number = self.number.wrapping_add(1);
        let mut feedback = Feedback {
            number: self.number,
            ..Feedback::default()
        };
        for (number, path) in self.paths.iter_mut().enumerate() {
            if let Some(path) = path {
                path.forget(now);
                if path.active(now, REPORTED_FOR) {
                    // An honest peer has no more paths in use than a feedback takes.
                    let _ = feedback.paths.try_push(path.report(now, number as u8));
                }
            }
        }
        let gaps: usize = feedback.paths.iter().map(|path| path.gaps.len()).sum();
        self.feedback_bytes = OVERHEAD + 5 + 21 * feedback.paths.len() + 4 * gaps;
        self.reschedule(now);
        feedback
    }

    /// Whether something is missing on any path.
    pub fn has_gaps(&self) -> bool {
        self.paths.iter().flatten().any(|path| path.has_gaps())
    }

    /// Whether the packet with these low bits of its path sequence is missing, and lost rather than late.
    pub fn is_lost(&self, now: Instant, path: u8, path_sequence: u32) -> bool {
        match self.paths.get(usize::from(path)) {
            Some(Some(path)) => path.is_lost(now, path.extend(path_sequence)),
            _ => false,
        }
    }

    /// The counters.
    pub fn stats(&self) -> ArrivalStats {
        self.stats
    }

    fn place(&mut self, now: Instant, shim: &Shim) -> Option<(&mut PathArrivals, &mut u64)> {
        let path = self.paths.get_mut(usize::from(shim.path))?;
        let bucket = self.buckets.get_mut(usize::from(shim.bucket))?;
        Some((
            path.get_or_insert_with(|| Box::new(PathArrivals::new(now))),
            bucket,
        ))
    }

    /// There is news: the next feedback is an interval after the last one, or soon.
    fn schedule(&mut self, now: Instant) {
        self.news = true;
        let soon = now + FIRST_DELAY;
        let regular = self
            .last
            .map_or(soon, |last| soon.max(last + self.least(self.interval)));
        self.due = Some(self.due.map_or(regular, |due| due.min(regular)));
    }

    /// A feedback was made: is another one to follow if nothing more arrives?
    fn reschedule(&mut self, now: Instant) {
        self.last = Some(now);
        self.repeats = if self.news { 0 } else { self.repeats + 1 };
        self.news = false;
        let interval = self.least(self.interval) * (1 << self.repeats.min(DOUBLINGS));
        self.due = (self.repeats < REPEATS || self.has_gaps()).then_some(now + interval);
    }

    /// `span`, or what the share of the reverse rate asks for if that is longer.
    fn least(&self, span: Duration) -> Duration {
        let Some(rate) = self.reverse_rate else {
            return span;
        };
        let share = (rate / RATE_SHARE).max(1);
        let nanos = (self.feedback_bytes as u64).saturating_mul(1_000_000_000) / share;
        // The sender suspects a path that is silent for longer: below some 15 Mbit/s of reverse rate,
        // feedback takes more than its share.
        span.max(Duration::from_nanos(nanos).min(INTERVAL))
    }
}

impl Arrival {
    /// For numbers that no shim has.
    fn unknown(shim: &Shim) -> Self {
        Self {
            path_sequence: u64::from(shim.path_sequence) & ((1 << SEQUENCE_BITS) - 1),
            bucket_sequence: u64::from(shim.bucket_sequence) & ((1 << SEQUENCE_BITS) - 1),
            new_to_path: false,
            repaired: false,
        }
    }
}
