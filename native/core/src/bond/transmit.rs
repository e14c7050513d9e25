//! The sending half of a bond: queue, classify, schedule, seal, keep, repair (design, section 5).
//!
//! [`Bond::push`] takes inner packets; [`Bond::pump`] sends what the paths' pacing lets out, in this
//! order: what is missing at the other end, the latency class, then bulk. Bucket sequences are given
//! as packets leave. [`Bond::feedback`] and [`Bond::watch`] learn what arrived and which path is silent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::activity::Activity;
use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::constants::protocol;
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{
    BondGauge, Endpoint, FromSender, PathGauge, PathHealth, PathId, PathRole, PeerIndex, SendKey,
};
use crate::sender::{SendError, Transmit, padded};
use crate::time::Instant;
use crate::wire::datagram::write_transport_header;

use super::classify::Classifier;
use super::feedback::Feedback;
use super::model::{Health, PathModel};
use super::queue::{Packet, Queue};
use super::ring::Ring;
use super::schedule::{Candidate, Policy, Scheduler};
use super::shim::{SHIM_LEN, Shim};

/// Paths of one peer: what the path number in the shim can tell apart.
const PATHS: usize = 16;
/// Packets of the latency class that wait: more than these are no longer sparse.
const EXPRESS: usize = 256;
/// Buffers kept for reuse: 20 ms at 300 Mbit/s of full packets.
const POOL: usize = 512;
/// Share of what is sent that duplicates of the latency class may add (design, section 5).
const DUPLICATES: f64 = 0.03;
/// The duplicates that may be saved up: 16 full packets.
const DUPLICATES_SAVED: f64 = 24_000.0;
/// Packets that wait this long press: the fastest path alone does not carry the load.
const PRESSED: Duration = Duration::from_millis(5);
/// The load counts as pressing until nothing has waited for this long.
const RELIEF: Duration = Duration::from_millis(200);
/// The last of several paths stays bonded for this long, so that a flapping one does not flap the mode.
const LINGER: Duration = Duration::from_secs(10);
/// How often gauges are written.
const GAUGE_INTERVAL: Duration = Duration::from_millis(250);
/// A packet that others overtook is waited for no longer than this before it is sent again.
const LATENESS: Duration = Duration::from_millis(60);
/// When packets wait for a reason that no deadline of a path tells.
const LOOK_AGAIN: Duration = Duration::from_micros(500);
/// A path that is suspected is looked at this often, until it fails or answers.
const SUSPECT_CHECK: Duration = Duration::from_millis(100);
/// Repairs waiting at once: a path's whole flight at 300 Mbit/s and 100 ms.
const REPAIRS: usize = 4096;

struct Path {
    id: PathId,
    endpoint: Endpoint,
    role: PathRole,
    model: PathModel,
    ring: Ring,
    next_sequence: u64,
    health: PathHealth,
    gauge: Arc<PathGauge>,
}

/// What sealing needs of the peer.
pub(crate) struct Sealer<'a> {
    pub key: &'a SendKey,
    pub counter: &'a mut u64,
    pub activity: &'a Activity,
}

/// The sending half. See the module's header.
pub(crate) struct Bond {
    peer: PeerIndex,
    paths: Vec<Path>,
    express: VecDeque<Packet>,
    bulk: Queue,
    classifier: Classifier,
    scheduler: Box<dyn Scheduler>,
    next_bucket_sequence: u64,
    repairs: VecDeque<(PathId, u64)>,
    /// What was in flight on paths that are gone.
    orphans: VecDeque<Vec<u8>>,
    pool: Vec<Vec<u8>>,
    duplicates_left: f64,
    /// When packets last had to wait for [`PRESSED`].
    pressed_at: Option<Instant>,
    last_several: Option<Instant>,
    last_feedback: Option<u32>,
    gauges_at: Instant,
    wake_at: Option<Instant>,
    gauge: Arc<BondGauge>,
}

impl Bond {
    pub(crate) fn new(peer: PeerIndex, policy: Policy, gauge: Arc<BondGauge>) -> Self {
        Self {
            peer,
            paths: Vec::new(),
            express: VecDeque::new(),
            bulk: Queue::default(),
            classifier: Classifier::default(),
            scheduler: policy.scheduler(),
            next_bucket_sequence: 0,
            repairs: VecDeque::new(),
            orphans: VecDeque::new(),
            pool: Vec::new(),
            duplicates_left: 0.0,
            pressed_at: None,
            last_several: None,
            last_feedback: None,
            gauges_at: Instant::default(),
            wake_at: None,
            gauge,
        }
    }

