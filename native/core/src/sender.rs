//! The outbound half of the packet path: route, stage or seal, and hand over for sending.
//!
//! 1. [`Sender::handle_packet`] takes what one TUN read gave, a packet or a super-packet, finds its
//!    peer by allowed IPs and writes its packets as unsealed datagrams into the slab.
//! 2. [`Sender::flush`] seals the slab run by run and emits one [`Transmit`] each.
//!
//! A run is what one send can carry: consecutive datagrams of equal length (the last may be
//! shorter) to one address under one key. This machine alone seals, so it alone owns the counters.
//! Nothing here allocates but staging, which only happens while there is no session.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::activity::Activity;
use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::bond::schedule::Policy;
use crate::bond::transmit::{Bond, Sealer};
use crate::constants::{limits, mtu, protocol};
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{
    BondGauge, Crossing, Endpoint, FromSender, PeerIndex, PeerRoutes, SendKey, ToSender,
};
use crate::inner::segment::{self, Segmenter};
use crate::inner::vnet::VnetHeader;
use crate::inner::{ip, too_big};
use crate::staging::Staging;
use crate::time::Instant;
use crate::wire::datagram::write_transport_header;

/// Header and tag around each payload.
const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// The most that one super-packet takes in the slab: its bytes, and headers, overhead and padding
/// around every packet cut from it.
const WORST_SUPER_PACKET: usize = limits::SUPER_PACKET + limits::SEGMENTS * (OVERHEAD + 16 + 120);
/// A full flush threshold and one more super-packet always fit.
const SLAB_LEN: usize = limits::FLUSH_BYTES + WORST_SUPER_PACKET;
/// The most runs that one super-packet takes: full ones by count, full ones by bytes, the last.
const WORST_RUNS: usize = limits::SEGMENTS.div_ceil(limits::RUN_DATAGRAMS)
    + WORST_SUPER_PACKET.div_ceil(limits::RUN_BYTES)
    + 1;

/// A sealed run, ready to be sent.
pub struct Transmit<'a> {
    /// Whose it is, for [`Sender::handle_send_error`].
    pub peer: PeerIndex,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The datagrams, each `stride` bytes long but for the last, which may be shorter.
    pub datagrams: &'a [u8],
    /// Length of all datagrams but the last.
    pub stride: usize,
}

/// Why the addon could not send a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The path's link takes no datagram of this length (`EMSGSIZE`).
    TooBig,
    /// The socket's buffer stayed full.
    Full,
    /// Anything else the network answers: no route, refused, link down.
    Failed,
}

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Handled {
    /// It waits in the slab, or for a session.
    Taken,
    /// It was dropped for a counted reason.
    Dropped(DropReason),
    /// It is too long for the path; this many bytes of answer for the local stack are in the
    /// caller's buffer.
    TooLong(usize),
}

struct Peer {
    activity: Arc<Activity>,
    key: Option<SendKey>,
    /// Counter of the next datagram under `key`.
    counter: u64,
    endpoint: Option<Endpoint>,
    inner_mtu: u16,
    staging: Staging,
    /// Where a bond counts.
    gauge: Arc<BondGauge>,
    /// Several paths at once, once there are any.
    bond: Option<Box<Bond>>,
    /// When control was last asked for a new key.
    asked: Option<Instant>,
}

struct Run {
    peer: PeerIndex,
    endpoint: Endpoint,
    start: usize,
    len: usize,
    stride: usize,
    count: usize,
    /// Whether no further datagram may join: the last one was shorter.
    closed: bool,
    /// Whether any datagram carries data, as opposed to keepalives and control frames.
    data: bool,
}

/// The send machine. See the module's header.
pub struct Sender {
    routes: Option<PeerRoutes>,
    peers: Vec<Option<Peer>>,
    slab: Box<[u8]>,
    used: usize,
    runs: ArrayVec<Run, { limits::RUNS }>,
    reports: ArrayVec<FromSender, { limits::RUNS }>,
    drops: Arc<DropCounters>,
    policy: Policy,
}

impl Sender {
    /// A machine without peers or routes, that spreads packets over paths by `policy`.
    pub fn new(drops: Arc<DropCounters>, policy: Policy) -> Self {
        Self {
            routes: None,
            peers: Vec::new(),
            slab: vec![0; SLAB_LEN].into_boxed_slice(),
            used: 0,
            runs: ArrayVec::new(),
            reports: ArrayVec::new(),
            drops,
            policy,
        }
    }

