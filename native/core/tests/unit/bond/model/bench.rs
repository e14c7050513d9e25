//! One path on virtual time: a source, the model, a link, the receiver, and a link back.

use std::time::Duration;

use whalescale_core::bond::feedback::Feedback;
use whalescale_core::bond::model::PathModel;
use whalescale_core::time::Instant;
use whalescale_netem::{Jitter, Link, LinkConfig, Loss, Verdict};

use super::twin::Receiver;

/// Bytes of every packet.
pub const PACKET: usize = 1468;
pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;
/// The receiver's clock minus the sender's, chosen so that its microseconds soon wrap.
pub const CLOCK_OFFSET: u64 = (1 << 32) * 1000 - 2 * SECOND;

/// What there is to send.
#[derive(Clone, Copy)]
pub enum Source {
    /// Always more.
    Greedy,
    /// Bursts of so many packets, one per interval of nanoseconds.
    Bursts { packets: u64, every: u64 },
}

pub struct Bench {
    pub model: PathModel,
    pub link: Link<Vec<u8>>,
    pub back: Link<Vec<u8>>,
    pub receiver: Receiver,
    pub source: Source,
    pub now: u64,
    pub sequence: u64,
    pub marks: Marks,
    /// The sender wakes only at multiples of this, nanoseconds.
    pub tick: u64,
    /// Nothing is sent while set.
    pub paused: bool,
    budget: u64,
    refill_at: u64,
    report_at: Option<u64>,
    interval: u64,
    last_number: u32,
    base: u64,
}

/// Totals since the last [`Bench::mark`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    pub since: u64,
    pub arrived_bytes: u64,
    pub arrived: u64,
    /// Sum of one-way delay beyond propagation, nanoseconds.
    pub queue: u64,
    pub queue_max: u64,
    pub overflow: u64,
    pub sent: u64,
    pub last_arrival: u64,
    pub longest_gap: u64,
    pub capacity_max: f64,
}

impl Marks {
    pub fn mean_queue_ms(&self) -> f64 {
        self.queue as f64 / self.arrived.max(1) as f64 / MS as f64
    }
    pub fn overflow_share(&self) -> f64 {
        self.overflow as f64 / self.sent.max(1) as f64
    }
}

