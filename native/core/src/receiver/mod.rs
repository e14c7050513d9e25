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
mod bonds;
mod keys;
mod open;
mod rate;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use crate::bond::receive::Binding;
use crate::bond::reorder::Depth;
use crate::constants::limits;
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{
    Crossing, Endpoint, FromReceiver, HandshakeBytes, PeerIndex, PeerRoutes, ToReceiver,
};
use crate::handshake::mac::MacVerifier;
use crate::inner::coalesce::{self, Offload};
use crate::inner::vnet::VnetHeader;
use crate::replay::ReplayWindow;
use crate::time::Instant;
use crate::wire::datagram::{self, Datagram};

use ahead::Ahead;
pub use ahead::Waiting;
use bonds::Bonds;
use keys::{Address, Key, leading_run};
use rate::MessageRates;

/// The receive machine. See the module's header.
pub struct Receiver {
    verifier: MacVerifier,
    routes: Option<PeerRoutes>,
    keys: BTreeMap<u32, Key>,
    addresses: Vec<Address>,
    messages: MessageRates,
    packets: Vec<Range<usize>>,
    bonds: Bonds,
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
    /// A machine without keys; `verifier` guards against handshake messages from strangers, and each
    /// peer's reordering buffer holds `depth`.
    pub fn new(verifier: MacVerifier, depth: Depth, drops: Arc<DropCounters>) -> Self {
        Self {
            verifier,
            routes: None,
            keys: BTreeMap::new(),
            addresses: Vec::new(),
            messages: MessageRates::default(),
            packets: Vec::with_capacity(PACKETS),
            bonds: Bonds::new(depth),
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
                    self.bonds.of(info.peer).set_gauge(gauge);
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
                self.bonds.of(peer).bind(path, binding);
            }
            ToReceiver::Restarted(peer) => self.bonds.of(peer).restart(),
            ToReceiver::Endpoint { peer, endpoint } => {
                self.address(peer).current = Some(endpoint);
            }
            ToReceiver::RemovePeer(peer) => {
                self.bonds.remove(peer);
                *self.address(peer) = Address::default();
            }
        }
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
        self.bonds.next_deadline()
    }

    /// Gives up on packets that are overdue and makes the feedback that is due; call
    /// [`Self::deliver`] and [`Self::take_crossings`] after.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (peer, bond) in self.bonds.iter_mut() {
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

fn address_of(addresses: &mut Vec<Address>, peer: PeerIndex) -> &mut Address {
    let place = usize::from(peer.0);
    if addresses.len() <= place {
        addresses.resize_with(place + 1, Address::default);
    }
    &mut addresses[place]
}
