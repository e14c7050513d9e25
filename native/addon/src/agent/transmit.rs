//! The transmit thread: TUN read, route, seal, UDP send, each packet to completion.
//!
//! It drains the TUN device until that is empty or the slab or the lane is full, seals and sends
//! single packets, and then one super-packet from the lane. It never waits to fill a batch: with
//! nothing more to read, what there is goes out.

use std::io::{self, IoSlice};
use std::sync::Arc;

use rtrb::{Consumer, Producer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::handoff::{Crossing, Endpoint, FromSender};
use whalescale_core::inner::vnet::{VNET_LEN, VnetHeader};
use whalescale_core::lane::Lane;
use whalescale_core::sender::{Handled, SendError, Sender, Transmit};
use whalescale_core::time::Instant;

use crate::aead;
use crate::io::clock;
use crate::io::poll::{Interest, Poller};
use crate::io::tun::Tun;
use crate::io::udp::{SendOutcome, UdpSocket};

use super::{Bells, SenderUpdate, Sockets, Update, socket};

/// Remotes for which segmentation is known to be refused: every interface of a laptop, twice.
const REFUSALS: usize = 16;

pub(super) struct TransmitThread {
    pub backend: Arc<dyn AeadBackend>,
    pub sender: Sender,
    pub tun: Arc<Tun>,
    pub updates: Consumer<SenderUpdate>,
    pub crossings: Consumer<Crossing>,
    pub reports: Producer<FromSender>,
    pub bells: Arc<Bells>,
    pub outlet: Outlet,
}

/// The sockets, and where segmentation offload was refused.
#[derive(Default)]
pub(super) struct Outlet {
    sockets: Option<Sockets>,
    refused: Vec<Endpoint>,
}

impl TransmitThread {
    pub(super) fn run(mut self) -> io::Result<()> {
        aead::warm_up(&*self.backend);
        let mut lane = Lane::new(self.tun.vnet());
        let mut woken = false;
        let mut poller = Poller::new();
        poller.add(&*self.tun, Interest::Read);
        let bell = poller.add(&self.bells.transmit, Interest::Read);
        while !self.bells.stopping() {
            self.take_updates();
            self.take_crossings();
            let emptied = self.drain_tun(&mut lane, woken)?;
            self.flush();
            self.send_first(&mut lane);
            self.hand_over_reports();
            woken = emptied && lane.is_empty();
            if woken {
                let now = clock::now();
                let timeout = self.sender.next_timeout().map(|due| due - now);
                poller.wait(timeout)?;
                if poller.readable(bell) {
                    self.bells.transmit.drain();
                }
            }
        }
        Ok(())
    }

    fn take_updates(&mut self) {
        while let Ok(update) = self.updates.pop() {
            let Self { sender, outlet, .. } = self;
            match update {
                Update::Core(update) => {
                    sender.handle_update(update, clock::now(), |transmit| outlet.send(&transmit));
                }
                Update::Sockets(sockets) => {
                    *outlet = Outlet {
                        sockets: Some(sockets),
                        refused: Vec::new(),
                    }
                }
            }
        }
    }

    fn take_crossings(&mut self) {
        let now = clock::now();
        while let Ok(crossing) = self.crossings.pop() {
            self.sender.handle_crossing(crossing, now);
            if self.sender.is_full() {
                self.flush();
            }
        }
    }

    /// Reads until the device is empty (true), or the slab or the lane is full (false). After a pause
    /// the first packet does not wait for what may follow (false).
    fn drain_tun(&mut self, lane: &mut Lane, woken: bool) -> io::Result<bool> {
        let now = clock::now();
        while !self.sender.is_full() {
            let Some(room) = lane.room() else {
                return Ok(false);
            };
            let Some(len) = self.tun.read(room)? else {
                return Ok(true);
            };
            if let Some(read) = lane.take(len, now) {
                self.send_packet(read, now);
                if woken {
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// Seals and sends the super-packet that has waited longest.
    fn send_first(&mut self, lane: &mut Lane) {
        let now = clock::now();
        let Some((read, shed)) = lane.first(now) else {
            return;
        };
        if shed {
            self.sender.shed();
        }
        self.send_packet(read, now);
        self.flush();
        lane.release(now);
    }

    fn send_packet(&mut self, read: &[u8], now: Instant) {
        let header_len = if self.tun.vnet() { VNET_LEN } else { 0 };
        let Some((header, packet)) = read.split_at_checked(header_len) else {
            return;
        };
        let vnet = header
            .first_chunk()
            .map_or_else(VnetHeader::default, VnetHeader::parse);
        let mut answer = [0; 1280];
        if let Handled::TooLong(len) = self.sender.handle_packet(&vnet, packet, now, &mut answer) {
            self.answer(answer.get(..len).unwrap_or_default());
        }
    }

    /// Gives the local stack an ICMP message; if the device does not take it, the next packet gets one.
    fn answer(&self, packet: &[u8]) {
        let header = [0; VNET_LEN];
        let header = if self.tun.vnet() { &header[..] } else { &[] };
        let _ = self
            .tun
            .write(&[IoSlice::new(header), IoSlice::new(packet)]);
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

impl Outlet {
    fn send(&mut self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        let sockets = self.sockets.as_deref().ok_or(SendError::Failed)?;
        let socket = socket(sockets, transmit.endpoint.socket).ok_or(SendError::Failed)?;
        let single = transmit.datagrams.len() <= transmit.stride;
        let segmented = socket.granted().gso && !self.refused.contains(&transmit.endpoint);
        if !single && !segmented {
            return send_plain(socket, transmit);
        }
        match socket.send(
            &transmit.endpoint.remote,
            transmit.datagrams,
            transmit.stride,
        ) {
            SendOutcome::NoSegmentation => {
                let outcome = send_plain(socket, transmit);
                if outcome != Err(SendError::TooBig) && self.refused.len() < REFUSALS {
                    self.refused.push(transmit.endpoint);
                }
                outcome
            }
            outcome => result_of(outcome),
        }
    }
}

fn send_plain(socket: &UdpSocket, transmit: &Transmit<'_>) -> Result<(), SendError> {
    result_of(
        socket
            .send_plain(
                &transmit.endpoint.remote,
                transmit.datagrams,
                transmit.stride,
            )
            .1,
    )
}

/// What the core hears of a send. A full buffer drops: waiting would stall every other peer.
fn result_of(outcome: SendOutcome) -> Result<(), SendError> {
    match outcome {
        SendOutcome::Sent => Ok(()),
        SendOutcome::WouldBlock | SendOutcome::NoBuffers => Err(SendError::Full),
        SendOutcome::TooBig => Err(SendError::TooBig),
        SendOutcome::NoSegmentation | SendOutcome::Unreachable(_) | SendOutcome::Failed(_) => {
            Err(SendError::Failed)
        }
    }
}
