//! Restores the order of one bucket (design, section 5, Reordering buffer).
//!
//! Packets come with a sequence that starts at 0 and has no holes at the sender; packets that are
//! not ordered take none. Invariants:
//! - each sequence is delivered at most once; nothing that arrived is dropped, but by [`Reorder::reset`];
//! - packets are delivered in order, except those that come after their gap was given up (late);
//! - a packet is held no longer than [`MAX_WAIT`] if the owner calls [`Reorder::expire`] in time;
//! - at most [`SPAN`] sequences, [`BUCKET_BYTES`] bytes and the shared [`Budget`] are held: what does
//!   not fit gives up the oldest gaps;
//! - a packet further ahead than [`SPAN`] releases all that is held, in order, before it. If nothing
//!   is held then, it is delivered at once and the order goes on behind it.
//!
//! The next packet in order with nothing held is delivered from where it lies. Others are copied
//! into pooled buffers. Releasing k packets takes O(k).

mod gaps;
mod store;
mod wait;

use std::time::Duration;

use crate::bond::sequences::Seen;
use crate::time::Instant;

use gaps::{Arrived, Gaps};
use store::Store;
pub use store::{BUCKET_BYTES, Budget, TOTAL_BYTES};
use wait::{IN_USE, Wait};
pub use wait::{MAX_WAIT, MIN_WAIT};

/// Sequences that may lie between the next one due and the highest held: 180 ms at 1 Gbit/s of full
/// packets, about the widest spread that striping pays for.
pub const SPAN: u64 = 1 << 14;
/// Sequences whose delivery is remembered, less at most 64: as many as the replay window has
/// counters, so whatever passes that is told apart here. 16 KiB.
const REMEMBERED: u64 = crate::replay::WINDOW;

/// How many packets may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// This many; the next one gives up the oldest gap.
    Fixed(usize),
    /// What the deadline of the oldest gap lets in: the rate times the delay spread of the paths.
    Auto,
}

/// Counters of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReorderStats {
    /// Packets that had to wait.
    pub held: u64,
    /// Packets that wait now.
    pub held_now: u64,
    /// Gaps given up at their deadline.
    pub released_timeout: u64,
    /// Gaps given up because no more could be held.
    pub released_full: u64,
    /// Packets delivered after their gap was given up.
    pub late: u64,
    /// Packets whose sequence had arrived, or is too far behind to tell; not delivered.
    pub duplicates: u64,
    /// Packets that were held when the order was reset.
    pub dropped: u64,
    /// The longest time that a packet was held.
    pub max_hold: Duration,
}

/// The reordering buffer of one bucket.
pub struct Reorder {
    depth: usize,
    /// The sequence to deliver next.
    next: u64,
    seen: Seen,
    gaps: Gaps,
    wait: Wait,
    store: Store,
    stats: ReorderStats,
}

impl Reorder {
    /// An empty buffer with a [`Budget`] of its own.
    pub fn new(depth: Depth) -> Self {
        Self::sharing(depth, Budget::default())
    }

    /// An empty buffer that takes its memory from `budget`, which others share.
    pub fn sharing(depth: Depth, budget: Budget) -> Self {
        Self {
            depth: match depth {
                Depth::Fixed(packets) => packets,
                Depth::Auto => usize::MAX,
            },
            next: 0,
            seen: Seen::new(REMEMBERED),
            gaps: Gaps::default(),
            wait: Wait::new(),
            store: Store::new(budget),
            stats: ReorderStats::default(),
        }
    }

    /// Takes an inner packet, and gives `deliver` what may go on, in order: this one at once, or later.
    ///
    /// `sequence` is the extended bucket sequence, `path` the path that the packet was sent on and came by;
    /// none for a repair or a second copy, which tells nothing of any path.
    pub fn push(
        &mut self,
        now: Instant,
        sequence: u64,
        ordered: bool,
        packet: &[u8],
        path: Option<u8>,
        deliver: &mut dyn FnMut(&[u8]),
    ) {
        if !ordered {
            deliver(packet);
            return;
        }
        if sequence.saturating_sub(self.next) >= SPAN {
            self.flush(now, deliver);
        }
        if !self.seen.insert(sequence) {
            self.stats.duplicates += 1;
            return;
        }
        let arrived = self.gaps.arrived(now, sequence, path);
        if sequence == self.next && self.store.held() == 0 {
            deliver(packet);
            self.next = sequence.saturating_add(1);
            return;
        }
        self.learn(now, &arrived);
        if sequence == self.next && matches!(arrived, Arrived::Recovered(_)) {
            self.wait.repaired_oldest(now);
        }
        if sequence < self.next {
            self.stats.late += 1;
            deliver(packet);
            return;
        }
        self.make_room(now, sequence, packet.len(), deliver);
        if sequence == self.next {
            deliver(packet);
            self.next = sequence.saturating_add(1);
            self.release(now, deliver);
        } else {
            self.store.put(now, sequence, packet);
            self.stats.held += 1;
        }
    }

