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

use rtrb::Producer;
use whalescale_core::aead::AeadBackend;
use whalescale_core::bond::schedule::Policy;
use whalescale_core::control::{
    Command, CommandError, Control, Event, Output, PeerStatus, Settings,
};
use whalescale_core::drops::{DROP_REASONS, DropCounters};
use whalescale_core::handoff::Endpoint;
use whalescale_core::handshake::mac::MacVerifier;
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::Secret;
use whalescale_core::receiver::Receiver;
use whalescale_core::sender::Sender;
use whalescale_core::time::{Instant, Now};

use crate::io::clock;
use crate::io::entropy::OsEntropy;
use crate::io::poll::{Interest, Poller};
use crate::io::tun::Tun;
use crate::io::udp::{Granted, UdpSocket};
use crate::netlink::{self, Monitor, Netlink};

use super::device::{Device, DeviceError};
use super::interfaces::{Interfaces, Refreshed, Wish};
use super::queues::{Ends, Parts};
use super::receive::ReceiveThread;
use super::transmit::TransmitThread;
use super::{Bells, Sockets, Threads, Update, socket};

/// Changes of routes alone are gathered for this long.
const ROUTES_SETTLE: Duration = Duration::from_millis(200);

/// News of one batch at most: bounds what waits for a busy JavaScript to 37 MiB of messages.
const BATCH: usize = 128;

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
    pub policy: Policy,
}

