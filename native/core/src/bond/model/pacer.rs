//! When the next packet may leave: a debt in bytes, paid off at the rate.
//!
//! Packets leave in small bursts: a wake-up, and a system call, for each packet would cost more than the
//! packet, and beyond some hundred Mbit/s no timer is fine enough. What leaves together is a [`BURST`] at
//! most and one packet more; then all of it is paid off. So a slow path sends packet by packet.

use std::time::Duration;

use crate::time::Instant;

/// What may be caught up after a late wake-up or an idle moment.
const CREDIT: f64 = 0.002;
/// A debt beyond this is forgiven: the rate has risen since, or the path restarted.
const DEBT_MAX: f64 = 1.0;
/// Time that one burst takes at the rate: an eighth of the queue that a path stands at.
const BURST: f64 = 0.0005;

/// The debt.
#[derive(Debug)]
pub(super) struct Pacer {
    debt: f64,
    at: Instant,
    /// A burst has left, and is not paid off yet as far as is known.
    resting: bool,
}

impl Pacer {
    pub fn new(now: Instant) -> Self {
        Self {
            debt: 0.0,
            at: now,
            resting: false,
        }
    }

    /// Seconds until the debt is paid; negative while there is credit.
    pub fn wait(&self, now: Instant, rate: f64) -> f64 {
        let wait = self.debt / rate - (now - self.at).as_secs_f64();
        wait.clamp(-CREDIT, DEBT_MAX)
    }

    pub fn charge(&mut self, now: Instant, bytes: usize, rate: f64) {
        let wait = self.wait(now, rate);
        self.debt = wait * rate + bytes as f64;
        self.at = now;
        self.resting = self.resting && wait > 0.0 || self.debt >= BURST * rate;
    }

    /// Whether the last packet ended a burst.
    pub fn is_resting(&self) -> bool {
        self.resting
    }

    pub fn ready_at(&self, now: Instant, rate: f64) -> Instant {
        let wait = if self.resting {
            self.wait(now, rate).max(0.0)
        } else {
            0.0
        };
        now + Duration::from_secs_f64(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1500;

    /// Packets that leave at once where there is neither debt nor credit.
    fn burst(rate: f64) -> usize {
        let mut pacer = Pacer::new(Instant::default());
        let now = Instant::default();
        (1..)
            .find(|_| {
                pacer.charge(now, PACKET, rate);
                pacer.ready_at(now, rate) > now
            })
            .unwrap_or_default()
    }

    #[test]
    fn a_slow_path_sends_packet_by_packet() {
        assert_eq!(burst(2_500_000.0), 1);
    }

    #[test]
    fn a_fast_path_sends_half_a_millisecond_of_packets_at_once() {
        assert_eq!(burst(125_000_000.0), 42);
    }

    #[test]
    fn a_burst_is_paid_off_before_the_next_one() {
        let rate = 30_000_000.0;
        let mut pacer = Pacer::new(Instant::default());
        let (mut now, mut sent) = (Instant::default(), 0);
        while now < Instant::from_nanos(1_000_000_000) {
            let ready = pacer.ready_at(now, rate);
            if ready > now {
                now = ready;
            } else {
                pacer.charge(now, PACKET, rate);
                sent += PACKET;
            }
        }
        let share = sent as f64 / rate;
        assert!((0.99..1.01).contains(&share), "{share}");
    }
}
