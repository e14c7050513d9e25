//! The arrivals of one path, and what is missing among them.
//!
//! Invariants: open gaps are sorted, disjoint, not empty and below `highest`; those at the front are
//! the oldest; those that start below `reported` have been in a feedback.

use std::collections::VecDeque;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::bond::feedback::{Gap, PathReport};
use crate::bond::recent::RecentMax;
use crate::bond::sequences::Seen;
use crate::bond::shim::{SEQUENCE_BITS, extend};
use crate::time::Instant;

/// A gap this old is given up: no reordering buffer waits half as long for it.
pub const HORIZON: Duration = Duration::from_secs(1);
/// Path sequences whose arrival is remembered: 180 ms at 1 Gbit/s, more than a repair takes.
const REMEMBERED: u64 = 1 << 14;
/// Gaps that are open at once: 1 % loss at 1 Gbit/s leaves 90 in 100 ms, the time of two repairs.
const OPEN_GAPS: usize = 256;
/// A path whose first arrival is below this one has just begun: twice the packets of its first flight.
const BEGINNING: u64 = 32;
/// Later packets that must have arrived before one is lost rather than late (RFC 9002, section 6.1.1).
const LATER_PACKETS: u64 = 3;
/// The least time that a packet may be late on its path: one batch of the receiving side.
const LATE_MIN: Duration = Duration::from_millis(1);
/// The most: a path that reorders by more gets needless repairs rather than late ones.
const LATE_MAX: Duration = Duration::from_millis(50);
/// How much longer if fewer than three packets came after it, because the flow paused.
const LATE_TAIL: Duration = Duration::from_millis(10);
/// How long (once to twice) a late packet counts.
const LATE_EPOCH: Duration = Duration::from_secs(5);

/// Missing sequences.
struct OpenGap {
    start: u64,
    end: u64,
    /// When a later packet arrived.
    opened: Instant,
}

/// One path.
pub(super) struct PathArrivals {
    highest: Option<u64>,
    received: u32,
    bytes: u64,
    /// When the highest one arrived.
    arrived: Instant,
    /// When anything arrived by this path.
    heard: Instant,
    /// What came by this path.
    delivered: Seen,
    /// What came by any path.
    known: Seen,
    gaps: VecDeque<OpenGap>,
    reported: u64,
    lateness: RecentMax,
}