    /// Whether the slab should be flushed before more is read.
    pub fn is_full(&self) -> bool {
        self.used >= limits::FLUSH_BYTES || self.runs.len() + WORST_RUNS > limits::RUNS
    }

    /// What control should hear of, oldest first.
    pub fn poll_report(&mut self) -> Option<FromSender> {
        if self.reports.is_empty() {
            None
        } else {
            Some(self.reports.remove(0))
        }
    }

    /// Takes one read of the TUN device. Call [`Self::flush`] first when [`Self::is_full`].
    ///
    /// `answer` receives the ICMP answer to a packet that is too long.
    pub fn handle_packet(
        &mut self,
        vnet: &VnetHeader,
        packet: &[u8],
        now: Instant,
        answer: &mut [u8; 1280],
    ) -> Handled {
        match self.route_and_write(vnet, packet, now) {
            Ok(()) => Handled::Taken,
            Err(DropReason::TooLong) => {
                self.drops.count(DropReason::TooLong);
                let inner_mtu = self
                    .route(packet)
                    .map_or(mtu::INNER_MIN, |(_, peer)| peer.inner_mtu);
                match too_big::too_big(packet, inner_mtu, answer) {
                    Some(len) => Handled::TooLong(len),
                    None => Handled::Dropped(DropReason::TooLong),
                }
            }
            Err(reason) => {
                self.drops.count(reason);
                Handled::Dropped(reason)
            }
        }
    }

    fn route(&mut self, packet: &[u8]) -> Result<(PeerIndex, &mut Peer), DropReason> {
        let destination = ip::destination(packet).ok_or(DropReason::NotIp)?;
        let routes = self.routes.as_ref().ok_or(DropReason::NoRoute)?;
        let index = routes.lookup(destination).ok_or(DropReason::NoRoute)?;
        let peer = peer_mut(&mut self.peers, index).ok_or(DropReason::NoRoute)?;
        Ok((index, peer))
    }

    fn route_and_write(
        &mut self,
        vnet: &VnetHeader,
        packet: &[u8],
        now: Instant,
    ) -> Result<(), DropReason> {
        let (index, peer) = self.route(packet)?;
        let segmenter = segment::plan(vnet, packet).map_err(|_| DropReason::BadOffload)?;
        if segmenter.count() > limits::SEGMENTS {
            return Err(DropReason::BadOffload);
        }
        // Before there is a path, nothing is known of what it carries.
        let fits = segmenter.segment_len() <= usize::from(peer.inner_mtu);
        if peer.endpoint.is_some() && !fits {
            return Err(DropReason::TooLong);
        }
        let Some(endpoint) = peer.endpoint.filter(|_| peer.key_usable(now)) else {
            let evicted = peer.staging.push(vnet, packet);
            self.drops.add(DropReason::StageFull, evicted);
            self.ask_for_key(index, now);
            return Ok(());
        };
        let inner_mtu = usize::from(peer.inner_mtu);
        let drops = Arc::clone(&self.drops);
        let peer = peer_mut(&mut self.peers, index).ok_or(DropReason::NoRoute)?;
        if let Some(bond) = peer.bond.as_mut()
            && bond.is_active(now)
        {
            for n in 0..segmenter.count() {
                let len = segmenter.len_of(n);
                bond.push(len, inner_mtu, now, &drops, |inner| {
                    segmenter.write(packet, n, inner)
                });
            }
            return Ok(());
        }
        self.write_segments(index, endpoint, inner_mtu, &segmenter, packet)
    }

    /// Appends the packets of one super-packet to the slab, as unsealed datagrams.
    fn write_segments(
        &mut self,
        peer: PeerIndex,
        endpoint: Endpoint,
        inner_mtu: usize,
        segmenter: &Segmenter,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        for n in 0..segmenter.count() {
            let len = segmenter.len_of(n);
            let payload = self
                .append(peer, endpoint, padded(len, inner_mtu), true)
                .ok_or(DropReason::BadOffload)?;
            let (inner, padding) = payload.split_at_mut(len);
            segmenter.write(packet, n, inner);
            padding.fill(0);
        }
        Ok(())
    }

