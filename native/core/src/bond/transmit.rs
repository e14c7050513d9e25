//! The sending half of a bond: queue, classify, schedule, seal, keep, repair (design, section 5).
//!
//! [`Bond::push`] takes inner packets; [`Bond::pump`] sends what the paths' pacing lets out, in this
//! order: what is missing at the other end, the latency class, then bulk. Bucket sequences are given
//! as packets leave. [`Bond::feedback`] and [`Bond::watch`] learn what arrived and which path is silent.

mod bulk;
mod copies;
mod datagram;
mod outbox;
mod paths;
mod repairs;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{BondGauge, PathId, PeerIndex};
use crate::sender::{SendError, Transmit, padded};
use crate::time::Instant;

use super::bare::{FAR, Switch};
use super::classify::{Classifier, is_full};
use super::equalise::Equaliser;
use super::queue::{Packet, Queue};
use super::ring::RingMemory;
use super::schedule::{Policy, Scheduler};
use super::shim::{SHIM_LEN, Shim};

pub(crate) use datagram::Sealer;
use datagram::{on_link, recycle, seal, wire_len};
use paths::Path;

/// Packets of the latency class that wait: more than these are no longer sparse.
const EXPRESS: usize = 256;
/// The last of several paths stays bonded for this long, so that a flapping one does not flap the mode.
const LINGER: Duration = Duration::from_secs(10);
/// What bonding finds to carry at its start waits until the rates of the paths are found.
const STARTING: Duration = Duration::from_secs(1);
/// What waits when bonding ends may leave bonded for this long.
const DRAIN: Duration = Duration::from_secs(1);

/// The sending half. See the module's header.
pub(crate) struct Bond {
    peer: PeerIndex,
    paths: Vec<Path>,
    express: VecDeque<Packet>,
    bulk: Queue,
    classifier: Classifier,
    scheduler: Box<dyn Scheduler>,
    equaliser: Equaliser,
    repairs: VecDeque<(PathId, u64)>,
    /// How many more may be asked for.
    repairs_left: f64,
    /// What was in flight on paths that are gone.
    orphans: VecDeque<Vec<u8>>,
    /// What CoDel dropped a moment ago, and when; see [`Bond::revoke_drops`].
    dropped: VecDeque<(Instant, Packet)>,
    pool: Vec<Vec<u8>>,
    duplicates_left: f64,
    last_several: Option<Instant>,
    /// When bonding was last of use.
    wanted_at: Option<Instant>,
    /// Whether the loss of a single path asks for repair.
    pub(crate) lossy: Switch,
    last_feedback: Option<u32>,
    feedback_at: Option<Instant>,
    gauges_at: Instant,
    wake_at: Option<Instant>,
    gauge: Arc<BondGauge>,
    memory: RingMemory,
}

impl Bond {
    pub(crate) fn new(
        peer: PeerIndex,
        policy: Policy,
        gauge: Arc<BondGauge>,
        memory: RingMemory,
    ) -> Self {
        Self {
            peer,
            paths: Vec::new(),
            express: VecDeque::new(),
            bulk: Queue::default(),
            classifier: Classifier::default(),
            scheduler: policy.scheduler(),
            equaliser: Equaliser::default(),
            repairs: VecDeque::new(),
            repairs_left: 0.0,
            orphans: VecDeque::new(),
            dropped: VecDeque::new(),
            pool: Vec::new(),
            duplicates_left: 0.0,
            last_several: None,
            wanted_at: None,
            lossy: Switch::default(),
            last_feedback: None,
            feedback_at: None,
            gauges_at: Instant::default(),
            wake_at: None,
            gauge,
            memory,
        }
    }

    /// Whether packets of so many bytes in all to this peer, which may be `full`, are to be bonded.
    pub(crate) fn is_active(&mut self, now: Instant, bytes: usize, full: bool) -> bool {
        let carrying = || self.paths.iter().filter(|path| path.may_carry());
        let usable = carrying().count();
        let far = carrying().any(|path| path.base_rtt() >= FAR);
        if usable >= 2 {
            self.last_several = Some(now);
        }
        let several = self.last_several.is_some_and(|at| now - at < LINGER);
        let wanted = several || far && self.lossy.wants(now, bytes, full);
        if wanted {
            let before = self.wanted_at.replace(now);
            if before.is_none_or(|at| now - at >= STARTING) {
                self.bulk.excuse_until(now + STARTING);
            }
        }
        // What goes bare would overtake what waits.
        let waiting = !self.bulk.is_empty() && self.wanted_at.is_some_and(|at| now - at < DRAIN);
        usable >= 1 && (wanted || waiting)
    }

