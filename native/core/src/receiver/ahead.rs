//! Short messages that are taken before their turn, and what they may not pass.
//!
//! One bulk flow keeps the socket's queue full of long messages, each of which takes as long to open as
//! dozens of small packets. The receive thread therefore reads ahead and has short messages taken at
//! once. Whose they are shows only when they are open: packets of a flow that brought something long
//! lately wait for the turn of their message, so that flow is not reordered. The counterpart of the
//! send machine's [`Lane`](crate::lane::Lane), with the same reason.

use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::bond::classify::flow_hash;
use crate::handoff::Endpoint;
use crate::time::Instant;

use super::Receiver;

/// Flows remembered: more that are long at once share the rate so finely that none has a queue.
const FLOWS: usize = 16;
/// For this long after something long a flow is not passed by its own packets: longer than any queue
/// that [`Backlog`](crate::backlog::Backlog) lets stand, and than the pauses of most bulk.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Messages that may be ahead of their turn: four times what a receive thread reads ahead.
const AHEAD: usize = 64;

/// A message that was opened before its turn.
struct Opened {
    /// Where the message begins in the arena.
    start: usize,
    /// Packets of it that wait for its turn.
    held: Vec<Range<usize>>,
}

/// See the module's header.
#[derive(Default)]
pub(super) struct Ahead {
    flows: ArrayVec<(u64, Instant), FLOWS>,
    opened: ArrayVec<Opened, AHEAD>,
}

impl Ahead {
    /// Something long of the flow of `packet` goes to the device.
    pub(super) fn note_long(&mut self, packet: &[u8], now: Instant) {
        let flow = flow_hash(packet);
        if let Some(known) = self.flows.iter_mut().find(|(known, _)| *known == flow) {
            known.1 = now;
            return;
        }
        if self.flows.is_full() {
            let oldest = (0..FLOWS).min_by_key(|at| self.flows.get(*at).map(|(_, seen)| *seen));
            self.flows.swap_remove(oldest.unwrap_or(0));
        }
        self.flows.push((flow, now));
    }

    /// Whether `packet` might pass what is long of its own flow.
    pub(super) fn is_behind(&self, packet: &[u8], now: Instant) -> bool {
        let flow = flow_hash(packet);
        let recent = |seen: Instant| now - seen < REMEMBERED;
        self.flows
            .iter()
            .any(|(known, seen)| *known == flow && recent(*seen))
    }

    /// Whether another message may be taken before its turn.
    pub(super) fn has_room(&self) -> bool {
        !self.opened.is_full()
    }

    /// The message at `start` was opened; these packets of it wait.
    pub(super) fn opened(&mut self, start: usize, held: Vec<Range<usize>>) {
        self.opened.push(Opened { start, held });
    }

    /// It is the turn of the message at `start`: what waited of it, if it was opened before.
    pub(super) fn turn(&mut self, start: usize) -> Option<Vec<Range<usize>>> {
        let place = self.opened.iter().position(|known| known.start == start)?;
        Some(self.opened.remove(place).held)
    }

    /// Whether some message was taken whose turn has not come.
    pub(super) fn any(&self) -> bool {
        !self.opened.is_empty()
    }
}

impl Receiver {
    /// Takes a short message before its turn; [`Self::take_turn`] is to follow. Packets that would pass
    /// their own flow wait for that.
    pub fn handle_ahead(
        &mut self,
        arena: &mut [u8],
        message: Range<usize>,
        stride: usize,
        from: Endpoint,
        now: Instant,
    ) {
        if !self.ahead.has_room() {
            return;
        }
        let (start, before, pending) = (message.start, self.packets.len(), self.pending);
        self.handle_message(arena, message, stride, from, now);
        let taken = self.packets.get(before..).unwrap_or_default();
        let mut taken = taken.iter().filter_map(|packet| arena.get(packet.clone()));
        let held = if taken.any(|packet| self.ahead.is_behind(packet, now)) {
            self.pending = pending;
            self.packets.drain(before..).collect()
        } else {
            Vec::new()
        };
        self.ahead.opened(start, held);
    }

    /// It is the turn of the message that begins at `start`. Says whether it was taken before.
    pub fn take_turn(&mut self, start: usize) -> bool {
        let Some(held) = self.ahead.turn(start) else {
            return false;
        };
        self.pending += held.iter().map(ExactSizeIterator::len).sum::<usize>();
        self.packets.extend(held);
        true
    }
}
