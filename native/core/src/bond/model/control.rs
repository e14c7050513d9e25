//! The control law: from capacity and queue to the pacing rate.
//!
//! See the [module](super) for the law and its sources. Times are seconds, rates bytes per second.

use std::time::Duration;

use super::rate::Sample;
use crate::time::Instant;

/// Rate before anything is known: 16 packets in 45 ms.
const INITIAL_RATE: f64 = 500_000.0;
/// No estimate is below 64 kbit/s, so that the path goes on being measured.
const RATE_MIN: f64 = 8_000.0;
/// No estimate is above 10 Gbit/s.
const RATE_MAX: f64 = 1.25e9;
/// Bytes of a full packet.
const PACKET: f64 = 1500.0;
/// Standing queue that is aimed at where nothing is lost.
const TARGET: f64 = 0.004;
/// The same where loss may be a short buffer's.
const TARGET_LOSSY: f64 = 0.0015;
/// Persistent loss above which a path counts as lossy.
const LOSSY: f64 = 0.003;
/// The most loss that the rate makes up for; more is a policer's.
const LOSS_MADE_UP: f64 = 0.10;
/// The lowest share of the capacity while a queue drains.
const GAIN_MIN: f64 = 0.25;
/// How often the standing queue is drained to see the delay without it.
const DRAIN_EVERY: Duration = Duration::from_secs(3);
/// How long a capacity found by loss alone holds before it is tried again.
const CEILING_HOLDS: Duration = Duration::from_secs(3);

/// What the law sees at a report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub now: Instant,
    /// Smoothed round trip.
    pub rtt: f64,
    pub jitter: f64,
    /// Queue now, jitter filtered out.
    pub queue: f64,
    /// Persistent loss.
    pub loss: f64,
    /// The path's base delay, nanoseconds.
    pub base: i64,
    pub sample: Option<Sample>,
    /// Packets passed and arrived since the last report.
    pub passed: u64,
    pub arrived: u64,
    /// The report's highest sequence, and the next one to be sent.
    pub highest: u64,
    pub next: u64,
}

/// One round trip of reports.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// Over when this sequence has arrived.
    end: u64,
    queue_max: f64,
    unlimited: bool,
    passed: u64,
    arrived: u64,
    rate: f64,
}

/// The queue is being drained.
#[derive(Clone, Copy, Debug)]
struct Drain {
    until: Instant,
    /// The least queue seen so far.
    least: f64,
    /// A drain that was called for because the queue would not shrink.
    forced: bool,
}

/// The state of the law.
#[derive(Debug)]
pub(super) struct Control {
    capacity: Option<f64>,
    /// By how much the rate exceeds the capacity while looking for more; `None` while it holds a queue.
    climb: Option<f64>,
    loss: f64,
    rtt: f64,
    round: Round,
    drain: Option<Drain>,
    drained_at: Instant,
    ceiling_until: Option<Instant>,
}

impl Control {
    pub fn new(now: Instant) -> Self {
        Self {
            capacity: None,
            climb: Some(1.0),
            loss: 0.0,
            rtt: 0.1,
            round: Round::default(),
            drain: None,
            drained_at: now,
            ceiling_until: None,
        }
    }

    /// What arrives at most, once measured.
    pub fn capacity(&self) -> Option<f64> {
        self.capacity
    }

    /// What the bottleneck carries: of what passes it, some is lost later.
    pub fn link(&self) -> f64 {
        self.capacity.unwrap_or(INITIAL_RATE) / (1.0 - self.loss.min(LOSS_MADE_UP))
    }

    pub fn is_climbing(&self) -> bool {
        self.climb.is_some()
    }

    /// Span of a rate sample: long enough for some packets and for the jitter at its ends.
    pub fn window(&self, jitter: f64) -> Duration {
        let share = if self.climb.is_some() { 0.25 } else { 0.5 };
        let packets = self.capacity.map_or(0.0, |rate| 8.0 * PACKET / rate);
        let window = (share * self.rtt).max(packets).max(8.0 * jitter);
        Duration::from_secs_f64(window.clamp(0.02, 0.25))
    }

    fn target(&self) -> f64 {
        let target = if self.loss > LOSSY {
            TARGET_LOSSY
        } else {
            TARGET
        };
        target.max(2.0 * PACKET / self.link()).min(0.1)
    }

    /// The pacing rate when a packet sent now would find `queue` before it.
    pub fn rate(&self, queue: f64) -> f64 {
        let link = self.link();
        let rate = match (self.climb, self.drain) {
            (Some(_), _) if self.capacity.is_none() => INITIAL_RATE,
            (Some(excess), _) => link * (1.0 + excess),
            (None, drain) => {
                let aim = if drain.is_some() {
                    -0.001
                } else {
                    self.target()
                };
                let settle = (self.rtt / 2.0).max(0.025);
                let most = if self.ceiling_until.is_some() {
                    0.0
                } else {
                    1.0
                };
                let correction = ((aim - queue) / settle).min(most);
                link * (1.0 + correction).max(GAIN_MIN)
            }
        };
        rate.clamp(RATE_MIN, RATE_MAX)
    }

