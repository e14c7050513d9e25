//! Transmitting: TUN read, route, seal, UDP send, each packet to completion.
//!
//! A turn drains the TUN device until that is empty or the slab or the lane is full, seals and sends
//! single packets, and then one super-packet from the lane. It never waits to fill a batch: with
//! nothing more to read, what there is goes out.
//!
//! One thread at a time transmits, the one that has the [`Transmitter`]: the transmit thread while there
//! is much to do, else the receive thread, which sends what the local stack answers without another
//! thread having to wake up.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use rtrb::{Consumer, Producer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::handoff::{Crossing, FromSender};
use whalescale_core::inner::vnet::{VNET_LEN, VnetHeader};
use whalescale_core::lane::Lane;
use whalescale_core::sender::{Handled, Sender};
use whalescale_core::time::Instant;

use crate::aead;
use crate::io::clock;
use crate::io::poll::{Interest, Poller};
use crate::io::tun::Tun;

use super::outlet::Outlet;
use super::{Bells, SenderUpdate, Update};

/// With nothing to send for so long, the receive thread takes over: no bulk flow pauses like that.
const PAUSE: Duration = Duration::from_millis(5);

/// Packets further apart than this are not of one burst.
const ALONE: Duration = Duration::from_millis(1);

/// All that transmitting takes.
pub(super) struct Transmitter {
    pub sender: Sender,
    pub lane: Lane,
    pub stack: LocalStack,
    pub updates: Consumer<SenderUpdate>,
    pub crossings: Consumer<Crossing>,
    pub reports: Producer<FromSender>,
    pub bells: Arc<Bells>,
    pub outlet: Outlet,
    /// When the receive thread last did it.
    pub turned: Instant,
}

/// Where packets come from: the TUN device, with room for what is said of one that is too long.
pub(super) struct LocalStack {
    tun: Arc<Tun>,
    answer: [u8; 1280],
}

pub(super) struct TransmitThread {
    pub backend: Arc<dyn AeadBackend>,
    pub from_receive: Consumer<Box<Transmitter>>,
    pub to_receive: Producer<Box<Transmitter>>,
    pub bells: Arc<Bells>,
}

impl TransmitThread {
    pub(super) fn run(mut self) -> io::Result<()> {
        aead::warm_up(&*self.backend);
        let mut poller = Poller::new();
        poller.add(&self.bells.relief, Interest::Read);
        while !self.bells.stopping() {
            if let Ok(mut transmitter) = self.from_receive.pop() {
                transmitter.run()?;
                // There is only the one, so there is room.
                let _ = self.to_receive.push(transmitter);
                self.bells.receive.signal();
            }
            poller.wait(None)?;
            self.bells.relief.drain();
        }
        Ok(())
    }
}

impl Transmitter {
    /// Transmits until little is to be sent.
    fn run(&mut self) -> io::Result<()> {
        let mut poller = Poller::new();
        poller.add(&*self.stack.tun, Interest::Read);
        let bell = poller.add(&self.bells.transmit, Interest::Read);
        let (mut woken, mut paused) = (false, false);
        while !self.bells.stopping() {
            woken = self.turn(woken)?;
            let due = self.sender.next_timeout();
            if woken && paused && due.is_none() {
                break;
            }
            if woken {
                let since = clock::now();
                poller.wait(due.map(|due| due - since))?;
                paused = clock::now() - since >= PAUSE;
                if poller.readable(bell) {
                    self.bells.transmit.drain();
                }
            }
        }
        Ok(())
    }

    /// Sends what there is; says whether that was little, and nothing is to be sent later. A packet
    /// after a pause is mostly alone: what may follow shows when the device is waited for.
    pub(super) fn send_little(&mut self) -> io::Result<bool> {
        let now = clock::now();
        let alone = now - self.turned >= ALONE;
        self.turned = now;
        let emptied = self.turn(alone)?;
        let little = emptied || alone && self.lane.is_empty();
        Ok(little && self.sender.next_timeout().is_none())
    }

