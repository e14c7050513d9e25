//! The sender's model of one path: what it delivers, how long it takes, whether it lives, and how fast
//! to send on it. Nothing tells it a rate; it starts from nothing (design, section 5, Measurement).
//!
//! # The law
//! - **Delivery rate**: bytes arrived over time of arrival, as the receiver saw both. Where a queue
//!   stood in the path all the while, that is the bottleneck's rate exactly, up or down; elsewhere a
//!   lower bound, which may only raise (draft-ietf-ccwg-bbr, delivery rate samples).
//! - **Queue**: one-way delay minus its windowed minimum (RFC 6817). A packet sent now meets what the
//!   last reported one met, plus what was sent since, minus what the bottleneck has carried off
//!   since: so the loop has no dead time, and holds still at any round trip.
//! - **Cruise**: rate = link x (1 + (target - queue) / settling time). A few milliseconds of queue keep
//!   the bottleneck busy and its rate measurable, and cost little delay (the delay targets of Copa
//!   and Swift). The link's rate is the delivered one plus what is lost whatever the rate is, so
//!   random loss does not slow the path.
//! - **Climb**: a round without queue means that there may be more: send faster than the capacity by an
//!   excess that doubles with each such round, up to twice the capacity, until a queue shows. A new path
//!   starts there (the startup of BBR), or as fast as the inner flow does where it carries alone. Loss that grows with the rate ends a climb too (policers).
//! - **Drain**: every few seconds the standing queue is let out to see the delay without it. A queue
//!   that does not drain, or from which just what is sent comes out, is none: the path has become longer.
//! - **Suspicion**: a packet is outstanding for longer than a round trip explains (the smoothed one,
//!   RFC 6298) and no report has told of progress for three intervals of feedback.
//!
//! The bytes that the caller counts as sent and those that the receiver counts as arrived must be the
//! same bytes of each packet.
//!
//! Invariants: no clock and no randomness; memory is bounded; rates stay within 64 kbit/s and 10 Gbit/s
//! whatever a report says, and no more counts as arrived than was sent.

mod control;
mod delay;
mod drain;
mod forecast;
mod health;
mod loss;
mod observation;
mod pacer;
mod rate;
mod readings;
mod receipt;
mod sent;
mod start;
mod trial;

use std::time::Duration;

pub use health::Health;
pub use receipt::Digest;

use self::control::Control;
use self::delay::Delays;
use self::forecast::Forecast;
use self::health::{Patience, Vigil};
use self::loss::Loss;
use self::observation::Observation;
use self::pacer::Pacer;
use self::rate::{Arrival, Arrivals};
use self::receipt::{Receipt, Receipts};
use self::sent::{Ring, Sent};
use crate::bond::feedback::PathReport;
use crate::time::Instant;

/// In flight before the first report: 16 full packets (RFC 6928 and a little).
const INITIAL_FLIGHT: f64 = 24_000.0;
/// Round trip assumed before one is known, and its patience (RFC 6298, section 2: 1 s).
const INITIAL_PATIENCE: Duration = Duration::from_secs(1);
/// The same for a lost tail: most paths have answered by then.
const INITIAL_OVERDUE: Duration = Duration::from_millis(200);
/// Failure comes no earlier.
const FAILURE_MIN: Duration = Duration::from_secs(1);
/// Feedback comes at least this often under load.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(10);

/// One path as its sender sees it.
#[derive(Debug)]
pub struct PathModel {
    ring: Ring,
    receipts: Receipts,
    arrivals: Arrivals,
    delays: Delays,
    losses: Loss,
    control: Control,
    pacer: Pacer,
    vigil: Vigil,
    pacing: f64,
    forecast: Option<Forecast>,
    /// Where the first one-way delay is looked for; see [`PathModel::near`].
    reference: i64,
}

impl PathModel {
    /// A path that nothing is known of.
    pub fn new(now: Instant) -> Self {
        Self::near(now, 0)
    }