    /// Takes an inner packet of `len` bytes, which `write` puts in place.
    pub(crate) fn push(
        &mut self,
        len: usize,
        inner_mtu: usize,
        now: Instant,
        drops: &DropCounters,
        write: impl FnOnce(&mut [u8]),
    ) {
        let padded = padded(len, inner_mtu);
        let mut bytes = self.pool.pop().unwrap_or_default();
        bytes.resize(HEADER_LEN + SHIM_LEN + padded + TAG_LEN, 0);
        let payload = bytes.get_mut(HEADER_LEN + SHIM_LEN..HEADER_LEN + SHIM_LEN + padded);
        let Some((inner, padding)) = payload.and_then(|payload| payload.split_at_mut_checked(len))
        else {
            return;
        };
        write(inner);
        padding.fill(0);
        let full = is_full(len, inner_mtu);
        let sparse = self.classifier.is_sparse(inner, full, now) && self.express.len() < EXPRESS;
        let packet = Packet {
            bytes,
            inner: len,
            queued: now,
            sequence: None,
        };
        if sparse {
            self.express.push_back(packet);
        } else if let Err(refused) = self.bulk.push(packet) {
            drops.count(DropReason::QueueFull);
            recycle(&mut self.pool, refused.bytes);
        }
    }

    /// Sends what may leave now.
    pub(crate) fn pump(
        &mut self,
        sealer: &mut Sealer<'_>,
        now: Instant,
        drops: &DropCounters,
        mut emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        self.send_repairs(now, &mut emit);
        while let Some(place) = self
            .express
            .front()
            .and_then(|packet| self.fastest(now, packet.inner, None))
        {
            let Some(packet) = self.express.pop_front() else {
                break;
            };
            let backlogged = !self.bulk.is_empty();
            self.send(place, packet, backlogged, sealer, now, drops, &mut emit);
        }
        self.probe_suspects(sealer, now, drops, &mut emit);
        self.send_bulk(sealer, now, drops, &mut emit);
        for path in &mut self.paths {
            path.outbox
                .flush(self.peer, path.endpoint, drops, &mut emit);
        }
    }

    /// The path on which a packet sent now arrives first, its pacing aside; not `but`, if there is another.
    fn fastest(&self, now: Instant, len: usize, but: Option<PathId>) -> Option<usize> {
        let usable = self
            .paths
            .iter()
            .enumerate()
            .filter(|(_, path)| path.may_carry());
        let reference = self.reference(now);
        let rank = |(_, path): &(usize, &Path)| {
            let arrival = path.arrival(now, wire_len(len), reference);
            (Some(path.id) == but, arrival)
        };
        usable.min_by_key(rank).map(|(place, _)| place)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of the caller that one packet needs"
    )]
    fn send(
        &mut self,
        place: usize,
        mut packet: Packet,
        backlogged: bool,
        sealer: &mut Sealer<'_>,
        now: Instant,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let express = packet.sequence.is_none();
        let Some(path) = self.paths.get_mut(place) else {
            return;
        };
        let shim = Shim {
            ordered: !express,
            latency: express,
            path: path.id.0,
            bucket: 0,
            path_sequence: path.next_sequence as u32,
            bucket_sequence: packet.sequence.unwrap_or(self.bulk.next_sequence()) as u32,
        };
        if !seal(&mut packet, shim, sealer, now) {
            return drops.count(DropReason::KeyExhausted);
        }
        let sequence = path.next_sequence;
        path.next_sequence += 1;
        self.lossy.sent();
        path.model.sent(
            now,
            sequence,
            on_link(&packet.bytes, path.endpoint),
            backlogged,
        );
        path.gauge
            .sent_bytes
            .fetch_add(packet.bytes.len() as u64, Relaxed);
        let (origin, suspect) = (path.id, path.is_suspect());
        if !path.outbox.takes(packet.bytes.len()) {
            path.outbox.flush(self.peer, path.endpoint, drops, emit);
        }
        path.outbox.push(&packet.bytes);
        self.earn_repairs();
        self.copy(origin, &packet, suspect, now, emit);
        let pool = &mut self.pool;
        if let Some(path) = self.paths.get_mut(place) {
            path.ring
                .push(sequence, packet.bytes, now, |bytes| recycle(pool, bytes));
        }
    }
}
