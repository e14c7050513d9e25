//! The inbound half of the packet path: demultiplex, open, check for replays, deliver.
//!
//! 1. [`Receiver::handle_message`] takes one received message: the datagrams that the kernel
//!    joined (`UDP_GRO`), all from one address, each `stride` bytes long but for the last.
//!    Consecutive datagrams with one receiver index form a run and are opened together, in place.
//! 2. What is authentic and fresh, and comes from an allowed inner source, is remembered as a range
//!    of the arena. [`Receiver::deliver`] joins these into super-packets, one TUN write each.
//!
//! Handshake messages and control frames go to control. Nothing that fails a check is answered.

mod accept;
mod ahead;
mod keys;
mod rate;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::bond::receive::{Binding, Inbound};
use crate::bond::reorder::Budget;
use crate::bond::shim::Shim;
use crate::constants::{limits, protocol};
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{
    Crossing, Endpoint, FromReceiver, HandshakeBytes, PeerIndex, PeerRoutes, ToReceiver,
};
use crate::handshake::mac::MacVerifier;
use crate::inner::coalesce::{self, Offload};
use crate::inner::ecn;
use crate::inner::vnet::VnetHeader;
use crate::replay::ReplayWindow;
use crate::time::Instant;
use crate::wire::datagram::{self, Datagram};

use accept::{Accepted, Origin, accept, is_data, is_message, payload_of};
use ahead::Ahead;
use keys::{Address, Key, Seen, Source, leading_run};
use rate::MessageRates;

/// The receive machine. See the module's header.
pub struct Receiver {
    verifier: MacVerifier,
    routes: Option<PeerRoutes>,
    keys: BTreeMap<u32, Key>,
    addresses: Vec<Address>,
    messages: MessageRates,
    packets: Vec<Range<usize>>,
    bonds: BTreeMap<PeerIndex, Inbound>,
    /// What all bonds together may hold back.
    budget: Budget,
    /// Packets that bonds let go, one after the other, and where each is.
    released: Released,
    crossings: Vec<Crossing>,
    reports: Vec<FromReceiver>,
    drops: Arc<DropCounters>,
    /// Bytes of the packets that wait for [`Self::deliver`].
    pending: usize,
    ahead: Ahead,
    /// Whether the next bulk packet is to be marked or dropped.
    shed: bool,
}

/// Reports waiting at once: handshakes and frames of one batch of messages; more is a flood.
const REPORTS: usize = 256;
/// Packets of one batch: sixteen messages of [`limits::RECEIVED_DATAGRAMS`].
const PACKETS: usize = 16 * limits::RECEIVED_DATAGRAMS;

impl Receiver {
    /// A machine without keys; `verifier` guards against handshake messages from strangers.
    pub fn new(verifier: MacVerifier, drops: Arc<DropCounters>) -> Self {
        Self {
            verifier,
            routes: None,
            keys: BTreeMap::new(),
            addresses: Vec::new(),
            messages: MessageRates::default(),
            packets: Vec::with_capacity(PACKETS),
            bonds: BTreeMap::new(),
            budget: Budget::default(),
            released: Released::default(),
            crossings: Vec::new(),
            reports: Vec::with_capacity(REPORTS),
            drops,
            pending: 0,
            ahead: Ahead::default(),
            shed: false,
        }
    }

    /// Applies what control decided.
    pub fn handle_update(&mut self, update: ToReceiver) {
        match update {
            ToReceiver::Routes(routes) => self.routes = Some(routes),
            ToReceiver::Keypair(info) => {
                if info.frames {
                    let gauge = Arc::clone(&info.bond);
                    self.bond(info.peer).set_gauge(gauge);
                }
                let key = Key {
                    window: ReplayWindow::default(),
                    highest: None,
                    confirmed: info.initiator,
                    aged: false,
                    info,
                };
                self.keys.insert(key.info.index, key);
            }
            ToReceiver::RemoveKeypair { index } => {
                self.keys.remove(&index);
            }
            ToReceiver::Path {
                peer,
                path,
                endpoint,
                token,
                gauge,
            } => {
                let binding = Binding {
                    endpoint,
                    token,
                    gauge,
                };
                self.bond(peer).bind(path, binding);
            }
            ToReceiver::Restarted(peer) => self.bond(peer).restart(),
            ToReceiver::Endpoint { peer, endpoint } => {
                self.address(peer).current = Some(endpoint);
            }
            ToReceiver::RemovePeer(peer) => {
                self.bonds.remove(&peer);
                *self.address(peer) = Address::default();
            }
        }
    }