/// What people see of a socket.
pub struct SocketStatus {
    pub interface: Option<String>,
    pub local: SocketAddr,
    pub granted: Granted,
    pub kernel_drops: u32,
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
    ends: Ends,
    sockets: Sockets,
    interfaces: Interfaces,
    /// When changed routes are to be looked at.
    routes_at: Option<Instant>,
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
        // Before the first list is made, so that no change is missed.
        let monitor = Monitor::open()?;
        let interfaces = Interfaces::new(Netlink::open()?, device.index());
        let drops: [Arc<DropCounters>; 3] = Default::default();
        let [sender_drops, receiver_drops, control_drops] = &drops;
        let verifier = MacVerifier::new(&start.secret.public_key());
        let bells = Arc::new(Bells::new()?);
        let parts = Parts {
            backend: Arc::clone(&start.backend),
            tun: Arc::clone(&tun),
            bells: Arc::clone(&bells),
            sender: Sender::new(Arc::clone(sender_drops), start.policy),
            receiver: Receiver::new(verifier, Arc::clone(receiver_drops)),
            drops: Arc::clone(receiver_drops),
        };
        let (transmit, receive, ends) = parts.join();
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
            ends,
            sockets: Arc::new([]),
            interfaces,
            routes_at: None,
            device,
            tun,
            drops,
            bells: Arc::clone(&bells),
            events,
            news: Vec::new(),
        }));
        let threads = spawn(&control, transmit, receive, bells, monitor)?;
        Ok(Self { control, threads })
    }

    /// Stops the threads and waits for them. The device and its routes go with the descriptor.
    pub fn stop(self) {
        drop(self.threads);
    }
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
        run(&side, &bells, monitor)
    })?;
    Ok(threads)
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
fn run(control: &Mutex<ControlSide>, bells: &Bells, mut monitor: Monitor) -> io::Result<()> {
    let mut poller = Poller::new();
    poller.add(&bells.control, Interest::Read);
    let changes = poller.add(&monitor, Interest::Read);
    while !bells.stopping() {
        let timeout = lock(control).turn();
        poller.wait(timeout)?;
        bells.control.drain();
        if poller.readable(changes) {
            let mut events = Vec::new();
            monitor.drain(&mut events);
            lock(control).network_changed(&events);
        }
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
        while let Ok(report) = self.ends.receiver_reports.pop() {
            self.control.handle_receiver(report, present);
            // One at a time: an answer must follow the key that it announces.
            self.carry_out();
        }
        // After those: what arrived may have brought the key that the send machine asks for.
        while let Ok(report) = self.ends.sender_reports.pop() {
            self.control.handle_sender(report, present);
        }
        if self
            .control
            .next_timeout(present.instant)
            .is_some_and(|due| due <= present.instant)
        {
            self.control.handle_timeout(present);
        }
        if [self.interfaces.retry_at(), self.routes_at]
            .iter()
            .flatten()
            .any(|at| *at <= present.instant)
        {
            self.routes_at = None;
            self.refresh_sockets();
        }
        self.carry_out();
        self.publish();
        let later = clock::now();
        let core = self.control.next_timeout(later);
        let next = [core, self.interfaces.retry_at(), self.routes_at];
        next.into_iter().flatten().min().map(|due| due - later)
    }

    /// Links and addresses count at once; routes, of which a router changes thousands, a little later.
    fn network_changed(&mut self, events: &[netlink::Event]) {
        if events.iter().any(|event| *event != netlink::Event::Routes) {
            self.routes_at = None;
            self.refresh_sockets();
            self.publish();
        } else if !events.is_empty() && self.routes_at.is_none() {
            self.routes_at = Some(clock::now() + ROUTES_SETTLE);
        }
    }

    /// Takes a command from outside; call [`Self::finish`] after the last of several.
    ///
    /// # Errors
    /// It was refused and changed nothing.
    pub fn take(&mut self, command: Command) -> Result<(), CommandError> {
        self.control.handle_command(command, now())
    }

    /// Carries out what commands have led to.
    pub fn finish(&mut self) {
        self.carry_out();
        self.publish();
        self.bells.control.signal();
    }

    fn carry_out(&mut self) {
        let (mut sender_told, mut receiver_told) = (false, false);
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Sender(update) => {
                    hand_over(&mut self.ends.sender, Update::Core(update), || {
                        self.bells.wake_transmitter();
                    });
                    sender_told = true;
                }
                Output::Receiver(update) => {
                    hand_over(&mut self.ends.receiver, Update::Core(update), || {
                        self.bells.receive.signal();
                    });
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
            self.bells.wake_transmitter();
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
        if self.news.len() >= BATCH {
            self.publish();
        }
    }

    fn warn(&mut self, code: &'static str, message: String) {
        self.news.push(AgentEvent::Warning { code, message });
    }

    fn publish(&mut self) {
        if !self.news.is_empty() {
            (self.events)(std::mem::take(&mut self.news));
        }
    }

    /// Opens UDP sockets on the wished interfaces, now and whenever these change.
    ///
    /// # Errors
    /// None are open and not one could be, or the port was taken from the start.
    pub fn set_sockets(&mut self, wish: Wish) -> io::Result<()> {
        let is_first = self.sockets().is_empty();
        self.interfaces.set_wish(wish);
        let refreshed = self.interfaces.refresh(clock::now());
        let failed = self.take_sockets(refreshed.map_err(io::Error::other)?);
        match failed {
            Some(error) if is_first && error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Some(error) if self.sockets().is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Links, addresses or routes have changed, or a socket is to be tried again.
    fn refresh_sockets(&mut self) {
        match self.interfaces.refresh(clock::now()) {
            Ok(refreshed) => {
                let obstacle = self.take_sockets(refreshed);
                if let Some(error) = obstacle.filter(|_| self.interfaces.is_stuck()) {
                    self.warn("socket", format!("no UDP socket: {error}"));
                }
            }
            Err(error) => self.warn("netlink", error.to_string()),
        }
    }

    /// Puts other sockets to use; gives what could not be opened.
    fn take_sockets(&mut self, refreshed: Refreshed) -> Option<io::Error> {
        if let Some(sockets) = refreshed.sockets {
            self.sockets = Arc::clone(&sockets);
            let bells = &self.bells;
            let for_receiver = Update::Sockets(Arc::clone(&sockets));
            hand_over(&mut self.ends.receiver, for_receiver, || {
                bells.receive.signal()
            });
            let for_sender = Update::Sockets(sockets);
            hand_over(&mut self.ends.sender, for_sender, || {
                bells.wake_transmitter()
            });
            bells.receive.signal();
            bells.wake_transmitter();
        }
        if let Some(locals) = refreshed.locals {
            // Cannot be refused: it names no peer.
            let _ = self.take(Command::Sockets(locals));
            self.finish();
        }
        refreshed.obstacle
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

    /// Each socket, and the interface that it is bound to.
    pub fn sockets(&self) -> Vec<SocketStatus> {
        let status = |(interface, socket): (Option<&str>, &UdpSocket)| SocketStatus {
            interface: interface.map(str::to_owned),
            local: socket.local(),
            granted: socket.granted(),
            kernel_drops: socket.kernel_drops().unwrap_or(0),
        };
        self.interfaces.list().map(status).collect()
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
fn hand_over<T>(queue: &mut Producer<T>, mut update: T, wake: impl Fn()) {
    while let Err(rtrb::PushError::Full(returned)) = queue.push(update) {
        if queue.is_abandoned() {
            return;
        }
        update = returned;
        wake();
        std::thread::yield_now();
    }
}
