//! How a window comes down while losses are made good: proportional rate reduction (RFC 6937), as Linux has it. Packets.

pub struct Reduction {
    /// What was to be sent next when it began: once all before that has arrived, it ends.
    end: u32,
    /// In flight when it began.
    before: f64,
    delivered: f64,
    out: f64,
    oldest: u32,
    /// What may be in flight.
    pub window: f64,
}

impl Reduction {
    pub fn new(end: u32, flight: usize, oldest: u32) -> Self {
        Self {
            end,
            before: flight as f64,
            delivered: 0.0,
            out: 0.0,
            oldest,
            window: 0.0,
        }
    }

    /// An ACK of so many packets; `oldest` is the first that none came of, `threshold` the window to be. False once it
    /// is over.
    pub fn acked(&mut self, acked: f64, oldest: u32, flight: f64, threshold: f64) -> bool {
        self.delivered += acked;
        let allowed = if flight > threshold {
            (threshold * self.delivered / self.before).ceil() - self.out
        } else {
            let advanced = f64::from(u8::from(oldest > self.oldest));
            let conserved = (self.delivered - self.out).max(acked);
            (conserved + advanced).min(threshold - flight)
        };
        // What is lost first is sent again at once.
        let least = f64::from(u8::from(self.out == 0.0));
        self.window = flight + allowed.max(least);
        self.oldest = oldest;
        oldest < self.end
    }

    pub fn sent(&mut self) {
        self.out += 1.0;
    }
}