impl Bench {
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        let delay = config.delay;
        let back = LinkConfig {
            delay,
            ..LinkConfig::default()
        };
        Self::with_back(config, back, seed)
    }

    /// The feedback takes up to 10 ms longer, in any order, and one in ten is lost.
    pub fn with_bad_feedback(config: LinkConfig, seed: u64) -> Self {
        let back = LinkConfig {
            delay: config.delay,
            jitter: Jitter::Unordered(Duration::from_millis(10)),
            loss: Loss::Independent(0.1),
            ..LinkConfig::default()
        };
        Self::with_back(config, back, seed)
    }

    pub fn with_back(config: LinkConfig, back: LinkConfig, seed: u64) -> Self {
        let base = config.delay.as_nanos() as u64;
        let rtt = base + back.delay.as_nanos() as u64;
        Self {
            model: PathModel::new(Instant::from_nanos(0)),
            link: Link::new(config, seed),
            back: Link::new(back, seed ^ 0x5eed),
            receiver: Receiver::default(),
            source: Source::Greedy,
            now: 0,
            sequence: 0,
            marks: Marks::default(),
            tick: 1,
            paused: false,
            budget: 0,
            refill_at: 0,
            report_at: None,
            interval: (rtt / 4).clamp(2 * MS, 10 * MS),
            last_number: 0,
            base,
        }
    }

    pub fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    pub fn mark(&mut self) {
        self.marks = Marks {
            since: self.now,
            last_arrival: self.now,
            ..Marks::default()
        };
    }

    /// Goodput since the mark, bytes per second.
    pub fn goodput(&self) -> f64 {
        self.marks.arrived_bytes as f64 / ((self.now - self.marks.since) as f64 * 1e-9)
    }

    pub fn run(&mut self, span: u64) {
        let end = self.now + span;
        while self.now < end {
            self.step();
            let next = self.next_event().unwrap_or(end);
            self.now = next.clamp(self.now + 1, end);
        }
        self.step();
    }

    /// What waits in the link, in milliseconds, by the delay of a packet sent now.
    pub fn backlog_ms(&self) -> f64 {
        let mut twin = self.link.clone();
        let mut marker = u64::MAX.to_le_bytes().to_vec();
        marker.extend_from_slice(&self.now.to_le_bytes());
        let _ = twin.send(self.now, marker, 0);
        let mut at = self.now;
        while let Some(next) = twin.next_event() {
            at = next;
            while twin.poll_deliver(at).is_some() {}
        }
        (at - self.now - self.base) as f64 / MS as f64
    }

    fn next_event(&self) -> Option<u64> {
        let waiting = !self.paused && (self.budget > 0 || matches!(self.source, Source::Greedy));
        let send = if waiting {
            let at = self.model.next_send(self.instant()).as_nanos();
            let at = at.next_multiple_of(self.tick);
            Some(at.max((self.now + 1).next_multiple_of(self.tick)))
        } else {
            None
        };
        let refill = matches!(self.source, Source::Bursts { .. }).then_some(self.refill_at);
        [
            send,
            refill,
            self.link.next_event(),
            self.back.next_event(),
            self.report_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn step(&mut self) {
        self.receive();
        while let Some(bytes) = self.back.poll_deliver(self.now) {
            let Ok(feedback) = Feedback::parse(&bytes) else {
                continue;
            };
            if feedback.number > self.last_number {
                self.last_number = feedback.number;
                self.model.feedback(self.instant(), &feedback.paths[0]);
            }
        }
        if let Source::Bursts { packets, every } = self.source
            && self.now >= self.refill_at
        {
            self.budget = (self.budget + packets).min(1000);
            self.refill_at = self.now + every;
        }
        if !self.paused && self.now.is_multiple_of(self.tick) {
            self.send();
        }
        let capacity = self.model.capacity().unwrap_or(0.0);
        self.marks.capacity_max = self.marks.capacity_max.max(capacity);
    }

    fn send(&mut self) {
        while self.model.can_send(self.instant()) {
            let greedy = matches!(self.source, Source::Greedy);
            if !greedy && self.budget == 0 {
                return;
            }
            self.budget = self.budget.saturating_sub(1);
            let mut packet = self.sequence.to_le_bytes().to_vec();
            packet.extend_from_slice(&self.now.to_le_bytes());
            if self.link.send(self.now, packet, PACKET) != Verdict::Queued {
                self.marks.overflow += 1;
            }
            let backlogged = greedy || self.budget > 0;
            self.model
                .sent(self.instant(), self.sequence, PACKET, backlogged);
            self.marks.sent += 1;
            self.sequence += 1;
        }
    }

    fn receive(&mut self) {
        while let Some(packet) = self.link.poll_deliver(self.now) {
            let sequence = number(&packet, 0);
            let sent = number(&packet, 8);
            if !self
                .receiver
                .arrive(self.now + CLOCK_OFFSET, sequence, PACKET)
            {
                continue;
            }
            let queue = (self.now - sent).saturating_sub(self.base);
            let marks = &mut self.marks;
            marks.arrived += 1;
            marks.arrived_bytes += PACKET as u64;
            marks.queue += queue;
            marks.queue_max = marks.queue_max.max(queue);
            marks.longest_gap = marks.longest_gap.max(self.now - marks.last_arrival);
            marks.last_arrival = self.now;
            self.report_at.get_or_insert(self.now + self.interval);
        }
        if self.report_at.is_some_and(|at| self.now >= at) {
            self.report_at = None;
            if let Some(feedback) = self.receiver.report(self.now + CLOCK_OFFSET) {
                let mut body = Vec::new();
                feedback.encode(&mut body);
                let len = body.len();
                let _ = self.back.send(self.now, body, len);
            }
        }
    }
}

/// The number at `at` in a packet: its sequence, or when it was sent.
fn number(packet: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&packet[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// A small generator for the tests' own choices (PCG's multiplier).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}
