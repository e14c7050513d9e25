//! What a link is.
//!
//! Every setting is one field of [`LinkConfig`] and one variant of [`Change`], so whatever can be
//! configured can also vary over time.

use crate::schedule::Schedule;
use crate::setting::{Change, Jitter, Loss, QueueLimit, Reorder};
use std::time::Duration;

/// One direction of one link. The default is ideal: unlimited rate, no delay, nothing lost.
///
/// Order of effects on a packet: size check, queue (tail drop, ECN), serialisation at the rate, then on
/// the wire black hole, loss, corruption, duplication, delay with jitter, reordering. What the wire loses has
/// therefore used the link's rate, as on a real link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkConfig {
    /// Bits per second; `None` is unlimited, `Some(0)` is a stall: packets wait.
    pub rate: Option<u64>,
    /// Bytes added to each packet in the queue and on the wire, such as 38 for Ethernet framing.
    pub overhead: usize,
    /// One-way propagation delay. No packet ever arrives sooner.
    pub delay: Duration,
    /// Random delay on top of `delay`.
    pub jitter: Jitter,
    /// Random loss on the wire.
    pub loss: Loss,
    /// Probability that a packet arrives twice.
    pub duplicate: f64,
    /// Packets held back so that later ones overtake them.
    pub reorder: Reorder,
    /// Probability that a packet arrives with one bit flipped.
    pub corrupt: f64,
    /// How much waits before the tail is dropped.
    pub queue: QueueLimit,
    /// Packets that find more than this much queued are marked Congestion Experienced; `None` marks none.
    pub ecn: Option<Duration>,
    /// Everything that reaches the wire vanishes, silently.
    pub black_hole: bool,
    /// Longer packets (without `overhead`) vanish, silently; `None` lets all pass.
    pub max_packet: Option<usize>,
    /// What changes over time.
    pub schedule: Schedule,
}

impl LinkConfig {
    /// A link of `mbit` Mbit/s and `delay_ms` milliseconds one way, the way scenarios are written: `new(50, 10)`.
    pub fn new(mbit: u64, delay_ms: u64) -> Self {
        Self {
            rate: Some(mbit.saturating_mul(1_000_000)),
            delay: Duration::from_millis(delay_ms),
            ..Self::default()
        }
    }

    /// Applies one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Rate(rate) => self.rate = rate,
            Change::Overhead(bytes) => self.overhead = bytes,
            Change::Delay(delay) => self.delay = delay,
            Change::Jitter(jitter) => self.jitter = jitter,
            Change::Loss(loss) => self.loss = loss,
            Change::Duplicate(probability) => self.duplicate = probability,
            Change::Reorder(reorder) => self.reorder = reorder,
            Change::Corrupt(probability) => self.corrupt = probability,
            Change::Queue(limit) => self.queue = limit,
            Change::Ecn(threshold) => self.ecn = threshold,
            Change::BlackHole(on) => self.black_hole = on,
            Change::MaxPacket(bytes) => self.max_packet = bytes,
        }
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            rate: None,
            overhead: 0,
            delay: Duration::ZERO,
            jitter: Jitter::default(),
            loss: Loss::default(),
            duplicate: 0.0,
            reorder: Reorder::default(),
            corrupt: 0.0,
            queue: QueueLimit::Time(Duration::from_millis(60)),
            ecn: None,
            black_hole: false,
            max_packet: None,
            schedule: Schedule::default(),
        }
    }
}
