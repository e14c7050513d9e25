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
/// After a path died, what may wait behind a drop, in units of the tolerated delay: the inner flow's repair comes
/// after all that, and until then the other end's application gets nothing.
const BEHIND: u32 = 3;
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
    /// Delay until then has another reason than too high a load; kept until the queue is short again.
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

    /// Takes back what was dropped: it is the next to get a sequence.
    pub(crate) fn reinstate(&mut self, packet: Packet) {
        let place = self.unsequenced();
        self.bytes += packet.bytes.len();
        self.packets.insert(place, packet);
    }

    /// Where the packets begin that have no sequence.
    fn unsequenced(&self) -> usize {
        let sequenced = |packet: &Packet| packet.sequence.is_some();
        self.packets.partition_point(sequenced)
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
        mut dropped: impl FnMut(Packet),
    ) -> Option<Packet> {
        let interval = INTERVAL.max(rtt * 4);
        let target = TARGET.max(interval / 10);
        if ahead == 0 && self.is_drop_due(now, interval, target + spread) {
            self.count_drop(now, interval);
            let before = self.delay(now);
            self.drop_first(now, target * BEHIND + spread, &mut dropped);
            // What was dropped takes as long to be sent again.
            let shorter = before.saturating_sub(self.delay(now));
            self.next_drop = self.next_drop.map(|next| next + shorter);
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

    /// Drops the first packet that has no sequence. If the queue is still that of paths of which one died, those after
    /// it go as well that have waited for longer than `limit`: they would hold up the repair of the first.
    fn drop_first(&mut self, now: Instant, limit: Duration, dropped: &mut impl FnMut(Packet)) {
        let place = self.unsequenced();
        while place + 1 < self.packets.len()
            && let Some(packet) = self.remove(place)
        {
            dropped(packet);
            let waits = |next: &Packet| now - next.queued > limit;
            if self.excused_until.is_none() || !self.packets.get(place).is_some_and(waits) {
                return;
            }
        }
    }

    /// Whether the delay has been above the target for so long that a packet is to be dropped.
    fn is_drop_due(&mut self, now: Instant, interval: Duration, target: Duration) -> bool {
        let excused = self.excused_until.is_some_and(|until| now < until);
        let short = self.delay(now) < target || self.packets.len() < 2;
        if excused || short {
            self.excused_until.take_if(|_| !excused);
            self.above_since = None;
            self.next_drop = None;
            return false;
        }
        let since = *self.above_since.get_or_insert(now);
        let first = self.packets.front();
        match self.next_drop {
            Some(next) => first.is_some_and(|packet| packet.queued >= next),
            None => now - since >= interval,
        }
    }

    /// RFC 8289, section 5.3: drops come closer by the inverse square root of their count. The next one is for a packet
    /// that was sent so long after this one: what waits now comes of a window that does not know of it yet, or is the
    /// repair itself.
    fn count_drop(&mut self, now: Instant, interval: Duration) {
        self.count = if self.next_drop.is_some() {
            self.count + 1
        } else {
            (self.count / 2).max(1)
        };
        self.next_drop = Some(now + interval.div_f64(f64::from(self.count).sqrt()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DELAY: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn queue(packets: usize) -> Queue {
        let mut queue = Queue::default();
        for number in 0..packets {
            let packet = Packet {
                bytes: vec![0; 1000],
                inner: number,
                queued: at(0),
                sequence: None,
            };
            assert!(queue.push(packet).is_ok());
        }
        queue
    }

    fn take(queue: &mut Queue, now: Instant, ahead: usize) -> Option<(usize, Option<u64>)> {
        let packet = queue.pop(now, ahead, NO_DELAY, |_| ())?;
        Some((packet.inner, packet.sequence))
    }

    #[test]
    fn a_packet_taken_ahead_of_its_turn_keeps_its_place_in_the_order() {
        let mut queue = queue(4);
        assert_eq!(take(&mut queue, at(1), 2000), Some((2, Some(2))));
        assert_eq!(take(&mut queue, at(1), 0), Some((0, Some(0))));
        assert_eq!(take(&mut queue, at(1), 0), Some((1, Some(1))));
        assert_eq!(take(&mut queue, at(1), 0), Some((3, Some(3))));
    }

    #[test]
    fn nothing_is_taken_ahead_of_more_than_waits() {
        let mut queue = queue(4);
        assert_eq!(take(&mut queue, at(1), 4000), None);
        assert_eq!(queue.bytes(), 4000);
    }

    #[test]
    fn a_drop_leaves_no_hole_in_the_sequences() {
        let mut queue = queue(300);
        for (number, packet) in (0..).zip(&mut queue.packets) {
            packet.queued = at(10 * number);
        }
        let mut dropped = Vec::new();
        let mut sequences = Vec::new();
        // A packet each 10 ms, every other one 20 packets ahead: the delay stays far above the target.
        for step in 0..330 {
            let ahead = if step % 2 == 0 { 20_000 } else { 0 };
            let packet = queue.pop(at(400 + 10 * step), ahead, NO_DELAY, |packet| {
                dropped.push(packet.sequence);
            });
            sequences.extend(packet.and_then(|packet| packet.sequence));
        }
        assert!(dropped.len() > 3, "{dropped:?}");
        assert!(dropped.iter().all(Option::is_none), "{dropped:?}");
        sequences.sort_unstable();
        let expected: Vec<u64> = (0..sequences.len() as u64).collect();
        assert_eq!(sequences, expected);
    }

    #[test]
    fn after_a_path_died_nothing_waits_long_behind_a_drop() {
        let mut queue = Queue::default();
        queue.excuse_until(at(200));
        let mut dropped = 0;
        // Twice as much comes as leaves: one packet each millisecond.
        for now in 0..1000 {
            for _ in 0..2 {
                let packet = Packet {
                    bytes: vec![0; 1000],
                    inner: 0,
                    queued: at(now),
                    sequence: None,
                };
                assert!(queue.push(packet).is_ok());
            }
            let before = dropped;
            assert!(queue.pop(at(now), 0, NO_DELAY, |_| dropped += 1).is_some());
            if dropped > before {
                assert!(
                    queue.delay(at(now)) <= TARGET * BEHIND,
                    "{:?}",
                    queue.delay(at(now))
                );
            }
        }
        assert!(dropped > 100, "{dropped}");
    }

    #[test]
    fn what_was_sent_before_a_drop_is_spared_the_next() {
        let mut queue = queue(2000);
        let mut drops = Vec::new();
        for now in 60..1000 {
            let popped = queue.pop(at(now), 0, NO_DELAY, |_| drops.push(now));
            assert!(popped.is_some());
        }
        assert_eq!(drops.len(), 1, "{drops:?}");
    }

    #[test]
    fn what_is_reinstated_is_the_next_without_a_sequence() {
        let mut queue = queue(4);
        assert_eq!(take(&mut queue, at(1), 1000), Some((1, Some(1))));
        let dropped = Packet {
            bytes: vec![0; 1000],
            inner: 9,
            queued: at(0),
            sequence: None,
        };
        queue.reinstate(dropped);
        assert_eq!(queue.bytes(), 4000);
        assert_eq!(take(&mut queue, at(1), 0), Some((0, Some(0))));
        assert_eq!(take(&mut queue, at(1), 0), Some((9, Some(2))));
        assert_eq!(take(&mut queue, at(1), 0), Some((2, Some(3))));
    }

    #[test]
    fn the_delay_that_the_paths_need_is_no_reason_to_drop() {
        let mut queue = queue(300);
        let spread = Duration::from_secs(5);
        for step in 0..200 {
            let now = at(100 + 10 * step);
            let packet = queue.pop(now, 0, (spread, Duration::ZERO), |_| panic!("dropped"));
            assert!(packet.is_some());
        }
    }
}
