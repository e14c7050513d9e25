//! Sent datagrams of one path, kept until the other end has them or they are too old to repair.
//!
//! They are kept sealed: a repair is the very same datagram (design, section 4), so that it costs no
//! second seal and the replay window drops whichever copy comes second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::constants::mtu;
use crate::time::Instant;

use super::model::Digest;
use super::recent::RecentMax;
use super::shim::SHIM_LEN;

/// Bytes kept for one path: what 1 Gbit/s has in flight in 60 ms, until a silent path of 20 ms is suspected.
const LIMIT: usize = 8 << 20;
/// Packets kept for one path, so that reading a report is bounded: 8 MiB of packets of 512 bytes.
const PACKETS: usize = 1 << 14;
/// Bytes kept for all paths of all peers (design, section 4).
const LIMIT_ALL: usize = 32 << 20;
/// After this long no inner flow waits for the packet any more.
const TOO_OLD: Duration = Duration::from_secs(2);
/// Datagrams longer than this carry more than the smallest inner MTU.
const LARGE: usize = HEADER_LEN + SHIM_LEN + mtu::INNER_MIN as usize + TAG_LEN;
/// So many large ones lost, none of them arriving between, is not chance alone.
const VANISHING: u32 = 8;
/// A packet that was repaired this often and is still missing meets a path that is not there.
const REPAIRS: u8 = 3;
/// What is missing is waited for at least this long: a burst that overflowed a short buffer is over by then, and
/// does not meet its own repairs.
const PATIENCE_MIN: Duration = Duration::from_millis(6);
/// A packet that others overtook is waited for no longer than this before it is sent again.
const LATE_MAX: Duration = Duration::from_millis(60);
/// How long (once to twice) a late packet counts.
const LATE_EPOCH: Duration = Duration::from_secs(5);

struct Sent {
    /// The sealed datagram; nothing once it is known to have arrived.
    datagram: Option<Vec<u8>>,
    at: Instant,
    /// When it was first reported missing.
    missed: Option<Instant>,
    repair: Option<Repair>,
    repairs: u8,
}

/// The last time that it was sent again.
#[derive(Clone, Copy)]
struct Repair {
    at: Instant,
    /// When that one is missed, too.
    missed_at: Instant,
    /// By the path that had lost it.
    same_path: bool,
}

/// Bytes that all rings keep; clones share it.
#[derive(Clone, Default)]
pub(crate) struct RingMemory(Arc<AtomicUsize>);

/// The ring.
pub(crate) struct Ring {
    first: u64,
    sent: VecDeque<Sent>,
    bytes: usize,
    memory: RingMemory,
    /// Large ones that were reported missing since the last one that arrived.
    vanished: u32,
    /// For how long packets were reported missing that were only late.
    lateness: RecentMax,
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Relaxed);
    }
}

impl Ring {
    /// An empty ring, counted in `memory`.
    pub(crate) fn sharing(memory: &RingMemory) -> Self {
        Self {
            first: 0,
            sent: VecDeque::new(),
            bytes: 0,
            memory: memory.clone(),
            vanished: 0,
            lateness: RecentMax::new(LATE_EPOCH),
        }
    }

    fn is_over_limit(&self) -> bool {
        self.bytes > LIMIT || self.sent.len() > PACKETS || self.memory.0.load(Relaxed) > LIMIT_ALL
    }

    /// Keeps the datagram with this path sequence, which follows the one before. `recycle` gets the
    /// memory of what has to go for it.
    pub(crate) fn push(
        &mut self,
        sequence: u64,
        datagram: Vec<u8>,
        now: Instant,
        mut recycle: impl FnMut(Vec<u8>),
    ) {
        if self.sent.is_empty() {
            self.first = sequence;
        }
        self.bytes += datagram.len();
        self.memory.0.fetch_add(datagram.len(), Relaxed);
        self.sent.push_back(Sent {
            datagram: Some(datagram),
            at: now,
            missed: None,
            repair: None,
            repairs: 0,
        });
        while self.is_over_limit() && !self.sent.is_empty()
            || self
                .sent
                .front()
                .is_some_and(|oldest| now - oldest.at > TOO_OLD)
        {
            self.drop_oldest(&mut recycle);
        }
    }