    /// Makes room for one datagram in the current run, or in a new one, and gives its payload.
    fn append(
        &mut self,
        peer: PeerIndex,
        endpoint: Endpoint,
        payload: usize,
        data: bool,
    ) -> Option<&mut [u8]> {
        let datagram = payload + OVERHEAD;
        let start = self.used;
        let end = start
            .checked_add(datagram)
            .filter(|end| *end <= self.slab.len())?;
        match self
            .runs
            .last_mut()
            .filter(|run| run.takes(peer, endpoint, datagram))
        {
            Some(run) => {
                run.len += datagram;
                run.count += 1;
                run.closed = datagram < run.stride;
                run.data |= data;
            }
            None => self
                .runs
                .try_push(Run {
                    peer,
                    endpoint,
                    start,
                    len: datagram,
                    stride: datagram,
                    count: 1,
                    closed: false,
                    data,
                })
                .ok()?,
        }
        self.used = end;
        self.slab.get_mut(start + HEADER_LEN..end - TAG_LEN)
    }

    /// Seals all runs in the slab and emits each; the slab is empty afterwards.
    ///
    /// `emit` says when a run could not be sent; its packets are then lost and counted.
    pub fn flush(
        &mut self,
        now: Instant,
        mut emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let runs = std::mem::take(&mut self.runs);
        for run in &runs {
            match self.seal(run, now) {
                Ok(()) => {
                    let Some(datagrams) = self.slab.get(run.start..run.start + run.len) else {
                        continue;
                    };
                    let transmit = Transmit {
                        peer: run.peer,
                        endpoint: run.endpoint,
                        datagrams,
                        stride: run.stride,
                    };
                    if let Err(error) = emit(transmit) {
                        self.handle_send_error(run, error);
                    }
                }
                Err(reason) => self.drops.add(reason, run.count as u64),
            }
        }
        self.used = 0;
        self.pump(now, &mut emit);
    }

    fn seal(&mut self, run: &Run, now: Instant) -> Result<(), DropReason> {
        let peer = peer_mut(&mut self.peers, run.peer).ok_or(DropReason::NoRoute)?;
        let key = peer.key.as_ref().ok_or(DropReason::Unreachable)?;
        let first = peer.counter;
        let next = first.saturating_add(run.count as u64);
        if next >= protocol::REJECT_AFTER_MESSAGES {
            return Err(DropReason::KeyExhausted);
        }
        peer.counter = next;
        let datagrams = self
            .slab
            .get_mut(run.start..run.start + run.len)
            .ok_or(DropReason::BadOffload)?;
        for (counter, datagram) in (first..).zip(datagrams.chunks_mut(run.stride)) {
            if let Some(header) = datagram.first_chunk_mut::<HEADER_LEN>() {
                write_transport_header(header, key.receiver, counter);
            }
        }
        key.key.seal_run(first, datagrams, run.stride);
        peer.activity
            .note_sent(now, run.count as u64, run.len as u64, run.data);
        if key.wants_renewal(next, now) {
            self.report(run.peer, FromSender::KeyAged(run.peer), now);
        }
        Ok(())
    }

    /// Sends what bonds may send now.
    fn pump(&mut self, now: Instant, emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>) {
        for peer in self.peers.iter_mut().flatten() {
            let Some(bond) = &mut peer.bond else { continue };
            let usable = |key: &&SendKey| now - key.created < protocol::REJECT_AFTER_TIME;
            let Some(key) = peer.key.as_ref().filter(usable) else {
                bond.rest();
                continue;
            };
            let mut sealer = Sealer {
                key,
                counter: &mut peer.counter,
                activity: &peer.activity,
            };
            bond.pump(&mut sealer, now, &self.drops, &mut *emit);
            let reports = &mut self.reports;
            bond.watch(now, |report| {
                // A full queue means that control has plenty to do; health is told again.
                let _ = reports.try_push(report);
            });
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let bonds = self
            .peers
            .iter()
            .flatten()
            .filter_map(|peer| peer.bond.as_ref());
        bonds.filter_map(|bond| bond.next_deadline()).min()
    }

    /// Sends what has become due.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        self.flush(now, emit);
    }

