//! The receiving half of a bond: note arrivals, restore the order, report back (design, section 5).

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::handoff::{BondGauge, Endpoint, PathGauge, PathId};
use crate::time::Instant;

use super::arrivals::Arrivals;
use super::bare::Tally;
use super::reorder::{Budget, Depth, Reorder};
use super::shim::Shim;

/// Numbers that a path can have.
const PATHS: usize = 16;

/// The bucket whose order is restored; in others, which this version does not use, packets go on as they come.
const BUCKET: u8 = 0;

/// What a repair takes, as long as no round trip is known.
const REPAIR_TIME: Duration = Duration::from_millis(50);
/// A feedback waits for its turn at both ends before the repair leaves.
const REPAIR_SLACK: Duration = Duration::from_millis(10);

/// Where a path of the peer comes from.
pub(crate) struct Binding {
    pub endpoint: Endpoint,
    /// Another one means another path: the number's count begins anew.
    pub token: u64,
    pub gauge: Arc<PathGauge>,
}

/// What one peer sends over several paths.
pub(crate) struct Inbound {
    arrivals: Arrivals,
    order: Reorder,
    /// Where each of the peer's paths comes from.
    bindings: [Option<Binding>; PATHS],
    /// Whether anything bonded has arrived since the start, or a restart of the peer.
    begun: bool,
    tally: Tally,
    gauge: Option<Arc<BondGauge>>,
}

impl Inbound {
    /// Nothing arrived yet; `depth` is held at most, and takes its memory from `budget`.
    pub(crate) fn new(depth: Depth, budget: Budget) -> Self {
        let mut order = Reorder::sharing(depth, budget);
        order.set_repair_time(REPAIR_TIME);
        Self {
            arrivals: Arrivals::new(),
            order,
            bindings: [const { None }; PATHS],
            begun: false,
            tally: Tally::default(),
            gauge: None,
        }
    }

    /// The peer's path of this number is the one from there.
    pub(crate) fn bind(&mut self, path: PathId, binding: Binding) {
        let token = binding.token;
        let place = self.bindings.get_mut(usize::from(path.0));
        let before = place.and_then(|place| place.replace(binding));
        if before.is_some_and(|known| known.token != token) {
            self.arrivals.forget(path.0);
            self.order.path_gone(path.0);
        }
    }

    /// Counts what came from there to its path; false if no path is bound to it.
    pub(crate) fn note_arrival(&self, from: Endpoint, bytes: u64) -> bool {
        let mut bound = self.bindings.iter().flatten();
        let path = bound.find(|binding| binding.endpoint == from);
        if let Some(path) = path {
            path.gauge.received_bytes.fetch_add(bytes, Relaxed);
        }
        path.is_some()
    }

    /// The peer was restarted, and numbers from the beginning.
    pub(crate) fn restart(&mut self) {
        self.arrivals = Arrivals::new();
        self.order.reset();
        self.begun = false;
    }

    fn came_by_its_path(&self, shim: &Shim, from: Endpoint) -> bool {
        let bound = self.bindings.get(usize::from(shim.path));
        let bound = bound.and_then(Option::as_ref);
        bound.is_none_or(|binding| binding.endpoint == from)
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
                .zip(&self.bindings)
                .filter(|(_, bound)| bound.is_some())
            {
                self.order.path_came(now, path);
            }
        }
        self.tally.note_bonded(now);
        let same_path = self.came_by_its_path(shim, from);
        let arrival = self.arrivals.note(now, shim, datagram, same_path);
        self.order.push(
            now,
            arrival.bucket_sequence,
            shim.ordered && shim.bucket == BUCKET,
            inner,
            same_path.then_some(shim.path),
            deliver,
        );
    }

    /// Counts `received` datagrams of any kind that moved the highest counter by `passed`.
    pub(crate) fn count(&mut self, now: Instant, passed: u64, received: u64) {
        self.tally.note(now, passed, received);
    }

    /// The report of lost bare data that is due.
    pub(crate) fn loss_report(&mut self, now: Instant) -> Option<Vec<u8>> {
        Some(self.tally.report(now)?.frame())
    }

    /// Takes note of a second copy.
    pub(crate) fn take_copy(&mut self, shim: &Shim, datagram: usize, from: Endpoint, now: Instant) {
        if self.came_by_its_path(shim, from) {
            self.arrivals.note_copy(now, shim, datagram);
        } else {
            self.arrivals.note_duplicate();
        }
    }

    /// Where the send machine leaves the round trips, and people look for the counters.
    pub(crate) fn set_gauge(&mut self, gauge: Arc<BondGauge>) {
        self.gauge = Some(gauge);
    }

    /// Takes the round trips, for the pace of feedback and the patience with gaps; writes the counters.
    fn exchange(&mut self) {
        let Some(gauge) = &self.gauge else { return };
        let rtt = |micros: &AtomicU32| Duration::from_micros(micros.load(Relaxed).into());
        let (best, slowest) = (rtt(&gauge.best_rtt_us), rtt(&gauge.slowest_rtt_us));
        let reverse_rate = gauge.reverse_rate.load(Relaxed);
        self.arrivals
            .set_reverse_rate((reverse_rate > 0).then_some(reverse_rate));
        if !best.is_zero() {
            self.arrivals.set_rtt(best);
            self.order
                .set_repair_time(best.max(slowest / 2) + REPAIR_SLACK);
        }
        let order = self.order.stats();
        gauge.reorder_held.store(order.held, Relaxed);
        gauge
            .reorder_timeouts
            .store(order.released_timeout, Relaxed);
        gauge.late.store(order.late, Relaxed);
    }

    /// When [`Self::expire`], [`Self::feedback`] or [`Self::loss_report`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let feedback = self.arrivals.next_feedback();
        let all = [
            feedback,
            self.order.next_deadline(),
            self.tally.next_report(),
        ];
        all.into_iter().flatten().min()
    }

    /// Gives up on what is overdue.
    pub(crate) fn expire(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        self.order.expire(now, deliver);
    }

    /// The feedback frame that is due, and whether it should go on every path.
    pub(crate) fn feedback(&mut self, now: Instant) -> Option<(Vec<u8>, bool)> {
        self.arrivals.next_feedback().filter(|due| *due <= now)?;
        self.exchange();
        let feedback = self.arrivals.feedback(now);
        Some((feedback.frame(), self.arrivals.has_gaps()))
    }
}