    fn drop_oldest(&mut self, recycle: &mut impl FnMut(Vec<u8>)) {
        if let Some(oldest) = self.sent.pop_front() {
            self.first += 1;
            self.free(oldest.datagram, recycle);
        }
    }

    fn free(&mut self, datagram: Option<Vec<u8>>, recycle: &mut impl FnMut(Vec<u8>)) {
        if let Some(datagram) = datagram {
            self.bytes -= datagram.len();
            self.memory.0.fetch_sub(datagram.len(), Relaxed);
            recycle(datagram);
        }
    }

    /// Lets go of what the report says has arrived, in one pass over ring and gaps; returns how many of those
    /// had been lost, and came by the same path after all. No repair is answered sooner than in `rtt`.
    pub(crate) fn acknowledge(
        &mut self,
        digest: &Digest,
        now: Instant,
        rtt: Duration,
        mut recycle: impl FnMut(Vec<u8>),
    ) -> u64 {
        let Some(highest) = digest.highest else {
            return 0;
        };
        let mut repaired = 0;
        self.lateness.tick(now);
        let end = highest
            .saturating_add(1)
            .saturating_sub(self.first)
            .min(self.sent.len() as u64);
        let mut gaps = digest.gaps.iter().copied().peekable();
        for place in 0..end {
            let sequence = self.first + place;
            while gaps
                .next_if(|(start, count)| start + count <= sequence)
                .is_some()
            {}
            let missing = gaps.peek().is_some_and(|(start, _)| *start <= sequence);
            let told = sequence >= digest.known_from && !missing;
            if sequence < digest.delivered_through || told {
                let Some(sent) = self.sent.get_mut(place as usize) else {
                    break;
                };
                let datagram = sent.datagram.take();
                if datagram.is_some()
                    && let Some(missed) = sent.missed
                {
                    match sent.repair {
                        Some(repair) if sent.repairs > 1 || now - repair.at >= rtt => {
                            repaired += u64::from(repair.same_path);
                        }
                        _ => self.lateness.add(now, now - missed),
                    }
                }
                if datagram.as_ref().is_some_and(|bytes| bytes.len() > LARGE) {
                    self.vanished = 0;
                }
                self.free(datagram, &mut recycle);
            }
        }
        while self
            .sent
            .front()
            .is_some_and(|oldest| oldest.datagram.is_none())
        {
            self.drop_oldest(&mut recycle);
        }
        repaired
    }

    /// Whether to send this one again: not if it arrived, may only be late, was sent again a moment ago or too
    /// often. Until [`Self::repaired`] says when, the repair is on its way for `spacing`.
    pub(crate) fn wants_repair(&mut self, sequence: u64, now: Instant, spacing: Duration) -> bool {
        let patience = (self.lateness.get() * 5 / 4).clamp(PATIENCE_MIN, LATE_MAX);
        let Some(sent) = self
            .place(sequence)
            .and_then(|place| self.sent.get_mut(place))
        else {
            return false;
        };
        let large = sent
            .datagram
            .as_ref()
            .is_some_and(|bytes| bytes.len() > LARGE);
        if sent.missed.is_none() && large {
            self.vanished = self.vanished.saturating_add(1);
        }
        let early = now - *sent.missed.get_or_insert(now) < patience;
        let recent = sent.repair.is_some_and(|repair| now < repair.missed_at);
        let wanted = sent.datagram.is_some()
            && !early
            && !recent
            && sent.repairs < REPAIRS
            && now - sent.at <= TOO_OLD;
        if wanted {
            sent.repair = Some(Repair {
                at: now,
                missed_at: now + spacing,
                same_path: false,
            });
            sent.repairs += 1;
        }
        wanted
    }

