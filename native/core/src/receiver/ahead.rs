//! Short messages that are taken before their turn, and what they may not pass.
//!
//! One bulk flow keeps the socket's queue full of long messages, each of which takes as long to open and
//! to write as dozens of small packets. The receive thread therefore reads ahead and has short messages
//! taken at once. Whose they are, and whose the ones before them are, shows only when they are open:
//! so those are opened too, in their order, and written in their turn. A packet whose own flow waits
//! there waits behind it, so no flow is reordered. The counterpart of the send machine's
//! [`Lane`](crate::lane::Lane), with the same reason.

use std::ops::Range;

use arrayvec::ArrayVec;

use crate::bond::classify::flow_hash;
use crate::constants::limits;
use crate::handoff::Endpoint;
use crate::time::Instant;

use super::Receiver;

/// A message that was received and waits for its turn.
#[derive(Clone)]
pub struct Waiting {
    /// Where it lies in the arena.
    pub place: Range<usize>,
    /// Bytes of each of its datagrams but the last.
    pub stride: usize,
    pub from: Endpoint,
}

/// A packet that waits for the turn of its message.
struct Held {
    packet: Range<usize>,
    flow: u64,
}

/// A message that was opened before its turn.
struct Opened {
    /// Where the message begins in the arena.
    start: usize,
    held: Vec<Held>,
}

/// See the module's header.
#[derive(Default)]
pub(super) struct Ahead {
    /// In the order of opening.
    opened: ArrayVec<Opened, { limits::READ_AHEAD }>,
}

impl Ahead {
    fn is_open(&self, message: &Waiting) -> bool {
        self.opened
            .iter()
            .any(|known| known.start == message.place.start)
    }

    /// The message is open; these packets of it wait.
    fn push(&mut self, message: &Waiting, held: Vec<Held>) {
        let start = message.place.start;
        self.opened.push(Opened { start, held });
    }

    /// Whether something of the flow waits for its turn.
    fn waits(&self, flow: u64) -> bool {
        let mut held = self.opened.iter().flat_map(|message| &message.held);
        held.any(|held| held.flow == flow)
    }

    /// Whether some message was opened whose turn has not come.
    pub(super) fn any(&self) -> bool {
        !self.opened.is_empty()
    }
}

impl Receiver {
    /// Takes a short message before those that came `earlier` and wait, in their order;
    /// [`Self::take_turn`] is to follow for each. What would pass its own flow waits for that.
    pub fn handle_ahead(
        &mut self,
        arena: &mut [u8],
        earlier: &[Waiting],
        short: &Waiting,
        now: Instant,
    ) {
        if earlier.len() >= limits::READ_AHEAD || self.ahead.is_open(short) {
            return;
        }
        let mut own = self.open_ahead(arena, short, now);
        if !own.is_empty() {
            for message in earlier {
                if !self.ahead.is_open(message) {
                    let held = self.open_ahead(arena, message, now);
                    self.ahead.push(message, held);
                }
            }
            if own.iter().all(|packet| !self.ahead.waits(packet.flow)) {
                self.write_next(own.drain(..));
            }
        }
        self.ahead.push(short, own);
    }

    /// It is the turn of the message that begins at `start`. Says whether it was opened before.
    pub fn take_turn(&mut self, arena: &mut [u8], start: usize) -> bool {
        let opened = &mut self.ahead.opened;
        let Some(place) = opened.iter().position(|known| known.start == start) else {
            return false;
        };
        let held = opened.remove(place).held;
        let before = self.packets.len();
        self.write_next(held.into_iter());
        self.shed_one(arena, before);
        true
    }

    /// Opens a message whose turn has not come. What is for the machines goes to them; its packets wait.
    fn open_ahead(&mut self, arena: &mut [u8], message: &Waiting, now: Instant) -> Vec<Held> {
        let (before, pending) = (self.packets.len(), self.pending);
        let Waiting {
            place,
            stride,
            from,
        } = message.clone();
        self.handle_message(arena, place, stride, from, now);
        self.pending = pending;
        let held = self.packets.drain(before..).map(|packet| Held {
            flow: flow_hash(arena.get(packet.clone()).unwrap_or_default()),
            packet,
        });
        held.collect()
    }

    fn write_next(&mut self, held: impl Iterator<Item = Held>) {
        for Held { packet, .. } in held {
            self.pending += packet.len();
            self.packets.push(packet);
        }
    }
}