    /// Adds a path, or changes one.
    pub(crate) fn put_path(
        &mut self,
        id: PathId,
        endpoint: Endpoint,
        role: PathRole,
        gauge: Arc<PathGauge>,
        now: Instant,
    ) {
        if let Some(path) = self.paths.iter_mut().find(|path| path.id == id) {
            let moved = path.endpoint != endpoint;
            let proven = role == PathRole::Bulk && path.health != PathHealth::Healthy;
            path.endpoint = endpoint;
            path.role = role;
            path.gauge = gauge;
            if moved || proven {
                path.model.revive(now);
                path.health = PathHealth::Healthy;
            }
        } else if self.paths.len() < PATHS {
            let delay = self.paths.iter().find_map(|path| path.model.delay());
            let model =
                delay.map_or_else(|| PathModel::new(now), |delay| PathModel::near(now, delay));
            let health = PathHealth::Healthy;
            self.paths.push(Path {
                id,
                endpoint,
                role,
                model,
                ring: Ring::default(),
                next_sequence: 0,
                health,
                gauge,
            });
        }
    }

    /// Forgets a path; what it had in flight is repaired on the others.
    pub(crate) fn remove_path(&mut self, id: PathId) {
        if let Some(place) = self.paths.iter().position(|path| path.id == id) {
            let path = self.paths.remove(place);
            self.orphans.extend(path.ring.into_datagrams());
        }
    }

    /// The other end was restarted: it has nothing of what was sent, and counts from the beginning.
    pub(crate) fn restart(&mut self, now: Instant) {
        for path in &mut self.paths {
            path.model = PathModel::new(now);
            path.ring = Ring::default();
            path.next_sequence = 0;
            path.health = PathHealth::Healthy;
        }
        self.next_bucket_sequence = 0;
        self.repairs.clear();
        self.orphans.clear();
        self.last_feedback = None;
    }

    /// Whether packets to this peer are to be bonded.
    pub(crate) fn is_active(&mut self, now: Instant) -> bool {
        let usable = self.paths.iter().filter(|path| path.may_carry()).count();
        if usable >= 2 {
            self.last_several = Some(now);
        }
        usable >= 1 && self.last_several.is_some_and(|at| now - at < LINGER)
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
        bytes.clear();
        bytes.resize(HEADER_LEN + SHIM_LEN + padded + TAG_LEN, 0);
        let Some(inner) = bytes.get_mut(HEADER_LEN + SHIM_LEN..HEADER_LEN + SHIM_LEN + len) else {
            return;
        };
        write(inner);
        let sparse = self.classifier.is_sparse(inner, len, now) && self.express.len() < EXPRESS;
        let packet = Packet {
            bytes,
            inner: len,
            queued: now,
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
            self.send(place, packet, true, sealer, now, drops, &mut emit);
        }
        if self.bulk.delay(now) >= PRESSED {
            self.pressed_at = Some(now);
        }
        let pressed = self.pressed_at.is_some_and(|at| now - at < RELIEF);
        let rtt = self
            .paths
            .iter()
            .filter_map(|path| path.model.rtt())
            .max()
            .unwrap_or_default();
        while let Some(len) = self.bulk.first_len() {
            let Some(place) = self.choose(now, len, pressed) else {
                break;
            };
            let pool = &mut self.pool;
            let packet = self.bulk.pop(now, rtt, |dropped| {
                drops.count(DropReason::QueueDelay);
                recycle(pool, dropped.bytes);
            });
            let Some(packet) = packet else { break };
            self.send(place, packet, false, sealer, now, drops, &mut emit);
        }
    }

    fn choose(&mut self, now: Instant, len: usize, pressed: bool) -> Option<usize> {
        let bytes = wire_len(len);
        let mut candidates = arrayvec::ArrayVec::<Candidate, PATHS>::new();
        for (place, path) in self
            .paths
            .iter()
            .enumerate()
            .filter(|(_, path)| path.may_carry())
        {
            candidates.push(Candidate {
                place,
                ready: path.model.can_send(now),
                arrival: path.model.arrival_after(now, bytes),
                rate: path.model.rate(),
                rtt: path.model.rtt(),
            });
        }
        self.scheduler.choose(bytes, &candidates, pressed)
    }