    /// A path to a peer of which another path's [`delay`](Self::delay) is known. The receiver's clock
    /// wraps after 71 minutes; this puts the delays of both on the same turn, so that they compare.
    pub fn near(now: Instant, delay: i64) -> Self {
        let control = Control::new(now);
        Self {
            ring: Ring::new(now),
            receipts: Receipts::default(),
            arrivals: Arrivals::default(),
            delays: Delays::default(),
            losses: Loss::default(),
            pacing: control.rate(0.0),
            control,
            forecast: None,
            pacer: Pacer::new(now),
            vigil: Vigil::default(),
            reference: delay,
        }
    }

    /// Whether a packet may leave now: the pacer is ready, and not too much is in flight.
    pub fn can_send(&self, now: Instant) -> bool {
        self.next_send(now) <= now
    }

    /// When pacing allows the next packet. A path that waits for feedback lets one out when that is
    /// overdue: the last packets sent, or the feedback on them, may be lost (the tail loss probe of
    /// RFC 8985, section 7).
    pub fn next_send(&self, now: Instant) -> Instant {
        let paced = self.pacer.ready_at(now, self.pacing);
        if self.has_room() {
            return paced;
        }
        let overdue = self.delays.rtt().map_or(INITIAL_OVERDUE, |rtt| 2 * rtt);
        let last = self.ring.last().at;
        // The longer the silence, the longer to the next one: it doubles.
        let silence = last - self.ring.oldest().unwrap_or(last);
        paced.max(last + silence + overdue + FEEDBACK_INTERVAL)
    }

    /// Twice what the path holds, so that a path that dies silently is not flooded.
    fn flight_max(&self) -> f64 {
        let rtt = self.delays.rtt().map_or(0.0, |rtt| rtt.as_secs_f64());
        let capacity = self.control.capacity().unwrap_or(0.0);
        let rate = if self.control.is_presumed() {
            capacity
        } else {
            self.pacing.max(self.control.link())
        };
        INITIAL_FLIGHT + rate * (2.0 * rtt + 0.02)
    }

    /// Another path carries the load already. A path that has to carry it alone starts as fast as an
    /// inner flow does; this one doubles its rate with each round trip.
    pub fn start_gently(&mut self) {
        if self.control.is_presumed() {
            self.control.start_gently();
            self.forecast();
        }
    }

    /// A packet was handed to the socket: `bytes` of datagram with its outer headers, `sequence` one
    /// more than the last; `backlogged` if more packets were waiting.
    pub fn sent(&mut self, now: Instant, sequence: u64, bytes: usize, backlogged: bool) {
        self.pacer.charge(now, bytes, self.pacing);
        self.ring.push(now, sequence, bytes, backlogged);
        self.vigil.sent(now);
        // The rate of a burst is that of its beginning.
        if self.pacer.is_resting() {
            self.pace(now);
        }
    }

    /// A datagram that has no number on this path was sent on it, a repair or a duplicate: it costs
    /// its time, and no report will name it.
    pub fn charge(&mut self, now: Instant, bytes: usize) {
        self.pacer.charge(now, bytes, self.pacing);
    }

    /// So many packets that reports tell of had been lost, and were sent again on this path.
    pub fn repaired(&mut self, packets: u64) {
        self.losses.repaired(packets);
    }

    /// A report about this path arrived. An older one than the last, or a false one, changes nothing.
    pub fn feedback(&mut self, now: Instant, report: &PathReport) -> Digest {
        self.fail_if_due(now);
        let before = self.receipts.highest();
        let (digest, receipt) = self.receipts.read(report, self.ring.next());
        if let Some(receipt) = receipt {
            self.losses.sample(now, receipt.passed, receipt.arrived);
            let taken = self.ring.take_through(receipt.highest);
            if before != Some(receipt.highest) {
                self.vigil.progress(now, !self.ring.is_empty());
                if self.vigil.proof(now) {
                    self.restart(now);
                }
            }
            if let Some(sent) = taken {
                self.measure(now, report, &receipt, sent);
            }
        }
        self.pace(now);
        digest
    }

