//! The receive thread: UDP receive, open, replay check, TUN write, each packet to completion.
//!
//! It reads ahead: short messages are taken as soon as they are read, the others in turn, and after
//! each super-packet that is written the sockets are looked at again.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use rtrb::{Consumer, Producer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::backlog::Sojourn;
use whalescale_core::constants::limits;
use whalescale_core::drops::{DropCounters, DropReason};
use whalescale_core::handoff::{Crossing, Endpoint, FromReceiver, SocketId};
use whalescale_core::inner::coalesce::{MAX_PIECES, Offload};
use whalescale_core::inner::segment;
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::receiver::{Receiver, Waiting};
use whalescale_core::time::Instant;

use crate::aead;
use crate::io::clock;
use crate::io::poll::{Interest, Poller};
use crate::io::tun::{Tun, WriteError};
use crate::io::udp::{Message, RecvArena, UdpSocket};

use super::{Bells, REPORTS, ReceiverUpdate, Sockets, Update};

pub(super) struct ReceiveThread {
    pub backend: Arc<dyn AeadBackend>,
    pub receiver: Receiver,
    pub inlet: Inlet,
    pub updates: Consumer<ReceiverUpdate>,
    pub crossings: Producer<Crossing>,
    pub reports: Producer<FromReceiver>,
    pub sockets: Sockets,
    pub bells: Arc<Bells>,
    pub drops: Arc<DropCounters>,
}

impl ReceiveThread {
    pub(super) fn run(mut self) -> io::Result<()> {
        aead::warm_up(&*self.backend);
        let mut arena = RecvArena::new();
        let mut sojourn = Sojourn::default();
        let mut poller = Poller::new();
        let bell = poller.add(&self.bells.receive, Interest::Read);
        while !self.bells.stopping() {
            let timeout = self.receiver.next_timeout().map(|due| due - clock::now());
            let rests = arena.is_empty();
            poller.wait(if rests { timeout } else { Some(Duration::ZERO) })?;
            if poller.readable(bell) {
                self.bells.receive.drain();
            }
            let read = arena.len();
            let sockets = Arc::clone(&self.sockets);
            for (slot, (id, socket)) in (bell + 1..).zip(open(&sockets)) {
                if poller.readable(slot) {
                    arena.recv(socket, id, clock::now())?;
                }
            }
            // Control hands a key over before it sends what lets the other end use it, so the keys of
            // all that has arrived are here now, but were not before the call.
            let mut changed = self.take_updates();
            self.take_short(&mut arena, read);
            self.take_in_turn(&mut arena, &mut sojourn);
            self.handle_timeout(&mut arena);
            changed |= self.take_updates();
            if changed {
                poller.clear();
                poller.add(&self.bells.receive, Interest::Read);
                for (_, socket) in open(&self.sockets) {
                    poller.add(socket, Interest::Read);
                }
            }
        }
        Ok(())
    }

    /// Applies what control decided; says whether the sockets changed.
    fn take_updates(&mut self) -> bool {
        let mut changed = false;
        while let Ok(update) = self.updates.pop() {
            match update {
                Update::Core(update) => self.receiver.handle_update(update),
                Update::Sockets(sockets) => {
                    self.sockets = sockets;
                    changed = true;
                }
            }
        }
        changed
    }

    /// Takes the short ones of the messages from the `read`-th on, if longer ones wait before them.
    fn take_short(&mut self, arena: &mut RecvArena, read: usize) {
        let now = clock::now();
        let mut earlier = ArrayVec::<Waiting, { limits::READ_AHEAD }>::new();
        let (mut behind_long, mut any) = (false, false);
        for n in 0..arena.len() {
            let Some(message) = waiting(arena, n) else {
                continue;
            };
            let long = message.place.len() > limits::SHORT_MESSAGE;
            if behind_long && !long && n >= read {
                self.receiver
                    .handle_ahead(arena.bytes(), &earlier, &message, now);
                any = true;
            }
            behind_long |= long;
            earlier.push(message);
        }
        if any {
            self.finish(arena, now);
        }
    }

    /// Takes the messages that have waited longest, as many as make a super-packet.
    fn take_in_turn(&mut self, arena: &mut RecvArena, sojourn: &mut Sojourn) {
        let now = clock::now();
        let count = arena.len();
        let mut taken = 0;
        while taken < count && !self.receiver.is_full() {
            let message = arena.place(taken);
            taken += 1;
            let Some((message, place)) = message else {
                self.drops.count(DropReason::Truncated);
                continue;
            };
            if sojourn.drop_due(now) {
                self.receiver.shed();
            }
            if !self.receiver.take_turn(arena.bytes(), place.start) {
                let from = origin(&message);
                self.receiver
                    .handle_message(arena.bytes(), place, message.stride, from, now);
            }
            sojourn.note(message.len, message.read, now, taken == count);
        }
        self.finish(arena, now);
        arena.release(taken);
    }

