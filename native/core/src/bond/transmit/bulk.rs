//! Bulk: which packet of the queue goes on which path, and when.

use std::time::Duration;

use crate::drops::{DropCounters, DropReason};
use crate::sender::{SendError, Transmit};
use crate::time::Instant;

use super::super::queue::Packet;
use super::super::schedule::{Candidate, PATHS};
use super::datagram::{recycle, wire_len};
use super::paths::Path;
use super::{Bond, Sealer};

/// How often a suspected path is given a packet, while there are any.
const SUSPECT_PROBE: Duration = Duration::from_millis(50);
/// Packets dropped last that are kept: CoDel drops one in 100 ms at first, and at ever shorter intervals.
const REVOCABLE: usize = 8;

impl Bond {
    /// Sends of the queue what the scheduler lets out.
    pub(super) fn send_bulk(
        &mut self,
        sealer: &mut Sealer<'_>,
        now: Instant,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        while let Some(len) = self.bulk.first_len() {
            let bytes = wire_len(len);
            let candidates = self.candidates(now, bytes);
            let queued = self.bulk.bytes();
            let choice = self.scheduler.choose(bytes, queued, &candidates);
            let ordered = self.scheduler.in_order(&candidates);
            let choice = self
                .equaliser
                .revise(now, (bytes, queued), &ordered, choice);
            let Some(choice) = choice else {
                break;
            };
            let spread = self.scheduler.spread(&candidates);
            let spread = Duration::from_nanos(spread.unsigned_abs());
            let Some(packet) = self.next_bulk(now, choice.ahead, spread, drops) else {
                break;
            };
            let left = self.bulk.bytes();
            let backlogged = self.equaliser.is_backlogged(now, (bytes, left), choice);
            self.start_gently(choice.place);
            self.send(choice.place, packet, backlogged, sealer, now, drops, emit);
        }
    }

    /// The bulk packet behind `ahead` bytes of others.
    fn next_bulk(
        &mut self,
        now: Instant,
        ahead: usize,
        spread: Duration,
        drops: &DropCounters,
    ) -> Option<Packet> {
        let rtts = self.paths.iter().filter_map(|path| path.model.rtt());
        let rtt = rtts.max().unwrap_or_default();
        let (pool, recent) = (&mut self.pool, &mut self.dropped);
        let equaliser = &mut self.equaliser;
        self.bulk.pop(now, ahead, (spread, rtt), |dropped| {
            drops.count(DropReason::QueueDelay);
            equaliser.dropped();
            if recent.len() == REVOCABLE
                && let Some((_, oldest)) = recent.pop_front()
            {
                recycle(pool, oldest.bytes);
            }
            recent.push_back((now, dropped));
        })
    }

    /// A path has died. What CoDel has dropped since then, or so shortly before that the inner flow cannot
    /// know it yet, would be sent again behind a queue that is now as long as the rate has fallen; until then
    /// all that comes before it is of no use to the other end's application. So it goes out after all, in its
    /// turn: there will be other drops.
    pub(super) fn revoke_drops(&mut self, since: Instant) {
        let rtts = self.paths.iter().filter_map(|path| path.model.rtt());
        let unknown_for = rtts.min().unwrap_or_default();
        for (at, packet) in self.dropped.drain(..).rev() {
            if at + unknown_for >= since {
                self.bulk.reinstate(packet);
            } else {
                recycle(&mut self.pool, packet.bytes);
            }
        }
    }

    /// A path whose last packets were lost tells nothing, and seems dead: the next packet goes on it as
    /// well as on another one, and what is reported then settles it.
    pub(super) fn probe_suspects(
        &mut self,
        sealer: &mut Sealer<'_>,
        now: Instant,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let is_due = |path: &Path| path.is_suspect() && now - path.probed_at >= SUSPECT_PROBE;
        while let Some(place) = self.paths.iter().position(is_due) {
            let Some(packet) = self.next_bulk(now, 0, Duration::ZERO, drops) else {
                return;
            };
            if let Some(path) = self.paths.get_mut(place) {
                path.probed_at = now;
            }
            self.send(place, packet, false, sealer, now, drops, emit);
        }
    }

    /// A path beside one that is measured need not start at full speed.
    fn start_gently(&mut self, place: usize) {
        let mut others = self.paths.iter().enumerate();
        if others.any(|(other, path)| other != place && path.model.capacity().is_some())
            && let Some(path) = self.paths.get_mut(place)
        {
            path.model.start_gently();
        }
    }

    fn candidates(&self, now: Instant, bytes: usize) -> arrayvec::ArrayVec<Candidate, PATHS> {
        let usable = self.paths.iter().enumerate();
        let usable = usable.filter(|(_, path)| path.may_carry());
        // What goes everywhere goes at once: no path's pacing may keep it from the others.
        let unpaced = self.scheduler.duplicates();
        let reference = self.reference(now);
        usable
            .map(|(place, path)| Candidate {
                place,
                ready: unpaced || path.model.can_send(now),
                open: unpaced || path.model.is_open(now, path.base_rtt()),
                arrival: path.arrival(now, bytes, reference),
                rate: path.model.rate(),
                link: path.model.link(),
                proven: path.model.is_proven(now),
                rtt: path.model.rtt(),
            })
            .collect()
    }
}
