//! BBR's model of its path, as Linux has it, as far as it decides on window and pace: the highest
//! delivery rate of ten rounds, the least round trip of ten seconds, and how lumpily ACKs come.
//! Packets, not bytes; no reaction to loss.

use std::fmt;
use std::time::Duration;

use whalescale_core::time::Instant;

use crate::pair::{ms, secs};

/// Rounds that the highest rate is remembered for, and the lumps of ACKs.
const RATE_ROUNDS: u64 = 10;
const LUMP_ROUNDS: u64 = 5;
/// How long the least round trip holds; then it is looked for with a nearly empty path.
const LEAST_HOLDS: Duration = secs(10);
const LOOK: Duration = ms(200);
const LEAST_WINDOW: f64 = 4.0;
/// Window and pace while the rate still grows: 2 / ln 2.
const STARTUP: f64 = 2.885;
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// Room for what both ends have in their queues: three super-packets, each of a millisecond.
const QUANTA: f64 = 3.0;
const QUANTUM: f64 = 0.001;
const QUANTUM_MIN: f64 = 2.0;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Startup,
    Drain,
    ProbeBw,
    ProbeRtt,
}

/// What an ACK tells.
pub struct Sample {
    pub now: Instant,
    /// None of what left twice: it is not known which of both arrived (Karn).
    pub rtt: Option<Duration>,
    /// Packets delivered in all, and when the newest of those acknowledged left.
    pub delivered: u64,
    pub delivered_before: u64,
    /// Packets newly delivered by this ACK.
    pub acked: u64,
    /// The longer of the times in which the packets since then left and arrived.
    pub interval: Duration,
    pub flight: usize,
    /// Whether the newest of those left while nobody asked for more ([`Bbr::is_idle`]).
    pub idle: bool,
}

/// The highest rate of some rounds, as Linux remembers it: the three best, each later than the one
/// before. It forgets only when it is told of another one.
#[derive(Default)]
struct Highest([(u64, f64); 3]);

impl Highest {
    fn get(&self) -> f64 {
        self.0[0].1
    }

    fn add(&mut self, round: u64, rate: f64) {
        let new = (round, rate);
        let [first, second, third] = &mut self.0;
        if rate >= first.1 || round - third.0 > RATE_ROUNDS {
            self.0 = [new; 3];
            return;
        }
        if rate >= second.1 {
            (*second, *third) = (new, new);
        } else if rate >= third.1 {
            *third = new;
        }
        let age = round - first.0;
        if age > RATE_ROUNDS {
            (*first, *second, *third) = (*second, *third, new);
            if round - first.0 > RATE_ROUNDS {
                (*first, *second, *third) = (*second, *third, new);
            }
        } else if second.0 == first.0 && age > RATE_ROUNDS / 4 {
            (*second, *third) = (new, new);
        } else if third.0 == second.0 && age > RATE_ROUNDS / 2 {
            *third = new;
        }
    }
}

pub struct Bbr {
    mode: Mode,
    /// Packets a second.
    rates: Highest,
    round: u64,
    round_end: u64,
    least: Duration,
    least_at: Instant,
    full: (f64, u32),
    cycle: usize,
    cycle_at: Instant,
    look_until: Option<Instant>,
    look_round: u64,
    /// What leaves before so many are delivered tells nothing of the rate.
    idle_until: u64,
    epoch: (Instant, f64),
    lumps: [f64; 2],
    lump_round: u64,
    pub window: f64,
    saved: f64,
}

impl Bbr {
    /// `cycle` is the phase, of eight, in which it begins to look for more: Linux draws it.
    pub fn new(now: Instant, cycle: usize) -> Self {
        Self {
            mode: Mode::Startup,
            rates: Highest::default(),
            round: 0,
            round_end: 0,
            least: Duration::MAX,
            least_at: now,
            full: (0.0, 0),
            cycle: cycle % CYCLE.len(),
            cycle_at: now,
            look_until: None,
            look_round: 0,
            idle_until: 0,
            epoch: (now, 0.0),
            lumps: [0.0; 2],
            lump_round: 0,
            window: 10.0,
            saved: 10.0,
        }
    }

    fn rate(&self) -> f64 {
        self.rates.get()
    }

    /// Whether what leaves now does so without anyone asking for more.
    pub fn is_idle(&self, delivered: u64) -> bool {
        delivered <= self.idle_until && self.idle_until > 0
    }

    fn quanta(&self) -> f64 {
        QUANTA * (self.rate() * QUANTUM).max(QUANTUM_MIN)
    }

    fn is_full(&self) -> bool {
        self.full.1 >= 3
    }

    /// Packets a second to send; none before anything is known.
    pub fn pace(&self) -> Option<f64> {
        let gain = match self.mode {
            Mode::Startup => STARTUP,
            Mode::Drain => 1.0 / STARTUP,
            Mode::ProbeBw => CYCLE[self.cycle],
            Mode::ProbeRtt => 1.0,
        };
        let rate = self.rate();
        (rate > 0.0).then_some(gain * rate * 0.99)
    }

