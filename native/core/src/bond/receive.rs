//! The receiving half of a bond: note arrivals, restore the order, report back (design, section 5).

use std::time::Duration;

use crate::handoff::{Endpoint, PathId};
use crate::time::Instant;

use super::arrivals::Arrivals;
use super::reorder::{Budget, Depth, Reorder};
use super::shim::Shim;

/// Numbers that a path can have.
const PATHS: usize = 16;

/// What one peer sends over several paths.
pub(crate) struct Inbound {
    arrivals: Arrivals,
    order: Reorder,
    endpoints: [Option<Endpoint>; PATHS],
    /// Whether anything bonded has arrived since the start, or a restart of the peer.
    begun: bool,
}

impl Inbound {
    /// Nothing arrived yet; what is held takes its memory from `budget`.
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            arrivals: Arrivals::new(),
            order: Reorder::sharing(Depth::Auto, budget),
            endpoints: [None; PATHS],
            begun: false,
        }
    }

    /// The peer's path of this number is the one from there.
    pub(crate) fn bind(&mut self, path: PathId, endpoint: Endpoint) {
        if let Some(place) = self.endpoints.get_mut(usize::from(path.0)) {
            *place = Some(endpoint);
        }
    }

    /// The peer was restarted, and numbers from the beginning.
    pub(crate) fn restart(&mut self) {
        self.arrivals = Arrivals::new();
        self.order.reset();
        self.begun = false;
    }

    fn came_by_its_path(&self, shim: &Shim, from: Endpoint) -> bool {
        let bound = self
            .endpoints
            .get(usize::from(shim.path))
            .copied()
            .flatten();
        bound.is_none_or(|endpoint| endpoint == from)
    }

    /// Takes a fresh packet; `deliver` gets what may go on, in order.
    pub(crate) fn take(
        &mut self,
        shim: &Shim,
        inner: &[u8],
        datagram: usize,
        from: Endpoint,
        now: Instant,
        deliver: &mut dyn FnMut(&[u8]),
    ) {
        if !std::mem::replace(&mut self.begun, true) {
            // What the other paths bring may take longer than what came first.
            for (path, _) in (0..)
                .zip(&self.endpoints)
                .filter(|(_, bound)| bound.is_some())
            {
                self.order.path_came(now, path);
            }
        }
        let arrival = self
            .arrivals
            .note(now, shim, datagram, self.came_by_its_path(shim, from));
        self.order.push(
            now,
            arrival.bucket_sequence,
            shim.ordered,
            inner,
            shim.path,
            deliver,
        );
    }

    /// Takes note of a second copy.
    pub(crate) fn take_copy(&mut self, shim: &Shim, datagram: usize, from: Endpoint, now: Instant) {
        if self.came_by_its_path(shim, from) {
            self.arrivals.note_copy(now, shim, datagram);
        } else {
            self.arrivals.note_duplicate();
        }
    }

    /// The round trip of the peer, for the pace of feedback and the patience with gaps.
    pub(crate) fn set_rtt(&mut self, best: Duration, slowest: Duration) {
        self.arrivals.set_rtt(best);
        self.order.set_repair_time(slowest + best);
    }

    /// When [`Self::expire`] or [`Self::feedback`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        [self.arrivals.next_feedback(), self.order.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Gives up on what is overdue.
    pub(crate) fn expire(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        self.order.expire(now, deliver);
    }

    /// The feedback frame that is due, and whether it should go on every path.
    pub(crate) fn feedback(&mut self, now: Instant) -> Option<(Vec<u8>, bool)> {
        self.arrivals.next_feedback().filter(|due| *due <= now)?;
        let feedback = self.arrivals.feedback(now);
        Some((feedback.frame(), self.arrivals.has_gaps()))
    }
}
