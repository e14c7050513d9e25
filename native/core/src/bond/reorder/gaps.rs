//! What is missing in a bucket, since when, and which paths have gone past it.
//!
//! A gap opens when a packet arrives beyond the highest one, and is named by that packet's
//! sequence, its end; parts of it may be filled while it is open. Because gaps open in the order of
//! their sequences, the queue of open gaps is sorted by sequence, by time of opening and by time
//! of proof alike: the first one is always the first to be given up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// Paths of one peer, as the shim numbers them.
const PATHS: usize = 16;
/// Gaps remembered after they were given up, to learn by how much their packets came late: what one
/// loss burst leaves. Forgetting one only costs a sample.
const GIVEN_UP: usize = 64;

/// Some sequences below `end` are missing.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    end: u64,
    /// When the packet `end` arrived.
    pub(super) opened: Instant,
    /// Since when every path in use has gone past it.
    pub(super) proven: Option<Instant>,
}

/// How far one path has come.
#[derive(Clone, Copy)]
struct Progress {
    /// One more than the highest sequence that came by it.
    end: u64,
    /// When it last carried something, or came into use.
    at: Instant,
}

/// What a packet tells about the delays.
pub(super) enum Arrived {
    /// It is the highest so far, or its gap is forgotten.
    Ahead,
    /// Others had overtaken it on faster paths, this long before.
    Overtaken(Duration),
    /// It was missing for this long: repaired, or its own path was past it and reordered it.
    Recovered(Duration),
}

/// The gaps of one bucket.
#[derive(Default)]
pub(super) struct Gaps {
    /// One more than the highest sequence that arrived.
    end: u64,
    open: VecDeque<Gap>,
    /// How many of the open gaps, from the front, are proven.
    proven: usize,
    /// Start of the lost part, and the gap.
    given_up: VecDeque<(u64, Gap)>,
    paths: [Option<Progress>; PATHS],
}

impl Gaps {
    /// One more than the highest sequence that arrived.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The first open gap.
    pub(super) fn oldest(&self) -> Option<&Gap> {
        self.open.front()
    }

    /// Notes a packet that had not arrived before.
    pub(super) fn arrived(&mut self, now: Instant, sequence: u64, path: Option<u8>) -> Arrived {
        let in_path_order = path.is_some_and(|path| self.progress(now, sequence, path));
        if sequence >= self.end {
            if sequence > self.end {
                self.open.push_back(Gap {
                    end: sequence,
                    opened: now,
                    proven: None,
                });
            }
            self.end = sequence.saturating_add(1);
            return Arrived::Ahead;
        }
        match self.opened(sequence) {
            Some(opened) if in_path_order => Arrived::Overtaken(now - opened),
            Some(opened) => Arrived::Recovered(now - opened),
            None => Arrived::Ahead,
        }
    }

    /// Marks the gaps that all paths in use in the last `in_use_for` have gone past: what is
    /// missing in those was lost, because a path's sequences rise.
    pub(super) fn prove(&mut self, now: Instant, in_use_for: Duration) {
        if self.proven == self.open.len() {
            return;
        }
        let passed = self
            .paths
            .iter()
            .flatten()
            .filter(|progress| now - progress.at <= in_use_for)
            .map(|progress| progress.end)
            .min()
            .unwrap_or(self.end);
        for gap in self.open.iter_mut().skip(self.proven) {
            if gap.end > passed {
                break;
            }
            gap.proven = Some(now);
            self.proven += 1;
        }
    }

    /// Everything below `next` is delivered or given up.
    pub(super) fn delivered(&mut self, next: u64) {
        while self.open.front().is_some_and(|gap| gap.end <= next) {
            self.open.pop_front();
            self.proven = self.proven.saturating_sub(1);
        }
    }

    /// What is missing in `from..to` is waited for no longer.
    pub(super) fn give_up(&mut self, from: u64, to: u64) {
        if let Some(gap) = self.open.front() {
            if self.given_up.len() == GIVEN_UP {
                self.given_up.pop_front();
            }
            self.given_up.push_back((from, Gap { end: to, ..*gap }));
        }
    }

    /// The path is in use, though nothing may have come by it yet.
    pub(super) fn path_came(&mut self, now: Instant, path: u8) {
        if let Some(progress) = self.paths.get_mut(usize::from(path)) {
            let end = progress.map_or(0, |progress| progress.end);
            *progress = Some(Progress { end, at: now });
        }
    }

    /// The path is in use no longer.
    pub(super) fn path_gone(&mut self, path: u8) {
        if let Some(progress) = self.paths.get_mut(usize::from(path)) {
            *progress = None;
        }
    }

    /// Moves the path on; false if it was past the sequence.
    fn progress(&mut self, now: Instant, sequence: u64, path: u8) -> bool {
        let Some(progress) = self.paths.get_mut(usize::from(path) % PATHS) else {
            return false;
        };
        let before = progress.map_or(0, |progress| progress.end);
        *progress = Some(Progress {
            end: before.max(sequence.saturating_add(1)),
            at: now,
        });
        sequence >= before
    }

    /// Since when a sequence below the highest is known to be missing.
    fn opened(&self, sequence: u64) -> Option<Instant> {
        let given_up = &self.given_up;
        let at = given_up.partition_point(|(_, gap)| gap.end <= sequence);
        if let Some((start, gap)) = given_up.get(at) {
            return (*start <= sequence).then_some(gap.opened);
        }
        let at = self.open.partition_point(|gap| gap.end <= sequence);
        self.open.get(at).map(|gap| gap.opened)
    }
}
