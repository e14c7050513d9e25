//! The values that the settings of a link take, and the changes that a schedule or a live command makes.

use std::time::Duration;

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

/// One setting changed; see the field of the same name in [`LinkConfig`](crate::LinkConfig).
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