    /// Takes what the other threads have, reads the device and sends; says whether nothing was left.
    /// After a pause (`woken`) the first packet does not wait for what may follow.
    fn turn(&mut self, woken: bool) -> io::Result<bool> {
        self.take_updates();
        self.take_crossings();
        let emptied = self.drain_tun(woken)?;
        self.flush();
        self.send_first();
        self.hand_over_reports();
        Ok(emptied && self.lane.is_empty())
    }

    fn take_updates(&mut self) {
        while let Ok(update) = self.updates.pop() {
            let Self { sender, outlet, .. } = self;
            match update {
                Update::Core(update) => {
                    sender.handle_update(update, clock::now(), |transmit| outlet.send(&transmit));
                }
                Update::Sockets(sockets) => {
                    *outlet = Outlet::new(sockets);
                }
            }
        }
    }

    fn take_crossings(&mut self) {
        while let Ok(crossing) = self.crossings.pop() {
            self.sender.handle_crossing(crossing, clock::now());
            if self.sender.is_full() {
                self.flush();
            }
        }
    }

    /// Reads until the device is empty (true), or the slab or the lane is full (false). After a pause
    /// the first packet does not wait for what may follow (false).
    fn drain_tun(&mut self, woken: bool) -> io::Result<bool> {
        let now = clock::now();
        while !self.sender.is_full() {
            let Some(room) = self.lane.room() else {
                return Ok(false);
            };
            let Some(len) = self.stack.tun.read(room)? else {
                return Ok(true);
            };
            // The packet may answer what came from a new address: that is here before the packet is.
            self.take_crossings();
            let Self {
                lane,
                stack,
                sender,
                ..
            } = self;
            if let Some(read) = lane.take(len, now) {
                stack.send(sender, read, now);
                if woken {
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// Seals and sends the super-packet that has waited longest.
    fn send_first(&mut self) {
        let now = clock::now();
        let Self {
            lane,
            stack,
            sender,
            ..
        } = self;
        let Some((read, shed)) = lane.first(now) else {
            return;
        };
        if shed {
            sender.shed();
        }
        stack.send(sender, read, now);
        self.flush();
        self.lane.release(now);
    }

    fn flush(&mut self) {
        let Self { sender, outlet, .. } = self;
        sender.flush(clock::now(), |transmit| outlet.send(&transmit));
    }

    fn hand_over_reports(&mut self) {
        let mut any = false;
        while let Some(report) = self.sender.poll_report() {
            // A full queue means that control has plenty to do; a wish comes again.
            any |= self.reports.push(report).is_ok();
        }
        if any {
            self.bells.control.signal();
        }
    }
}

impl LocalStack {
    /// The one behind `tun`.
    pub(super) fn new(tun: Arc<Tun>) -> Self {
        Self {
            tun,
            answer: [0; 1280],
        }
    }

    /// Gives the machine what was `read`, and the stack the answer to what is too long.
    fn send(&mut self, sender: &mut Sender, read: &[u8], now: Instant) {
        let header_len = if self.tun.vnet() { VNET_LEN } else { 0 };
        let Some((header, packet)) = read.split_at_checked(header_len) else {
            return;
        };
        let vnet = header
            .first_chunk()
            .map_or_else(VnetHeader::default, VnetHeader::parse);
        if let Handled::TooLong(len) = sender.handle_packet(&vnet, packet, now, &mut self.answer) {
            self.write_answer(len);
        }
    }

    /// Writes an ICMP message; if the device does not take it, the next packet gets one.
    fn write_answer(&self, len: usize) {
        let header: &[u8] = if self.tun.vnet() { &[0; VNET_LEN] } else { &[] };
        let packet = self.answer.get(..len).unwrap_or_default();
        let _ = self
            .tun
            .write(&[IoSlice::new(header), IoSlice::new(packet)]);
    }
}