    /// When [`Self::expire`] is due: the deadline of the oldest gap.
    pub fn next_deadline(&self) -> Option<Instant> {
        let gap = self.gaps.oldest()?;
        Some(self.wait.deadline(gap))
    }

    /// Gives up the gaps whose deadline has passed and delivers what waited for them.
    pub fn expire(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        while self.next_deadline().is_some_and(|due| due <= now) {
            self.stats.released_timeout += 1;
            self.give_up_oldest(now, deliver);
        }
    }

    /// Delivers all that is held, in order.
    pub fn flush(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        while self.store.held() > 0 {
            self.stats.released_full += 1;
            self.give_up_oldest(now, deliver);
        }
    }

    /// The sender numbers from 0 again (it restarted). What is held is dropped; [`Self::flush`] it
    /// before if it is to be delivered. The learned delays and the counters stay.
    pub fn reset(&mut self) {
        self.stats.dropped += self.store.clear() as u64;
        self.next = 0;
        self.seen = Seen::new(REMEMBERED);
        self.gaps = Gaps::default();
    }

    /// How long a lost packet takes to come again once its loss shows here: report, way back, and way
    /// here on the path that repairs use. Zero: nothing is repaired.
    pub fn set_repair_time(&mut self, time: Duration) {
        self.wait.set_repair_time(time);
    }

    /// A path may carry packets from now on: gaps wait for it to pass them, even if the first packet
    /// that it carries takes long to come. Without this call it counts from its first packet on.
    pub fn path_came(&mut self, now: Instant, path: u8) {
        self.gaps.path_came(now, path);
    }

    /// A path carries nothing any more: gaps no longer wait for it to pass them.
    /// What that proves lost is given up with the next packet or deadline.
    pub fn path_gone(&mut self, path: u8) {
        self.gaps.path_gone(path);
    }

    /// The counters.
    pub fn stats(&self) -> ReorderStats {
        ReorderStats {
            held_now: self.store.held() as u64,
            ..self.stats
        }
    }

    /// Learns from how long the packet let others wait, and what every path has now gone past.
    fn learn(&mut self, now: Instant, arrived: &Arrived) {
        self.wait.tick(now);
        match arrived {
            Arrived::Ahead => {}
            Arrived::Overtaken(wait) => self.wait.overtaken(now, *wait),
            Arrived::Recovered(wait) => self.wait.recovered(now, *wait),
        }
        self.gaps.prove(now, IN_USE);
    }

    /// Gives up gaps until a packet ahead of the next one may be held, or is the next one itself.
    fn make_room(
        &mut self,
        now: Instant,
        sequence: u64,
        bytes: usize,
        deliver: &mut dyn FnMut(&[u8]),
    ) {
        while sequence > self.next
            && (sequence - self.next >= SPAN
                || self.store.held() >= self.depth
                || !self.store.has_room(bytes))
        {
            self.stats.released_full += 1;
            self.give_up_oldest(now, deliver);
        }
    }

    /// Goes on at the first sequence that has arrived, held or just coming.
    fn give_up_oldest(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        let end = self.gaps.end();
        let first = self.seen.first_seen(self.next, end).unwrap_or(end);
        self.gaps.give_up(self.next, first);
        self.next = first;
        self.release(now, deliver);
    }

    /// Delivers what is held from the next sequence on, up to the first gap.
    fn release(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        while let Some(held) = self.store.take(self.next) {
            self.stats.max_hold = self.stats.max_hold.max(now - held.arrived);
            deliver(&held.packet);
            self.store.recycle(held.packet);
            self.next = self.next.saturating_add(1);
        }
        self.gaps.delivered(self.next);
    }
}