    /// Learns from a report. Returns true when the base delay must be taken anew: the queue that it
    /// makes out does not drain.
    pub fn observe(&mut self, seen: &Observation) -> bool {
        self.rtt = seen.rtt;
        self.loss = seen.loss;
        if self.ceiling_until.is_some_and(|until| seen.now >= until) {
            self.ceiling_until = None;
        }
        if let Some(sample) = seen.sample {
            self.learn(&sample, seen);
        }
        self.count(seen);
        if self.climb.is_some() {
            let startup_slack = if self.climb == Some(1.0) { 0.004 } else { 0.0 };
            if self.capacity.is_some()
                && seen.queue > self.target() + startup_slack + seen.jitter / 2.0
            {
                self.settle(seen);
            }
        }
        if seen.highest >= self.round.end {
            self.turn(seen);
        }
        self.watch_drain(seen)
    }

    fn learn(&mut self, sample: &Sample, seen: &Observation) {
        let queued = (sample.least_delay - seen.base) as f64 * 1e-9;
        let busy = queued > 0.001 + seen.jitter / 4.0 && (sample.limited || sample.dense);
        let at_least = sample.arrived.min(sample.sent);
        let known = self.capacity.unwrap_or(0.0);
        let learned = if busy {
            let weight = (sample.step / sample.span * 2.0).min(1.0);
            if known == 0.0 || self.climb.is_some() {
                sample.arrived
            } else {
                known + (sample.arrived - known) * weight
            }
        } else {
            known.max(at_least)
        };
        self.round.rate = sample.arrived;
        self.capacity = Some(learned.clamp(RATE_MIN, RATE_MAX));
    }

    fn count(&mut self, seen: &Observation) {
        let limited = seen.sample.is_some_and(|sample| sample.limited);
        self.round.queue_max = self.round.queue_max.max(seen.queue);
        self.round.unlimited |= !limited;
        self.round.passed += seen.passed;
        self.round.arrived += seen.arrived;
    }

    /// Ends a climb: what is known now is the capacity.
    fn settle(&mut self, seen: &Observation) {
        self.climb = None;
        self.begin_round(seen);
    }

    fn begin_round(&mut self, seen: &Observation) {
        self.round = Round {
            end: seen.next,
            ..Round::default()
        };
    }

    /// A round is over: without a queue in it, the path may have more to give.
    fn turn(&mut self, seen: &Observation) {
        let round = self.round;
        let low = round.queue_max < self.target() / 2.0 + seen.jitter / 2.0;
        let lost = 1.0 - round.arrived as f64 / round.passed.max(1) as f64;
        match self.climb {
            Some(excess) if round.passed >= 50 && lost > seen.loss + 0.02 + excess / 4.0 => {
                self.capacity = Some(round.rate.clamp(RATE_MIN, RATE_MAX));
                self.ceiling_until = Some(seen.now + CEILING_HOLDS);
                self.climb = None;
            }
            Some(excess) if !round.unlimited && low => {
                self.climb = Some((2.0 * excess).min(1.0));
            }
            None if !round.unlimited
                && low
                && self.drain.is_none()
                && self.ceiling_until.is_none() =>
            {
                self.climb = Some((0.010 / seen.rtt).clamp(0.02, 0.25));
            }
            _ => {}
        }
        self.begin_round(seen);
    }

    /// Drains the standing queue now and then, and notices one that is none.
    fn watch_drain(&mut self, seen: &Observation) -> bool {
        if seen.queue < 0.0005 + seen.jitter / 4.0 {
            self.drained_at = seen.now;
        }
        let stubborn = seen.queue > 3.0 * self.target() + 0.005;
        let Some(drain) = &mut self.drain else {
            let due = seen.now - self.drained_at >= DRAIN_EVERY;
            if self.climb.is_none() && (due || stubborn) {
                let span = 1.5 * seen.rtt + 0.05 + 4.0 * seen.queue;
                self.drain = Some(Drain {
                    until: seen.now + Duration::from_secs_f64(span.min(10.0)),
                    least: seen.queue,
                    forced: stubborn,
                });
            }
            return false;
        };
        drain.least = drain.least.min(seen.queue);
        let enough = if drain.forced { 0.006 } else { 0.001 } + seen.jitter / 4.0;
        let drained = seen.queue < enough;
        if !drained && seen.now < drain.until {
            return false;
        }
        self.drain = None;
        self.drained_at = seen.now;
        !drained
    }
}
