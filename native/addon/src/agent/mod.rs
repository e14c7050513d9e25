//! The running agent: three threads around the three machines of the core.
//!
//! [`transmit`] and [`receive`] each carry a packet from one system call to the other without
//! handing it on; [`control`] owns everything else and is mostly asleep. [`start`] sets them up. They
//! talk through bounded single-producer queues and wake each other by eventfd. JavaScript calls share control's lock,
//! which the packet path never takes.

pub mod control;
mod device;
pub mod interfaces;
mod receive;
pub mod start;
mod transmit;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use whalescale_core::drops::DropCounters;
use whalescale_core::handoff::{SocketId, ToReceiver, ToSender};

use crate::io::poll::EventFd;
use crate::io::tun::Tun;
use crate::io::udp::UdpSocket;

/// Updates on their way to a packet thread: every peer's key, address and routes at once fit.
const UPDATES: usize = 4096;
/// Crossings on their way from the receive to the transmit thread: what one batch can hold.
const CROSSINGS: usize = 512;
/// Reports on their way to control: one batch of the receive machine, and then some.
const REPORTS: usize = 1024;

/// The sockets, by [`SocketId`]; places in between are empty.
pub type Sockets = Arc<[Option<Arc<UdpSocket>>]>;

/// What a packet thread is told.
enum Update<T> {
    /// A decision of control's.
    Core(T),
    /// Use these sockets from now on.
    Sockets(Sockets),
}

type SenderUpdate = Update<ToSender>;
type ReceiverUpdate = Update<ToReceiver>;

/// The bells that wake the three threads, and the sign to stop.
struct Bells {
    transmit: EventFd,
    receive: EventFd,
    control: EventFd,
    stop: AtomicBool,
}

impl Bells {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            transmit: EventFd::new()?,
            receive: EventFd::new()?,
            control: EventFd::new()?,
            stop: AtomicBool::new(false),
        })
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.transmit.signal();
        self.receive.signal();
        self.control.signal();
    }
}

/// Drops, counted by each thread for itself.
#[derive(Default)]
struct ThreadDrops {
    transmit: Arc<DropCounters>,
    receive: Arc<DropCounters>,
    control: Arc<DropCounters>,
}

/// What the three threads share.
struct Shared {
    tun: Arc<Tun>,
    bells: Arc<Bells>,
    drops: ThreadDrops,
}

fn socket(sockets: &[Option<Arc<UdpSocket>>], id: SocketId) -> Option<&Arc<UdpSocket>> {
    sockets.get(usize::from(id.0))?.as_ref()
}

/// The agent's threads. Dropping it stops and joins them.
pub struct Threads {
    bells: Arc<Bells>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    fn new(bells: Arc<Bells>) -> Self {
        Self {
            bells,
            handles: Vec::new(),
        }
    }

    /// Starts a thread. If `body` fails or panics, `fatal` hears of it.
    fn spawn(
        &mut self,
        name: &str,
        fatal: impl FnOnce(String) + Send + 'static,
        body: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> std::io::Result<()> {
        let what = name.to_owned();
        let run = move || match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => fatal(format!("the {what} thread failed: {error}")),
            Err(_) => fatal(format!("the {what} thread broke an invariant")),
        };
        self.handles.push(
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)?,
        );
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.bells.stop();
        for handle in self.handles.drain(..) {
            // A thread that panicked has said so already.
            let _ = handle.join();
        }
    }
}