    /// The path on which a packet sent now arrives first, its pacing aside; not `but`, if there is another.
    fn fastest(&self, now: Instant, len: usize, but: Option<PathId>) -> Option<usize> {
        let usable = self
            .paths
            .iter()
            .enumerate()
            .filter(|(_, path)| path.may_carry());
        let rank = |(_, path): &(usize, &Path)| {
            let arrival = path.model.arrival_after(now, wire_len(len));
            // Before the first measurement, what probing found puts the paths in order.
            let probed = i64::from(path.gauge.rtt_us.load(Relaxed));
            (Some(path.id) == but, arrival.unwrap_or(i64::MAX), probed)
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
        express: bool,
        sealer: &mut Sealer<'_>,
        now: Instant,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let backlogged = !self.bulk.is_empty();
        let Some(path) = self.paths.get_mut(place) else {
            return;
        };
        let shim = Shim {
            ordered: !express,
            latency: express,
            path: path.id.0,
            bucket: 0,
            path_sequence: path.next_sequence as u32,
            bucket_sequence: self.next_bucket_sequence as u32,
        };
        if !seal(&mut packet, shim, sealer, now) {
            return drops.count(DropReason::KeyExhausted);
        }
        if !express {
            self.next_bucket_sequence += 1;
        }
        let sequence = path.next_sequence;
        path.next_sequence += 1;
        path.model.sent(
            now,
            sequence,
            on_link(&packet.bytes, path.endpoint),
            backlogged,
        );
        path.gauge
            .sent_bytes
            .fetch_add(packet.bytes.len() as u64, Relaxed);
        let origin = path.id;
        if transmit(self.peer, path.endpoint, &packet.bytes, emit).is_err() {
            drops.count(DropReason::SendFailed);
        }
        let everywhere = self.scheduler.duplicates();
        let bytes = packet.bytes.len() as f64;
        self.duplicates_left = (self.duplicates_left + bytes * DUPLICATES).min(DUPLICATES_SAVED);
        if everywhere || (express && self.duplicates_left >= bytes && self.paths.len() > 1) {
            if !everywhere {
                self.duplicates_left -= bytes;
            }
            self.duplicate(origin, &packet, everywhere, now, emit);
        }
        let pool = &mut self.pool;
        if let Some(path) = self.paths.get_mut(place) {
            path.ring
                .push(sequence, packet.bytes, now, |bytes| recycle(pool, bytes));
        }
    }

    /// Sends the very same datagram on the next best path, or on all others.
    fn duplicate(
        &mut self,
        origin: PathId,
        packet: &Packet,
        everywhere: bool,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let second = self.fastest(now, packet.inner, Some(origin));
        for (place, path) in self.paths.iter_mut().enumerate() {
            if path.id == origin || !path.may_carry() || !(everywhere || Some(place) == second) {
                continue;
            }
            path.model
                .charge(now, on_link(&packet.bytes, path.endpoint));
            path.gauge
                .sent_bytes
                .fetch_add(packet.bytes.len() as u64, Relaxed);
            self.gauge.duplicates.fetch_add(1, Relaxed);
            // A copy that does not go out is what the original is there for.
            let _ = transmit(self.peer, path.endpoint, &packet.bytes, emit);
        }
    }

    /// Sends again what is missing, on the path that delivers it first.
    fn send_repairs(
        &mut self,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        while let Some(orphan) = self.orphans.front() {
            let Some(place) = self.fastest(now, orphan.len(), None) else {
                return;
            };
            let Some(path) = self
                .paths
                .get_mut(place)
                .filter(|path| path.model.can_send(now))
            else {
                return;
            };
            path.model.charge(now, on_link(orphan, path.endpoint));
            // Lost again, it is lost: there is no ring to keep it any more.
            let _ = transmit(self.peer, path.endpoint, orphan, emit);
            if let Some(bytes) = self.orphans.pop_front() {
                recycle(&mut self.pool, bytes);
            }
        }
        while let Some((origin, sequence)) = self.repairs.front().copied() {
            let Some(place) = self.fastest(now, 1400, Some(origin)) else {
                return;
            };
            let Some(from) = self.paths.iter().position(|path| path.id == origin) else {
                self.repairs.pop_front();
                continue;
            };
            if !self
                .paths
                .get(place)
                .is_some_and(|path| path.model.can_send(now))
            {
                return;
            }
            self.repairs.pop_front();
            let endpoint = self.paths.get(place).map(|path| path.endpoint);
            let (Some(origin), Some(endpoint)) = (self.paths.get(from), endpoint) else {
                return;
            };
            let Some(datagram) = origin.ring.datagram(sequence) else {
                continue;
            };
            let bytes = on_link(datagram, endpoint);
            let sent = transmit(self.peer, endpoint, datagram, emit);
            if let Some(path) = self.paths.get_mut(place).filter(|_| sent.is_ok()) {
                path.model.charge(now, bytes);
                self.gauge.repaired.fetch_add(1, Relaxed);
            }
        }
    }

    /// A repair that was lost, too, is missed after a round trip of the slowest path.
    fn repair_spacing(&self) -> Duration {
        let rtt = self.paths.iter().filter_map(|path| path.model.rtt()).max();
        rtt.unwrap_or(Duration::from_millis(100)) + Duration::from_millis(10)
    }

    /// The other end says what has arrived.
    pub(crate) fn feedback(&mut self, feedback: &Feedback, now: Instant) {
        // Copies come on several paths, and overtake each other: only a newer one tells more.
        let newer = self
            .last_feedback
            .is_none_or(|last| feedback.number.wrapping_sub(last).cast_signed() > 0);
        if !newer {
            return;
        }
        self.last_feedback = Some(feedback.number);
        let again_after = self.repair_spacing();
        for report in &feedback.paths {
            let Some(path) = self.paths.iter_mut().find(|path| path.id.0 == report.path) else {
                continue;
            };
            let digest = path.model.feedback(now, report);
            let pool = &mut self.pool;
            path.ring.acknowledge(&digest, |bytes| recycle(pool, bytes));
            let id = path.id;
            // What is only overtaken is not lost.
            let patience = path
                .model
                .jitter()
                .unwrap_or_default()
                .saturating_mul(3)
                .min(LATENESS);
            for sequence in digest.missing() {
                if self.repairs.len() < REPAIRS
                    && path.ring.wants_repair(sequence, now, patience, again_after)
                {
                    self.repairs.push_back((id, sequence));
                }
            }
        }
    }

    fn reinject(&mut self, id: PathId) {
        let Some(path) = self.paths.iter().find(|path| path.id == id) else {
            return;
        };
        let room = REPAIRS.saturating_sub(self.repairs.len());
        let outstanding = path.ring.outstanding().map(|sequence| (id, sequence));
        self.repairs.extend(outstanding.take(room));
    }

    /// Looks for silent paths and writes the gauges; `report` hears of changes.
    pub(crate) fn watch(&mut self, now: Instant, mut report: impl FnMut(FromSender)) {
        let mut suspects = arrayvec::ArrayVec::<PathId, PATHS>::new();
        for path in &mut self.paths {
            let health = match path.model.health(now) {
                Health::Healthy => PathHealth::Healthy,
                Health::Suspect => PathHealth::Degraded,
                Health::Failed => PathHealth::Failed,
            };
            if health != path.health {
                if health != PathHealth::Healthy && path.health == PathHealth::Healthy {
                    suspects.push(path.id);
                }
                path.health = health;
                report(FromSender::PathHealth {
                    peer: self.peer,
                    path: path.id,
                    health,
                });
            }
        }
        for id in suspects {
            self.reinject(id);
        }
        if now - self.gauges_at >= GAUGE_INTERVAL {
            self.gauges_at = now;
            self.write_gauges();
        }
        self.wake_at = self.next_wake(now);
    }

    fn write_gauges(&self) {
        let micros = |span: Option<Duration>| {
            span.map_or(0, |span| {
                u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
            })
        };
        let total: f64 = self
            .paths
            .iter()
            .filter(|path| path.may_carry())
            .map(|path| path.model.rate())
            .sum();
        let used = self.paths.iter().filter(|path| path.may_carry());
        let rtts = used.filter_map(|path| path.model.rtt());
        self.gauge
            .best_rtt_us
            .store(micros(rtts.clone().min()), Relaxed);
        self.gauge.slowest_rtt_us.store(micros(rtts.max()), Relaxed);
        for path in &self.paths {
            let gauge = &path.gauge;
            let share = if path.may_carry() {
                path.model.rate() / total.max(1.0)
            } else {
                0.0
            };
            if path.model.rtt().is_some() {
                gauge.rtt_us.store(micros(path.model.rtt()), Relaxed);
            }
            gauge.jitter_us.store(micros(path.model.jitter()), Relaxed);
            gauge.loss_ppm.store(
                path.model.loss().map_or(0, |loss| (loss * 1e6) as u32 + 1),
                Relaxed,
            );
            gauge
                .capacity
                .store(path.model.capacity().map_or(0, |rate| rate as u64), Relaxed);
            gauge.queue_us.store(
                path.model
                    .queue_delay()
                    .map_or(0, |queue| micros(Some(queue)) + 1),
                Relaxed,
            );
            gauge.weight.store((share * 1000.0) as u32 + 1, Relaxed);
        }
    }

    /// There is no key: nothing is due until there is one.
    pub(crate) fn rest(&mut self) {
        self.wake_at = None;
    }

    /// When [`Self::pump`] and [`Self::watch`] have something to do again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wake_at
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let waiting = !(self.bulk.is_empty()
            && self.express.is_empty()
            && self.repairs.is_empty()
            && self.orphans.is_empty());
        let usable = self.paths.iter().filter(|path| waiting && path.may_carry());
        // A path that is ready and was not chosen is looked at again soon, not at once.
        let soon = now + LOOK_AGAIN;
        let sends = usable.filter_map(|path| path.model.next_send(now));
        let sends = sends.map(|at| if at <= now { soon } else { at });
        let silent = self.paths.iter().filter_map(|path| {
            let suspicion = path.model.suspicion_deadline()?;
            let known = path.health != PathHealth::Healthy;
            Some(if known {
                now + SUSPECT_CHECK
            } else {
                suspicion.max(soon)
            })
        });
        sends.chain(silent).min()
    }