impl PathArrivals {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            highest: None,
            received: 0,
            bytes: 0,
            arrived: now,
            heard: now,
            delivered: Seen::new(REMEMBERED),
            known: Seen::new(REMEMBERED),
            gaps: VecDeque::new(),
            reported: 0,
            lateness: RecentMax::new(LATE_EPOCH),
        }
    }

    /// The whole sequence with these low bits.
    pub(super) fn extend(&self, low: u32) -> u64 {
        extend(self.highest.unwrap_or(0), low)
    }

    /// The packet is here, by whatever path. True: for the first time.
    pub(super) fn note(&mut self, now: Instant, sequence: u64) -> bool {
        self.lateness.tick(now);
        self.known.insert(sequence)
    }

    /// Takes the sequence out of what is missing; false if it was not. `late_max`: missing for less than
    /// that, it was only late on this path; none if it came by another.
    pub(super) fn fill(&mut self, now: Instant, sequence: u64, late_max: Option<Duration>) -> bool {
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        let Some(gap) = self.gaps.get_mut(at).filter(|gap| gap.start <= sequence) else {
            return false;
        };
        let (opened, end) = (gap.opened, gap.end);
        match (gap.start == sequence, gap.end == sequence + 1) {
            (true, true) => drop(self.gaps.remove(at)),
            (true, false) => gap.start = sequence + 1,
            (false, true) => gap.end = sequence,
            (false, false) => {
                gap.end = sequence;
                self.gaps.insert(
                    at + 1,
                    OpenGap {
                        start: sequence + 1,
                        end,
                        opened,
                    },
                );
                self.bound();
            }
        }
        if late_max.is_some_and(|late_max| now - opened < late_max) {
            self.lateness.add(now, now - opened);
        }
        true
    }

    /// The packet came by this path; a second copy counts for nothing.
    pub(super) fn deliver(&mut self, now: Instant, sequence: u64, bytes: usize) {
        self.heard = now;
        if !self.delivered.insert(sequence) {
            return;
        }
        self.received = self.received.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u64);
        if self.highest.is_some_and(|highest| sequence <= highest) {
            return;
        }
        let next = match self.highest {
            Some(highest) => highest + 1,
            None if sequence < BEGINNING => 0,
            // This end may have restarted: what came before is not missing.
            None => sequence,
        };
        self.open(now, next, sequence);
        self.highest = Some(sequence);
        self.arrived = now;
    }

    /// Whether something has come by this path in the last `span`.
    pub(super) fn active(&self, now: Instant, span: Duration) -> bool {
        self.highest.is_some() && now - self.heard < span
    }

    pub(super) fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    pub(super) fn is_lost(&self, now: Instant, sequence: u64) -> bool {
        let at = self.gaps.partition_point(|gap| gap.end <= sequence);
        self.gaps
            .get(at)
            .is_some_and(|gap| gap.start <= sequence && self.lost_at(gap) <= now)
    }

    /// When the oldest gap that no feedback has told of counts as lost.
    pub(super) fn urgent(&self) -> Option<Instant> {
        let at = self.gaps.partition_point(|gap| gap.start < self.reported);
        self.gaps.get(at).map(|gap| self.lost_at(gap))
    }

    /// Gives up the gaps that are too old to matter.
    pub(super) fn forget(&mut self, now: Instant) {
        while self
            .gaps
            .front()
            .is_some_and(|gap| gap.opened + HORIZON <= now)
        {
            self.gaps.pop_front();
        }
    }

    /// What a feedback says of this path, which has the number `path`.
    pub(super) fn report(&mut self, now: Instant, path: u8) -> PathReport {
        // Young gaps too: what is not named here counts as arrived at the other end.
        let newest = self.gaps.partition_point(|gap| self.lost_at(gap) <= now);
        let mut gaps = ArrayVec::new();
        'gaps: for gap in self.gaps.iter().rev() {
            let mut end = gap.end;
            while end > gap.start {
                let start = gap.start.max(end.saturating_sub(u64::from(u8::MAX)));
                let piece = Gap {
                    start: low_bits(start),
                    count: (end - start) as u8,
                };
                if gaps.try_push(piece).is_err() {
                    break 'gaps;
                }
                end = start;
            }
        }
        gaps.reverse();
        if let Some(gap) = newest.checked_sub(1).and_then(|at| self.gaps.get(at)) {
            self.reported = self.reported.max(gap.end);
        }
        PathReport {
            path,
            highest: low_bits(self.highest.unwrap_or(0)),
            received: self.received,
            bytes: self.bytes & ((1 << 48) - 1),
            arrived: (self.arrived.as_nanos() / 1000) as u32,
            held: u16::try_from((now - self.arrived).as_micros()).unwrap_or(u16::MAX),
            gaps,
        }
    }

    /// What of `from..to` is not known yet is missing now.
    fn open(&mut self, now: Instant, from: u64, to: u64) {
        let mut start = from.max(to.saturating_sub(REMEMBERED));
        loop {
            start = self.known.first_missing(start, to);
            if start >= to {
                return;
            }
            let end = self.known.first_seen(start, to).unwrap_or(to);
            self.gaps.push_back(OpenGap {
                start,
                end,
                opened: now,
            });
            self.bound();
            start = end;
        }
    }

    fn bound(&mut self) {
        if self.gaps.len() > OPEN_GAPS {
            self.gaps.pop_front();
        }
    }

    /// When the gap counts as lost, if nothing more arrives.
    fn lost_at(&self, gap: &OpenGap) -> Instant {
        let late = (self.lateness.get() * 5 / 4).clamp(LATE_MIN, LATE_MAX);
        let later = self.highest.map_or(0, |highest| highest + 1 - gap.end);
        if later >= LATER_PACKETS {
            gap.opened + late
        } else {
            gap.opened + (late + LATE_TAIL)
        }
    }
}

fn low_bits(sequence: u64) -> u32 {
    (sequence & ((1 << SEQUENCE_BITS) - 1)) as u32
}
