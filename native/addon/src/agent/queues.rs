//! The packet threads as they start, joined to control and to each other by queues.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::drops::DropCounters;
use whalescale_core::handoff::{FromReceiver, FromSender};
use whalescale_core::lane::Lane;
use whalescale_core::receiver::Receiver;
use whalescale_core::sender::Sender;

use crate::io::clock;
use crate::io::tun::Tun;

use super::inlet::Inlet;
use super::outlet::Outlet;
use super::receive::ReceiveThread;
use super::transmit::{TransmitThread, Transmitter};
use super::{Bells, REPORTS, ReceiverUpdate, SenderUpdate};

/// Updates on their way to a packet thread: every peer's key, address and routes at once fit.
const UPDATES: usize = 4096;
/// Crossings on their way from the receive to the send machine: what one batch can hold.
const CROSSINGS: usize = 512;

/// What both packet threads start with.
pub(super) struct Parts {
    pub backend: Arc<dyn AeadBackend>,
    pub tun: Arc<Tun>,
    pub bells: Arc<Bells>,
    pub sender: Sender,
    pub receiver: Receiver,
    /// Where the receive thread counts.
    pub drops: Arc<DropCounters>,
}

/// Control's ends of the queues.
pub(super) struct Ends {
    pub sender: Producer<SenderUpdate>,
    pub receiver: Producer<ReceiverUpdate>,
    pub sender_reports: Consumer<FromSender>,
    pub receiver_reports: Consumer<FromReceiver>,
}

impl Parts {
    /// Joins them. The receive thread begins with the transmitter.
    pub(super) fn join(self) -> (TransmitThread, ReceiveThread, Ends) {
        let (sender, sender_updates) = RingBuffer::new(UPDATES);
        let (receiver, receiver_updates) = RingBuffer::new(UPDATES);
        let (to_control, sender_reports) = RingBuffer::new(REPORTS);
        let (reports, receiver_reports) = RingBuffer::new(REPORTS);
        let (to_sender, crossings) = RingBuffer::new(CROSSINGS);
        let (to_transmit, from_receive) = RingBuffer::new(1);
        let (to_receive, from_transmit) = RingBuffer::new(1);
        let transmitter = Transmitter {
            sender: self.sender,
            lane: Lane::new(self.tun.vnet()),
            tun: Arc::clone(&self.tun),
            updates: sender_updates,
            crossings,
            reports: to_control,
            bells: Arc::clone(&self.bells),
            outlet: Outlet::default(),
            answer: [0; 1280],
            turned: clock::now(),
        };
        let transmit = TransmitThread {
            backend: Arc::clone(&self.backend),
            from_receive,
            to_receive,
            bells: Arc::clone(&self.bells),
        };
        let receive = ReceiveThread {
            backend: self.backend,
            receiver: self.receiver,
            inlet: Inlet::new(self.tun),
            updates: receiver_updates,
            crossings: to_sender,
            reports,
            sockets: Arc::new([]),
            bells: self.bells,
            drops: self.drops,
            transmitter: Some(Box::new(transmitter)),
            from_transmit,
            to_transmit,
        };
        let ends = Ends {
            sender,
            receiver,
            sender_reports,
            receiver_reports,
        };
        (transmit, receive, ends)
    }
}