    /// Paths for a control frame: the two best, or all of them.
    pub(crate) fn frame_endpoints(
        &self,
        now: Instant,
        everywhere: bool,
    ) -> impl Iterator<Item = Endpoint> {
        let mut usable: Vec<(i64, Endpoint)> = self
            .paths
            .iter()
            .filter(|path| everywhere || path.may_carry())
            .map(|path| {
                (
                    path.model.arrival_after(now, 200).unwrap_or(i64::MAX),
                    path.endpoint,
                )
            })
            .collect();
        usable.sort_by_key(|(arrival, _)| *arrival);
        let count = if everywhere { usable.len() } else { 2 };
        usable.into_iter().take(count).map(|(_, endpoint)| endpoint)
    }
}

impl Path {
    fn may_carry(&self) -> bool {
        self.role == PathRole::Bulk && self.health == PathHealth::Healthy
    }
}

fn recycle(pool: &mut Vec<Vec<u8>>, bytes: Vec<u8>) {
    if pool.len() < POOL {
        pool.push(bytes);
    }
}

/// Bytes on the link of a datagram that carries an inner packet of `len` bytes, over IPv4.
fn wire_len(len: usize) -> usize {
    len.next_multiple_of(16) + HEADER_LEN + SHIM_LEN + TAG_LEN + 28
}

