//! The control thread and what JavaScript shares with it: the control machine, the sockets, the
//! device's desired state, and the way out for events.
//!
//! Whoever holds the lock is control: its thread when a bell rings or a deadline passes, a
//! JavaScript call when it brings commands. Every turn ends with all outputs carried out.

mod sockets;
mod status;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rtrb::{Consumer, Producer};
use whalescale_core::control::{Command, CommandError, Control, Event, Output};
use whalescale_core::handoff::{Endpoint, FromReceiver, FromSender};
use whalescale_core::time::{Instant, Now};

use crate::io::clock;
use crate::io::poll::{EventFd, Interest, Poller};
use crate::netlink::Monitor;

use super::device::{Device, DeviceError};
use super::interfaces::Interfaces;
use super::{Bells, ReceiverUpdate, SenderUpdate, Shared, Sockets, Update, socket};

pub use status::SocketStatus;

/// News of one batch at most: bounds what waits for a busy JavaScript to 37 MiB of messages.
const BATCH: usize = 128;

/// Where news goes. It must not block.
pub type EventSink = Box<dyn FnMut(Vec<AgentEvent>) + Send>;

/// News for JavaScript.
pub enum AgentEvent {
    /// The core's.
    Core(Event),
    /// Something that works, but not as well as it could.
    Warning { code: &'static str, message: String },
    /// The agent cannot go on.
    Fatal(String),
}

/// Control's ends of the queues.
pub(super) struct ControlQueues {
    pub sender: Producer<SenderUpdate>,
    pub receiver: Producer<ReceiverUpdate>,
    pub sender_reports: Consumer<FromSender>,
    pub receiver_reports: Consumer<FromReceiver>,
}

/// Everything that the control lock guards.
pub struct ControlSide {
    control: Control,
    queues: ControlQueues,
    sockets: Sockets,
    interfaces: Interfaces,
    /// When changed routes are to be looked at.
    routes_at: Option<Instant>,
    device: Device,
    shared: Shared,
    events: EventSink,
    news: Vec<AgentEvent>,
}

/// Locks control. A poisoned lock means that a turn panicked: the agent is ending, and what is asked
/// of it meanwhile (close, a last look) is harmless.
pub fn lock(control: &Mutex<ControlSide>) -> MutexGuard<'_, ControlSide> {
    control.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The control thread.
pub(super) fn run(
    control: &Mutex<ControlSide>,
    bells: &Bells,
    mut monitor: Monitor,
) -> io::Result<()> {
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
    pub(super) fn new(
        control: Control,
        queues: ControlQueues,
        shared: Shared,
        interfaces: Interfaces,
        device: Device,
        events: EventSink,
    ) -> Self {
        Self {
            control,
            queues,
            sockets: Arc::new([]),
            interfaces,
            routes_at: None,
            device,
            shared,
            events,
            news: Vec::new(),
        }
    }

    /// A thread has failed: the agent cannot go on.
    pub(super) fn fail(&mut self, message: String) {
        self.news.push(AgentEvent::Fatal(message));
        self.publish();
    }

    /// Handles all that is waiting and due; returns how long nothing will be.
    fn turn(&mut self) -> Option<Duration> {
        let present = now();
        while let Ok(report) = self.queues.receiver_reports.pop() {
            self.control.handle_receiver(report, present);
            // One at a time: an answer must follow the key that it announces.
            self.carry_out();
        }
        // After those: what arrived may have brought the key that the send machine asks for.
        while let Ok(report) = self.queues.sender_reports.pop() {
            self.control.handle_sender(report, present);
        }
        if self
            .control
            .next_timeout(present.instant)
            .is_some_and(|due| due <= present.instant)
        {
            self.control.handle_timeout(present);
        }
        if self.refresh_at().is_some_and(|due| due <= present.instant) {
            self.refresh_sockets();
        }
        self.carry_out();
        self.publish();
        let later = clock::now();
        let next = [self.control.next_timeout(later), self.refresh_at()];
        next.into_iter().flatten().min().map(|due| due - later)
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
        self.shared.bells.control.signal();
    }

    fn carry_out(&mut self) {
        let (mut sender_told, mut receiver_told) = (false, false);
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Sender(update) => {
                    hand_over(
                        &mut self.queues.sender,
                        Update::Core(update),
                        &self.shared.bells.transmit,
                    );
                    sender_told = true;
                }
                Output::Receiver(update) => {
                    hand_over(
                        &mut self.queues.receiver,
                        Update::Core(update),
                        &self.shared.bells.receive,
                    );
                    receiver_told = true;
                }
                Output::Send { to, message } => self.send(to, &message),
                Output::Event(event) => self.take_event(event),
            }
        }
        if receiver_told {
            self.shared.bells.receive.signal();
        }
        if sender_told {
            self.shared.bells.transmit.signal();
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
}

/// Queues an update. A full queue means that the thread is far behind: it is woken and given time,
/// because no update may be lost.
fn hand_over<T>(queue: &mut Producer<T>, mut update: T, bell: &EventFd) {
    while let Err(rtrb::PushError::Full(returned)) = queue.push(update) {
        if queue.is_abandoned() {
            return;
        }
        update = returned;
        bell.signal();
        std::thread::yield_now();
    }
}
