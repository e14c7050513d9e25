//! The control law: from capacity and queue to the pacing rate.
//!
//! See the [module](super) for the law and its sources. Times are seconds, rates bytes per second.

use std::time::Duration;

use super::drain::{Drain, Outcome};
use super::observation::{Observation, Round};
use super::rate::Sample;
use super::start::{INITIAL_RATE, STARTUP, Start};
use super::trial::Trial;
use crate::time::Instant;

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
/// Jitter that the target is raised by, at most: the delay's minimum lies below its mean.
const JITTER_HELD: f64 = 0.01;
/// No target is longer, however long a packet takes.
const TARGET_MAX: f64 = 0.1;
/// Persistent loss above which a path counts as lossy.
const LOSSY: f64 = 0.003;
/// The most loss that the rate makes up for; more is a policer's.
const LOSS_MADE_UP: f64 = 0.10;
/// The lowest share of the capacity while a queue drains.
const GAIN_MIN: f64 = 0.25;
/// A queue is corrected within half a round trip, but no faster than this.
const SETTLE_MIN: f64 = 0.025;
/// Queue by which a climb overshoots in its first round; and the bounds of its excess there.
const OVERSHOOT: f64 = 0.010;
const EXCESS_MIN: f64 = 0.02;
/// The most excess in a climb's first round.
const EXCESS_FIRST: f64 = 0.25;
/// Queue that ends a startup, beyond the target: a burst on a path just begun shows some, too.
const STARTUP_SLACK: f64 = 0.004;
/// How often the standing queue is drained to see the delay without it.
const DRAIN_EVERY: Duration = Duration::from_secs(3);
/// A capacity that falls so far under a queue that stays is looked into: it may be no queue.
const FELL: f64 = 0.85;
/// The rate is not tried upwards for so many rounds after a drain: its emptiness says nothing.
const SETTLING: u8 = 2;
/// A sample this far from the estimate is a change of the path; a nearer one is averaged.
const NOISE: f64 = 0.12;
/// The share of a sample that the estimate takes over in the sample's length: of one like the estimate,
/// of one that shows a change, and of one that a burst of loss explains.
const HASTE: f64 = 0.4;
const HASTE_CHANGE: f64 = 2.0;
const HASTE_BURST: f64 = 0.1;
/// Seconds in which the memory of a better time fades.
const BEST_FADES: f64 = 5.0;
/// How long a capacity found by loss alone holds before it is tried again.
const CEILING_HOLDS: Duration = Duration::from_secs(3);
/// How long a capacity counts as known that is not seen again.
const PROOF_HOLDS: Duration = Duration::from_secs(10);
/// A buffer so short holds no queue: a policer's.
const POLICED: f64 = 0.002;

/// The state of the law.
#[derive(Debug)]
pub(super) struct Control {
    capacity: Option<f64>,
    /// By how much the rate exceeds the capacity while looking for more; `None` while it holds a queue.
    climb: Option<f64>,
    start: Start,
    /// When a queue last proved the capacity.
    proven: Option<Instant>,
    loss: f64,
    rtt: f64,
    jitter: f64,
    round: Round,
    drain: Option<Drain>,
    drained_at: Instant,
    trial: Trial,
    /// What was sent before this one, at a rate that was only presumed, is not tried.
    tried_from: u64,
    /// The highest capacity of late, fading.
    best: f64,
    settling: u8,
    /// The most capacity since the queue has been above its target.
    stood: Option<f64>,
    /// The path loses what is sent above its capacity: hold this queue at most, until then.
    ceiling: Option<(Instant, f64)>,
}

impl Control {
    pub fn new(now: Instant) -> Self {
        Self {
            capacity: None,
            climb: Some(STARTUP),
            start: Start::Presumed,
            proven: None,
            loss: 0.0,
            rtt: 0.1,
            round: Round::default(),
            drain: None,
            drained_at: now,
            trial: Trial::new(now),
            tried_from: 0,
            best: 0.0,
            settling: 0,
            stood: None,
            jitter: 0.0,
            ceiling: None,
        }
    }

    /// What arrives at most, once measured.
    pub fn capacity(&self) -> Option<f64> {
        self.capacity
    }

    /// What the bottleneck carries: of what passes it, some is lost later. At the start, what it is
    /// presumed to carry.
    pub fn link(&self) -> f64 {
        let measured = self.capacity.unwrap_or(INITIAL_RATE) / (1.0 - self.made_up());
        self.start.link(measured)
    }