    /// Takes what the receive machine saw. Call [`Self::flush`] after.
    pub fn handle_crossing(&mut self, crossing: Crossing, now: Instant) {
        match crossing {
            Crossing::Feedback { peer, feedback } => {
                if let Some(bond) =
                    peer_mut(&mut self.peers, peer).and_then(|peer| peer.bond.as_mut())
                {
                    bond.feedback(&feedback, now);
                }
            }
            Crossing::Report {
                peer,
                frame,
                everywhere,
            } => {
                let Some(found) = peer_mut(&mut self.peers, peer) else {
                    return;
                };
                let bonded: ArrayVec<Endpoint, 16> = match &found.bond {
                    Some(bond) => bond.frame_endpoints(now, everywhere).collect(),
                    None => ArrayVec::new(),
                };
                if bonded.is_empty() {
                    self.append_frame(peer, None, &frame, now);
                }
                for endpoint in bonded {
                    self.append_frame(peer, Some(endpoint), &frame, now);
                }
            }
        }
    }

    fn handle_send_error(&mut self, run: &Run, error: SendError) {
        let reason = match error {
            SendError::TooBig => DropReason::PathTooSmall,
            SendError::Full => DropReason::SocketFull,
            SendError::Failed => DropReason::SendFailed,
        };
        self.drops.add(reason, run.count as u64);
        if error == SendError::TooBig && !self.reports.is_full() {
            self.reports.push(FromSender::TooBig {
                peer: run.peer,
                endpoint: run.endpoint,
                datagram: run.stride,
            });
        }
    }

    fn ask_for_key(&mut self, index: PeerIndex, now: Instant) {
        self.report(index, FromSender::NeedKey(index), now);
    }

    /// Queues a wish about a key, unless the same peer had one a moment ago.
    fn report(&mut self, index: PeerIndex, report: FromSender, now: Instant) {
        let Some(peer) = peer_mut(&mut self.peers, index) else {
            return;
        };
        if peer
            .asked
            .is_some_and(|asked| now - asked < limits::REPORT_SPACING)
            || self.reports.is_full()
        {
            return;
        }
        peer.asked = Some(now);
        self.reports.push(report);
    }

