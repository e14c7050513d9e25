//! The receiving end as the model needs it: notes arrivals and reports them.

use std::collections::BTreeSet;

use arrayvec::ArrayVec;
use whalescale_core::bond::feedback::{Feedback, GAPS, Gap, PathReport};

const MASK: u64 = 0xff_ffff;
/// Missing packets older than this are no longer asked for.
const REACH: u64 = 8192;

/// Arrivals of one path, counted the simplest way.
#[derive(Default)]
pub struct Receiver {
    highest: Option<u64>,
    received: u64,
    bytes: u64,
    arrived: u64,
    missing: BTreeSet<u64>,
    number: u32,
}

impl Receiver {
    /// `now` in nanoseconds on the receiver's clock. Returns false for a duplicate.
    pub fn arrive(&mut self, now: u64, sequence: u64, bytes: usize) -> bool {
        let expected = self.highest.map_or(0, |highest| highest + 1);
        if sequence >= expected {
            self.missing.extend(expected..sequence);
            self.highest = Some(sequence);
            self.arrived = now / 1000;
        } else if !self.missing.remove(&sequence) {
            return false;
        }
        while (self.missing.first()).is_some_and(|&first| first + REACH < sequence) {
            self.missing.pop_first();
        }
        self.received += 1;
        self.bytes += bytes as u64;
        true
    }

    pub fn report(&mut self, now: u64) -> Option<Feedback> {
        let mut gaps: Vec<Gap> = Vec::new();
        for &sequence in &self.missing {
            match gaps.last_mut() {
                Some(gap)
                    if u64::from(gap.start) + u64::from(gap.count) == sequence & MASK
                        && gap.count < 255 =>
                {
                    gap.count += 1;
                }
                _ => gaps.push(Gap {
                    start: (sequence & MASK) as u32,
                    count: 1,
                }),
            }
        }
        let newest = gaps.len().saturating_sub(GAPS);
        let report = PathReport {
            path: 0,
            highest: (self.highest? & MASK) as u32,
            received: self.received as u32,
            bytes: self.bytes & ((1 << 48) - 1),
            arrived: self.arrived as u32,
            held: u16::try_from(now / 1000 - self.arrived).unwrap_or(u16::MAX),
            gaps: gaps.into_iter().skip(newest).collect::<ArrayVec<_, GAPS>>(),
        };
        self.number += 1;
        Some(Feedback {
            number: self.number,
            paths: [report].into_iter().collect(),
        })
    }

    /// As if this much had been received before: where the counters stand near their wrap.
    pub fn preset(&mut self, next: u64, received: u64, bytes: u64) {
        self.highest = next.checked_sub(1);
        (self.received, self.bytes) = (received, bytes);
    }
}
