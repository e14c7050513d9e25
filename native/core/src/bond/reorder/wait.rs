//! How long a gap is waited for.
//!
//! While a path in use has not gone past a gap, its packets may still come by that path: the wait is
//! the delay spread of the paths, as packets overtaken on faster paths show it, and on top what is
//! waited for once every path is past it. That is the time that repairs, or the reordering within a
//! path, have taken lately. While packets just before a gap are being repaired, it is waited for as well:
//! repairs come in order, and a path that died leaves more than one round trip of them. Nobody configures any of it: a packet that comes after its gap was given
//! up is a sample too, so too short a wait corrects itself.

use std::time::Duration;

use crate::bond::recent::RecentMax;
use crate::time::Instant;

use super::gaps::Gap;

/// The least wait: receiving in batches and the kernel's queues reorder by milliseconds.
pub const MIN_WAIT: Duration = Duration::from_millis(5);
/// The longest wait: the widest delay spread that pays (285 ms) and its repair. Beyond it the inner
/// TCP has long timed out (its least time-out is 200 ms).
pub const MAX_WAIT: Duration = Duration::from_millis(500);
/// The least delay spread assumed of a path that has not gone past a gap: if it has died, that is
/// suspected after 30 ms or more, and its packets still need to come by another.
const MIN_SPREAD: Duration = Duration::from_millis(50);
/// Repairs waited for: at 1 % loss a single one leaves one packet in 10,000 missing, and that alone
/// keeps a CUBIC flow of 50 ms round trip below 30 Mbit/s; the third makes up for lost reports.
const REPAIR_ROUNDS: u32 = 3;
/// A path counts as in use for this long after an arrival, unless it is said to be gone: a bursty flow
/// pauses on the slow path, and the first packets that it carries again are not lost. The price is a
/// longer wait for losses of the others that nobody repairs.
pub(super) const IN_USE: Duration = Duration::from_secs(2);
/// Samples count for one to two of these: paths that drift do so within seconds, and a wait that is
/// too long costs only where a packet is lost for good.
const EPOCH: Duration = Duration::from_secs(5);

/// The estimates behind the deadlines of one bucket.
pub(super) struct Wait {
    spread: RecentMax,
    recovery: RecentMax,
    repairs: Duration,
    /// When the oldest missing packet was repaired last.
    repaired_at: Option<Instant>,
}

impl Wait {
    pub(super) const fn new() -> Self {
        Self {
            spread: RecentMax::new(EPOCH),
            recovery: RecentMax::new(EPOCH),
            repairs: Duration::ZERO,
            repaired_at: None,
        }
    }

    /// When the oldest gap is to be given up.
    pub(super) fn deadline(&self, gap: &Gap) -> Instant {
        let unproven = gap.opened + (self.spread() + self.after_proof());
        let proven = gap.proven.map(|at| at + self.after_proof());
        let expected = proven.map_or(unproven, |proven| proven.min(unproven));
        let repairing = self.repaired_at.map(|at| at + self.after_proof());
        repairing
            .map_or(expected, |repairing| repairing.max(expected))
            .min(gap.opened + MAX_WAIT)
    }

    /// The oldest missing packet came: those after it are on their way.
    pub(super) fn repaired_oldest(&mut self, now: Instant) {
        self.repaired_at = Some(now);
    }

    /// A packet let others wait this long because its path is slower.
    pub(super) fn overtaken(&mut self, now: Instant, wait: Duration) {
        self.spread.add(now, wait.min(MAX_WAIT));
    }

    /// A packet was repaired, or came out of order on its path, after this long.
    pub(super) fn recovered(&mut self, now: Instant, wait: Duration) {
        self.recovery.add(now, wait.min(MAX_WAIT));
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.spread.tick(now);
        self.recovery.tick(now);
    }

    pub(super) fn set_repair_time(&mut self, time: Duration) {
        self.repairs = REPAIR_ROUNDS * time.min(MAX_WAIT);
    }

    /// The delay spread, and a quarter more for its jitter.
    fn spread(&self) -> Duration {
        (self.spread.get() * 5 / 4).max(MIN_SPREAD)
    }

    /// What is waited for once every path is past the gap.
    fn after_proof(&self) -> Duration {
        (self.recovery.get() * 5 / 4)
            .max(self.repairs)
            .max(MIN_WAIT)
    }
}
