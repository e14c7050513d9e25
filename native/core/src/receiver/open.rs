//! Transport datagrams: a run is opened as a whole, then each datagram goes where it belongs.

use std::net::IpAddr;
use std::ops::Range;

use arrayvec::ArrayVec;

use crate::bond::shim::Shim;
use crate::constants::{limits, protocol};
use crate::drops::DropReason;
use crate::handoff::{Crossing, Endpoint, FromReceiver};
use crate::inner::ecn;
use crate::time::Instant;

use super::accept::{Accepted, Origin, accept, is_data, is_message, payload_of};
use super::keys::{Seen, Source};
use super::{REPORTS, Receiver, push_report};

impl Receiver {
    /// Opens one run of transport datagrams that carry the same receiver index.
    pub(super) fn open(
        &mut self,
        arena: &mut [u8],
        at: Range<usize>,
        stride: usize,
        index: u32,
        from: Endpoint,
        now: Instant,
    ) {
        let run = arena.get_mut(at.clone()).unwrap_or_default();
        let count = run.len().div_ceil(stride) as u64;
        let Some(key) = self.keys.get_mut(&index) else {
            return self.drops.add(DropReason::UnknownIndex, count);
        };
        if now - key.info.created >= protocol::REJECT_AFTER_TIME {
            return self.drops.add(DropReason::KeyExpired, count);
        }
        let mut seen = Seen::default();
        let mut admitted = ArrayVec::<_, { limits::RECEIVED_DATAGRAMS }>::new();
        let mut end = at.start;
        for (counter, authentic) in key.open_run(run, stride) {
            let datagram = end..(end + stride).min(at.end);
            end = datagram.end;
            let verdict = key.admit(counter, authentic);
            if verdict.is_ok() {
                let first = arena.get(payload_of(&datagram)).and_then(<[u8]>::first);
                seen.count(
                    datagram.len(),
                    counter,
                    first.is_some_and(|first| is_data(*first)),
                );
            }
            admitted.push((datagram, verdict));
        }
        let (peer, frames) = (key.info.peer, key.info.frames);
        let origin = Origin {
            peer,
            frames,
            index,
            from,
            now,
        };
        if seen.packets > 0 {
            if !std::mem::replace(&mut key.confirmed, true) {
                // Before any frame under this key, so that control can answer under it.
                self.reports.push(FromReceiver::Confirmed { peer, index });
            }
            let passed = key.advance(&seen);
            let newest = key.note(&seen, now, &mut self.reports);
            self.note_source(origin, &seen, passed, newest);
        }
        let mut allowed = None;
        let before = self.packets.len();
        for (datagram, verdict) in &admitted {
            let taken = match verdict {
                Ok(()) => self.take(arena, datagram, origin, &mut allowed),
                Err(reason) => Err(self.recognise_copy(arena, datagram, origin, *reason)),
            };
            if let Err(reason) = taken {
                self.drops.count(reason);
            }
        }
        self.shed_one(arena, before);
    }

    /// Marks or drops the first of the packets from the `n`-th on, if one is to be shed and they are bulk.
    pub(super) fn shed_one(&mut self, arena: &mut [u8], n: usize) {
        if !self.shed || self.packets.len() - n < limits::BULK_PACKETS {
            return;
        }
        let Some(packet) = self.packets.get(n).cloned() else {
            return;
        };
        // Acknowledgements come in trains too; a lost one tells their flow nothing.
        if packet.len() < limits::BULK_LEN {
            return;
        }
        self.shed = false;
        if !arena.get_mut(packet).is_some_and(ecn::mark) {
            self.packets.remove(n);
            self.drops.count(DropReason::BacklogDelay);
        }
    }

    /// Counts an authentic run to where it came from, and tells of an address that is news. It moved the
    /// highest counter by `passed`, if it was the `newest`.
    fn note_source(&mut self, origin: Origin, seen: &Seen, passed: u64, newest: bool) {
        let Origin {
            peer,
            frames,
            from,
            now,
            ..
        } = origin;
        let mut bound = false;
        if frames {
            let bond = self.bonds.of(peer);
            bond.count(now, passed, seen.packets);
            bound = bond.note_arrival(from, seen.bytes);
        }
        let source = match (bound, seen.data) {
            (false, _) => Source::Unbound,
            (true, true) => Source::PathWithData,
            (true, false) => Source::PathWithoutData,
        };
        if newest && self.address(peer).is_news(from, &source, now) {
            self.reports.push(FromReceiver::Moved { peer, from });
            if !frames && self.crossings.len() < REPORTS {
                let endpoint = from;
                self.crossings.push(Crossing::Roamed { peer, endpoint });
            }
        }
    }

    /// Takes an authentic, fresh datagram to where it belongs.
    fn take(
        &mut self,
        arena: &[u8],
        datagram: &Range<usize>,
        origin: Origin,
        allowed: &mut Option<IpAddr>,
    ) -> Result<(), DropReason> {
        let Origin {
            peer,
            index,
            from,
            now,
            ..
        } = origin;
        match accept(arena, datagram, origin, self.routes.as_ref(), allowed)? {
            Accepted::Packet(range) => {
                self.pending += range.len();
                self.packets.push(range);
            }
            Accepted::Bonded(shim, inner) => {
                let inner = arena.get(inner).unwrap_or_default();
                let bond = self.bonds.of(peer);
                let released = &mut self.released;
                let mut deliver = |packet: &[u8]| released.push(packet);
                bond.take(&shim, inner, datagram.len(), from, now, &mut deliver);
            }
            Accepted::Feedback(feedback) if self.crossings.len() < REPORTS => {
                self.crossings.push(Crossing::Feedback { peer, feedback });
            }
            Accepted::Frame(plaintext)
                if is_message(&plaintext) && !self.messages.allow(peer, now) =>
            {
                return Err(DropReason::MessageRate);
            }
            Accepted::Frame(plaintext) => {
                let datagram = datagram.len();
                let frame = FromReceiver::Frame {
                    peer,
                    index,
                    from,
                    datagram,
                    plaintext,
                };
                push_report(
                    &mut self.reports,
                    frame,
                    &self.drops,
                    DropReason::ControlQueueFull,
                );
            }
            Accepted::Loss(report) if self.crossings.len() < REPORTS => {
                self.crossings.push(Crossing::Loss { peer, report });
            }
            Accepted::Feedback(_) | Accepted::Loss(_) | Accepted::Keepalive => {}
        }
        Ok(())
    }

    /// The reason to count for a datagram that was not admitted: the second copy of a bonded packet is
    /// as it should be, and says that its path works.
    fn recognise_copy(
        &mut self,
        arena: &[u8],
        datagram: &Range<usize>,
        origin: Origin,
        reason: DropReason,
    ) -> DropReason {
        let copied = reason == DropReason::Replayed && origin.frames;
        let payload = arena.get(payload_of(datagram)).filter(|_| copied);
        let Some((shim, _)) = payload.and_then(Shim::parse) else {
            return reason;
        };
        let bond = self.bonds.of(origin.peer);
        bond.take_copy(&shim, datagram.len(), origin.from, origin.now);
        DropReason::SecondCopy
    }
}