    /// The repair left now, and is missed after `spacing` if it is lost, too.
    pub(crate) fn repaired(
        &mut self,
        sequence: u64,
        now: Instant,
        spacing: Duration,
        same_path: bool,
    ) {
        let place = self.place(sequence);
        if let Some(sent) = place.and_then(|place| self.sent.get_mut(place)) {
            sent.repair = Some(Repair {
                at: now,
                missed_at: now + spacing,
                same_path,
            });
        }
    }

    /// Whether what is large seems to vanish while other packets arrive; says so once.
    pub(crate) fn take_vanishing(&mut self) -> bool {
        let vanishing = self.vanished >= VANISHING;
        if vanishing {
            self.vanished = 0;
        }
        vanishing
    }

    /// The datagram with this sequence, if it is still kept.
    pub(crate) fn datagram(&self, sequence: u64) -> Option<&[u8]> {
        self.sent.get(self.place(sequence)?)?.datagram.as_deref()
    }

    fn place(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.first)?).ok()
    }

    /// What is not known to have arrived, oldest first.
    pub(crate) fn take_datagrams(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.memory.0.fetch_sub(self.bytes, Relaxed);
        self.bytes = 0;
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().filter_map(|sent| sent.datagram)
    }

    /// When the oldest left that is not known to have arrived.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let mut waiting = self.sent.iter().filter(|sent| sent.datagram.is_some());
        waiting.next().map(|sent| sent.at)
    }

    /// Sequences that are not known to have arrived, oldest first.
    pub(crate) fn outstanding(&self) -> impl Iterator<Item = u64> + '_ {
        let waiting = (self.first..)
            .zip(&self.sent)
            .filter(|(_, sent)| sent.datagram.is_some());
        waiting.map(|(sequence, _)| sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(20);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// So many packets, sent at once.
    fn ring(packets: u64) -> Ring {
        let mut ring = Ring::sharing(&RingMemory::default());
        for sequence in 0..packets {
            ring.push(sequence, vec![0; 100], at(0), drop);
        }
        ring
    }

    /// Everything below `end` has arrived.
    fn arrived(ring: &mut Ring, end: u64, now: Instant) -> u64 {
        let digest = Digest {
            delivered_through: end,
            known_from: end,
            highest: Some(end - 1),
            ..Digest::default()
        };
        ring.acknowledge(&digest, now, RTT, drop)
    }

    /// Whether the packet, first reported missing at `from`, is repaired at `to` and not a millisecond sooner.
    fn is_repaired_at(ring: &mut Ring, sequence: u64, from: u64, to: u64) -> bool {
        !ring.wants_repair(sequence, at(from), RTT)
            && !ring.wants_repair(sequence, at(to - 1), RTT)
            && ring.wants_repair(sequence, at(to), RTT)
    }

    #[test]
    fn what_is_missing_is_repaired_soon_where_nothing_was_ever_late() {
        assert!(is_repaired_at(&mut ring(1), 0, 20, 26));
    }

    #[test]
    fn a_repair_is_missed_after_the_spacing_of_the_path_that_took_it() {
        let mut ring = ring(1);
        assert!(is_repaired_at(&mut ring, 0, 20, 26));
        ring.repaired(0, at(26), RTT, true);
        assert!(!ring.wants_repair(0, at(45), RTT));
        assert!(ring.wants_repair(0, at(46), RTT));
    }

    #[test]
    fn after_a_packet_that_was_only_late_others_are_waited_for() {
        let mut ring = ring(2);
        assert!(is_repaired_at(&mut ring, 0, 20, 26));
        assert_eq!(arrived(&mut ring, 1, at(28)), 0);
        assert!(is_repaired_at(&mut ring, 1, 30, 40));
    }

    #[test]
    fn what_its_own_path_repaired_was_lost_and_not_late() {
        let mut ring = ring(2);
        assert!(is_repaired_at(&mut ring, 0, 20, 26));
        ring.repaired(0, at(26), RTT, true);
        assert_eq!(arrived(&mut ring, 1, at(46)), 1);
        assert!(is_repaired_at(&mut ring, 1, 50, 56));
    }
}
