//! A bulk TCP flow inside the tunnel, as far as it decides on the rate: slow start with Linux's HyStart,
//! CUBIC with proportional rate reduction, or BBR; loss found by RACK. Each acknowledgement tells of all that has arrived
//! (RFC 9293, RFC 2018), so that one which is lost or overtaken by a later one takes no news with it. No handshake, no flow
//! control, no time-out but a coarse one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use whalescale_core::time::Instant;

use crate::inner_bbr::{Bbr, Sample};
use crate::inner_reduction::Reduction;
use crate::pair::{A_INNER, B_INNER, ms, payload, secs, udp_packet};
use crate::uplinks::Uplinks;

/// Payload of each packet: with 28 bytes of headers it fills the inner MTU of 1400.
const PAYLOAD: usize = 1372;
/// How often the ends look for what arrived.
const STEP: Duration = Duration::from_micros(250);
/// CUBIC (RFC 9438): the scaling constant and the decrease factor.
const SCALE: f64 = 0.4;
const BETA: f64 = 0.7;
/// What Reno with CUBIC's decrease gains in a round trip (RFC 9438, section 4.3).
const RENO: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Without a loss yet, Linux's CUBIC grows by 5 % in a round trip.
const UNBOUNDED: f64 = 20.0;
/// HyStart's bounds of the delay that ends a slow start, and the longest pause in a train of ACKs.
const DELAY_MIN: Duration = ms(4);
const DELAY_MAX: Duration = ms(16);
const TRAIN_PAUSE: Duration = ms(2);

#[derive(Clone, Copy)]
struct Flight {
    at: Instant,
    again: bool,
    /// When it left: what had been delivered, when the last of that was, and when that had left.
    delivered: u64,
    delivered_at: Instant,
    earlier: Instant,
    idle: bool,
}

pub struct InnerTcp {
    next: u32,
    flight: BTreeMap<u32, Flight>,
    lost: BTreeSet<u32>,
    window: f64,
    threshold: f64,
    least_rtt: Duration,
    last_rtt: Duration,
    /// The latest departure of what has arrived.
    newest: Instant,
    recovery: Instant,
    reduction: Option<Reduction>,
    last_max: f64,
    epoch: Option<(Instant, f64)>,
    /// What Reno would have.
    friendly: f64,
    round: Round,
    heard: Instant,
    /// What B has, beyond what it has of all in order.
    beyond: BTreeSet<u32>,
    in_order: u32,
    /// When B had more in order, and how much.
    progress: Vec<(Instant, u32)>,
    began: Instant,
    /// Instead of CUBIC.
    pub bbr: Option<Bbr>,
    delivered: u64,
    delivered_at: Instant,
    earlier: Instant,
    /// When BBR's pace lets the next packet out.
    paced: Instant,
    /// Bytes that arrived in each 100 ms since the start.
    pub arrived: Vec<u64>,
    pub retransmits: u32,
}

#[derive(Clone, Copy)]
struct Round {
    end: u32,
    began: Instant,
    least: Duration,
    samples: u32,
    last_ack: Instant,
}

impl InnerTcp {
    pub fn new(now: Instant) -> Self {
        Self {
            next: 0,
            flight: BTreeMap::new(),
            lost: BTreeSet::new(),
            window: 10.0,
            threshold: f64::MAX,
            least_rtt: Duration::MAX,
            last_rtt: ms(100),
            newest: Instant::from_nanos(0),
            recovery: Instant::from_nanos(0),
            reduction: None,
            last_max: 0.0,
            epoch: None,
            friendly: 0.0,
            round: Round {
                end: 0,
                began: now,
                least: Duration::MAX,
                samples: 0,
                last_ack: now,
            },
            heard: now,
            beyond: BTreeSet::new(),
            in_order: 0,
            progress: vec![(now, 0)],
            began: now,
            bbr: None,
            delivered: 0,
            delivered_at: now,
            earlier: now,
            paced: now,
            arrived: Vec::new(),
            retransmits: 0,
        }
    }

