//! What a link is: its configuration, and the changes that a schedule or a live command makes to it.
//!
//! Every setting is one field of [`LinkConfig`] and one variant of [`Change`], so whatever can be
//! configured can also vary over time.

use crate::schedule::Schedule;
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

/// Random delay, uniform between zero and the given maximum, drawn for each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// A delayed packet holds up those behind it, as on a radio link that retransmits.
    Ordered(Duration),
    /// Packets overtake each other, as over several routes.
    Unordered(Duration),
}

impl Default for Jitter {
    fn default() -> Self {
        Self::Ordered(Duration::ZERO)
    }
}

/// Random loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Each packet is lost with this probability.
    Independent(f64),
    /// Gilbert-Elliott: a good and a bad state, changed at most once per packet.
    Gilbert {
        /// Probability of going from good to bad, per packet.
        enter_bad: f64,
        /// Probability of going from bad to good, per packet.
        leave_bad: f64,
        /// Loss in the bad state.
        loss_bad: f64,
        /// Loss in the good state.
        loss_good: f64,
    },
}

impl Loss {
    /// Bursts: `mean` of all packets are lost (below 1), in runs of `burst` packets on average (at least 1).
    pub fn bursts(mean: f64, burst: f64) -> Self {
        let leave_bad = 1.0 / burst.max(1.0);
        Self::Gilbert {
            enter_bad: leave_bad * mean / (1.0 - mean),
            leave_bad,
            loss_bad: 1.0,
            loss_good: 0.0,
        }
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::Independent(0.0)
    }
}

/// With `probability`, a packet is held back by `by` beyond its time, and those behind it pass.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reorder {
    /// Probability for each packet.
    pub probability: f64,
    /// How long it is held back.
    pub by: Duration,
}

/// The depth of the queue before the wire. An empty queue always takes one packet, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueLimit {
    /// A buffer of this many bytes, overhead included: slower means longer waits.
    Bytes(usize),
    /// As many bytes as the link carries in this time at its present rate (at its last one while it stalls).
    Time(Duration),
}

/// One setting changed; see the field of the same name in [`LinkConfig`].
///
/// Written as text, `"rate 20mbit"`, it parses with [`str::parse`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Bits per second.
    Rate(Option<u64>),
    /// Bytes per packet.
    Overhead(usize),
    /// One-way delay.
    Delay(Duration),
    /// Jitter.
    Jitter(Jitter),
    /// Loss on the wire.
    Loss(Loss),
    /// Probability of a second copy.
    Duplicate(f64),
    /// Packets held back.
    Reorder(Reorder),
    /// Probability of a flipped bit.
    Corrupt(f64),
    /// Queue limit.
    Queue(QueueLimit),
    /// ECN threshold.
    Ecn(Option<Duration>),
    /// Black hole.
    BlackHole(bool),
    /// Largest packet, bytes.
    MaxPacket(Option<usize>),
}

/// A duration as nanoseconds, saturating after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
