//! Packets of one peer before they are scheduled: bounded, and kept short by CoDel (RFC 8289).
//!
//! Sequences are given after this queue, so that what is dropped here leaves no hole for the other
//! end to wait for, and the inner flow's congestion control learns what the paths can carry.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// Standing delay that is tolerated: four times that of RFC 8289, section 4.4, because the rate of a
/// bond jumps when one of its paths does, and what must not wait does not pass through here.
const TARGET: Duration = Duration::from_millis(20);
/// Twice that of RFC 8289, section 4.3; a bond's round trip is that of its slowest path.
const INTERVAL: Duration = Duration::from_millis(200);
/// Bytes of all packets, when the delay does not bound them first: 100 ms at 300 Mbit/s.
const LIMIT: usize = 4 << 20;

/// A datagram to be: room for header and shim, the inner packet, room for padding and tag.
pub(crate) struct Packet {
    pub bytes: Vec<u8>,
    /// Length of the inner packet in it.
    pub inner: usize,
    pub queued: Instant,
}

/// The queue. Packets leave through [`Queue::pop`], or are dropped by it.
#[derive(Default)]
pub(crate) struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// CoDel's state: when the delay was first too long, and the drops since.
    above_since: Option<Instant>,
    next_drop: Option<Instant>,
    count: u32,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// How long the first packet has waited.
    pub(crate) fn delay(&self, now: Instant) -> Duration {
        self.packets
            .front()
            .map_or(Duration::ZERO, |packet| now - packet.queued)
    }

    /// Length of the first packet's inner packet.
    pub(crate) fn first_len(&self) -> Option<usize> {
        self.packets.front().map(|packet| packet.inner)
    }

    /// Appends a packet, or gives it back when the queue is full.
    pub(crate) fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.bytes + packet.bytes.len() > LIMIT {
            return Err(packet);
        }
        self.bytes += packet.bytes.len();
        self.packets.push_back(packet);
        Ok(())
    }

    fn take(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.bytes -= packet.bytes.len();
        Some(packet)
    }

    /// The next packet to send. `dropped` gets those that CoDel drops on the way; `rtt` is the
    /// round trip of the bond.
    pub(crate) fn pop(
        &mut self,
        now: Instant,
        rtt: Duration,
        mut dropped: impl FnMut(Packet),
    ) -> Option<Packet> {
        let interval = INTERVAL.max(rtt * 4);
        let target = TARGET.max(interval / 10);
        loop {
            let packet = self.take()?;
            if now - packet.queued < target || self.packets.is_empty() {
                self.above_since = None;
                self.next_drop = None;
                return Some(packet);
            }
            let since = *self.above_since.get_or_insert(now);
            let due = match self.next_drop {
                Some(next) => now >= next,
                None => now - since >= interval,
            };
            if !due {
                return Some(packet);
            }
            // RFC 8289, section 5.3: drops come closer by the inverse square root of their count.
            self.count = if self.next_drop.is_some() {
                self.count + 1
            } else {
                (self.count / 2).max(1)
            };
            let next = self.next_drop.unwrap_or(now);
            self.next_drop = Some(next + interval.div_f64(f64::from(self.count).sqrt()));
            dropped(packet);
        }
    }
}
