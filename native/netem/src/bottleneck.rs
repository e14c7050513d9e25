//! The queue before the wire and its serialisation at the link's rate.
//!
//! Work is counted in bit-nanoseconds per second (bits x 10^9), which a rate in bit/s serves by the nanosecond
//! without rounding; so a packet may be half sent when the rate changes. A finish time is rounded up:
//! the link is never faster than its rate.

use crate::setting::{QueueLimit, nanos};
use std::collections::VecDeque;

/// Packets waiting or being serialised; the front one is on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Bottleneck<P> {
    rate: Option<u64>,
    limit: QueueLimit,
    limit_bytes: u64,
    waiting: VecDeque<Waiting<P>>,
    /// Bytes of everything in `waiting`, the front packet in full.
    bytes: u64,
    /// Work left of the front packet, as of `served_until`.
    front_work: u128,
    served_until: u64,
}

#[derive(Debug, Clone)]
struct Waiting<P> {
    packet: P,
    size: u64,
}

const WORK_PER_BYTE: u128 = 8 * 1_000_000_000;

impl<P> Bottleneck<P> {
    pub(crate) fn new(rate: Option<u64>, limit: QueueLimit) -> Self {
        let mut bottleneck = Self {
            rate,
            limit,
            limit_bytes: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            front_work: 0,
            served_until: 0,
        };
        bottleneck.reckon_limit();
        bottleneck
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes waiting at `served_until`, the unsent part of the front packet included.
    pub(crate) fn backlog(&self) -> u64 {
        let front = self.waiting.front().map_or(0, |front| front.size);
        let unsent = self.front_work.div_ceil(WORK_PER_BYTE) as u64;
        self.bytes - front + unsent
    }

    /// Nanoseconds that a packet arriving now would wait; `None` while the link stalls with packets waiting.
    pub(crate) fn wait(&self) -> Option<u64> {
        match (self.rate, self.backlog()) {
            (None, _) | (_, 0) => Some(0),
            (Some(rate), backlog) => (u128::from(backlog) * WORK_PER_BYTE)
                .checked_div(u128::from(rate))
                .map(saturate),
        }
    }

    /// Whether a packet of `size` bytes fits now.
    pub(crate) fn fits(&self, size: u64) -> bool {
        self.waiting.is_empty() || self.backlog().saturating_add(size) <= self.limit_bytes
    }

    /// Serves the front packet up to `now`, which must not be after its finish.
    pub(crate) fn serve(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.served_until);
        let served = u128::from(self.rate.unwrap_or(u64::MAX)) * u128::from(elapsed);
        self.front_work = self.front_work.saturating_sub(served);
        self.served_until = self.served_until.max(now);
    }

    /// Puts a packet at the tail; the bottleneck must have been served up to now.
    pub(crate) fn push(&mut self, packet: P, size: u64) {
        if self.waiting.is_empty() {
            self.front_work = u128::from(size) * WORK_PER_BYTE;
        }
        self.bytes += size;
        self.waiting.push_back(Waiting { packet, size });
    }

    /// When the front packet will have left, at the present rate.
    pub(crate) fn finish(&self) -> Option<u64> {
        self.waiting.front()?;
        let left = match self.rate {
            // Sent in full, though the rate may have changed at that very moment.
            _ if self.front_work == 0 => 0,
            None => 0,
            Some(0) => return None,
            Some(rate) => saturate(self.front_work.div_ceil(u128::from(rate))),
        };
        self.served_until.checked_add(left)
    }

    /// Takes the front packet, which finishes at `finish`.
    pub(crate) fn pop(&mut self, finish: u64) -> Option<P> {
        let left = self.waiting.pop_front()?;
        self.bytes -= left.size;
        self.served_until = self.served_until.max(finish);
        let next = self.waiting.front().map_or(0, |next| next.size);
        self.front_work = u128::from(next) * WORK_PER_BYTE;
        Some(left.packet)
    }

    /// Changes rate and limit; the bottleneck must have been served up to now.
    pub(crate) fn configure(&mut self, rate: Option<u64>, limit: QueueLimit) {
        (self.rate, self.limit) = (rate, limit);
        self.reckon_limit();
    }

    fn reckon_limit(&mut self) {
        self.limit_bytes = match (self.limit, self.rate) {
            (QueueLimit::Bytes(bytes), _) => bytes as u64,
            // A stalled link keeps the buffer that it had.
            (QueueLimit::Time(_), Some(0)) => self.limit_bytes,
            (QueueLimit::Time(_), None) => u64::MAX,
            (QueueLimit::Time(time), Some(rate)) => {
                saturate(u128::from(nanos(time)) * u128::from(rate) / WORK_PER_BYTE)
            }
        };
    }
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
