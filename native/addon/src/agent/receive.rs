//! The receive thread: UDP receive, open, replay check, TUN write, each packet to completion.
//!
//! It reads ahead: short messages are taken as soon as they are read, the others in turn, and after
//! each super-packet that is written the sockets are looked at again.
//!
//! While little arrives it transmits, too: what the local stack answers to a packet is there when the
//! write of that returns, and waits for no other thread to wake up. And where answers come at once, it
//! looks for the answer to what it sent without sleeping ([`BusyPoll`]).

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrayvec::ArrayVec;
use rtrb::{Consumer, Producer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::backlog::Sojourn;
use whalescale_core::busy_poll::BusyPoll;
use whalescale_core::constants::limits;
use whalescale_core::drops::{DropCounters, DropReason};
use whalescale_core::handoff::{Crossing, Endpoint, FromReceiver, SocketId};
use whalescale_core::receiver::{Receiver, Waiting};
use whalescale_core::time::Instant;

use crate::aead;
use crate::io::clock;
use crate::io::poll::{Interest, Poller};
use crate::io::udp::{Message, RecvArena, UdpSocket};

use super::inlet::Inlet;
use super::transmit::Transmitter;
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
    /// While there is little to do, this thread transmits, too.
    pub transmitter: Option<Box<Transmitter>>,
    pub from_transmit: Consumer<Box<Transmitter>>,
    pub to_transmit: Producer<Box<Transmitter>>,
}

/// The order in which descriptors are waited for.
const BELL: usize = 0;
const DEVICE: usize = 1;
const FIRST_SOCKET: usize = 2;

/// More bytes than this at once are bulk, or many: their answers are another thread's.
const LITTLE: usize = 4096;

impl ReceiveThread {
    pub(super) fn run(mut self) -> io::Result<()> {
        aead::warm_up(&*self.backend);
        let mut arena = RecvArena::new();
        let mut sojourn = Sojourn::default();
        let mut busy = BusyPoll::default();
        let mut poller = Poller::new();
        self.wait_for(&mut poller);
        while !self.bells.stopping() {
            if arena.is_empty() {
                self.wait(&mut poller, &mut busy)?;
            } else {
                poller.wait(Some(Duration::ZERO))?;
            }
            let mut changed = false;
            if poller.readable(BELL) {
                self.bells.receive.drain();
                changed |= self.take_over();
            }
            if poller.readable(BELL) || poller.readable(DEVICE) {
                changed |= self.transmit()?;
            }
            let read = arena.len();
            let sockets = Arc::clone(&self.sockets);
            for (slot, (id, socket)) in (FIRST_SOCKET..).zip(open(&sockets)) {
                if poller.readable(slot) {
                    arena.recv(socket, id, clock::now())?;
                }
            }
            // Control hands a key over before it sends what lets the other end use it, so the keys of
            // all that has arrived are here now, but were not before the call.
            changed |= self.take_updates();
            if !arena.is_empty() {
                changed |= !is_little(&arena) && self.hand_over_transmitter();
                self.take_short(&mut arena, read);
                self.take_in_turn(&mut arena, &mut sojourn);
                changed |= self.transmit()?;
            }
            self.handle_timeout(&mut arena);
            changed |= self.take_updates();
            if changed {
                self.wait_for(&mut poller);
            }
        }
        Ok(())
    }

    /// Fills `poller` with what there is to wait for.
    fn wait_for(&self, poller: &mut Poller) {
        poller.clear();
        poller.add(&self.bells.receive, Interest::Read);
        let transmits = self.transmitter.as_ref();
        let device = transmits.map_or(Interest::None, |_| Interest::Read);
        poller.add(self.inlet.tun(), device);
        for (_, socket) in open(&self.sockets) {
            poller.add(socket, Interest::Read);
        }
    }

    /// Waits for any of `poller`'s descriptors, or the next timer; at first without sleeping if that was
    /// the device, and the answers to its packets come soon.
    fn wait(&self, poller: &mut Poller, busy: &mut BusyPoll) -> io::Result<()> {
        let since = clock::now();
        let due = self.receiver.next_timeout();
        if !poller.readable(DEVICE) {
            poller.wait(due.map(|due| due - since))?;
            return Ok(());
        }
        let patience = busy.patience(since);
        let patience = due.map_or(patience, |due| patience.min(due - since));
        let mut now = since;
        let mut ready = 0;
        while ready == 0 && now - since < patience {
            // What gives the answer may wait for this very processor.
            thread::yield_now();
            ready = poller.wait(Some(Duration::ZERO))?;
            now = clock::now();
        }
        if ready == 0 {
            poller.wait(due.map(|due| due - now))?;
        }
        busy.note(since, clock::now());
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

    /// Sends what there is, if this thread transmits, until it is too much; says whether it was.
    fn transmit(&mut self) -> io::Result<bool> {
        let Some(transmitter) = &mut self.transmitter else {
            return Ok(false);
        };
        Ok(!transmitter.send_little()? && self.hand_over_transmitter())
    }

    /// Transmits from now on, if the transmit thread has stopped; says whether it has.
    fn take_over(&mut self) -> bool {
        let found = self.from_transmit.pop().ok();
        let any = found.is_some();
        self.transmitter = self.transmitter.take().or(found);
        any
    }

    /// Lets the transmit thread transmit; says whether it did not yet.
    fn hand_over_transmitter(&mut self) -> bool {
        let Some(transmitter) = self.transmitter.take() else {
            return false;
        };
        // There is only the one, so there is room.
        let _ = self.to_transmit.push(transmitter);
        self.bells.relief.signal();
        true
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
            match self.transmitter {
                Some(_) => self.bells.receive.signal(),
                None => self.bells.transmit.signal(),
            }
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

/// Whether what waits is no more than one thread does on the side.
fn is_little(arena: &RecvArena) -> bool {
    let places = (0..arena.len()).filter_map(|n| arena.place(n));
    places.map(|(message, _)| message.len).sum::<usize>() <= LITTLE
}

/// The sockets there are, with their numbers.
fn open(sockets: &[Option<Arc<UdpSocket>>]) -> impl Iterator<Item = (SocketId, &UdpSocket)> {
    let numbered = (0..).zip(sockets);
    numbered.filter_map(|(id, socket)| Some((SocketId(id), &**socket.as_ref()?)))
}
