//! Cycles of equalised delays, and whether they pay.

use std::time::Duration;

use super::look::Delays;

/// Round trips of a cycle: BBR remembers lumps for five at least.
const CYCLE_ROUNDS: u32 = 5;
/// Share of the rate before that is a loss: what a window's flow falls to, and BBR does not.
const LOSS: f64 = 0.8;
/// What it has to bring to go on, and the cycles that it has for that.
const GAIN: f64 = 1.05;
const PATIENCE: u32 = 6;

#[derive(Clone, Copy)]
pub(super) struct Trial {
    /// Bytes a second before.
    before: f64,
    /// Cycles so far; the first one is a single lump, to give the window its start.
    cycle: u32,
    /// Whether it has brought something yet.
    gained: bool,
    /// Cycles in a row with a loss.
    losses: u32,
}

impl Trial {
    /// After so many bytes a second.
    pub fn after(before: f64) -> Self {
        Self {
            before,
            cycle: 0,
            gained: false,
            losses: 0,
        }
    }

    pub fn is_first(&self) -> bool {
        self.cycle == 0
    }

    pub fn has_gained(&self) -> bool {
        self.gained
    }

    /// Whether so many bytes a second are a loss.
    pub fn is_loss(&self, rate: f64) -> bool {
        rate < LOSS * self.before
    }

    /// How long this cycle takes.
    pub fn length(&self, delays: &Delays) -> Duration {
        let round = delays.rtt + delays.later;
        match self.cycle {
            0 => round + delays.later,
            // The rounds before were shorter: the first lump is soon forgotten.
            1 => round * CYCLE_ROUNDS / 2,
            _ => round * CYCLE_ROUNDS,
        }
    }

    /// Counts a cycle with so many bytes a second. False: there is nothing to be gained.
    pub fn pays(&mut self, rate: f64) -> bool {
        let lost = self.cycle > 0 && self.is_loss(rate);
        self.gained |= rate >= GAIN * self.before;
        self.losses = if lost { self.losses + 1 } else { 0 };
        let in_vain = !self.gained && self.cycle >= PATIENCE;
        self.cycle += 1;
        // One cycle may have another reason, such as BBR's look for the least round trip.
        self.losses <= 1 && !in_vain
    }
}
