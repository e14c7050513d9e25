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

/// Bytes of a repair, as an inner packet: most are full.
const FULL: usize = 1400;
/// Round trip of a path of which nothing is known.
const RTT_UNKNOWN: Duration = Duration::from_millis(100);
/// What a repair and the report on it wait for at both ends.
const REPAIR_SLACK: Duration = Duration::from_millis(10);
/// An honest peer's feedbacks are 2 ms apart; of those that come much closer, one tells enough.
const SPACING_MIN: Duration = Duration::from_micros(500);
/// Repairs for each packet sent: a path that loses more is too full, and the inner flows are to know.
const BUDGET: f64 = 0.2;
/// The repairs that may be saved up: what a burst of loss or a rate tried too high takes.
const BUDGET_SAVED: f64 = 1024.0;
/// After a path died, its load and what was in flight on it wait for the others, which have to be found able
/// to carry it: nothing is dropped for that.
pub(super) const EXCUSED: Duration = Duration::from_secs(2);
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
            let best = self
                .surest(now)
                .and_then(|place| Some((place, self.paths.get(place)?)));
            let ready = best.filter(|(_, path)| path.model.can_send(now));
            let Some((place, path)) = ready else { return };
            let (id, endpoint, spacing) = (path.id, path.endpoint, repeat_after(path));
            self.repairs.pop_front();
            let from = self.paths.iter_mut().find(|path| path.id == origin);
            let Some(from) = from.filter(|from| from.ring.datagram(sequence).is_some()) else {
                continue;
            };
            from.ring.repaired(sequence, now, spacing, id == origin);
            let Some(datagram) = from.ring.datagram(sequence) else {
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

    /// The path on which a repair is expected first, counting the time to miss and repeat it if it is lost, too.
    /// The path that lost the packet is as good for that as any: where it has died, it will be suspected.
    fn surest(&self, now: Instant) -> Option<usize> {
        let reference = self.reference(now);
        let usable = self.paths.iter().enumerate();
        let usable = usable.filter(|(_, path)| path.may_carry());
        let rank = |(_, path): &(usize, &Path)| {
            let loss = path.model.loss().unwrap_or(0.0);
            let again = repeat_after(path).mul_f64(loss).as_nanos();
            let arrival = path.arrival(now, FULL, reference);
            arrival.saturating_add(i64::try_from(again).unwrap_or(i64::MAX))
        };
        usable.min_by_key(rank).map(|(place, _)| place)
    }

    /// A packet was sent for the first time, and pays for some repairs.
    pub(super) fn earn_repairs(&mut self) {
        self.repairs_left = (self.repairs_left + BUDGET).min(BUDGET_SAVED);
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
        let used = self.paths.iter().filter(|path| path.may_carry());
        let spacing = used.clone().map(repeat_after).max().unwrap_or_default();
        let rtt = used.map(Path::base_rtt).min().unwrap_or_default();
        for report in &feedback.paths {
            let Some(path) = self.paths.iter_mut().find(|path| path.id.0 == report.path) else {
                continue;
            };
            let digest = path.model.feedback(now, report);
            let pool = &mut self.pool;
            let recycle = |bytes| recycle(pool, bytes);
            let repaired = path.ring.acknowledge(&digest, now, rtt, recycle);
            path.model.repaired(repaired);
            let id = path.id;
            for sequence in digest.missing() {
                if self.repairs.len() < REPAIRS
                    && self.repairs_left >= 1.0
                    && path.ring.wants_repair(sequence, now, spacing)
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

/// A repair on this path that is lost, too, is missed after its round trip, and what that may vary by (RFC 6298).
fn repeat_after(path: &Path) -> Duration {
    let rtt = path.rtt().unwrap_or(RTT_UNKNOWN);
    rtt + rtt / 4 + REPAIR_SLACK
}
