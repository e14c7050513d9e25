//! What was sent on the path and not yet overtaken by a report: when, and how much before it.
//!
//! Sequences count up by one. Everything at or below the highest reported one has left the ring, so
//! what the ring holds is what is in flight; a gap is reported, not in flight.

use std::collections::VecDeque;

use crate::time::Instant;

/// Packets the ring holds: 700 Mbit/s of full packets over a round trip of 1 s. Beyond that the path
/// waits for feedback.
const PACKETS_MAX: usize = 1 << 16;

/// One packet handed to the socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When.
    pub at: Instant,
    /// Bytes sent on the path so far, this packet's included.
    pub total: u64,
    /// Packets before this one after which nothing was waiting.
    pub idle: u64,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    packets: VecDeque<Sent>,
    /// Sequence of the front packet; of the next one when the ring is empty.
    first: u64,
    /// Bytes before the front packet.
    gone: u64,
    last: Sent,
    /// Nothing was waiting after the last packet.
    ran_dry: bool,
}

impl Ring {
    pub fn new(now: Instant) -> Self {
        let last = Sent {
            at: now,
            total: 0,
            idle: 0,
        };
        Self {
            packets: VecDeque::new(),
            first: 0,
            gone: 0,
            last,
            ran_dry: true,
        }
    }

    /// Notes a packet. A sequence that is not the next one starts the ring anew there.
    pub fn push(&mut self, now: Instant, sequence: u64, bytes: usize, backlogged: bool) {
        if sequence != self.next() {
            self.clear();
            self.first = sequence;
        }
        if self.is_full() {
            self.take_through(self.first);
        }
        self.last = Sent {
            at: now,
            total: self.last.total.saturating_add(bytes as u64),
            idle: self.last.idle + u64::from(self.ran_dry),
        };
        self.ran_dry = !backlogged;
        self.packets.push_back(self.last);
    }

    /// Removes everything up to `sequence` and returns that packet, if it was still here.
    pub fn take_through(&mut self, sequence: u64) -> Option<Sent> {
        let count = sequence.checked_sub(self.first)?.saturating_add(1);
        let count = count.min(self.packets.len() as u64);
        let taken = self.packets.drain(..count as usize).next_back()?;
        self.first = self.first.saturating_add(count);
        self.gone = taken.total;
        Some(taken)
    }

    pub fn clear(&mut self) {
        self.first = self.next();
        self.packets.clear();
        self.gone = self.last.total;
    }

    /// The sequence after the last one sent.
    pub fn next(&self) -> u64 {
        self.first.saturating_add(self.packets.len() as u64)
    }

    /// When the front packet was sent.
    pub fn oldest(&self) -> Option<Instant> {
        self.packets.front().map(|sent| sent.at)
    }

    /// Bytes in flight.
    pub fn bytes(&self) -> u64 {
        self.last.total.saturating_sub(self.gone)
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.packets.len() >= PACKETS_MAX
    }

    /// The last packet sent, or the start.
    pub fn last(&self) -> Sent {
        self.last
    }
}
