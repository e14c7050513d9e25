//! The outbound half of the packet path: route, stage or seal, and hand over for sending.
//!
//! 1. [`Sender::handle_packet`] takes what one TUN read gave, a packet or a super-packet, finds its
//!    peer by allowed IPs and writes its packets as unsealed datagrams into the slab.
//! 2. [`Sender::flush`] seals the slab run by run and emits one [`Transmit`] each.
//!
//! This machine alone seals, so it alone owns the counters. Nothing here allocates but staging, which only
//! happens while there is no session.

mod bonds;
mod slab;
mod updates;

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::activity::Activity;
use crate::aead::HEADER_LEN;
use crate::bond::classify::is_full;
use crate::bond::ring::RingMemory;
use crate::bond::schedule::Policy;
use crate::bond::transmit::Bond;
use crate::constants::{limits, mtu, protocol};
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{BondGauge, Endpoint, FromSender, PeerIndex, PeerRoutes, SendKey};
use crate::inner::segment::{self, Segmenter};
use crate::inner::vnet::VnetHeader;
use crate::inner::{ecn, ip, too_big};
use crate::staging::Staging;
use crate::time::Instant;
use crate::wire::datagram::write_transport_header;

use slab::{Run, Slab};

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

/// The send machine. See the module's header.
pub struct Sender {
    routes: Option<PeerRoutes>,
    peers: Vec<Option<Peer>>,
    slab: Slab,
    reports: ArrayVec<FromSender, { limits::RUNS }>,
    drops: Arc<DropCounters>,
    policy: Policy,
    /// Whether the next bulk packet is to be marked or dropped.
    shed: bool,
    /// What all bonds keep for repairs.
    ring_memory: RingMemory,
}

impl Sender {
    /// A machine without peers or routes, that spreads packets over paths by `policy`.
    pub fn new(drops: Arc<DropCounters>, policy: Policy) -> Self {
        Self {
            routes: None,
            peers: Vec::new(),
            slab: Slab::new(),
            reports: ArrayVec::new(),
            drops,
            policy,
            shed: false,
            ring_memory: RingMemory::default(),
        }
    }

    /// Whether the slab should be flushed before more is read.
    pub fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    /// Marks or drops the next packet of bulk, because too much is waiting behind it: the first of a
    /// super-packet, so that its followers tell the other end at once. What bonds carry has a queue
    /// of its own and is left alone.
    pub fn shed(&mut self) {
        self.shed = true;
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
            && bond.is_active(
                now,
                packet.len(),
                is_full(segmenter.segment_len(), inner_mtu),
            )
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
        let pays = self.shed
            && segmenter.count() >= limits::BULK_PACKETS
            && segmenter.segment_len() >= limits::BULK_LEN;
        self.shed &= !pays;
        let marked = pays && ecn::is_capable(packet);
        let dropped = usize::from(pays && !marked);
        self.drops.add(DropReason::QueueDelay, dropped as u64);
        for n in dropped..segmenter.count() {
            let len = segmenter.len_of(n);
            let payload = self
                .slab
                .append(peer, endpoint, padded(len, inner_mtu), true)
                .ok_or(DropReason::BadOffload)?;
            let (inner, padding) = payload.split_at_mut(len);
            segmenter.write(packet, n, inner);
            if marked && n == 0 {
                ecn::mark(inner);
            }
            padding.fill(0);
        }
        Ok(())
    }

    /// Seals all runs in the slab and emits each; the slab is empty afterwards.
    ///
    /// `emit` says when a run could not be sent; its packets are then lost and counted.
    pub fn flush(
        &mut self,
        now: Instant,
        mut emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let mut next = 0;
        while let Some(run) = self.slab.run(next) {
            next += 1;
            match self.seal(&run, now) {
                Ok(()) => {
                    let datagrams = self.slab.datagrams(&run);
                    let transmit = Transmit {
                        peer: run.peer,
                        endpoint: run.endpoint,
                        datagrams,
                        stride: run.stride,
                    };
                    if let Err(error) = emit(transmit) {
                        self.handle_send_error(&run, error);
                    }
                }
                Err(reason) => self.drops.add(reason, run.count as u64),
            }
        }
        self.slab.clear();
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
        let datagrams = self.slab.datagrams_mut(run);
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

fn peer_mut(peers: &mut [Option<Peer>], index: PeerIndex) -> Option<&mut Peer> {
    peers.get_mut(usize::from(index.0))?.as_mut()
}

/// WireGuard pads payloads to 16 bytes, but never beyond the MTU (whitepaper, section 5.4.6).
pub(crate) fn padded(len: usize, inner_mtu: usize) -> usize {
    len.next_multiple_of(16).min(inner_mtu.max(len))
}
