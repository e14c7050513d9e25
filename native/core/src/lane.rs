//! Super-packets between the TUN device and the slab, so that single packets of other flows pass them.
//!
//! One bulk flow keeps the device's queue full of super-packets, each of which takes as long to seal
//! as dozens of small packets. The transmit thread therefore reads ahead: super-packets wait here and
//! go one at a time, and in between everything else that has come goes at once. A single packet whose
//! own flow waits here waits behind it, so no flow is reordered. In the spirit of RFC 8290, with two
//! queues instead of many: between two super-packets one slab of other packets, no more, can pass.

use arrayvec::ArrayVec;

use crate::backlog::Sojourn;
use crate::bond::classify::flow_hash;
use crate::constants::limits;
use crate::inner::vnet::{GSO_NONE, VNET_LEN, VnetHeader};
use crate::time::Instant;

/// The room of one read.
pub const SLOT: usize = VNET_LEN + limits::SUPER_PACKET;
/// Reads that wait: some half a megabyte, which stays in the second-level cache and is twice what
/// [`Sojourn`] lets stand. What is more stays in the device.
const SLOTS: usize = 8;

struct Held {
    slot: usize,
    len: usize,
    flow: u64,
    read: Instant,
}

/// The lane. See the module's header.
pub struct Lane {
    slots: Box<[u8]>,
    /// In the order of reading; their slots follow each other in a circle.
    held: ArrayVec<Held, SLOTS>,
    next: usize,
    header_len: usize,
    sojourn: Sojourn,
}

impl Lane {
    /// An empty lane for reads that begin with a virtio-net header (`vnet`), or not.
    pub fn new(vnet: bool) -> Self {
        Self {
            slots: vec![0; SLOT * SLOTS].into_boxed_slice(),
            held: ArrayVec::new(),
            next: 0,
            header_len: if vnet { VNET_LEN } else { 0 },
            sojourn: Sojourn::default(),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Where the next read goes, [`SLOT`] bytes; `None` while the lane is full.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        if self.held.is_empty() {
            // The same memory again, while nothing waits: it is in the first-level cache.
            self.next = 0;
        }
        if self.held.is_full() {
            return None;
        }
        self.slots.get_mut(self.next * SLOT..(self.next + 1) * SLOT)
    }

    /// Takes the `len` bytes that were read into [`Self::room`]. Gives them back if they go at once;
    /// otherwise they wait for [`Self::first`].
    pub fn take(&mut self, len: usize, now: Instant) -> Option<&[u8]> {
        let slot = self.next;
        let read = self.slots.get(slot * SLOT..slot * SLOT + len)?;
        let (header, packet) = read.split_at_checked(self.header_len)?;
        let single = header
            .first_chunk()
            .is_none_or(|header| VnetHeader::parse(header).gso_type == GSO_NONE);
        if single && self.held.is_empty() {
            return Some(read);
        }
        let flow = flow_hash(packet);
        if single && self.held.iter().all(|held| held.flow != flow) {
            return Some(read);
        }
        let held = Held {
            slot,
            len,
            flow,
            read: now,
        };
        self.held.try_push(held).ok()?;
        self.next = (slot + 1) % SLOTS;
        None
    }

    /// What has waited longest, and whether a packet of it should be marked or dropped.
    pub fn first(&mut self, now: Instant) -> Option<(&[u8], bool)> {
        let held = self.held.first()?;
        let shed = self.sojourn.drop_due(now);
        let start = held.slot * SLOT;
        Some((self.slots.get(start..start + held.len)?, shed))
    }

    /// Lets go of [`Self::first`], which is sent now.
    pub fn release(&mut self, now: Instant) {
        let Some(held) = self.held.pop_at(0) else {
            return;
        };
        let last = self.held.is_empty();
        self.sojourn.note(held.len, held.read, now, last);
    }
}