    /// `sent` is the packet that the report counts up to.
    fn measure(&mut self, now: Instant, report: &PathReport, receipt: &Receipt, sent: Sent) {
        let near = self.delays.last.unwrap_or(self.reference);
        let delay = Delays::one_way(sent.at, report.arrived, near);
        self.delays.sample(now, delay);
        if report.held < u16::MAX {
            let held = Duration::from_micros(u64::from(report.held));
            let rtt = (now - sent.at).saturating_sub(held);
            self.delays.sample_rtt(now, rtt);
        }
        let jitter = self.delays.jitter().unwrap_or_default().as_secs_f64();
        let base = self.delays.base().unwrap_or(delay);
        let arrival = Arrival {
            sent,
            delay,
            // No more than was sent, whatever is claimed.
            bytes: receipt.bytes.min(self.ring.last().total),
        };
        let window = self.control.window(jitter);
        let sample = self.arrivals.sample(arrival, window, base);
        let rtt = self.delays.rtt().unwrap_or(INITIAL_PATIENCE);
        let stale = self.control.observe(&Observation {
            now,
            rtt: rtt.as_secs_f64(),
            jitter,
            queue: self.measured_queue().unwrap_or(0.0),
            loss: self.losses.persistent(),
            base,
            sample,
            passed: receipt.passed,
            arrived: receipt.arrived,
            highest: receipt.highest,
            next: self.ring.next(),
        });
        if stale {
            let least = self.recent().map(|arrival| arrival.delay).min();
            self.delays.rebase(now, least.unwrap_or(delay));
        }
        self.forecast();
    }

    /// The arrivals among which the least delay is free of jitter.
    fn recent(&self) -> impl Iterator<Item = &Arrival> {
        let jitter = self.delays.jitter().unwrap_or_default();
        let more = usize::try_from(jitter.as_millis()).unwrap_or(0).min(6);
        self.arrivals.recent(2 + more)
    }

    /// Queue that the last reported packets met, seconds.
    fn measured_queue(&self) -> Option<f64> {
        let least = self.recent().map(|arrival| arrival.delay).min()?;
        Some(least.saturating_sub(self.delays.base()?).max(0) as f64 * 1e-9)
    }

    /// Queue that a packet sent now will meet, seconds.
    fn predicted_queue(&self, now: Instant) -> Option<f64> {
        let total = self.ring.last().total;
        Some(self.forecast?.queue(now, total, self.control.link()))
    }

    fn forecast(&mut self) {
        let base = self.delays.base();
        self.forecast =
            base.and_then(|base| Forecast::new(self.recent(), base, self.control.link()));
    }

    fn pace(&mut self, now: Instant) {
        let queue = self.predicted_queue(now).unwrap_or(0.0);
        self.pacing = self.control.rate(queue);
    }

    /// Health as of `now`.
    pub fn health(&self, now: Instant) -> Health {
        self.vigil.health(now, self.patience())
    }

    /// When the path turns suspect if nothing is heard; `None` while nothing is outstanding.
    pub fn suspicion_deadline(&self) -> Option<Instant> {
        self.vigil.suspicion(self.patience())
    }

    /// The path was proven by other means, as by probes on it: whatever was known of it is void.
    pub fn revive(&mut self, now: Instant) {
        self.vigil = Vigil::default();
        self.restart(now);
    }

    fn fail_if_due(&mut self, now: Instant) {
        if self.vigil.fail_if_due(now, self.patience()) {
            self.ring.clear();
        }
    }

    /// A path that was gone may come back as another: everything but the counters starts anew.
    fn restart(&mut self, now: Instant) {
        self.reference = self.delays.last.unwrap_or(self.reference);
        self.ring.clear();
        self.arrivals.clear();
        self.forecast = None;
        self.delays = Delays::default();
        self.losses = Loss::default();
        self.control = Control::new(now);
        self.pacer = Pacer::new(now);
        self.pace(now);
    }

    fn patience(&self) -> Patience {
        let jitter = self.delays.jitter().unwrap_or_default();
        let answer = self.delays.rtt().map_or(INITIAL_PATIENCE, |rtt| {
            rtt + rtt / 4 + 4 * jitter + FEEDBACK_INTERVAL
        });
        Patience {
            oldest: self.ring.oldest(),
            answer,
            failed: (3 * answer).max(FAILURE_MIN),
        }
    }
}
