//! The queue that a packet will meet: what the last reported ones met, plus what was sent since, minus
//! what the bottleneck has carried off since. Made once for each report, as it is asked for each packet.

use super::rate::Arrival;
use super::sent::Sent;
use crate::time::Instant;

/// What the last reports tell of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    newest: Sent,
    /// The queue that a packet sent with the newest one met, seconds; negative where the path idled.
    queue: f64,
}

impl Forecast {
    /// From the last arrivals, newest first, on a path whose delay without queue is `base` nanoseconds and
    /// whose bottleneck carries `link` bytes a second. The least of them is free of jitter.
    pub fn new<'a>(
        arrivals: impl Iterator<Item = &'a Arrival>,
        base: i64,
        link: f64,
    ) -> Option<Self> {
        let mut arrivals = arrivals.peekable();
        let newest = arrivals.peek()?.sent;
        let expected = |Arrival { sent, delay, .. }: &Arrival| {
            let met = delay.saturating_sub(base) as f64 * 1e-9;
            let since = newest.total.saturating_sub(sent.total) as f64 / link;
            met + since - (newest.at - sent.at).as_secs_f64()
        };
        let queue = arrivals.map(expected).reduce(f64::min)?;
        Some(Self { newest, queue })
    }

    /// The queue that a packet sent now meets when `total` bytes were sent before it, seconds.
    pub fn queue(&self, now: Instant, total: u64, link: f64) -> f64 {
        let since = total.saturating_sub(self.newest.total) as f64 / link;
        (self.queue + since - (now - self.newest.at).as_secs_f64()).max(0.0)
    }
}
