//! One direction of one link: a queue at a rate, then a wire.
//!
//! Time is what the caller says. Between two calls the link does by itself, in the exact order of their times,
//! what was due in between: departures from the queue and changes of the schedule. Hence a caller that polls
//! late gets the same packets as one that polls at every nanosecond.

use crate::bottleneck::Bottleneck;
use crate::config::LinkConfig;
use crate::packet::Packet;
use crate::schedule::Player;
use crate::setting::{Change, nanos};
use crate::stats::{DropReason, Stats, Verdict};
use crate::wire::Wire;

/// The most packets that a link holds, queue and wire together: bounds the memory of an unlimited rate
/// with a long delay, and is above one second of minimal packets at 500 Mbit/s.
const PACKETS_MAX: usize = 1 << 20;

/// One direction of one link. Equal configuration, seed and calls give equal results.
///
/// ```
/// use whalescale_netem::{Link, LinkConfig, Verdict};
///
/// let mut link = Link::new(LinkConfig::new(8, 10), 1); // 8 Mbit/s, 10 ms
/// assert_eq!(link.send(0, vec![0u8; 1000], 1000), Verdict::Queued);
///
/// let arrival = link.next_event().unwrap();
/// assert_eq!(arrival, 11_000_000); // 1 ms to serialise, 10 ms to propagate
/// assert!(link.poll_deliver(arrival - 1).is_none());
/// assert_eq!(link.poll_deliver(arrival).unwrap().len(), 1000);
/// ```
#[derive(Debug, Clone)]
pub struct Link<P> {
    config: LinkConfig,
    schedule: Player,
    queue: Bottleneck<(P, usize)>,
    wire: Wire<P>,
    stats: Stats,
    now: u64,
}

impl<P: Packet> Link<P> {
    /// A link whose random choices follow from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            schedule: Player::new(&config.schedule),
            queue: Bottleneck::new(config.rate, config.queue),
            wire: Wire::new(seed),
            stats: Stats::default(),
            now: 0,
            config,
        }
    }

    /// Hands over a packet of `len` bytes at `now` nanoseconds. A time before an earlier call's counts as that one's.
    pub fn send(&mut self, now: u64, mut packet: P, len: usize) -> Verdict {
        self.advance(now);
        self.stats.sent += 1;
        self.stats.sent_bytes += len as u64;
        if self.config.max_packet.is_some_and(|max| len > max) {
            return self.refuse(DropReason::TooBig);
        }
        let size = len.saturating_add(self.config.overhead) as u64;
        if !self.queue.fits(size) || self.in_flight() >= PACKETS_MAX {
            return self.refuse(DropReason::QueueFull);
        }
        if self.is_congested() && packet.mark_congestion() {
            self.stats.marked += 1;
        }
        self.queue.push((packet, len), size);
        self.stats.max_queue_bytes = self.stats.max_queue_bytes.max(self.queue.backlog());
        Verdict::Queued
    }

    /// The next packet that has arrived by `now`. Call until `None`.
    pub fn poll_deliver(&mut self, now: u64) -> Option<P> {
        self.advance(now);
        let (packet, len) = self.wire.arrive(self.now)?;
        self.stats.delivered += 1;
        self.stats.delivered_bytes += len as u64;
        Some(packet)
    }

    /// When to poll next, if nothing is sent before: no packet arrives earlier, though one may be lost
    /// and none arrive then. `None` while the link is empty or stalled for good.
    pub fn next_event(&self) -> Option<u64> {
        let delay = nanos(self.config.delay);
        let from_queue = self
            .queue
            .finish()
            .map(|finish| finish.saturating_add(delay));
        let change = self.schedule.next_at().filter(|_| self.queue.len() > 0);
        [self.wire.next_arrival(), from_queue, change]
            .into_iter()
            .flatten()
            .min()
    }

    /// Changes a setting at `now`.
    pub fn apply(&mut self, now: u64, change: Change) {
        self.advance(now);
        self.change(change);
    }

    /// The settings as they are now.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// The counters up to the last call.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Packets in the queue and on the wire, second copies included.
    pub fn in_flight(&self) -> usize {
        self.queue.len() + self.wire.len()
    }

    fn refuse(&mut self, reason: DropReason) -> Verdict {
        self.stats.count_drop(reason);
        Verdict::Dropped(reason)
    }

    fn is_congested(&self) -> bool {
        let wait = self.queue.wait().unwrap_or(u64::MAX);
        self.config
            .ecn
            .is_some_and(|threshold| wait > nanos(threshold))
    }

    /// Does everything that is due by `now`, in the order of time; at equal times a change comes first.
    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        loop {
            let change = self.schedule.next_at().filter(|at| *at <= self.now);
            let departure = self.queue.finish().filter(|at| *at <= self.now);
            match (change, departure) {
                (Some(at), departure) if departure.is_none_or(|finish| at <= finish) => {
                    self.queue.serve(at);
                    if let Some(change) = self.schedule.take() {
                        self.change(change);
                    }
                }
                (_, Some(finish)) => self.depart(finish),
                _ => break,
            }
        }
        self.queue.serve(self.now);
    }

    fn depart(&mut self, finish: u64) {
        if let Some((packet, len)) = self.queue.pop(finish) {
            self.wire
                .carry(finish, packet, len, &self.config, &mut self.stats);
        }
    }

    fn change(&mut self, change: Change) {
        self.config.apply(change);
        self.queue.configure(self.config.rate, self.config.queue);
    }
}
