//! The paths of a bond: coming, moving, going.
//!
//! A path keeps its model and its ring as long as it is known; what was in flight on one that goes
//! is repaired on the others.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::handoff::{Endpoint, PathGauge, PathHealth, PathId, PathRole};
use crate::time::Instant;

use super::super::model::PathModel;
use super::super::ring::Ring;
use super::Bond;

/// Paths of one peer: what the path number in the shim can tell apart.
pub(super) const PATHS: usize = 16;

/// One path of a bond.
pub(super) struct Path {
    pub(super) id: PathId,
    pub(super) endpoint: Endpoint,
    pub(super) role: PathRole,
    pub(super) model: PathModel,
    pub(super) ring: Ring,
    pub(super) next_sequence: u64,
    pub(super) health: PathHealth,
    /// When a packet last went on it while it was suspected.
    pub(super) probed_at: Instant,
    pub(super) gauge: Arc<PathGauge>,
}

impl Path {
    pub(super) fn may_carry(&self) -> bool {
        self.role == PathRole::Bulk && self.health == PathHealth::Healthy
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.role == PathRole::Bulk && self.health == PathHealth::Degraded
    }

    /// Half a round trip without queue, nanoseconds, by probes until something was sent.
    pub(super) fn half_rtt(&self) -> i64 {
        let probed = || Duration::from_micros(self.gauge.rtt_us.load(Relaxed).into());
        let rtt = self.model.min_rtt().unwrap_or_else(probed);
        i64::try_from(rtt.as_nanos() / 2).unwrap_or(i64::MAX)
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
            path.endpoint = endpoint;
            path.role = role;
            path.gauge = gauge;
            if moved || path.health == PathHealth::Failed {
                path.model.revive(now);
                path.health = PathHealth::Healthy;
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
                ring: Ring::default(),
                next_sequence: 0,
                health,
                probed_at: Instant::default(),
                gauge,
            });
        }
    }

    /// Forgets a path; what it had in flight is repaired on the others.
    pub(crate) fn remove_path(&mut self, id: PathId) {
        if let Some(place) = self.paths.iter().position(|path| path.id == id) {
            let path = self.paths.remove(place);
            self.orphans.extend(path.ring.into_datagrams());
        }
    }

    /// The other end was restarted: it has nothing of what was sent, and counts from the beginning.
    pub(crate) fn restart(&mut self, now: Instant) {
        for path in &mut self.paths {
            path.model = PathModel::new(now);
            path.ring = Ring::default();
            path.next_sequence = 0;
            path.health = PathHealth::Healthy;
        }
        self.bulk.restart();
        self.repairs.clear();
        self.orphans.clear();
        self.last_feedback = None;
    }

    /// Paths for a control frame: the two best, or all of them.
    pub(crate) fn frame_endpoints(
        &self,
        now: Instant,
        everywhere: bool,
    ) -> impl Iterator<Item = Endpoint> {
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
        let count = if everywhere { usable.len() } else { 2 };
        usable.into_iter().take(count).map(|(_, endpoint)| endpoint)
    }
}