    /// Hands over what the messages brought. Packets come last: the local stack may answer at once, and
    /// needs the key that they confirm and the address that they came from.
    fn finish(&mut self, arena: &mut RecvArena, now: Instant) {
        self.hand_over_reports();
        self.hand_over_crossings();
        self.deliver(arena, now);
    }

    fn handle_timeout(&mut self, arena: &mut RecvArena) {
        let now = clock::now();
        if self.receiver.next_timeout().is_some_and(|due| due <= now) {
            self.receiver.handle_timeout(now);
            self.deliver(arena, now);
        }
        self.hand_over_crossings();
    }

    fn hand_over_crossings(&mut self) {
        let mut any = false;
        for crossing in self.receiver.take_crossings() {
            // A full queue means that the other thread is behind: the next feedback says it again.
            any |= self.crossings.push(crossing).is_ok();
        }
        if any {
            self.bells.transmit.signal();
        }
    }

    fn deliver(&mut self, arena: &mut RecvArena, now: Instant) {
        let Self {
            receiver,
            inlet,
            drops,
            ..
        } = self;
        let offload = inlet.offload;
        receiver.deliver(arena.bytes(), offload, now, |vnet, pieces| {
            inlet.write(vnet, pieces, drops);
        });
    }

    fn hand_over_reports(&mut self) {
        let mut any = false;
        for report in self.receiver.take_reports() {
            // Strangers and hostile peers can fill the queue with handshakes and frames. Half of it is
            // kept for what is said once per key, such as its first use.
            let optional = matches!(
                report,
                FromReceiver::Handshake { .. } | FromReceiver::Frame { .. }
            );
            let crowded = optional && self.reports.slots() < REPORTS / 2;
            let reason = match report {
                FromReceiver::Handshake { .. } => DropReason::HandshakeQueueFull,
                _ => DropReason::ControlQueueFull,
            };
            if crowded || self.reports.push(report).is_err() {
                self.drops.count(reason);
            }
            any = true;
        }
        if any {
            self.bells.control.signal();
        }
    }
}

/// The `n`-th of the messages that wait, as the receive machine wants it.
fn waiting(arena: &RecvArena, n: usize) -> Option<Waiting> {
    let (message, place) = arena.place(n)?;
    Some(Waiting {
        place,
        stride: message.stride,
        from: origin(&message),
    })
}

fn origin(message: &Message) -> Endpoint {
    Endpoint {
        socket: message.socket,
        remote: message.source,
    }
}

/// The sockets there are, with their numbers.
fn open(sockets: &[Option<Arc<UdpSocket>>]) -> impl Iterator<Item = (SocketId, &UdpSocket)> {
    let numbered = (0..).zip(sockets);
    numbered.filter_map(|(id, socket)| Some((SocketId(id), &**socket.as_ref()?)))
}

/// The TUN device as the receive thread sees it.
pub(super) struct Inlet {
    tun: Arc<Tun>,
    offload: Offload,
}

impl Inlet {
    pub(super) fn new(tun: Arc<Tun>) -> Self {
        let granted = tun.offload();
        Self {
            offload: Offload {
                tcp: granted.tso,
                udp: granted.uso,
            },
            tun,
        }
    }

    fn write(&mut self, vnet: &VnetHeader, packet: &[IoSlice<'_>], drops: &DropCounters) {
        match self.write_once(vnet, packet) {
            Ok(()) => {}
            Err(WriteError::Refused) if packet.len() > 1 => {
                // Some kernels refuse every super-packet: offer no more of them.
                self.offload = Offload::default();
                self.write_segments(vnet, packet, drops);
            }
            Err(_) => drops.count(DropReason::TunRefused),
        }
    }

    fn write_once(&self, vnet: &VnetHeader, packet: &[IoSlice<'_>]) -> Result<(), WriteError> {
        let header = vnet.encode();
        let mut pieces = ArrayVec::<IoSlice<'_>, { MAX_PIECES + 1 }>::new();
        if self.tun.vnet() {
            pieces.push(IoSlice::new(&header));
        }
        pieces.extend(packet.iter().copied().take(MAX_PIECES));
        self.tun.write(&pieces)
    }

    /// Writes a super-packet as the packets that it was made of.
    fn write_segments(&self, vnet: &VnetHeader, packet: &[IoSlice<'_>], drops: &DropCounters) {
        let whole: Vec<u8> = packet
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        let Ok(segmenter) = segment::plan(vnet, &whole) else {
            return drops.count(DropReason::TunRefused);
        };
        for n in 0..segmenter.count() {
            let last = n + 1 == segmenter.count();
            let mut single = vec![
                0;
                if last {
                    segmenter.last_len()
                } else {
                    segmenter.segment_len()
                }
            ];
            segmenter.write(&whole, n, &mut single);
            if self
                .write_once(&VnetHeader::default(), &[IoSlice::new(&single)])
                .is_err()
            {
                drops.count(DropReason::TunRefused);
            }
        }
    }
}
