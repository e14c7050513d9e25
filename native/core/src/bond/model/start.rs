//! How a new path starts: fast where it carries alone, by doubling where something is known better.

/// Rate that a new path is presumed to carry until a queue shows. What it is given at once is bounded
/// by its flight, and the ramp by the inner flow's own: to be slower than that would only be a queue
/// of ours, at which a slow start ends too early (HyStart, RFC 9406).
const PRESUMED_RATE: f64 = 12_500_000.0;
/// Rate at the start where a queue contradicts that: 16 packets in 45 ms.
pub(super) const INITIAL_RATE: f64 = 500_000.0;
/// The excess of a path that nothing is known of: twice what it delivered (BBR's startup).
pub(super) const STARTUP: f64 = 1.0;

/// What a new path's rate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Neither queue nor loss was seen: what was delivered is only what was offered.
    Presumed,
    /// One of them contradicted that: twice what was delivered (BBR's startup).
    Doubling,
    /// A queue was seen.
    Over,
}

impl Start {
    /// Bytes per second to go by, when so many are measured.
    pub fn link(self, measured: f64) -> f64 {
        let more = measured * (1.0 + STARTUP);
        match self {
            Self::Presumed => more.max(PRESUMED_RATE),
            Self::Doubling => more.max(INITIAL_RATE),
            Self::Over => measured,
        }
    }
}