    /// A flow whose congestion control is BBR.
    pub fn bbr(now: Instant, cycle: usize) -> Self {
        Self {
            bbr: Some(Bbr::new(now, cycle)),
            ..Self::new(now)
        }
    }

    /// Mbit/s of payload between two times after the start.
    pub fn goodput(&self, from: Duration, to: Duration) -> f64 {
        let bin = |at: Duration| (at.as_millis() / 100) as usize;
        let bytes: u64 = self.arrived[bin(from)..bin(to)].iter().sum();
        bytes as f64 * 8e-6 / (to - from).as_secs_f64()
    }

    /// Prints its goodput in every one of the first `seconds`, for a reader of a test that failed.
    pub fn print(&self, links: &Uplinks, seconds: u64) {
        let rates = (0..seconds).map(|at| self.goodput(secs(at), secs(at + 1)));
        println!(
            "{} Mbit/s, {} sent again, drops {:?}",
            rates
                .map(|rate| format!("{rate:.1}"))
                .collect::<Vec<_>>()
                .join(" "),
            self.retransmits,
            links.pair.a.drop_report()
        );
    }

    /// Sends as much as the window allows for `span`.
    pub fn run(&mut self, links: &mut Uplinks, span: Duration) {
        let start = links.pair.nanos;
        let first = self.arrived.len();
        while links.pair.nanos - start < span.as_nanos() as u64 {
            links.pair.run_for(STEP);
            let bin = first + ((links.pair.nanos - start - 1) / 100_000_000) as usize;
            self.arrived.resize(self.arrived.len().max(bin + 1), 0);
            let arrived: Vec<u32> = links
                .pair
                .b
                .delivered
                .iter()
                .filter_map(|packet| number(packet))
                .collect();
            links.pair.b.forget();
            links.pair.b.sent.clear();
            for pair in arrived.chunks(2) {
                let fresh = pair
                    .iter()
                    .filter(|number| self.reaches_b(**number))
                    .count();
                self.arrived[bin] += (fresh * PAYLOAD) as u64;
                self.deliver(links.pair.now().instant);
                links.pair.b_sends(&self.acknowledgement(pair));
            }
            let acks = std::mem::take(&mut links.pair.a.delivered);
            links.pair.a.forget();
            let now = links.pair.now().instant;
            for ack in &acks {
                self.heard = now;
                let before = self.delivered;
                let newest = (self.acknowledged(ack).into_iter())
                    .filter_map(|number| self.acked(now, number))
                    .max_by_key(|sent| sent.at);
                if let Some(sent) = newest {
                    self.model(now, sent, before);
                }
                self.find_lost(now);
                self.reduce(self.delivered - before);
                self.send(links);
            }
            self.find_lost(now);
            self.send(links);
        }
    }

    /// What B has all of, and the runs beyond that which the latest packets are part of (RFC 2018).
    fn acknowledgement(&self, latest: &[u32]) -> Vec<u8> {
        let mut words = vec![self.in_order];
        for number in latest.iter().filter(|number| **number >= self.in_order) {
            let is_held = |number: &u32| self.beyond.contains(number);
            let start = (self.in_order..*number).rev().take_while(is_held).last();
            let end = (*number..).find(|number| !is_held(number));
            words.extend([start.unwrap_or(*number), end.unwrap_or(*number)]);
        }
        words.into_iter().flat_map(u32::to_be_bytes).collect()
    }

    /// The packets in flight that an acknowledgement tells of.
    fn acknowledged(&self, ack: &[u8]) -> Vec<u32> {
        let words = payload(ack).chunks_exact(4);
        let words = words.filter_map(|four| Some(u32::from_be_bytes(four.try_into().ok()?)));
        let words: Vec<u32> = words.collect();
        let [in_order, runs @ ..] = &words[..] else {
            return Vec::new();
        };
        let runs = runs.chunks_exact(2).map(|run| run[0]..run[1]);
        let runs = std::iter::once(0..*in_order).chain(runs);
        let flight = runs.flat_map(|run| self.flight.range(run));
        flight.map(|(number, _)| *number).collect()
    }