    /// Applies what control decided. New keys release what was staged; call [`Self::flush`] after.
    ///
    /// `emit` is used when the slab fills up meanwhile.
    pub fn handle_update(
        &mut self,
        update: ToSender,
        now: Instant,
        mut emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        match update {
            ToSender::Routes(routes) => self.routes = Some(routes),
            ToSender::Peer {
                peer,
                activity,
                bond,
            } => {
                let place = usize::from(peer.0);
                if self.peers.len() <= place {
                    self.peers.resize_with(place + 1, || None);
                }
                if let Some(slot) = self.peers.get_mut(place) {
                    *slot = Some(Peer::new(activity, bond));
                }
            }
            ToSender::RemovePeer(peer) => {
                self.flush(now, &mut emit);
                if let Some(slot) = self.peers.get_mut(usize::from(peer.0)) {
                    *slot = None;
                }
            }
            ToSender::Endpoint {
                peer,
                endpoint,
                inner_mtu,
            } => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    found.endpoint = Some(endpoint);
                    found.inner_mtu = inner_mtu;
                }
                self.release_staged(peer, now, &mut emit);
            }
            path @ (ToSender::Path { .. }
            | ToSender::RemovePath { .. }
            | ToSender::Restarted(_)) => self.change_path(path, now),
            ToSender::Keypair { peer, key } => self.install(peer, key, now, &mut emit),
            ToSender::ForgetKey(peer) => {
                self.flush(now, &mut emit);
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    found.key = None;
                }
            }
            ToSender::DropStaged(peer) => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    self.drops
                        .add(DropReason::Unreachable, found.staging.clear());
                }
            }
            ToSender::Frame {
                peer,
                endpoint,
                plaintext,
            } => {
                if self.is_full() {
                    self.flush(now, &mut emit);
                }
                self.append_frame(peer, endpoint, &plaintext, now);
            }
        }
    }

    fn change_path(&mut self, change: ToSender, now: Instant) {
        let policy = self.policy;
        match change {
            ToSender::Path {
                peer,
                path,
                endpoint,
                role,
                gauge,
            } => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    let counters = &found.gauge;
                    let bond = found.bond.get_or_insert_with(|| {
                        Box::new(Bond::new(peer, policy, Arc::clone(counters)))
                    });
                    bond.put_path(path, endpoint, role, gauge, now);
                }
            }
            ToSender::Restarted(peer) => {
                let found = peer_mut(&mut self.peers, peer);
                if let Some(bond) = found.and_then(|found| found.bond.as_mut()) {
                    bond.restart(now);
                }
            }
            ToSender::RemovePath { peer, path } => {
                let found = peer_mut(&mut self.peers, peer);
                if let Some(bond) = found.and_then(|found| found.bond.as_mut()) {
                    bond.remove_path(path);
                }
            }
            _ => {}
        }
    }

    fn install(
        &mut self,
        index: PeerIndex,
        key: SendKey,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        // What is in the slab was meant for the old key, and goes out under it.
        self.flush(now, &mut *emit);
        let Some(peer) = peer_mut(&mut self.peers, index) else {
            return;
        };
        let confirm = key.confirm;
        peer.key = Some(key);
        peer.counter = 0;
        peer.asked = None;
        let data_waits = !peer.staging.is_empty() && peer.endpoint.is_some();
        if confirm && !data_waits {
            self.append_frame(index, None, &[], now);
        }
        self.release_staged(index, now, emit);
    }

    fn release_staged(
        &mut self,
        index: PeerIndex,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        loop {
            let Some(peer) = peer_mut(&mut self.peers, index) else {
                return;
            };
            if peer.endpoint.is_none() || !peer.key_usable(now) {
                return;
            }
            let Some((vnet, packet)) = peer.staging.pop() else {
                return;
            };
            if self.is_full() {
                self.flush(now, &mut *emit);
            }
            if let Err(reason) = self.route_and_write(&vnet, &packet, now) {
                self.drops.count(reason);
            }
        }
    }

    fn append_frame(
        &mut self,
        index: PeerIndex,
        endpoint: Option<Endpoint>,
        plaintext: &[u8],
        now: Instant,
    ) {
        let Some(peer) = peer_mut(&mut self.peers, index) else {
            return;
        };
        if !peer.key_usable(now) {
            return;
        }
        let Some(endpoint) = endpoint.or(peer.endpoint) else {
            self.drops.count(DropReason::NoEndpoint);
            return;
        };
        // A frame stands alone: one that does not fit the path must not take data down with it.
        if let Some(run) = self.runs.last_mut() {
            run.closed = true;
        }
        let len = padded(plaintext.len(), usize::from(peer.inner_mtu));
        if let Some(payload) = self.append(index, endpoint, len, false) {
            let (body, padding) = payload.split_at_mut(plaintext.len());
            body.copy_from_slice(plaintext);
            padding.fill(0);
        }
        if let Some(run) = self.runs.last_mut() {
            run.closed = true;
        }
    }
}

impl Peer {
    fn new(activity: Arc<Activity>, gauge: Arc<BondGauge>) -> Self {
        Self {
            activity,
            gauge,
            key: None,
            counter: 0,
            endpoint: None,
            inner_mtu: mtu::INNER_MIN,
            staging: Staging::default(),
            bond: None,
            asked: None,
        }
    }

    fn key_usable(&self, now: Instant) -> bool {
        self.key
            .as_ref()
            .is_some_and(|key| now - key.created < protocol::REJECT_AFTER_TIME)
    }
}

impl SendKey {
    fn wants_renewal(&self, counter: u64, now: Instant) -> bool {
        counter >= protocol::REKEY_AFTER_MESSAGES
            || (self.initiator && now - self.created >= protocol::REKEY_AFTER_TIME)
    }
}

impl Run {
    fn takes(&self, peer: PeerIndex, endpoint: Endpoint, datagram: usize) -> bool {
        !self.closed
            && self.peer == peer
            && self.endpoint == endpoint
            && datagram <= self.stride
            && self.count < limits::RUN_DATAGRAMS
            && self.len + datagram <= limits::RUN_BYTES
    }
}

fn peer_mut(peers: &mut [Option<Peer>], index: PeerIndex) -> Option<&mut Peer> {
    peers.get_mut(usize::from(index.0))?.as_mut()
}

/// WireGuard pads payloads to 16 bytes, but never beyond the MTU (whitepaper, section 5.4.6).
pub(crate) fn padded(len: usize, inner_mtu: usize) -> usize {
    len.next_multiple_of(16).min(inner_mtu.max(len))
}