fn on_link(datagram: &[u8], endpoint: Endpoint) -> usize {
    datagram.len() + if endpoint.remote.is_ipv4() { 28 } else { 48 }
}

fn transmit(
    peer: PeerIndex,
    endpoint: Endpoint,
    datagram: &[u8],
    emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
) -> Result<(), SendError> {
    emit(Transmit {
        peer,
        endpoint,
        datagrams: datagram,
        stride: datagram.len(),
    })
}

/// Completes the datagram around the inner packet; false if the key is used up.
fn seal(packet: &mut Packet, shim: Shim, sealer: &mut Sealer<'_>, now: Instant) -> bool {
    let counter = *sealer.counter;
    if counter + 1 >= protocol::REJECT_AFTER_MESSAGES {
        return false;
    }
    *sealer.counter = counter + 1;
    let Some((header, rest)) = packet.bytes.split_first_chunk_mut::<HEADER_LEN>() else {
        return false;
    };
    write_transport_header(header, sealer.key.receiver, counter);
    if let Some(place) = rest.first_chunk_mut::<SHIM_LEN>() {
        *place = shim.encode();
    }
    let stride = packet.bytes.len();
    sealer.key.key.seal_run(counter, &mut packet.bytes, stride);
    sealer.activity.note_sent(now, 1, stride as u64, true);
    true
}