    fn bond(&mut self, peer: PeerIndex) -> &mut Inbound {
        bond_of(&mut self.bonds, &self.budget, peer)
    }

    fn address(&mut self, peer: PeerIndex) -> &mut Address {
        address_of(&mut self.addresses, peer)
    }

    /// Marks or drops the next packet of bulk, because too much is waiting behind it. Bonded packets
    /// are left alone: the other end keeps their queue.
    pub fn shed(&mut self) {
        self.shed = true;
    }

    /// What control should hear of, in order of arrival.
    pub fn take_reports(&mut self) -> impl Iterator<Item = FromReceiver> + '_ {
        self.reports.drain(..)
    }

    /// Takes the received message at `message` in the arena: datagrams of `stride` bytes.
    pub fn handle_message(
        &mut self,
        arena: &mut [u8],
        message: Range<usize>,
        stride: usize,
        from: Endpoint,
        now: Instant,
    ) {
        let mut at = message.start;
        let end = message.end.min(arena.len());
        while at < end && stride > 0 {
            let rest = arena.get_mut(at..end).unwrap_or_default();
            let (taken, index) = leading_run(rest, stride);
            match index {
                Some(index) => self.open(arena, at..at + taken, stride, index, from, now),
                None => self.handle_other(arena.get(at..at + taken).unwrap_or_default(), from),
            }
            at += taken.max(1);
        }
    }

    /// Takes a short message before its turn; [`Self::take_turn`] is to follow. Packets that would pass
    /// their own flow wait for that.
    pub fn handle_ahead(
        &mut self,
        arena: &mut [u8],
        message: Range<usize>,
        stride: usize,
        from: Endpoint,
        now: Instant,
    ) {
        if !self.ahead.has_room() {
            return;
        }
        let (start, before, pending) = (message.start, self.packets.len(), self.pending);
        self.handle_message(arena, message, stride, from, now);
        let taken = self.packets.get(before..).unwrap_or_default();
        let mut taken = taken.iter().filter_map(|packet| arena.get(packet.clone()));
        let held = if taken.any(|packet| self.ahead.is_behind(packet, now)) {
            self.pending = pending;
            self.packets.drain(before..).collect()
        } else {
            Vec::new()
        };
        self.ahead.opened(start, held);
    }

    /// It is the turn of the message that begins at `start`. Says whether it was taken before.
    pub fn take_turn(&mut self, start: usize) -> bool {
        let Some(held) = self.ahead.turn(start) else {
            return false;
        };
        self.pending += held.iter().map(ExactSizeIterator::len).sum::<usize>();
        self.packets.extend(held);
        true
    }

    /// Opens one run of transport datagrams that carry the same receiver index.
    fn open(
        &mut self,
        arena: &mut [u8],
        at: Range<usize>,
        stride: usize,
        index: u32,
        from: Endpoint,
        now: Instant,
    ) {
        let run = arena.get_mut(at.clone()).unwrap_or_default();
        let count = run.len().div_ceil(stride) as u64;
        let Some(key) = self.keys.get_mut(&index) else {
            return self.drops.add(DropReason::UnknownIndex, count);
        };
        if now - key.info.created >= protocol::REJECT_AFTER_TIME {
            return self.drops.add(DropReason::KeyExpired, count);
        }
        let mut seen = Seen::default();
        let mut admitted = ArrayVec::<_, { limits::RECEIVED_DATAGRAMS }>::new();
        let mut end = at.start;
        for (counter, authentic) in key.open_run(run, stride) {
            let datagram = end..(end + stride).min(at.end);
            end = datagram.end;
            let verdict = key.admit(counter, authentic);
            if verdict.is_ok() {
                let first = arena.get(payload_of(&datagram)).and_then(<[u8]>::first);
                seen.count(
                    datagram.len(),
                    counter,
                    first.is_some_and(|first| is_data(*first)),
                );
            }
            admitted.push((datagram, verdict));
        }
        let (peer, frames) = (key.info.peer, key.info.frames);
        let origin = Origin {
            peer,
            frames,
            index,
            from,
            now,
        };
        if seen.packets > 0 {
            if !std::mem::replace(&mut key.confirmed, true) {
                // Before any frame under this key, so that control can answer under it.
                self.reports.push(FromReceiver::Confirmed { peer, index });
            }
            let passed = key.advance(&seen);
            let newest = key.note(&seen, now, &mut self.reports);
            self.note_source(origin, &seen, passed, newest);
        }
        let mut allowed = None;
        let before = self.packets.len();
        for (datagram, verdict) in admitted {
            let taken = match verdict {
                Ok(()) => self.take(arena, &datagram, origin, &mut allowed),
                Err(reason) => Err(self.recognise_copy(arena, &datagram, origin, reason)),
            };
            if let Err(reason) = taken {
                self.drops.count(reason);
            }
        }
        if self.shed && self.packets.len() - before >= limits::BULK_PACKETS {
            self.mark_or_drop(arena, before);
        }
    }

    /// Marks or drops the packet that was taken as the `n`-th, if it is large enough to be bulk.
    fn mark_or_drop(&mut self, arena: &mut [u8], n: usize) {
        let Some(packet) = self.packets.get(n).cloned() else {
            return;
        };
        // Acknowledgements come in trains too; a lost one tells their flow nothing.
        if packet.len() < limits::BULK_LEN {
            return;
        }
        self.shed = false;
        if !arena.get_mut(packet).is_some_and(ecn::mark) {
            self.packets.remove(n);
            self.drops.count(DropReason::BacklogDelay);
        }
    }

    /// Counts an authentic run to where it came from, and tells of an address that is news. It moved the
    /// highest counter by `passed`, if it was the `newest`.
    fn note_source(&mut self, origin: Origin, seen: &Seen, passed: u64, newest: bool) {
        let Origin {
            peer,
            frames,
            from,
            now,
            ..
        } = origin;
        let mut bound = false;
        if frames {
            let bond = bond_of(&mut self.bonds, &self.budget, peer);
            bond.count(now, passed, seen.packets);
            bound = bond.note_arrival(from, seen.bytes);
        }
        let source = match (bound, seen.data) {
            (false, _) => Source::Unbound,
            (true, true) => Source::PathWithData,
            (true, false) => Source::PathWithoutData,
        };
        if newest && self.address(peer).is_news(from, &source, now) {
            self.reports.push(FromReceiver::Moved { peer, from });
            if !frames && self.crossings.len() < REPORTS {
                let endpoint = from;
                self.crossings.push(Crossing::Roamed { peer, endpoint });
            }
        }
    }

    /// Takes an authentic, fresh datagram to where it belongs.
    fn take(
        &mut self,
        arena: &[u8],
        datagram: &Range<usize>,
        origin: Origin,
        allowed: &mut Option<IpAddr>,
    ) -> Result<(), DropReason> {
        let Origin {
            peer,
            index,
            from,
            now,
            ..
        } = origin;
        match accept(arena, datagram, origin, self.routes.as_ref(), allowed)? {
            Accepted::Packet(range) => {
                self.pending += range.len();
                self.packets.push(range);
            }
            Accepted::Bonded(shim, inner) => {
                let inner = arena.get(inner).unwrap_or_default();
                let bond = bond_of(&mut self.bonds, &self.budget, peer);
                let released = &mut self.released;
                let mut deliver = |packet: &[u8]| released.push(packet);
                bond.take(&shim, inner, datagram.len(), from, now, &mut deliver);
            }
            Accepted::Feedback(feedback) if self.crossings.len() < REPORTS => {
                self.crossings.push(Crossing::Feedback { peer, feedback });
            }
            Accepted::Frame(plaintext)
                if is_message(&plaintext) && !self.messages.allow(peer, now) =>
            {
                return Err(DropReason::MessageRate);
            }
            Accepted::Frame(plaintext) => {
                let datagram = datagram.len();
                let frame = FromReceiver::Frame {
                    peer,
                    index,
                    from,
                    datagram,
                    plaintext,
                };
                push_report(
                    &mut self.reports,
                    frame,
                    &self.drops,
                    DropReason::ControlQueueFull,
                );
            }
            Accepted::Loss(report) if self.crossings.len() < REPORTS => {
                self.crossings.push(Crossing::Loss { peer, report });
            }
            Accepted::Feedback(_) | Accepted::Loss(_) | Accepted::Keepalive => {}
        }
        Ok(())
    }

    /// The reason to count for a datagram that was not admitted: the second copy of a bonded packet is
    /// as it should be, and says that its path works.
    fn recognise_copy(
        &mut self,
        arena: &[u8],
        datagram: &Range<usize>,
        origin: Origin,
        reason: DropReason,
    ) -> DropReason {
        let copied = reason == DropReason::Replayed && origin.frames;
        let payload = arena.get(payload_of(datagram)).filter(|_| copied);
        let Some((shim, _)) = payload.and_then(Shim::parse) else {
            return reason;
        };
        let bond = bond_of(&mut self.bonds, &self.budget, origin.peer);
        bond.take_copy(&shim, datagram.len(), origin.from, origin.now);
        DropReason::SecondCopy
    }

    /// Takes a datagram that is not transport data: a handshake message for control, or nothing.
    fn handle_other(&mut self, message: &[u8], from: Endpoint) {
        let reason = match datagram::parse(message) {
            Ok(Datagram::Initiation(_) | Datagram::Response(_))
                if !self.verifier.mac1_valid(message) =>
            {
                DropReason::BadMac
            }
            Ok(Datagram::Initiation(_) | Datagram::Response(_) | Datagram::CookieReply(_)) => {
                let Ok(message) = HandshakeBytes::try_from(message) else {
                    return;
                };
                let report = FromReceiver::Handshake { from, message };
                return push_report(
                    &mut self.reports,
                    report,
                    &self.drops,
                    DropReason::HandshakeQueueFull,
                );
            }
            _ => DropReason::Malformed,
        };
        self.drops.count(reason);
    }

    /// Whether nothing more should be handled before [`Self::deliver`]: there is no room, or there
    /// are whole super-packets, which would only get cold.
    pub fn is_full(&self) -> bool {
        self.packets.len() + limits::RECEIVED_DATAGRAMS > PACKETS
            || self.pending >= limits::FLUSH_BYTES
    }

    /// Joins the packets received since the last call and writes each super-packet.
    pub fn deliver(
        &mut self,
        arena: &mut [u8],
        offload: Offload,
        now: Instant,
        mut write: impl FnMut(&VnetHeader, &[IoSlice<'_>]),
    ) {
        let ahead = &mut self.ahead;
        let mut write = |vnet: &VnetHeader, pieces: &[IoSlice<'_>]| {
            let len: usize = pieces.iter().map(|piece| piece.len()).sum();
            if let Some(first) = pieces.first().filter(|_| len > limits::SHORT_MESSAGE) {
                ahead.note_long(first, now);
            }
            write(vnet, pieces);
        };
        if !self.packets.is_empty() {
            coalesce::coalesce(arena, &self.packets, offload, &mut write);
            self.packets.clear();
            self.pending = 0;
        }
        let Released { bytes, packets } = &mut self.released;
        if !packets.is_empty() {
            coalesce::coalesce(bytes, packets, offload, &mut write);
            packets.clear();
            bytes.clear();
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.bonds.values().filter_map(Inbound::next_deadline).min()
    }

    /// Gives up on packets that are overdue and makes the feedback that is due; call
    /// [`Self::deliver`] and [`Self::take_crossings`] after.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (peer, bond) in &mut self.bonds {
            let released = &mut self.released;
            bond.expire(now, &mut |packet: &[u8]| released.push(packet));
            let peer = *peer;
            // What has been passed by something short is not missing.
            let counted = !self.ahead.any();
            let loss = counted.then(|| bond.loss_report(now)).flatten();
            let loss = loss.map(|frame| (frame, false));
            for (frame, everywhere) in bond.feedback(now).into_iter().chain(loss) {
                self.crossings.push(Crossing::Report {
                    peer,
                    frame,
                    everywhere,
                });
            }
        }
    }

    /// What the send machine should hear of, in order.
    pub fn take_crossings(&mut self) -> impl Iterator<Item = Crossing> + '_ {
        self.crossings.drain(..)
    }
}

/// Packets in one piece of memory, to be joined into super-packets.
#[derive(Default)]
struct Released {
    bytes: Vec<u8>,
    packets: Vec<Range<usize>>,
}

impl Released {
    fn push(&mut self, packet: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packet);
        self.packets.push(start..self.bytes.len());
    }
}

fn push_report(
    reports: &mut Vec<FromReceiver>,
    report: FromReceiver,
    drops: &DropCounters,
    full: DropReason,
) {
    if reports.len() >= REPORTS {
        drops.count(full);
    } else {
        reports.push(report);
    }
}

fn bond_of<'a>(
    bonds: &'a mut BTreeMap<PeerIndex, Inbound>,
    budget: &Budget,
    peer: PeerIndex,
) -> &'a mut Inbound {
    bonds
        .entry(peer)
        .or_insert_with(|| Inbound::new(budget.clone()))
}

fn address_of(addresses: &mut Vec<Address>, peer: PeerIndex) -> &mut Address {
    let place = usize::from(peer.0);
    if addresses.len() <= place {
        addresses.resize_with(place + 1, Address::default);
    }
    &mut addresses[place]
}
