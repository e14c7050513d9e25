//! What happened on a link, and why a packet was lost.

/// Why a packet did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The queue was full.
    QueueFull,
    /// Larger than the link carries.
    TooBig,
    /// Lost at random on the wire.
    Loss,
    /// Swallowed by a black hole.
    BlackHole,
    /// No link joins these addresses ([`Network`](crate::Network) only).
    NoRoute,
}

/// What became of a packet at the entrance of a link. Loss on the wire comes later and shows in [`Stats`] only:
/// a real sender cannot see it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Taken by the link.
    Queued,
    /// Dropped at the entrance.
    Dropped(DropReason),
}

/// Counters of one direction of one link. Always
/// `sent + duplicated == delivered + dropped() + in flight`, in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Packets handed to the link.
    pub sent: u64,
    /// Their bytes, without overhead.
    pub sent_bytes: u64,
    /// Packets that arrived, second copies included.
    pub delivered: u64,
    /// Their bytes, without overhead.
    pub delivered_bytes: u64,
    /// Packets dropped at the tail of the queue.
    pub dropped_queue_full: u64,
    /// Packets above the largest size.
    pub dropped_too_big: u64,
    /// Packets lost at random.
    pub dropped_loss: u64,
    /// Packets swallowed by the black hole.
    pub dropped_black_hole: u64,
    /// Second copies made.
    pub duplicated: u64,
    /// Packets held back so that others pass.
    pub reordered: u64,
    /// Packets with a flipped bit.
    pub corrupted: u64,
    /// Packets marked Congestion Experienced.
    pub marked: u64,
    /// The most bytes that ever waited, overhead included.
    pub max_queue_bytes: u64,
}

impl Stats {
    /// All drops together.
    pub fn dropped(&self) -> u64 {
        self.dropped_queue_full + self.dropped_too_big + self.dropped_loss + self.dropped_black_hole
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        match reason {
            DropReason::QueueFull => self.dropped_queue_full += 1,
            DropReason::TooBig => self.dropped_too_big += 1,
            DropReason::Loss => self.dropped_loss += 1,
            DropReason::BlackHole => self.dropped_black_hole += 1,
            DropReason::NoRoute => {}
        }
    }
}
