//! The control thread and what JavaScript shares with it: the control machine, the sockets, the
//! device's desired state, and the way out for events.
//!
//! Whoever holds the lock is control: its thread when a bell rings or a deadline passes, a
//! JavaScript call when it brings commands. Every turn ends with all outputs carried out.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use whalescale_core::aead::AeadBackend;
use whalescale_core::control::{
    Command, CommandError, Control, Event, LocalSocket, Output, PeerStatus, Settings,
};
use whalescale_core::drops::{DROP_REASONS, DropCounters};
use whalescale_core::handoff::{Endpoint, FromReceiver, FromSender, SocketId};
use whalescale_core::handshake::mac::MacVerifier;
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::Secret;
use whalescale_core::receiver::Receiver;
use whalescale_core::sender::Sender;
use whalescale_core::time::Now;

use crate::io::clock;
use crate::io::entropy::OsEntropy;
use crate::io::poll::{Interest, Poller};
use crate::io::tun::Tun;
use crate::io::udp::{Family, Granted, Options, UdpSocket};

use super::device::{Device, DeviceError};
use super::receive::{Inlet, ReceiveThread};
use super::transmit::{Outlet, TransmitThread};
use super::{
    Bells, REPORTS, ReceiverUpdate, SenderUpdate, Sockets, Threads, UPDATES, Update, socket,
};

/// News for JavaScript.
pub enum AgentEvent {
    /// The core's.
    Core(Event),
    /// Something that works, but not as well as it could.
    Warning { code: &'static str, message: String },
    /// The agent cannot go on.
    Fatal(String),
}

/// What an agent starts with.
pub struct Start {
    pub secret: Secret,
    pub backend: Arc<dyn AeadBackend>,
    pub tun: OwnedFd,
    pub tun_name: String,
    pub vnet: bool,
    pub inner_mtu: Option<u16>,
    pub timestamp_floor: Tai64n,
}

/// A running agent: its threads, and control behind its lock.
pub struct Started {
    pub control: Arc<Mutex<ControlSide>>,
    // Last, so that the threads are joined before control goes.
    threads: Threads,
}

/// Everything that the control lock guards.
pub struct ControlSide {
    control: Control,
    sender: Producer<SenderUpdate>,
    receiver: Producer<ReceiverUpdate>,
    sender_reports: Consumer<FromSender>,
    receiver_reports: Consumer<FromReceiver>,
    sockets: Sockets,
    device: Device,
    tun: Arc<Tun>,
    drops: [Arc<DropCounters>; 3],
    bells: Arc<Bells>,
    events: Box<dyn FnMut(Vec<AgentEvent>) + Send>,
    news: Vec<AgentEvent>,
}

/// Locks control. A poisoned lock means that a turn panicked: the agent is ending, and what is asked
/// of it meanwhile (close, a last look) is harmless.
pub fn lock(control: &Mutex<ControlSide>) -> MutexGuard<'_, ControlSide> {
    control.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Started {
    /// Starts the threads. `events` takes news in batches and must not block.
    ///
    /// # Errors
    /// The device or a thread could not be set up.
    pub fn start(start: Start, events: Box<dyn FnMut(Vec<AgentEvent>) + Send>) -> io::Result<Self> {
        let tun = Arc::new(Tun::adopt(start.tun, start.vnet)?);
        let device = Device::open(&start.tun_name)?;
        let drops: [Arc<DropCounters>; 3] = Default::default();
        let [sender_drops, receiver_drops, control_drops] = &drops;
        let verifier = MacVerifier::new(&start.secret.public_key());
        let (to_sender, sender_updates) = RingBuffer::new(UPDATES);
        let (to_receiver, receiver_updates) = RingBuffer::new(UPDATES);
        let (sender_reports, from_sender) = RingBuffer::new(REPORTS);
        let (receiver_reports, from_receiver) = RingBuffer::new(REPORTS);
        let bells = Arc::new(Bells::new()?);
        let transmit = TransmitThread {
            backend: Arc::clone(&start.backend),
            sender: Sender::new(Arc::clone(sender_drops)),
            tun: Arc::clone(&tun),
            updates: sender_updates,
            reports: sender_reports,
            bells: Arc::clone(&bells),
            outlet: Outlet::default(),
        };
        let receive = ReceiveThread {
            backend: Arc::clone(&start.backend),
            receiver: Receiver::new(verifier, Arc::clone(receiver_drops)),
            inlet: Inlet::new(Arc::clone(&tun)),
            updates: receiver_updates,
            reports: receiver_reports,
            sockets: Arc::new([]),
            bells: Arc::clone(&bells),
            drops: Arc::clone(receiver_drops),
        };
        let settings = Settings {
            secret: start.secret,
            backend: start.backend,
            entropy: Box::new(OsEntropy::new()?),
            timestamp_floor: start.timestamp_floor,
            inner_mtu: start.inner_mtu,
            drops: Arc::clone(control_drops),
        };
        let control = Arc::new(Mutex::new(ControlSide {
            control: Control::new(settings),
            sender: to_sender,
            receiver: to_receiver,
            sender_reports: from_sender,
            receiver_reports: from_receiver,
            sockets: Arc::new([]),
            device,
            tun,
            drops,
            bells: Arc::clone(&bells),
            events,
            news: Vec::new(),
        }));
        let mut threads = Threads::new(Arc::clone(&bells));
        threads.spawn("ws-transmit", fatal(&control), move || transmit.run())?;
        threads.spawn("ws-receive", fatal(&control), move || receive.run())?;
        let side = Arc::clone(&control);
        threads.spawn("ws-control", fatal(&control), move || run(&side, &bells))?;
        Ok(Self { control, threads })
    }

    /// Stops the threads and waits for them. The device and its routes go with the descriptor.
    pub fn stop(self) {
        drop(self.threads);
    }
}

fn fatal(control: &Arc<Mutex<ControlSide>>) -> impl FnOnce(String) + Send + 'static {
    let control = Arc::clone(control);
    move |message| {
        let mut side = lock(&control);
        side.news.push(AgentEvent::Fatal(message));
        side.publish();
    }
}

