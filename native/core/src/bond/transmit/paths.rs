//! The paths of a bond: coming, moving, going.
//!
//! A path keeps its model and its ring as long as it is known; what was in flight on one that goes
//! is repaired on the others. While any path is not given up, one carries: if all are under
//! suspicion, the one that was heard of last.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::handoff::{Endpoint, PathGauge, PathHealth, PathId, PathRole};
use crate::time::Instant;

use super::super::model::PathModel;
use super::super::ring::Ring;
use super::super::schedule::PATHS;
use super::Bond;
use super::outbox::Outbox;
use super::repairs::EXCUSED;

/// Paths that a feedback goes on while all is well: two, so that the death of one costs none.
pub(super) const FEEDBACK_COPIES: usize = 2;

/// One path of a bond.
pub(super) struct Path {
    pub(super) id: PathId,
    pub(super) endpoint: Endpoint,
    pub(super) role: PathRole,
    pub(super) model: PathModel,
    pub(super) ring: Ring,
    pub(super) outbox: Outbox,
    pub(super) next_sequence: u64,
    pub(super) health: PathHealth,
    /// When a packet last went on it while it was suspected.
    pub(super) probed_at: Instant,
    /// It carries although it is under suspicion, as there is none beyond that.
    pub(super) last_resort: bool,
    /// What was in flight on it is to go out again, as soon as another path can take it.
    pub(super) reinject: bool,
    pub(super) gauge: Arc<PathGauge>,
}

impl Path {
    pub(super) fn may_carry(&self) -> bool {
        self.role == PathRole::Bulk && (self.health == PathHealth::Healthy || self.last_resort)
    }

    /// The round trip; by probes until something was sent.
    pub(super) fn rtt(&self) -> Option<Duration> {
        let probed = || match self.gauge.rtt_us.load(Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros.into())),
        };
        self.model.rtt().or_else(probed)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.role == PathRole::Bulk && self.health == PathHealth::Degraded && !self.last_resort
    }

    /// The round trip without queue; by probes until something was sent, and zero before those.
    pub(super) fn base_rtt(&self) -> Duration {
        let probed = || Duration::from_micros(self.gauge.rtt_us.load(Relaxed).into());
        self.model.min_rtt().unwrap_or_else(probed)
    }

    /// Half of [`Self::base_rtt`], nanoseconds.
    pub(super) fn half_rtt(&self) -> i64 {
        i64::try_from(self.base_rtt().as_nanos() / 2).unwrap_or(i64::MAX)
    }

    /// When a packet of `bytes`, sent now, would arrive, on the clock that all paths share. Of a path that is
    /// not measured yet, or anew, probing knows the round trip; see [`Bond::reference`].
    pub(super) fn arrival(&self, now: Instant, bytes: usize, reference: i64) -> i64 {
        let measured = self.model.arrival_after(now, bytes);
        measured.unwrap_or(reference.saturating_add(self.half_rtt()))
    }
}

impl Bond {
    /// Adds a path, or changes one.
    pub(crate) fn put_path(
        &mut self,
        id: PathId,
        endpoint: Endpoint,
        role: PathRole,
        gauge: Arc<PathGauge>,
        now: Instant,
    ) {
        if let Some(path) = self.paths.iter_mut().find(|path| path.id == id) {
            let moved = path.endpoint != endpoint;
            let proven = role == PathRole::Bulk && path.health != PathHealth::Healthy;
            if path.role == PathRole::Bulk && role == PathRole::Standby {
                self.bulk.excuse_until(now + EXCUSED);
            }
            path.endpoint = endpoint;
            path.role = role;
            path.gauge = gauge;
            if moved {
                self.lossy.forget();
            }
            if moved || proven {
                path.model.revive(now);
                path.health = PathHealth::Healthy;
                path.reinject = false;
            }
        } else if self.paths.len() < PATHS {
            let delay = self.paths.iter().find_map(|path| path.model.delay());
            let model =
                delay.map_or_else(|| PathModel::new(now), |delay| PathModel::near(now, delay));
            let health = PathHealth::Healthy;
            self.paths.push(Path {
                id,
                endpoint,
                role,
                model,
                ring: Ring::sharing(&self.memory),
                outbox: Outbox::default(),
                next_sequence: 0,
                health,
                probed_at: Instant::default(),
                last_resort: false,
                reinject: false,
                gauge,
            });
        }
        self.appoint_last_resort();
        // The receive machine is as patient as the paths are long.
        self.gauges_at = Instant::default();
    }