    /// Notes what B got; false if it had it.
    fn reaches_b(&mut self, number: u32) -> bool {
        number >= self.in_order && self.beyond.insert(number)
    }

    /// B's application reads what is in order.
    fn deliver(&mut self, now: Instant) {
        let before = self.in_order;
        while self.beyond.remove(&self.in_order) {
            self.in_order += 1;
        }
        if self.in_order > before {
            self.progress.push((now, self.in_order));
        }
    }

    /// The longest time after `from` that B's application waited for more.
    pub fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let ats = self.progress.iter().map(|(at, _)| *at);
        let after = ats.filter(|at| *at > from && *at <= to);
        let ats: Vec<Instant> = [from].into_iter().chain(after).chain([to]).collect();
        let gaps = ats.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().expect("two times")
    }

    /// Mbit/s that B's application read between two times after the start.
    pub fn read(&self, from: Duration, to: Duration) -> f64 {
        let until = |at: Duration| {
            let end = self
                .progress
                .partition_point(|(when, _)| *when <= self.began + at);
            self.progress[end - 1].1
        };
        f64::from(until(to) - until(from)) * PAYLOAD as f64 * 8e-6 / (to - from).as_secs_f64()
    }

    /// The newest packet of an ACK gives BBR its sample.
    fn model(&mut self, now: Instant, sent: Flight, before: u64) {
        let Some(bbr) = &mut self.bbr else { return };
        self.earlier = sent.at;
        let (leaving, arriving) = (sent.at - sent.earlier, now - sent.delivered_at);
        bbr.acked(&Sample {
            now,
            rtt: (!sent.again).then(|| now - sent.at),
            delivered: self.delivered,
            delivered_before: sent.delivered,
            acked: self.delivered - before,
            interval: leaving.max(arriving),
            flight: self.flight.len(),
            idle: sent.idle,
        });
    }

    fn acked(&mut self, now: Instant, number: u32) -> Option<Flight> {
        let sent = self.flight.remove(&number)?;
        self.delivered += 1;
        self.delivered_at = now;
        // RFC 8985, section 6.2: so soon, it was not what was sent again that arrived.
        if !sent.again || now - sent.at >= self.least_rtt {
            self.newest = self.newest.max(sent.at);
        }
        if !sent.again {
            self.last_rtt = now - sent.at;
            self.least_rtt = self.least_rtt.min(self.last_rtt);
        }
        if self.bbr.is_some() {
        } else if self.window < self.threshold {
            self.window += 1.0;
            self.hystart(now, number);
        } else if sent.at >= self.recovery {
            self.cubic(now);
        }
        Some(sent)
    }

    fn hystart(&mut self, now: Instant, number: u32) {
        if number >= self.round.end {
            self.round = Round {
                end: self.next,
                began: now,
                least: Duration::MAX,
                samples: 0,
                last_ack: now,
            };
        }
        let round = &mut self.round;
        round.least = round.least.min(self.last_rtt);
        round.samples += 1;
        if now - round.last_ack <= TRAIN_PAUSE {
            round.last_ack = now;
        }
        let train = round.last_ack == now && now - round.began > self.least_rtt / 2;
        let rise = (self.least_rtt / 8).clamp(DELAY_MIN, DELAY_MAX);
        let slower = round.samples > 8 && round.least > self.least_rtt + rise;
        if self.window >= 16.0 && (train || slower) {
            self.threshold = self.window;
        }
    }

    fn cubic(&mut self, now: Instant) {
        if self.epoch.is_none() {
            self.friendly = self.window;
        }
        let (began, from) = *self.epoch.get_or_insert((now, self.window));
        self.friendly += RENO / self.window;
        let origin = self.last_max.max(from);
        let away = ((origin - from) / SCALE).cbrt();
        let time = (now - began).as_secs_f64() + self.last_rtt.as_secs_f64();
        let target = origin + SCALE * (time - away).powi(3);
        let mut count = if target > self.window {
            self.window / (target - self.window)
        } else {
            100.0 * self.window
        };
        if self.friendly > self.window {
            count = count.min(self.window / (self.friendly - self.window));
        }
        if self.last_max == 0.0 {
            count = count.min(UNBOUNDED);
        }
        self.window += 1.0 / count.max(2.0);
    }

    /// RACK (RFC 8985): what left well before something that has arrived is lost.
    fn find_lost(&mut self, now: Instant) {
        let window = (self.least_rtt / 4).min(self.last_rtt);
        let silent = now - self.heard > ms(400);
        let newest = self.newest;
        let lost: Vec<u32> = (self.flight.iter())
            .filter(|(_, sent)| {
                silent || sent.at + window < newest && now - sent.at > self.last_rtt + window
            })
            .map(|(number, _)| *number)
            .collect();
        if silent {
            self.heard = now;
        }
        for number in lost {
            let sent = self.flight.remove(&number).expect("in flight");
            self.lost.insert(number);
            if sent.at >= self.recovery {
                self.recovery = now;
                self.last_max = if self.window < self.last_max {
                    self.window * (1.0 + BETA) / 2.0
                } else {
                    self.window
                };
                self.window = (self.window * BETA).max(2.0);
                self.threshold = self.window;
                self.epoch = None;
                let flight = self.flight.len() + 1;
                self.reduction = Some(Reduction::new(self.next, flight, number));
            }
        }
    }

    /// The oldest packet of which no ACK came.
    fn oldest(&self) -> u32 {
        let flying = self.flight.keys().next().copied();
        let lost = self.lost.first().copied();
        (flying.into_iter().chain(lost).min()).unwrap_or(self.next)
    }

    /// An ACK of so many packets came while losses are made good.
    fn reduce(&mut self, acked: u64) {
        let (oldest, flight) = (self.oldest(), self.flight.len());
        if let Some(reduction) = &mut self.reduction
            && !reduction.acked(acked as f64, oldest, flight as f64, self.threshold)
        {
            self.reduction = None;
        }
    }

    fn send(&mut self, links: &mut Uplinks) {
        let now = links.pair.now().instant;
        if self.flight.is_empty() {
            (self.earlier, self.delivered_at) = (now, now);
        }
        let cubic = (self.reduction.as_ref()).map_or(self.window, |reduction| reduction.window);
        let window = self.bbr.as_ref().map_or(cubic, |bbr| bbr.window);
        let pace = self.bbr.as_ref().and_then(Bbr::pace);
        self.paced = self.paced.max(Instant::from_nanos(
            now.as_nanos().saturating_sub(1_000_000),
        ));
        while (self.flight.len() as f64) < window && (pace.is_none() || self.paced <= now) {
            if let Some(pace) = pace {
                self.paced = self.paced + Duration::from_secs_f64(1.0 / pace);
            }
            let again = self.lost.pop_first();
            let number = again.unwrap_or(self.next);
            if again.is_none() {
                self.next += 1;
            } else {
                self.retransmits += 1;
            }
            let (segment, at) = (segment(number), links.pair.now());
            links.pair.a.tun(&segment, at);
            links.pair.flush();
            let again = again.is_some();
            let flight = Flight {
                at: now,
                again,
                delivered: self.delivered,
                delivered_at: self.delivered_at,
                earlier: self.earlier,
                idle: (self.bbr.as_ref()).is_some_and(|bbr| bbr.is_idle(self.delivered)),
            };
            self.flight.insert(number, flight);
            if let Some(reduction) = &mut self.reduction {
                reduction.sent();
            }
        }
    }
}

/// The packet of this number, as a TCP segment. The number is also where UDP would have its payload, which in TCP's
/// header is what it acknowledges.
fn segment(number: u32) -> Vec<u8> {
    let mut packet = udp_packet(A_INNER, B_INNER, &[0; PAYLOAD]);
    packet[9] = 6;
    packet[24..28].copy_from_slice(&number.wrapping_mul(PAYLOAD as u32).to_be_bytes());
    packet[28..32].copy_from_slice(&number.to_be_bytes());
    packet[32..34].copy_from_slice(&[0x50, 0x10]);
    packet
}

fn number(packet: &[u8]) -> Option<u32> {
    let bytes = payload(packet).first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}
