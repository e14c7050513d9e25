//! What the model says of its path to those who choose among paths, and to those who look.

use std::time::Duration;

use super::{FEEDBACK_INTERVAL, PathModel};
use crate::time::Instant;

impl PathModel {
    /// Pacing rate, bytes per second.
    pub fn rate(&self) -> f64 {
        self.pacing
    }

    /// Bytes per second that the path's bottleneck carries; presumed until measured.
    pub fn link(&self) -> f64 {
        self.control.link()
    }

    /// Whether that was measured within the last 10 s.
    pub fn is_proven(&self, now: Instant) -> bool {
        self.control.is_proven(now)
    }

    /// Whether the path is given no more than it may hold.
    pub fn has_room(&self) -> bool {
        !self.ring.is_full() && (self.ring.bytes() as f64) < self.flight_max()
    }

    /// Whether the path takes more at once, or soon: at its start, each report doubles its room, and none is
    /// overdue yet that a round trip of `rtt` explains. What the inner flow's first rounds have to wait for so
    /// is milliseconds away; a slower path would lengthen its round trip and end its slow start (HyStart).
    pub fn is_open(&self, now: Instant, rtt: Duration) -> bool {
        let explained = 2 * rtt + FEEDBACK_INTERVAL;
        let awaited = || (self.ring.oldest()).is_some_and(|sent| now - sent < explained);
        self.has_room() || self.control.is_presumed() && awaited()
    }

    /// Bytes per second that the path delivers at most; `None` until measured.
    pub fn capacity(&self) -> Option<f64> {
        self.control.capacity()
    }

    /// Smoothed round trip, queue included (RFC 6298).
    pub fn rtt(&self) -> Option<Duration> {
        self.delays.rtt()
    }

    /// The least round trip of the last 10 s.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.delays.min_rtt()
    }

    /// One-way delay of the last reported packet: the receiver's clock minus ours, nanoseconds.
    pub fn delay(&self) -> Option<i64> {
        self.delays.last
    }

    /// The least such delay of late: the path without queue.
    pub fn base_delay(&self) -> Option<i64> {
        self.delays.base()
    }

    /// Queue that the last reported packets met.
    pub fn queue_delay(&self) -> Option<Duration> {
        self.measured_queue().map(Duration::from_secs_f64)
    }

    /// Mean deviation of the one-way delay between reports (RFC 3550).
    pub fn jitter(&self) -> Option<Duration> {
        self.delays.jitter()
    }

    /// Share of packets lost in the last seconds, 0 to 1.
    pub fn loss(&self) -> Option<f64> {
        self.losses.recent()
    }

    /// When a packet of `bytes`, given to this path now, would arrive: nanoseconds from now on the
    /// receiver's clock (so it compares with [`delay`](Self::delay), and between paths of one peer).
    /// `None` until measured.
    pub fn arrival_after(&self, now: Instant, bytes: usize) -> Option<i64> {
        let base = self.delays.base()?;
        self.control.capacity()?;
        let wait = self.pacer.wait(now, self.pacing).max(0.0);
        let queue = (self.predicted_queue(now)? - wait).max(0.0);
        let seconds = wait + queue + bytes as f64 / self.control.link();
        Some(base.saturating_add((seconds * 1e9) as i64))
    }

    /// Bytes sent after the last packet reported.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.ring.bytes()).unwrap_or(usize::MAX)
    }

    /// Whether the path, not what there is to send, sets the rate: its capacity is found.
    pub fn is_limited(&self) -> bool {
        !self.control.is_climbing() && self.measured_queue().is_some_and(|queue| queue > 0.0005)
    }
}
