//! What the other end misses is sent again: the very same datagram, on the path that delivers it first.
//!
//! [`Bond::feedback`] tells what is missing, [`Bond::reinject`] takes all that is in flight on a path
//! under suspicion, and [`Bond::send_repairs`] sends both, paced like everything else.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::sender::{SendError, Transmit};
use crate::time::Instant;

use super::super::feedback::Feedback;
use super::Bond;
use super::datagram::{on_link, recycle, transmit};
use super::paths::Path;

/// A packet that others overtook is waited for no longer than this before it is sent again.
const LATENESS: Duration = Duration::from_millis(60);
/// An honest peer's feedbacks are 2 ms apart; of those that come much closer, one tells enough.
const SPACING_MIN: Duration = Duration::from_micros(500);
/// Repairs for each packet sent: a path that loses more is too full, and the inner flows are to know.
const BUDGET: f64 = 0.2;
/// The repairs that may be saved up: what a burst of loss or a rate tried too high takes.
const BUDGET_SAVED: f64 = 1024.0;
/// After a path died, its load and what was in flight on it wait for the others, which have to be found able
/// to carry it: nothing is dropped for that.
const EXCUSED: Duration = Duration::from_secs(2);
/// Repairs waiting at once: a path's whole flight at 1 Gbit/s and 90 ms.
const REPAIRS: usize = 8192;

impl Bond {
    /// Sends again what is missing, on the path that delivers it first.
    pub(super) fn send_repairs(
        &mut self,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        while let Some(orphan) = self.orphans.front() {
            let Some(place) = self.fastest(now, orphan.len(), None) else {
                return;
            };
            let Some(path) = self
                .paths
                .get_mut(place)
                .filter(|path| path.model.can_send(now))
            else {
                return;
            };
            path.model.charge(now, on_link(orphan, path.endpoint));
            // Lost again, it is lost: there is no ring to keep it any more.
            let _ = transmit(self.peer, path.endpoint, orphan, emit);
            if let Some(bytes) = self.orphans.pop_front() {
                recycle(&mut self.pool, bytes);
            }
        }
        while let Some((origin, sequence)) = self.repairs.front().copied() {
            let Some(place) = self.surest(now) else {
                return;
            };
            let Some(from) = self.paths.iter().position(|path| path.id == origin) else {
                self.repairs.pop_front();
                continue;
            };
            if !self
                .paths
                .get(place)
                .is_some_and(|path| path.model.can_send(now))
            {
                return;
            }
            self.repairs.pop_front();
            let endpoint = self.paths.get(place).map(|path| path.endpoint);
            let (Some(origin), Some(endpoint)) = (self.paths.get(from), endpoint) else {
                return;
            };
            let Some(datagram) = origin.ring.datagram(sequence) else {
                continue;
            };
            let bytes = on_link(datagram, endpoint);
            let sent = transmit(self.peer, endpoint, datagram, emit);
            if let Some(path) = self.paths.get_mut(place).filter(|_| sent.is_ok()) {
                path.model.charge(now, bytes);
                self.gauge.repaired.fetch_add(1, Relaxed);
            }
        }
    }

    /// The path on which a repair is expected first, with the time that it takes to miss and repeat it where it
    /// is lost, too.
    fn surest(&self, now: Instant) -> Option<usize> {
        let spacing = self.repair_spacing().as_nanos() as f64;
        let reference = self.reference(now);
        let usable = self.paths.iter().enumerate();
        let usable = usable.filter(|(_, path)| path.may_carry());
        let rank = |(_, path): &(usize, &Path)| {
            let again = (path.model.loss().unwrap_or(0.0) * spacing) as i64;
            path.arrival(now, 1400, reference).saturating_add(again)
        };
        usable.min_by_key(rank).map(|(place, _)| place)
    }

    /// A packet was sent for the first time, and pays for some repairs.
    pub(super) fn earn_repairs(&mut self) {
        self.repairs_left = (self.repairs_left + BUDGET).min(BUDGET_SAVED);
    }

    /// A repair that was lost, too, is missed after a round trip of the slowest path.
    pub(super) fn repair_spacing(&self) -> Duration {
        let rtt = self.paths.iter().filter_map(|path| path.model.rtt()).max();
        rtt.unwrap_or(Duration::from_millis(100)) + Duration::from_millis(10)
    }

    /// The other end says what has arrived.
    pub(crate) fn feedback(&mut self, feedback: &Feedback, now: Instant) {
        // Copies come on several paths, and overtake each other: only a newer one tells more.
        let newer = self
            .last_feedback
            .is_none_or(|last| feedback.number.wrapping_sub(last).cast_signed() > 0);
        let soon = self.feedback_at.is_some_and(|at| now - at < SPACING_MIN);
        if !newer || soon {
            return;
        }
        self.last_feedback = Some(feedback.number);
        self.feedback_at = Some(now);
        let again_after = self.repair_spacing();
        for report in &feedback.paths {
            let Some(path) = self.paths.iter_mut().find(|path| path.id.0 == report.path) else {
                continue;
            };
            let digest = path.model.feedback(now, report);
            let pool = &mut self.pool;
            path.ring.acknowledge(&digest, |bytes| recycle(pool, bytes));
            let id = path.id;
            // What is only overtaken is not lost.
            let patience = path
                .model
                .jitter()
                .unwrap_or_default()
                .saturating_mul(0)
                .min(LATENESS);
            for sequence in digest.missing() {
                if self.repairs.len() < REPAIRS
                    && self.repairs_left >= 1.0
                    && path.ring.wants_repair(sequence, now, patience, again_after)
                {
                    self.repairs_left -= 1.0;
                    self.lossy.repaired();
                    self.repairs.push_back((id, sequence));
                }
            }
        }
    }

    /// Sends again what is in flight on paths under suspicion, once there are others to carry it.
    pub(super) fn reinject(&mut self, now: Instant) {
        for place in 0..self.paths.len() {
            let mut others = self.paths.iter().enumerate();
            let elsewhere = others.any(|(other, path)| other != place && path.may_carry());
            let due = |path: &&mut Path| path.reinject && elsewhere;
            let Some(path) = self.paths.get_mut(place).filter(due) else {
                continue;
            };
            path.reinject = false;
            let silent_since = path.ring.oldest().unwrap_or(now);
            self.bulk.excuse_until(now + EXCUSED);
            if self.scheduler.duplicates() {
                continue;
            }
            let room = REPAIRS.saturating_sub(self.repairs.len());
            let outstanding = path.ring.outstanding();
            let outstanding = outstanding.map(|sequence| (path.id, sequence));
            self.repairs.extend(outstanding.take(room));
            self.revoke_drops(silent_since);
        }
    }
}