    pub fn acked(&mut self, seen: &Sample) {
        let begins = seen.delivered_before >= self.round_end;
        if begins {
            self.round_end = seen.delivered;
            self.round += 1;
        }
        let interval = seen
            .interval
            .max(self.least.min(seen.rtt.unwrap_or(self.least)));
        let rate = (seen.delivered - seen.delivered_before) as f64 / interval.as_secs_f64();
        if !seen.idle || rate >= self.rate() {
            self.rates.add(self.round, rate);
        }
        self.lump(seen, begins);
        self.turn(seen, begins);
        self.look(seen, begins);
        self.size(seen);
    }

    fn lump(&mut self, seen: &Sample, begins: bool) {
        if begins && self.round - self.lump_round >= LUMP_ROUNDS {
            self.lump_round = self.round;
            self.lumps = [0.0, self.lumps[0]];
        }
        let mut expected = self.rate() * (seen.now - self.epoch.0).as_secs_f64();
        if self.epoch.1 <= expected {
            self.epoch = (seen.now, 0.0);
            expected = 0.0;
        }
        self.epoch.1 += seen.acked as f64;
        let extra = (self.epoch.1 - expected).min(self.window);
        self.lumps[0] = self.lumps[0].max(extra);
    }

    fn product(&self, gain: f64) -> f64 {
        gain * self.rate() * self.least.as_secs_f64()
    }

    fn turn(&mut self, seen: &Sample, begins: bool) {
        let long = seen.now - self.cycle_at > self.least;
        let done = match self.mode {
            Mode::ProbeBw if CYCLE[self.cycle] > 1.0 => {
                long && seen.flight as f64 >= self.product(1.25) + self.quanta()
            }
            Mode::ProbeBw if CYCLE[self.cycle] < 1.0 => {
                long || seen.flight as f64 <= self.product(1.0) + self.quanta()
            }
            _ => long,
        };
        if self.mode == Mode::ProbeBw && done {
            self.cycle = (self.cycle + 1) % CYCLE.len();
            self.cycle_at = seen.now;
        }
        if begins && !self.is_full() && !seen.idle {
            let rate = self.rate();
            self.full = if rate >= 1.25 * self.full.0 {
                (rate, 0)
            } else {
                (self.full.0, self.full.1 + 1)
            };
        }
        if self.mode == Mode::Startup && self.is_full() {
            self.mode = Mode::Drain;
        }
        if self.mode == Mode::Drain && seen.flight as f64 <= self.product(1.0) + self.quanta() {
            self.mode = Mode::ProbeBw;
            self.cycle_at = seen.now;
        }
    }

    /// The least round trip, and the look for it when it is too old.
    fn look(&mut self, seen: &Sample, begins: bool) {
        let expired = seen.now - self.least_at > LEAST_HOLDS;
        if let Some(rtt) = seen.rtt.filter(|rtt| *rtt < self.least || expired) {
            self.least = rtt;
            self.least_at = seen.now;
        }
        if expired && self.mode != Mode::ProbeRtt {
            self.mode = Mode::ProbeRtt;
            self.saved = self.window;
            self.look_until = None;
        }
        if self.mode != Mode::ProbeRtt {
            return;
        }
        self.idle_until = seen.delivered + seen.flight as u64;
        match self.look_until {
            None if seen.flight as f64 <= LEAST_WINDOW => {
                self.look_until = Some(seen.now + LOOK);
                self.look_round = self.round;
                self.round_end = seen.delivered;
            }
            Some(until) if seen.now > until && (begins || self.round > self.look_round) => {
                self.least_at = seen.now;
                self.window = self.window.max(self.saved);
                self.cycle_at = seen.now;
                self.mode = if self.is_full() {
                    Mode::ProbeBw
                } else {
                    Mode::Startup
                };
            }
            _ => {}
        }
    }

    fn size(&mut self, seen: &Sample) {
        let gain = match self.mode {
            Mode::ProbeBw => 2.0,
            Mode::ProbeRtt => 1.0,
            Mode::Startup | Mode::Drain => STARTUP,
        };
        let mut target = self.product(gain) + self.quanta();
        if self.is_full() {
            let lumps = self.lumps[0].max(self.lumps[1]);
            target += lumps.min(0.1 * self.rate());
            self.window = (self.window + seen.acked as f64).min(target);
        } else if self.window < target || seen.delivered < 10 {
            self.window += seen.acked as f64;
        }
        self.window = self.window.max(LEAST_WINDOW);
        if self.mode == Mode::ProbeRtt {
            self.window = LEAST_WINDOW;
        }
    }
}

impl fmt::Display for Bbr {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.least.as_secs_f64() * 1e3;
        let (window, rate) = (self.window, self.rate());
        let lumps = self.lumps[0].max(self.lumps[1]);
        write!(
            to,
            "window {window:.0}, {rate:.0}/s, {least:.1} ms, lumps of {lumps:.0}"
        )
    }
}