    /// Forgets a path; what it had in flight is repaired on the others.
    pub(crate) fn remove_path(&mut self, id: PathId, now: Instant) {
        if let Some(place) = self.paths.iter().position(|path| path.id == id) {
            let mut path = self.paths.remove(place);
            if path.role == PathRole::Bulk {
                self.bulk.excuse_until(now + EXCUSED);
            }
            self.orphans.extend(path.ring.take_datagrams());
        }
        self.appoint_last_resort();
    }

    /// What the clock of the other end would show on arrival, if the way took no time: as far as a path that
    /// is measured shows it.
    pub(super) fn reference(&self, now: Instant) -> i64 {
        let usable = self.paths.iter().filter(|path| path.may_carry());
        let mut known = usable.filter_map(|path| {
            let measured = path.model.arrival_after(now, 0).is_some();
            let base = path.model.base_delay().filter(|_| measured)?;
            Some(base.saturating_sub(path.half_rtt()))
        });
        known.next().unwrap_or(0)
    }

    /// A suspicion may be wrong: where there is nothing better, the path of which something was heard last
    /// goes on carrying.
    pub(super) fn appoint_last_resort(&mut self) {
        let bulk = |path: &&mut Path| path.role == PathRole::Bulk;
        let mut suspects = Vec::new();
        let mut healthy = false;
        for path in self.paths.iter_mut().filter(bulk) {
            path.last_resort = false;
            healthy |= path.health == PathHealth::Healthy;
            if path.health == PathHealth::Degraded {
                suspects.push(path);
            }
        }
        let latest = suspects
            .into_iter()
            .max_by_key(|path| path.model.suspicion_deadline());
        if let Some(path) = latest.filter(|_| !healthy) {
            path.last_resort = true;
        }
    }

    /// The other end was restarted: it has nothing of what was sent, and counts from the beginning.
    pub(crate) fn restart(&mut self, now: Instant) {
        for path in &mut self.paths {
            path.model = PathModel::new(now);
            path.ring = Ring::sharing(&self.memory);
            path.next_sequence = 0;
            path.health = PathHealth::Healthy;
            path.last_resort = false;
            path.reinject = false;
        }
        self.bulk.restart();
        self.repairs.clear();
        self.orphans.clear();
        self.last_feedback = None;
    }

    /// Paths for a control frame: the two best; or all of them, if it is `everywhere` needed or a path is in doubt.
    pub(crate) fn frame_endpoints(
        &self,
        now: Instant,
        everywhere: bool,
    ) -> impl Iterator<Item = Endpoint> {
        let doubt = |path: &Path| path.health == PathHealth::Degraded;
        let everywhere = everywhere || self.paths.iter().any(doubt);
        let mut usable: Vec<(i64, Endpoint)> = self
            .paths
            .iter()
            .filter(|path| everywhere || path.may_carry())
            .map(|path| {
                (
                    path.model.arrival_after(now, 200).unwrap_or(i64::MAX),
                    path.endpoint,
                )
            })
            .collect();
        usable.sort_by_key(|(arrival, _)| *arrival);
        let count = if everywhere {
            usable.len()
        } else {
            FEEDBACK_COPIES
        };
        usable.into_iter().take(count).map(|(_, endpoint)| endpoint)
    }
}