    /// Whether a queue has proven the capacity of late.
    pub fn is_proven(&self, now: Instant) -> bool {
        self.proven.is_some_and(|at| now - at < PROOF_HOLDS)
    }

    /// Other paths carry the load already: nothing is to be presumed of this one.
    pub fn start_gently(&mut self) {
        if self.is_presumed() {
            self.start = Start::Doubling;
        }
    }

    /// Whether the rate is only presumed: what is in flight has to bound it.
    pub fn is_presumed(&self) -> bool {
        self.start == Start::Presumed
    }

    /// Loss that is there at any rate, and therefore sent on top.
    fn made_up(&self) -> f64 {
        if self.ceiling.is_some() {
            0.0
        } else {
            self.loss.min(LOSS_MADE_UP)
        }
    }

    pub fn is_climbing(&self) -> bool {
        self.climb.is_some()
    }

    /// Span of a rate sample: long enough for some packets and for the jitter at its ends.
    pub fn window(&self, jitter: f64) -> Duration {
        let share = if self.climb.is_some() { 0.25 } else { 0.5 };
        let count = if self.loss > LOSSY { 32.0 } else { 16.0 };
        // At the start, what is known is what was offered: to wait for more of that would keep it so.
        let measured = self.capacity.filter(|_| !self.is_presumed());
        let packets = measured.map_or(0.0, |rate| count * PACKET / rate);
        let window = (share * self.rtt).max(packets).max(8.0 * jitter);
        Duration::from_secs_f64(window.clamp(0.02, 0.25))
    }

    fn target(&self) -> f64 {
        let target = if self.loss > LOSSY {
            TARGET_LOSSY
        } else {
            TARGET
        };
        let target = (target + self.jitter)
            .max(1.5 * PACKET / self.link())
            .min(TARGET_MAX);
        self.ceiling
            .map_or(target, |(_, brim)| target.min(brim / 2.0))
    }

