//! Short messages that are taken before their turn, and what they may not pass.
//!
//! One bulk flow keeps the socket's queue full of long messages, each of which takes as long to open and
//! to write as dozens of small packets. The receive thread therefore reads ahead and has short messages
//! taken at once. A packet whose own flow waits in a message before it waits behind it. Whose packets
//! those are, which are still sealed, their heads tell ([`PeekKey`](crate::peek::PeekKey)): of every
//! short one, and of the first and the last of a message of long ones, which mostly are one flow's. So
//! that those between cannot be passed either, flows that brought something long lately pass nothing.
//! The counterpart of the send machine's [`Lane`](crate::lane::Lane), with the same reason.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::bond::classify::flow_hash;
use crate::constants::limits;
use crate::handoff::Endpoint;
use crate::time::Instant;

use super::Receiver;
use super::accept::is_ip;
use super::keys::{Key, counter_of, transport_index};

/// Flows remembered: more that are long at once share the rate so finely that none has a queue.
const FLOWS: usize = 16;
/// For this long after something long a flow is not passed by its own packets: longer than any queue
/// that [`Backlog`](crate::backlog::Backlog) lets stand, and than the pauses of most bulk.
const REMEMBERED: Duration = Duration::from_secs(1);

/// A message that was received and waits for its turn.
#[derive(Clone)]
pub struct Waiting {
    /// Where it lies in the arena.
    pub place: Range<usize>,
    /// Bytes of each of its datagrams but the last.
    pub stride: usize,
    pub from: Endpoint,
}

/// What is known of a message before its turn.
struct Known {
    /// Where it begins in the arena.
    start: usize,
    /// Flows of the packets that wait for its turn, one entry for consecutive ones.
    flows: Vec<u64>,
    /// The packets that wait, if it was opened.
    opened: Option<Vec<Range<usize>>>,
}

/// See the module's header.
#[derive(Default)]
pub(super) struct Ahead {
    known: ArrayVec<Known, { limits::READ_AHEAD }>,
    /// Flows that brought something long, and when last.
    long: ArrayVec<(u64, Instant), FLOWS>,
}

impl Ahead {
    /// Something long of the flow of `packet` goes to the device.
    pub(super) fn note_long(&mut self, packet: &[u8], now: Instant) {
        let flow = flow_hash(packet);
        if let Some(known) = self.long.iter_mut().find(|(known, _)| *known == flow) {
            known.1 = now;
            return;
        }
        if self.long.is_full() {
            let oldest = (0..FLOWS).min_by_key(|at| self.long.get(*at).map(|(_, seen)| *seen));
            self.long.swap_remove(oldest.unwrap_or(0));
        }
        self.long.push((flow, now));
    }

    fn was_long(&self, flow: u64, now: Instant) -> bool {
        let recent = |seen: Instant| now - seen < REMEMBERED;
        let mut long = self.long.iter();
        long.any(|(known, seen)| *known == flow && recent(*seen))
    }

    fn of(&self, message: &Waiting) -> Option<&Known> {
        let start = message.place.start;
        self.known.iter().find(|known| known.start == start)
    }

    /// Whether some message was opened whose turn has not come.
    pub(super) fn any(&self) -> bool {
        self.known.iter().any(|known| known.opened.is_some())
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
        if earlier.len() >= limits::READ_AHEAD || self.ahead.of(short).is_some() {
            return;
        }
        let (before, pending) = (self.packets.len(), self.pending);
        let (place, stride) = (short.place.clone(), short.stride);
        self.handle_message(arena, place, stride, short.from, now);
        let taken = self.packets.get(before..).unwrap_or_default();
        let mut flows = flows(taken.iter().filter_map(|packet| arena.get(packet.clone())));
        let mut held = Vec::new();
        let mut waits = |flow| self.ahead.was_long(flow, now) || self.waits(arena, earlier, flow);
        if flows.iter().any(|flow| waits(*flow)) {
            self.pending = pending;
            held.extend(self.packets.drain(before..));
        } else {
            flows.clear();
        }
        self.ahead.known.push(Known {
            start: short.place.start,
            flows,
            opened: Some(held),
        });
    }

    /// It is the turn of the message that begins at `start`. Says whether it was opened before.
    pub fn take_turn(&mut self, arena: &mut [u8], start: usize) -> bool {
        let known = &mut self.ahead.known;
        let place = known.iter().position(|known| known.start == start);
        let Some(held) = place.and_then(|place| known.remove(place).opened) else {
            return false;
        };
        let before = self.packets.len();
        self.pending += held.iter().map(ExactSizeIterator::len).sum::<usize>();
        self.packets.extend(held);
        self.shed_one(arena, before);
        true
    }

    /// Whether a packet of the flow waits in one of these messages.
    fn waits(&mut self, arena: &[u8], earlier: &[Waiting], flow: u64) -> bool {
        earlier.iter().any(|message| {
            if let Some(known) = self.ahead.of(message) {
                return known.flows.contains(&flow);
            }
            let sealed = arena.get(message.place.clone()).unwrap_or_default();
            let datagrams = sealed.chunks(message.stride.max(1));
            // A whole super-packet of one flow looks the same everywhere.
            let step = if message.stride > limits::SHORT_MESSAGE {
                datagrams.len().saturating_sub(1).max(1)
            } else {
                1
            };
            let heads = datagrams.step_by(step);
            let flows = flows(heads.filter_map(|datagram| head(&self.keys, datagram)));
            let found = flows.contains(&flow);
            self.ahead.known.push(Known {
                start: message.place.start,
                flows,
                opened: None,
            });
            found
        })
    }
}

/// The head of the bare packet in a datagram that is still sealed; `None` if it holds something else,
/// whose place does not depend on the order of arrival.
fn head(
    keys: &BTreeMap<u32, Key>,
    datagram: &[u8],
) -> Option<ArrayVec<u8, { crate::peek::HEAD_LEN }>> {
    let key = keys.get(&transport_index(datagram)?)?;
    let sealed = datagram.get(HEADER_LEN..datagram.len() - TAG_LEN)?;
    let head = key.info.peek.head(counter_of(datagram), sealed);
    head.first()
        .is_some_and(|first| is_ip(*first))
        .then_some(head)
}

fn flows<T: AsRef<[u8]>>(heads: impl Iterator<Item = T>) -> Vec<u64> {
    let mut flows: Vec<u64> = heads.map(|head| flow_hash(head.as_ref())).collect();
    flows.dedup();
    flows
}
