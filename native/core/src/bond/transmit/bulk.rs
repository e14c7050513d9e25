//! Bulk: which packet of the queue goes on which path, and when.

use std::time::Duration;

use crate::drops::{DropCounters, DropReason};
use crate::sender::{SendError, Transmit};
use crate::time::Instant;

use super::super::queue::Packet;
use super::super::schedule::Candidate;
use super::datagram::{recycle, wire_len};
use super::paths::{PATHS, Path};
use super::{Bond, Sealer};

/// How often a suspected path is given a packet, while there are any.
const SUSPECT_PROBE: Duration = Duration::from_millis(50);

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
            let Some(choice) = self.scheduler.choose(bytes, queued, &candidates) else {
                break;
            };
            let spread = self.scheduler.spread(&candidates);
            let spread = Duration::from_nanos(spread.unsigned_abs());
            let Some(packet) = self.next_bulk(now, choice.ahead, spread, drops) else {
                break;
            };
            let backlogged = self.bulk.bytes() > choice.ahead;
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
        let pool = &mut self.pool;
        self.bulk.pop(now, ahead, (spread, rtt), |dropped| {
            drops.count(DropReason::QueueDelay);
            recycle(pool, dropped.bytes);
        })
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
        let measured = |path: &Path| path.model.arrival_after(now, bytes);
        let usable = self.paths.iter().enumerate();
        let usable = usable.filter(|(_, path)| path.may_carry());
        // What goes everywhere goes at once: no path's pacing may keep it from the others.
        let unpaced = self.scheduler.duplicates();
        // Of what is not measured yet, probing knows the round trip.
        let reference = usable.clone().find_map(|(_, path)| {
            let arrival = path
                .model
                .base_delay()
                .filter(|_| measured(path).is_some())?;
            Some(arrival.saturating_sub(path.half_rtt()))
        });
        usable
            .map(|(place, path)| {
                let probed = reference.unwrap_or(0).saturating_add(path.half_rtt());
                Candidate {
                    place,
                    ready: unpaced || path.model.can_send(now),
                    open: unpaced || path.model.is_open(now, path.base_rtt()),
                    arrival: measured(path).unwrap_or(probed),
                    rate: path.model.rate(),
                    link: path.model.link(),
                    proven: path.model.is_proven(now),
                    rtt: path.model.rtt(),
                }
            })
            .collect()
    }
}