    /// The pacing rate when a packet sent now would find `queue` before it.
    pub fn rate(&self, queue: f64) -> f64 {
        let link = self.link();
        let rate = match (self.climb, self.drain) {
            _ if self.start != Start::Over => link,
            (Some(excess), _) => link * (1.0 + excess),
            (None, drain) => {
                let target = self.target();
                let aim = if drain.is_some() { -target } else { target };
                let settle = (self.rtt / 2.0).max(SETTLE_MIN);
                let policed = self.ceiling.is_some_and(|(_, brim)| brim < POLICED);
                let most = if policed { 0.0 } else { 1.0 };
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
        self.jitter = seen.jitter.min(JITTER_HELD);
        self.loss = seen.loss;
        self.ceiling = self.ceiling.filter(|(until, _)| seen.now < *until);
        let busy = seen.sample.is_some_and(|sample| self.learn(&sample, seen));
        if busy && self.start == Start::Over {
            self.proven = Some(seen.now);
        }
        self.round.count(seen);
        if seen.highest >= self.tried_from {
            self.trial.count(seen);
        }
        let found = self.capacity.is_some() && seen.queue > self.summit() + seen.jitter / 2.0;
        // The bursts of a slow start queue, too, before they fill the path.
        if self.climb.is_some() && found && (busy || !self.is_presumed()) {
            self.settle(seen);
        }
        if self.is_presumed() && (seen.queue > self.stubborn() || self.trial.has_lost()) {
            self.start = Start::Doubling;
            self.trial = Trial::new(seen.now);
            self.tried_from = seen.next;
        }
        if seen.highest >= self.round.end {
            self.turn(seen);
        }
        self.watch_drain(seen)
    }

    /// Takes a sample in. Returns whether a queue stood in the path all the while.
    fn learn(&mut self, sample: &Sample, seen: &Observation) -> bool {
        let queued = sample.least_delay.saturating_sub(seen.base) as f64 * 1e-9;
        let busy = queued > 0.001 + seen.jitter / 4.0 && (sample.limited || sample.dense);
        let at_least = sample.arrived.min(sample.sent);
        let known = self.capacity.unwrap_or(0.0);
        let learned = match self.climb {
            _ if !busy => known.max(at_least),
            Some(_) => sample.arrived,
            None => {
                let haste = self.haste(sample, known, seen);
                known + (sample.arrived - known) * (sample.step / sample.span * haste).min(1.0)
            }
        };
        self.capacity = Some(learned.clamp(RATE_MIN, RATE_MAX));
        self.best -= self.best * (sample.step / BEST_FADES).min(1.0);
        self.best = self.best.max(learned);
        busy
    }

    /// How fast to believe a sample: the share taken over in its length.
    fn haste(&self, sample: &Sample, known: f64, seen: &Observation) -> f64 {
        let change = sample.arrived / known - 1.0;
        // The bottleneck let through as much as ever, and a burst of it was lost after that.
        let burst = change < 0.0 && sample.passed > 0.97 * known && seen.queue < self.stubborn();
        if burst {
            HASTE_BURST
        } else if change.abs() > NOISE + self.loss {
            HASTE_CHANGE
        } else {
            HASTE
        }
    }

    /// Loss that comes with a higher rate, and no queue to show for it, bounds the capacity too.
    fn judge(&mut self, seen: &Observation) {
        if !self.trial.is_over(seen.now, self.climb) {
            return;
        }
        let trial = std::mem::replace(&mut self.trial, Trial::new(seen.now));
        let short = trial.queue_max < self.stubborn() && self.ceiling.is_none();
        if seen.is_limited() && short && trial.is_lossy(seen.loss, self.climb) {
            self.capacity = Some(trial.rate.clamp(RATE_MIN, RATE_MAX));
            self.ceiling = Some((seen.now + CEILING_HOLDS, trial.queue_max));
            self.settle(seen);
        }
    }

    /// A queue that ends a climb. One that overflows is no burst's, and a short buffer holds no longer one.
    fn summit(&self) -> f64 {
        let may_be_burst = self.start != Start::Over && !self.trial.has_lost();
        self.target() + if may_be_burst { STARTUP_SLACK } else { 0.0 }
    }

    /// A queue that the law should not have let grow.
    fn stubborn(&self) -> f64 {
        3.0 * self.target() + 0.005
    }

    /// Ends a climb: what is known now is the capacity.
    fn settle(&mut self, seen: &Observation) {
        self.climb = None;
        self.start = Start::Over;
        self.round = Round::until(seen.next);
    }

    /// A round is over: without a queue in it, the path may have more to give.
    fn turn(&mut self, seen: &Observation) {
        self.judge(seen);
        let round = self.round;
        let low = round.queue_max < self.target() / 2.0 + seen.jitter / 2.0;
        match self.climb {
            Some(excess) if round.is_limited() && low => {
                self.climb = Some((2.0 * excess).min(1.0));
            }
            None if self.settling > 0 => self.settling -= 1,
            None if round.is_limited() && low && self.drain.is_none() && self.ceiling.is_none() => {
                let known = self.capacity.unwrap_or(self.best);
                let regain = (self.best / known - 1.0) / 2.0;
                let careful = (OVERSHOOT / seen.rtt).clamp(EXCESS_MIN, EXCESS_FIRST);
                self.climb = Some(careful.max(regain).min(1.0));
            }
            _ => {}
        }
        self.round = Round::until(seen.next);
    }

    /// Drains the standing queue now and then, and notices one that is none.
    fn watch_drain(&mut self, seen: &Observation) -> bool {
        let target = self.target();
        let stands = self.climb.is_none() && seen.queue > target;
        let capacity = self.capacity.unwrap_or(RATE_MIN);
        self.stood = stands.then(|| self.stood.unwrap_or(capacity).max(capacity));
        let Some(drain) = &mut self.drain else {
            let due = seen.now - self.drained_at >= DRAIN_EVERY;
            let before = self.stood.unwrap_or(capacity);
            let fell = capacity < (FELL - seen.loss) * before;
            let forced = fell || seen.queue > self.stubborn();
            if self.climb.is_none() && (due || forced) {
                self.drain = Some(Drain::begin(seen, before, forced));
            }
            return false;
        };
        let outcome = drain.look(seen, target);
        match outcome {
            Outcome::Going => return false,
            Outcome::NoQueue => self.capacity = Some(drain.capacity),
            Outcome::Drained | Outcome::Stuck => {}
        }
        self.drain = None;
        self.drained_at = seen.now;
        self.settling = SETTLING;
        outcome != Outcome::Drained
    }
}
