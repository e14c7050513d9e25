//! When a queue that is emptied in batches is too long for too long, and which packets pay for it.
//!
//! The kernel's queues before the two packet threads (the TUN ring, the socket's buffer) tell nothing
//! of how long a packet has waited. But a thread that takes all there is, works it off and comes back
//! knows: the last packet of a batch has waited at least as long as the batch took. That time is the
//! delay on which [`Backlog`] runs the control law of CoDel (RFC 8289), with a target and an interval
//! for a tunnel whose own queue is to be a fraction of a millisecond.

use std::time::Duration;

use crate::time::Instant;

/// Delay that is tolerated: some seven super-packets of 64 KiB at 5 Gbit/s, enough to keep both ends
/// of a tunnel busy, and no more than a few round trips of an idle tunnel.
const TARGET: Duration = Duration::from_micros(800);
/// How long the delay may exceed [`TARGET`] before the first drop: several round trips of a flow
/// that finds no other queue, and longer than the time slice which a scheduler takes from a thread.
const INTERVAL: Duration = Duration::from_millis(5);
/// Drops come no closer than this: what does not answer to them loses a percent, not all.
const SPACING: Duration = Duration::from_micros(500);
/// Bytes that are no queue yet, however slow the machine: two super-packets (RFC 8289, section 4.4
/// exempts the last packet in the same way).
const FLOOR: usize = 128 << 10;

/// The state of one queue. See the module's header.
#[derive(Debug, Default)]
pub struct Backlog {
    /// When the last batch was done, and how long it took.
    last: Option<(Instant, Duration)>,
    /// Since when every batch was too long.
    above_since: Option<Instant>,
    next_drop: Option<Instant>,
    /// Drops since the first of this series.
    count: u32,
}

impl Backlog {
    /// Notes a batch of `bytes` that was taken at `taken` and is done at `done`.
    ///
    /// A batch counts as short also when the thread had rested for longer than it worked before: a
    /// burst now and then is no standing queue.
    pub fn note(&mut self, bytes: usize, taken: Instant, done: Instant) {
        let took = done - taken;
        let rested = self.last.is_none_or(|(end, before)| taken - end > before);
        self.last = Some((done, took));
        if rested || took < TARGET || bytes < FLOOR {
            self.above_since = None;
            self.next_drop = None;
        } else {
            self.above_since.get_or_insert(done);
        }
    }

    /// Whether one packet of bulk should be dropped or marked now; to be asked once for each message.
    pub fn drop_due(&mut self, now: Instant) -> bool {
        let Some(since) = self.above_since else {
            return false;
        };
        let due = self.next_drop.unwrap_or(since + INTERVAL);
        if now < due {
            return false;
        }
        // RFC 8289, section 5.3: a new series begins near the rate at which the last one ended.
        self.count = match self.next_drop {
            Some(_) => self.count.saturating_add(1),
            None => (self.count / 2).max(1),
        };
        let step = INTERVAL.div_f64(f64::from(self.count).sqrt());
        self.next_drop = Some(now + step.max(SPACING));
        true
    }
}

/// Judges a queue that is emptied one packet at a time: a run of packets counts as one batch of
/// [`Backlog`], which took as long as the one of them that waited longest.
#[derive(Debug, Default)]
pub struct Sojourn {
    backlog: Backlog,
    count: usize,
    bytes: usize,
    /// When the first one of the run came.
    taken: Option<Instant>,
    longest: Duration,
}

/// Packets after which a run is judged though more wait: some half a megabyte of super-packets.
const RUN: usize = 8;

impl Sojourn {
    /// A packet of `bytes` that came at `came` goes at `now`; `last` if nothing waits behind it.
    ///
    /// A burst is judged as a whole, because its first packet never waits.
    pub fn note(&mut self, bytes: usize, came: Instant, now: Instant, last: bool) {
        self.count += 1;
        self.bytes += bytes;
        self.longest = self.longest.max(now - came);
        let taken = *self.taken.get_or_insert(came);
        if last || self.count == RUN {
            self.backlog.note(self.bytes, taken, taken + self.longest);
            (self.count, self.bytes) = (0, 0);
            (self.taken, self.longest) = (None, Duration::ZERO);
        }
    }

    /// As [`Backlog::drop_due`].
    pub fn drop_due(&mut self, now: Instant) -> bool {
        self.backlog.drop_due(now)
    }
}
