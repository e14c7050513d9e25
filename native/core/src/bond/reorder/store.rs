//! The packets that wait: a ring of slots by sequence, and the buffers that it reuses.
//!
//! Invariants: a packet lies in the slot of its sequence, and the ring covers all that is held, so no
//! two share a slot; `owned` is the capacity of all buffers, held and free, and counted in the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::time::Instant;

use super::SPAN;

/// Bytes that one bucket may own: 500 ms at 130 Mbit/s, or a spread of 60 ms at 1 Gbit/s.
pub const BUCKET_BYTES: usize = 8 << 20;
/// Bytes of all buckets that share a [`Budget`]: four full buckets, as much as the sender's ring.
pub const TOTAL_BYTES: usize = 32 << 20;
/// Bytes of free buffers that one bucket keeps, so that steady traffic does not allocate.
const FREE_BYTES: usize = 1 << 20;
/// Slots of the ring at first; it doubles up to [`SPAN`].
const FIRST_SLOTS: usize = 128;
/// Buffers are a multiple of this, so that packets of similar size share them.
const GRAIN: usize = 256;

/// The memory that several buckets may hold together; clones share it.
#[derive(Clone)]
pub struct Budget {
    owned: Arc<AtomicUsize>,
    limit: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(TOTAL_BYTES)
    }
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            owned: Arc::default(),
            limit,
        }
    }

    /// Bytes that the buckets own now.
    pub fn owned(&self) -> usize {
        self.owned.load(Ordering::Relaxed)
    }
}

/// A packet that waits.
pub(super) struct Held {
    sequence: u64,
    pub(super) arrived: Instant,
    pub(super) packet: Vec<u8>,
}

/// The packets of one bucket.
pub(super) struct Store {
    /// None, or a power of two of them.
    slots: Vec<Option<Held>>,
    held: usize,
    free: Vec<Vec<u8>>,
    free_bytes: usize,
    owned: usize,
    budget: Budget,
}

impl Store {
    pub(super) const fn new(budget: Budget) -> Self {
        Self {
            slots: Vec::new(),
            held: 0,
            free: Vec::new(),
            free_bytes: 0,
            owned: 0,
            budget,
        }
    }

    /// How many packets wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether a packet of this size may be held.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let free = self.free.last().map_or(0, Vec::capacity);
        let growth = bytes.next_multiple_of(GRAIN).saturating_sub(free);
        growth == 0
            || self.owned + growth <= BUCKET_BYTES
                && self.budget.owned() + growth <= self.budget.limit
    }

    /// Holds a copy of the packet.
    ///
    /// There is room for it, and its sequence is less than [`SPAN`] away from every other held one.
    pub(super) fn put(&mut self, now: Instant, sequence: u64, packet: &[u8]) {
        let mut copy = self.free.pop().unwrap_or_default();
        let before = copy.capacity();
        self.free_bytes -= before;
        copy.reserve_exact(packet.len().next_multiple_of(GRAIN));
        copy.extend_from_slice(packet);
        self.own(copy.capacity() - before);
        self.place(Held {
            sequence,
            arrived: now,
            packet: copy,
        });
        self.held += 1;
    }

    /// The packet with this sequence; give its buffer back by [`Self::recycle`].
    pub(super) fn take(&mut self, sequence: u64) -> Option<Held> {
        let slot = self.slot(sequence);
        let held = self
            .slots
            .get_mut(slot)?
            .take_if(|held| held.sequence == sequence)?;
        self.held -= 1;
        Some(held)
    }

    /// Takes back the buffer of a packet.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.free_bytes + buffer.capacity() <= FREE_BYTES {
            buffer.clear();
            self.free_bytes += buffer.capacity();
            self.free.push(buffer);
        } else {
            self.disown(buffer.capacity());
        }
    }

    /// Drops everything held and says how many packets that were.
    pub(super) fn clear(&mut self) -> usize {
        let held: Vec<Held> = self.slots.iter_mut().filter_map(Option::take).collect();
        self.held = 0;
        let dropped = held.len();
        for held in held {
            self.recycle(held.packet);
        }
        dropped
    }

    /// Puts a packet into its slot, in a larger ring if another one lies there.
    fn place(&mut self, held: Held) {
        let mut slot = self.slot(held.sequence);
        while self.slots.len() < SPAN as usize && !matches!(self.slots.get(slot), Some(None)) {
            self.grow();
            slot = self.slot(held.sequence);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(held);
        }
    }

    /// Doubles the ring.
    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(FIRST_SLOTS);
        let mut slots = Vec::with_capacity(larger);
        slots.resize_with(larger, || None);
        for held in std::mem::replace(&mut self.slots, slots)
            .into_iter()
            .flatten()
        {
            let slot = self.slot(held.sequence);
            if let Some(place) = self.slots.get_mut(slot) {
                *place = Some(held);
            }
        }
    }

    fn slot(&self, sequence: u64) -> usize {
        sequence as usize & self.slots.len().wrapping_sub(1)
    }

    fn own(&mut self, bytes: usize) {
        self.owned += bytes;
        self.budget.owned.fetch_add(bytes, Ordering::Relaxed);
    }

    fn disown(&mut self, bytes: usize) {
        self.owned -= bytes;
        self.budget.owned.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.disown(self.owned);
    }
}
