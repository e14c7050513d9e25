//! Packets of one peer before they are scheduled: bounded, and kept short by CoDel (RFC 8289).
//!
//! Bucket sequences are given here, no earlier than a packet behind leaves before its turn: what is
//! dropped has none yet, so that it leaves no hole for the other end to wait for, and the inner
//! flow's congestion control learns what the paths can carry.
//!
//! Invariant: the packets that have a sequence are in front of those that have none.

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
    /// Its place in the order of the bucket, once it is known.
    pub sequence: Option<u64>,
}

/// The queue. Packets leave through [`Queue::pop`], or are dropped by it.
#[derive(Default)]
pub(crate) struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
    next_sequence: u64,
    /// CoDel's state: when the delay was first too long, and the drops since.
    above_since: Option<Instant>,
    next_drop: Option<Instant>,
    count: u32,
    /// Delay until then has another reason than too high a load.
    excused_until: Option<Instant>,
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

    /// Bytes that wait, as they will be sent.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sequence that the next packet gets that has none.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// What waits until then does so because a path died: that is no standing queue.
    pub(crate) fn excuse_until(&mut self, at: Instant) {
        self.excused_until = Some(at);
    }

    /// The other end counts from the beginning.
    pub(crate) fn restart(&mut self) {
        self.next_sequence = 0;
        for packet in &mut self.packets {
            packet.sequence = None;
        }
    }

    fn remove(&mut self, place: usize) -> Option<Packet> {
        let packet = self.packets.remove(place)?;
        self.bytes -= packet.bytes.len();
        Some(packet)
    }

    /// The packet behind `ahead` bytes, to be sent now. `spread` is the delay that the paths need to
    /// be in use all of them, `rtt` the round trip of the bond; `dropped` gets what CoDel drops.
    pub(crate) fn pop(
        &mut self,
        now: Instant,
        ahead: usize,
        (spread, rtt): (Duration, Duration),
        dropped: impl FnOnce(Packet),
    ) -> Option<Packet> {
        let interval = INTERVAL.max(rtt * 4);
        if ahead == 0 && self.is_drop_due(now, interval, TARGET.max(interval / 10) + spread) {
            let place = self
                .packets
                .partition_point(|packet| packet.sequence.is_some());
            if place + 1 < self.packets.len() {
                self.count_drop(now, interval);
                if let Some(packet) = self.remove(place) {
                    dropped(packet);
                }
            }
        }
        let mut before = 0;
        let place = self.packets.iter().position(|packet| {
            before += packet.bytes.len();
            before > ahead
        })?;
        for packet in self.packets.iter_mut().take(place + 1) {
            if packet.sequence.is_none() {
                packet.sequence = Some(self.next_sequence);
                self.next_sequence += 1;
            }
        }
        self.remove(place)
    }

    /// Whether the delay has been above the target for so long that a packet is to be dropped.
    fn is_drop_due(&mut self, now: Instant, interval: Duration, target: Duration) -> bool {
        let excused = self.excused_until.is_some_and(|until| now < until);
        if excused || self.delay(now) < target || self.packets.len() < 2 {
            self.above_since = None;
            self.next_drop = None;
            return false;
        }
        let since = *self.above_since.get_or_insert(now);
        match self.next_drop {
            Some(next) => now >= next,
            None => now - since >= interval,
        }
    }

    /// RFC 8289, section 5.3: drops come closer by the inverse square root of their count.
    fn count_drop(&mut self, now: Instant, interval: Duration) {
        self.count = if self.next_drop.is_some() {
            self.count + 1
        } else {
            (self.count / 2).max(1)
        };
        let next = self.next_drop.unwrap_or(now);
        self.next_drop = Some(next + interval.div_f64(f64::from(self.count).sqrt()));
    }
}
