//! How an agent starts and stops: its queues, what its threads share, and the threads themselves.
//!
//! Whatever can fail is done before the first thread runs, so a failed start leaves nothing behind.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rtrb::{Consumer, Producer, RingBuffer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::bond::reorder::Depth;
use whalescale_core::bond::schedule::Policy;
use whalescale_core::control::{Control, Settings};
use whalescale_core::handoff::{Crossing, FromReceiver, FromSender};
use whalescale_core::handshake::mac::MacVerifier;
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::Secret;
use whalescale_core::lane::Lane;
use whalescale_core::receiver::Receiver;
use whalescale_core::sender::Sender;

use crate::io::clock;
use crate::io::entropy::OsEntropy;
use crate::io::tun::Tun;
use crate::netlink::{Monitor, Netlink};

use super::control::{self, ControlQueues, ControlSide, EventSink, lock};
use super::device::Device;
use super::inlet::Inlet;
use super::interfaces::Interfaces;
use super::outlet::Outlet;
use super::receive::ReceiveThread;
use super::transmit::{LocalStack, TransmitThread, Transmitter};
use super::{Bells, CROSSINGS, REPORTS, ReceiverUpdate, SenderUpdate, Shared, Threads, UPDATES};

/// What an agent starts with.
pub struct Start {
    pub secret: Secret,
    pub backend: Arc<dyn AeadBackend>,
    pub tun: OwnedFd,
    pub tun_name: String,
    pub vnet: bool,
    pub inner_mtu: Option<u16>,
    pub timestamp_floor: Tai64n,
    pub policy: Policy,
    pub depth: Depth,
}

/// A running agent: its threads, and control behind its lock.
pub struct Started {
    pub control: Arc<Mutex<ControlSide>>,
    // Last, so that the threads are joined before control goes.
    threads: Threads,
}

/// The transmit thread's ends of the queues.
struct TransmitQueues {
    updates: Consumer<SenderUpdate>,
    crossings: Consumer<Crossing>,
    reports: Producer<FromSender>,
}

/// The receive thread's ends of the queues.
struct ReceiveQueues {
    updates: Consumer<ReceiverUpdate>,
    crossings: Producer<Crossing>,
    reports: Producer<FromReceiver>,
}

/// All queues, by who holds which end.
struct Queues {
    control: ControlQueues,
    transmit: TransmitQueues,
    receive: ReceiveQueues,
}

impl Queues {
    fn new() -> Self {
        let (to_sender, sender_updates) = RingBuffer::new(UPDATES);
        let (to_receiver, receiver_updates) = RingBuffer::new(UPDATES);
        let (sender_reports, from_sender) = RingBuffer::new(REPORTS);
        let (receiver_reports, from_receiver) = RingBuffer::new(REPORTS);
        let (to_transmit, crossings) = RingBuffer::new(CROSSINGS);
        Self {
            control: ControlQueues {
                sender: to_sender,
                receiver: to_receiver,
                sender_reports: from_sender,
                receiver_reports: from_receiver,
            },
            transmit: TransmitQueues {
                updates: sender_updates,
                crossings,
                reports: sender_reports,
            },
            receive: ReceiveQueues {
                updates: receiver_updates,
                crossings: to_transmit,
                reports: receiver_reports,
            },
        }
    }
}

impl Started {
    /// Starts the threads. `events` takes news in batches and must not block.
    ///
    /// # Errors
    /// The device or a thread could not be set up.
    pub fn start(start: Start, events: EventSink) -> io::Result<Self> {
        let shared = Shared {
            tun: Arc::new(Tun::adopt(start.tun, start.vnet)?),
            bells: Arc::new(Bells::new()?),
            drops: Default::default(),
        };
        let device = Device::open(&start.tun_name)?;
        // Before the first list is made, so that no change is missed.
        let monitor = Monitor::open()?;
        let interfaces = Interfaces::new(Netlink::open()?, device.index());
        let queues = Queues::new();
        let verifier = MacVerifier::new(&start.secret.public_key());
        let sender = Sender::new(Arc::clone(&shared.drops.transmit), start.policy);
        let drops = Arc::clone(&shared.drops.receive);
        let receiver = Receiver::new(verifier, start.depth, drops);
        let transmitter = transmitter(sender, queues.transmit, &shared);
        let (transmit, receive) = packet_threads(
            transmitter,
            receiver,
            queues.receive,
            &shared,
            &start.backend,
        );
        let settings = Settings {
            secret: start.secret,
            backend: start.backend,
            entropy: Box::new(OsEntropy::new()?),
            timestamp_floor: start.timestamp_floor,
            inner_mtu: start.inner_mtu,
            drops: Arc::clone(&shared.drops.control),
        };
        let bells = Arc::clone(&shared.bells);
        let machine = Control::new(settings);
        let side = ControlSide::new(machine, queues.control, shared, interfaces, device, events);
        let control = Arc::new(Mutex::new(side));
        let threads = spawn(&control, transmit, receive, bells, monitor)?;
        Ok(Self { control, threads })
    }

    /// Stops the threads and waits for them. The device and its routes go with the descriptor.
    pub fn stop(self) {
        drop(self.threads);
    }
}

fn transmitter(sender: Sender, queues: TransmitQueues, shared: &Shared) -> Transmitter {
    Transmitter {
        sender,
        lane: Lane::new(shared.tun.vnet()),
        stack: LocalStack::new(Arc::clone(&shared.tun)),
        updates: queues.updates,
        crossings: queues.crossings,
        reports: queues.reports,
        bells: Arc::clone(&shared.bells),
        outlet: Outlet::default(),
        turned: clock::now(),
    }
}

/// The two that hand the transmitter to each other. The receive thread begins with it.
fn packet_threads(
    transmitter: Transmitter,
    receiver: Receiver,
    queues: ReceiveQueues,
    shared: &Shared,
    backend: &Arc<dyn AeadBackend>,
) -> (TransmitThread, ReceiveThread) {
    let (to_transmit, from_receive) = RingBuffer::new(1);
    let (to_receive, from_transmit) = RingBuffer::new(1);
    let transmit = TransmitThread {
        backend: Arc::clone(backend),
        from_receive,
        to_receive,
        bells: Arc::clone(&shared.bells),
    };
    let receive = ReceiveThread {
        backend: Arc::clone(backend),
        receiver,
        inlet: Inlet::new(Arc::clone(&shared.tun)),
        updates: queues.updates,
        crossings: queues.crossings,
        reports: queues.reports,
        sockets: Arc::new([]),
        bells: Arc::clone(&shared.bells),
        drops: Arc::clone(&shared.drops.receive),
        transmitter: Some(Box::new(transmitter)),
        from_transmit,
        to_transmit,
    };
    (transmit, receive)
}

/// Starts the three threads.
fn spawn(
    control: &Arc<Mutex<ControlSide>>,
    transmit: TransmitThread,
    receive: ReceiveThread,
    bells: Arc<Bells>,
    monitor: Monitor,
) -> io::Result<Threads> {
    let mut threads = Threads::new(Arc::clone(&bells));
    threads.spawn("ws-transmit", fatal(control), move || transmit.run())?;
    threads.spawn("ws-receive", fatal(control), move || receive.run())?;
    let side = Arc::clone(control);
    threads.spawn("ws-control", fatal(control), move || {
        control::run(&side, &bells, monitor)
    })?;
    Ok(threads)
}

fn fatal(control: &Arc<Mutex<ControlSide>>) -> impl FnOnce(String) + Send + 'static {
    let control = Arc::clone(control);
    move |message| lock(&control).fail(message)
}
