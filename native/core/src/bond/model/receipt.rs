//! A report made whole: counters that wrap on the wire count on, and a report that cannot be true
//! says nothing.

use arrayvec::ArrayVec;

use crate::bond::feedback::{GAPS, PathReport};
use crate::bond::shim::extend;

/// What a report said of single packets. A report that told nothing, as it was an older or a false
/// one, leaves `highest` out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Runs of sequences missing below `highest`, oldest first: first one and how many. What is
    /// still missing comes again with every report.
    pub gaps: ArrayVec<(u64, u64), GAPS>,
    /// No sequence below this one is missing.
    pub delivered_through: u64,
    /// From here up to `highest`, the gaps are all that is missing. Above `delivered_through` where a
    /// report had no room for its older gaps: nothing is known of what is between the two.
    pub known_from: u64,
    /// The highest sequence that has arrived.
    pub highest: Option<u64>,
}

impl Digest {
    /// Every missing sequence, oldest first.
    pub fn missing(&self) -> impl Iterator<Item = u64> + '_ {
        let runs = self.gaps.iter();
        runs.flat_map(|&(start, count)| start..start.saturating_add(count))
    }

    /// Whether the report says that this packet has arrived.
    pub fn has_arrived(&self, sequence: u64) -> bool {
        let known = self.known_from <= sequence && self.highest.is_some_and(|top| sequence <= top);
        let mut gaps = self.gaps.iter();
        sequence < self.delivered_through
            || known && !gaps.any(|&(start, count)| (start..start + count).contains(&sequence))
    }
}

/// The counters of a report that told something new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    pub highest: u64,
    /// Bytes that arrived since the first receipt.
    pub bytes: u64,
    /// Highest sequences passed since the previous receipt.
    pub passed: u64,
    /// Packets that arrived since then.
    pub arrived: u64,
}

/// The counters so far.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    last: Option<Receipt>,
    /// The counters as they were reported last.
    received: u32,
    bytes: u64,
    delivered_through: u64,
}

impl Receipts {
    /// Reads a report when the next sequence to be sent is `next`: what it says of packets, and its
    /// counters if they are news.
    pub fn read(&mut self, report: &PathReport, next: u64) -> (Digest, Option<Receipt>) {
        let near = self.last.map_or(next, |last| last.highest);
        let highest = extend(near, report.highest);
        if highest >= next {
            return (self.nothing(), None);
        }
        match self.advance(report, highest) {
            None => (self.nothing(), None),
            receipt => (self.digest(report, highest), receipt),
        }
    }

    /// The highest sequence that has arrived.
    pub fn highest(&self) -> Option<u64> {
        self.last.map(|last| last.highest)
    }

    fn nothing(&self) -> Digest {
        Digest {
            gaps: ArrayVec::new(),
            delivered_through: self.delivered_through,
            known_from: self.delivered_through,
            highest: None,
        }
    }

    fn advance(&mut self, report: &PathReport, highest: u64) -> Option<Receipt> {
        let receipt = match self.last {
            None => Receipt {
                highest,
                bytes: 0,
                passed: highest + 1,
                arrived: u64::from(report.received),
            },
            Some(last) => {
                let arrived = report.received.wrapping_sub(self.received);
                let bytes = report.bytes.wrapping_sub(self.bytes) & BYTES_MASK;
                // Backwards in any of the three: an older report, or a false one.
                let backwards = arrived > u32::MAX / 2 || bytes > BYTES_MASK / 2;
                let passed = highest.checked_sub(last.highest).filter(|_| !backwards)?;
                Receipt {
                    highest,
                    bytes: last.bytes.saturating_add(bytes),
                    passed,
                    arrived: u64::from(arrived),
                }
            }
        };
        (self.received, self.bytes) = (report.received, report.bytes);
        self.last = Some(receipt);
        Some(receipt)
    }

    /// Gaps outside of what can be missing are ignored. Only the newest gaps are in a full report, so
    /// that it does not move what is known to be delivered.
    fn digest(&mut self, report: &PathReport, highest: u64) -> Digest {
        let mut digest = self.nothing();
        for gap in &report.gaps {
            let start = extend(highest, gap.start);
            let end = start.saturating_add(u64::from(gap.count));
            if start >= self.delivered_through && end <= highest {
                digest.gaps.push((start, end - start));
            }
        }
        let first = digest.gaps.first().map_or(highest + 1, |gap| gap.0);
        if report.gaps.len() < GAPS {
            self.delivered_through = self.delivered_through.max(first);
        }
        digest.known_from = first.max(self.delivered_through);
        digest.highest = Some(highest);
        digest.delivered_through = self.delivered_through;
        digest
    }
}

/// Bytes travel as 48 bits.
const BYTES_MASK: u64 = (1 << 48) - 1;
