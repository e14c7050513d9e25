//! Looking after the paths between packets: which one is silent, what the gauges show, when to look again.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::handoff::{FromSender, PathHealth};
use crate::time::Instant;

use super::super::model::Health;
use super::Bond;
use super::paths::{FEEDBACK_COPIES, Path};

/// How often gauges are written.
const GAUGE_INTERVAL: Duration = Duration::from_millis(250);
/// When packets wait for a reason that no deadline of a path tells.
const LOOK_AGAIN: Duration = Duration::from_micros(500);
/// A path that is suspected is looked at this often, until it fails or answers.
const SUSPECT_CHECK: Duration = Duration::from_millis(100);

impl Bond {
    /// Looks for silent paths and writes the gauges; `report` hears of changes.
    pub(crate) fn watch(&mut self, now: Instant, mut report: impl FnMut(FromSender)) {
        let mut changed = false;
        for path in &mut self.paths {
            if path.ring.take_vanishing() {
                report(FromSender::LargeLost {
                    peer: self.peer,
                    path: path.id,
                });
            }
            let health = match path.model.health(now) {
                Health::Healthy => PathHealth::Healthy,
                Health::Suspect => PathHealth::Degraded,
                Health::Failed => PathHealth::Failed,
            };
            if health != path.health {
                let suspected = health != PathHealth::Healthy;
                path.reinject = suspected && (path.reinject || path.health == PathHealth::Healthy);
                path.health = health;
                changed = true;
                report(FromSender::PathHealth {
                    peer: self.peer,
                    path: path.id,
                    health,
                });
            }
        }
        if changed {
            self.appoint_last_resort();
        }
        self.reinject(now);
        if now - self.gauges_at >= GAUGE_INTERVAL {
            self.gauges_at = now;
            self.write_gauges();
        }
        self.wake_at = self.next_wake(now);
    }

    fn write_gauges(&self) {
        let micros = |span: Option<Duration>| {
            span.map_or(0, |span| {
                u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
            })
        };
        let total: f64 = self
            .paths
            .iter()
            .filter(|path| path.may_carry())
            .map(|path| path.model.rate())
            .sum();
        let used = self.paths.iter().filter(|path| path.may_carry());
        let rtts = used.filter_map(Path::rtt);
        self.gauge
            .best_rtt_us
            .store(micros(rtts.clone().min()), Relaxed);
        self.gauge.slowest_rtt_us.store(micros(rtts.max()), Relaxed);
        self.gauge.reverse_rate.store(self.known_rate(), Relaxed);
        for path in &self.paths {
            let gauge = &path.gauge;
            let share = if path.may_carry() {
                path.model.rate() / total.max(1.0)
            } else {
                0.0
            };
            if path.model.rtt().is_some() {
                gauge.rtt_us.store(micros(path.model.rtt()), Relaxed);
            }
            gauge.jitter_us.store(micros(path.model.jitter()), Relaxed);
            gauge.loss_ppm.store(
                path.model.loss().map_or(0, |loss| (loss * 1e6) as u32 + 1),
                Relaxed,
            );
            gauge
                .capacity
                .store(path.model.capacity().map_or(0, |rate| rate as u64), Relaxed);
            gauge.queue_us.store(
                path.model
                    .queue_delay()
                    .map_or(0, |queue| micros(Some(queue)) + 1),
                Relaxed,
            );
            gauge.weight.store((share * 1000.0) as u32 + 1, Relaxed);
        }
    }

    /// What the paths that carry are known to end at, for each of the copies that feedback goes in; 0 while
    /// one of them may carry more than was tried.
    fn known_rate(&self) -> u64 {
        let used = || self.paths.iter().filter(|path| path.may_carry());
        let limited = used().all(|path| path.model.is_limited());
        let total: f64 = used().filter_map(|path| path.model.capacity()).sum();
        let copies = used().count().clamp(1, FEEDBACK_COPIES);
        if limited {
            total as u64 / copies as u64
        } else {
            0
        }
    }

    /// There is no key: nothing is due until there is one.
    pub(crate) fn rest(&mut self) {
        self.wake_at = None;
    }

    /// When [`Self::pump`] and [`Self::watch`] have something to do again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wake_at
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let waiting = !(self.bulk.is_empty()
            && self.express.is_empty()
            && self.repairs.is_empty()
            && self.orphans.is_empty());
        let usable = self.paths.iter().filter(|path| waiting && path.may_carry());
        // A path that is ready and was not chosen is looked at again soon, not at once.
        let soon = now + LOOK_AGAIN;
        let sends = usable.map(|path| path.model.next_send(now));
        let sends = sends.map(|at| if at <= now { soon } else { at });
        let silent = self.paths.iter().filter_map(|path| {
            let suspicion = path.model.suspicion_deadline()?;
            let known = path.health != PathHealth::Healthy;
            Some(if known {
                now + SUSPECT_CHECK
            } else {
                suspicion.max(soon)
            })
        });
        sends.chain(silent).min()
    }
}