/// The control thread.
fn run(control: &Mutex<ControlSide>, bells: &Bells) -> io::Result<()> {
    let mut poller = Poller::new();
    poller.add(&bells.control, Interest::Read);
    while !bells.stopping() {
        let timeout = lock(control).turn();
        poller.wait(timeout)?;
        bells.control.drain();
    }
    Ok(())
}

fn now() -> Now {
    Now {
        instant: clock::now(),
        unix: clock::unix_time(),
    }
}

impl ControlSide {
    /// Handles all that is waiting and due; returns how long nothing will be.
    fn turn(&mut self) -> Option<Duration> {
        let present = now();
        while let Ok(report) = self.receiver_reports.pop() {
            self.control.handle_receiver(report, present);
            // One at a time: an answer must follow the key that it announces.
            self.carry_out();
        }
        // After those: what arrived may have brought the key that the send machine asks for.
        while let Ok(report) = self.sender_reports.pop() {
            self.control.handle_sender(report, present);
        }
        if self
            .control
            .next_timeout(present.instant)
            .is_some_and(|due| due <= present.instant)
        {
            self.control.handle_timeout(present);
        }
        self.carry_out();
        self.publish();
        let later = clock::now();
        self.control.next_timeout(later).map(|due| due - later)
    }

    /// Carries out a command from outside.
    ///
    /// # Errors
    /// It was refused and changed nothing.
    pub fn command(&mut self, command: Command) -> Result<(), CommandError> {
        let outcome = self.control.handle_command(command, now());
        self.carry_out();
        self.publish();
        self.bells.control.signal();
        outcome
    }

    fn carry_out(&mut self) {
        let (mut sender_told, mut receiver_told) = (false, false);
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Sender(update) => {
                    hand_over(&mut self.sender, Update::Core(update), &self.bells.transmit);
                    sender_told = true;
                }
                Output::Receiver(update) => {
                    hand_over(
                        &mut self.receiver,
                        Update::Core(update),
                        &self.bells.receive,
                    );
                    receiver_told = true;
                }
                Output::Send { to, message } => self.send(to, &message),
                Output::Event(event) => self.take_event(event),
            }
        }
        if receiver_told {
            self.bells.receive.signal();
        }
        if sender_told {
            self.bells.transmit.signal();
        }
    }

    /// Handshake messages do not wait for the transmit thread; a lost one is sent again.
    fn send(&self, to: Endpoint, message: &[u8]) {
        if let Some(socket) = socket(&self.sockets, to.socket) {
            let _ = socket.send(&to.remote, message, message.len());
        }
    }

    fn take_event(&mut self, event: Event) {
        if let Event::InnerMtu(inner_mtu) = event
            && let Err(error) = self.device.set_mtu(inner_mtu)
        {
            self.warn("mtu", error.to_string());
        }
        self.news.push(AgentEvent::Core(event));
    }

    fn warn(&mut self, code: &'static str, message: String) {
        self.news.push(AgentEvent::Warning { code, message });
    }

    fn publish(&mut self) {
        if !self.news.is_empty() {
            (self.events)(std::mem::take(&mut self.news));
        }
    }

    /// Binds the UDP sockets, IPv4 and IPv6 on one port (0: any), and puts them to use.
    ///
    /// # Errors
    /// Neither could be bound, or the port is taken; the sockets before stay in use.
    pub fn bind(&mut self, port: u16) -> io::Result<()> {
        let v4 = UdpSocket::open(Family::V4, port, &Options::default())?;
        let port = v4.local().port();
        let v6 = match UdpSocket::open(Family::V6, port, &Options::default()) {
            Ok(v6) => Some(v6),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => {
                self.warn("ipv6", format!("no IPv6 socket: {error}"));
                None
            }
        };
        let sockets: Sockets = [Some(v4), v6].into_iter().flatten().map(Arc::new).collect();
        let numbered = (0..).zip(sockets.iter());
        let locals = numbered
            .map(|(id, socket)| LocalSocket {
                id: SocketId(id),
                local: socket.local(),
            })
            .collect();
        self.sockets = Arc::clone(&sockets);
        hand_over(
            &mut self.receiver,
            Update::Sockets(Arc::clone(&sockets)),
            &self.bells.receive,
        );
        hand_over(
            &mut self.sender,
            Update::Sockets(sockets),
            &self.bells.transmit,
        );
        self.bells.receive.signal();
        self.bells.transmit.signal();
        // Cannot be refused: it names no peer.
        let _ = self.command(Command::Sockets(locals));
        Ok(())
    }

    /// Makes the TUN device's addresses and routes the wished ones, and brings it up.
    ///
    /// # Errors
    /// The kernel refused one of them.
    pub fn set_device(
        &mut self,
        addresses: &[String],
        routes: &[String],
    ) -> Result<(), DeviceError> {
        self.device
            .apply(addresses, routes, self.control.inner_mtu())
    }

    /// All peers.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.control.status(clock::now())
    }

    /// The MTU of the TUN device.
    pub fn inner_mtu(&self) -> u16 {
        self.control.inner_mtu()
    }

    /// The TUN device.
    pub fn tun(&self) -> &Tun {
        &self.tun
    }

    /// Address, capabilities and kernel drops of each socket.
    pub fn sockets(&self) -> Vec<(SocketAddr, Granted, u32)> {
        let status = |socket: &Arc<UdpSocket>| {
            (
                socket.local(),
                socket.granted(),
                socket.kernel_drops().unwrap_or(0),
            )
        };
        self.sockets.iter().map(status).collect()
    }

    /// Drops by reason, of all threads.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let total = |reason| self.drops.iter().map(|drops| drops.get(reason)).sum();
        DROP_REASONS
            .iter()
            .map(|(reason, name)| (*name, total(*reason)))
            .collect()
    }
}

/// Queues an update. A full queue means that the thread is far behind: it is woken and given time,
/// because no update may be lost.
fn hand_over<T>(queue: &mut Producer<T>, mut update: T, bell: &crate::io::poll::EventFd) {
    while let Err(rtrb::PushError::Full(returned)) = queue.push(update) {
        if queue.is_abandoned() {
            return;
        }
        update = returned;
        bell.signal();
        std::thread::yield_now();
    }
}
