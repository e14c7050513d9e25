//! The four verbs and two functions that JavaScript sees. Packets never cross here.
//!
//! Every export catches unwinding, because a panic that reached Node would abort it without undoing
//! anything. Errors read `CODE: text`.

mod commands;
mod convert;
mod events;
mod types;

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Error, Result};
use napi_derive::napi;
use whalescale_core::aead::AeadBackend;
use whalescale_core::bond::reorder::Depth;
use whalescale_core::bond::schedule::Policy;
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::Secret;

use crate::aead;
use crate::agent::control::{EventSink, lock};
use crate::agent::interfaces::Wish;
use crate::agent::start::{Start, Started};
use crate::io::secret_file;

use convert::Names;
use types::{Command, Event, Identity, OpenConfig, Stats};

/// Batches of events that may wait for JavaScript; a state change is one, so this is minutes of them.
const EVENT_BATCHES: usize = 256;

type OnEvents = ThreadsafeFunction<Vec<Event>, (), Vec<Event>, Status, false, false, EVENT_BATCHES>;

struct Agent {
    started: Started,
    names: Arc<Mutex<Names>>,
    backend: &'static str,
    tun_name: String,
}

/// One agent per process: it owns the process's capabilities and signals.
static AGENT: Mutex<Option<Agent>> = Mutex::new(None);

fn error(code: &str, text: impl std::fmt::Display) -> Error {
    Error::from_reason(format!("{code}: {text}"))
}

fn io_error(what: &str, cause: &std::io::Error) -> Error {
    let code = match cause.kind() {
        std::io::ErrorKind::AddrInUse => "EADDRINUSE",
        std::io::ErrorKind::PermissionDenied => "EACCES",
        std::io::ErrorKind::AlreadyExists => "EEXIST",
        std::io::ErrorKind::NotFound => "ENOENT",
        _ => "EIO",
    };
    error(code, format_args!("{what}: {cause}"))
}

fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err(error("EBUG", "the addon broke an invariant")))
}

fn with_agent<T>(body: impl FnOnce(&Agent) -> Result<T>) -> Result<T> {
    guarded(|| {
        let agent = AGENT.lock().unwrap_or_else(PoisonError::into_inner);
        body(
            agent
                .as_ref()
                .ok_or_else(|| error("ECLOSED", "no agent is open"))?,
        )
    })
}

/// Takes over a descriptor that JavaScript has opened and hands over.
fn adopt(fd: i32) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(error("EBADF", format_args!("{fd} is not a descriptor")));
    }
    // SAFETY: the contract of the boundary: the caller opened `fd` and does not use it any more.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A copy of a descriptor that stays JavaScript's.
fn borrow(fd: i32) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(error("EBADF", format_args!("{fd} is not a descriptor")));
    }
    // SAFETY: the contract of the boundary: `fd` stays open during the call.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    file.try_clone_to_owned()
        .map_err(|cause| io_error("a key file", &cause))
}

fn read_secret(fd: i32, what: &str) -> Result<zeroize::Zeroizing<[u8; 32]>> {
    let file = borrow(fd)?;
    secret_file::read_secret(file).map_err(|cause| error("EKEY", format_args!("{what} {cause}")))
}

fn choose_backend(name: Option<&str>) -> Result<Arc<dyn AeadBackend>> {
    let backend = match name {
        Some(name) => aead::by_name(name),
        None => aead::available().into_iter().next(),
    };
    let missing = || {
        error(
            "EAEAD",
            format_args!(
                "no cipher backend {} on this machine",
                name.unwrap_or("at all")
            ),
        )
    };
    backend.map(Arc::from).ok_or_else(missing)
}

/// Starts the agent on an open TUN device.
#[napi]
pub fn open(
    config: OpenConfig,
    #[napi(ts_arg_type = "(events: Array<Event>) => void")] on_events: OnEvents,
) -> Result<Identity> {
    guarded(|| {
        let mut place = AGENT.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_some() {
            return Err(error("EOPEN", "an agent is open already"));
        }
        let tun = adopt(config.tun_fd)?;
        let secret = Secret::from_seed(&*read_secret(config.key_fd, "the key file")?);
        let identity = convert::identity(&secret);
        let floor = config
            .timestamp_floor
            .as_deref()
            .map(str::parse::<Tai64n>)
            .transpose();
        let backend = choose_backend(config.aead.as_deref())?;
        let backend_name = backend.name();
        let policy = config.scheduler.as_deref().map(str::parse::<Policy>);
        let policy = policy
            .transpose()
            .map_err(|_| error("EINVAL", "scheduler is not the name of one"))?
            .unwrap_or_default();
        let start = Start {
            secret,
            backend,
            tun,
            tun_name: config.tun_name.clone(),
            vnet: config.vnet_header,
            inner_mtu: config.mtu,
            timestamp_floor: floor
                .map_err(|_| error("EINVAL", "timestampFloor is not 24 hexadecimal digits"))?
                .unwrap_or_default(),
            policy,
            depth: config
                .depth
                .map_or(Depth::Auto, |packets| Depth::Fixed(packets.into())),
        };
        let names = Arc::new(Mutex::new(Names::default()));
        let events = event_sink(on_events, Arc::clone(&names));
        let started = Started::start(start, events)
            .map_err(|cause| io_error("starting the agent", &cause))?;
        *place = Some(Agent {
            started,
            names,
            backend: backend_name,
            tun_name: config.tun_name,
        });
        Ok(identity)
    })
}

/// Carries events to JavaScript, or counts what does not fit and says so with the next batch.
fn event_sink(on_events: OnEvents, names: Arc<Mutex<Names>>) -> EventSink {
    let mut lost = 0;
    Box::new(move |news| {
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch: Vec<Event> = news
            .into_iter()
            .map(|event| events::event(event, &names))
            .collect();
        if lost > 0 {
            batch.push(Event::Dropped { count: lost });
        }
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        match on_events.call(batch, ThreadsafeFunctionCallMode::NonBlocking) {
            Status::Ok => lost = 0,
            _ => lost = lost.saturating_add(count),
        }
    })
}

/// Carries out commands in order; stops at the first that is refused.
#[napi]
pub fn apply(commands: Vec<Command>) -> Result<()> {
    with_agent(|agent| {
        let outcome = commands
            .into_iter()
            .try_for_each(|command| agent.apply(command));
        // At the end, so that a thousand peers cost one table of routes and not a thousand.
        lock(&agent.started.control).finish();
        outcome
    })
}

impl Agent {
    fn apply(&self, command: Command) -> Result<()> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let core = match command {
            Command::Sockets {
                port,
                interfaces,
                exclude,
                metered,
            } => {
                drop(names);
                let wish = Wish {
                    port,
                    interfaces,
                    exclude,
                    metered,
                };
                let mut control = lock(&self.started.control);
                return control
                    .set_sockets(wish)
                    .map_err(|cause| io_error(&format!("UDP port {port}"), &cause));
            }
            Command::Link { addresses, routes } => {
                drop(names);
                let mut control = lock(&self.started.control);
                return control
                    .set_device(&addresses, &routes)
                    .map_err(|cause| error("ELINK", cause));
            }
            command => commands::command(command, &mut names)?,
        };
        // Events name peers, so the names must be free before control speaks.
        drop(names);
        lock(&self.started.control)
            .take(core)
            .map_err(|cause| error("EREFUSED", commands::refusal(cause)))
    }
}

/// What is in use, and how much went through.
#[napi]
pub fn stats() -> Result<Stats> {
    with_agent(|agent| {
        let control = lock(&agent.started.control);
        let names = agent.names.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(convert::stats(
            &control,
            &names,
            agent.backend,
            &agent.tun_name,
        ))
    })
}

/// Stops the agent and gives back the device. Does nothing when none is open.
#[napi]
pub fn close() -> Result<()> {
    guarded(|| {
        let agent = AGENT.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(agent) = agent {
            agent.started.stop();
        }
        Ok(())
    })
}

/// Makes a new key in a new file of mode 0600.
#[napi]
pub fn keygen(path: String) -> Result<Identity> {
    guarded(|| {
        let secret = secret_file::create(path.as_ref()).map_err(|cause| io_error(&path, &cause))?;
        Ok(convert::identity(&Secret::from_seed(&secret)))
    })
}

/// Says who the key in a file is.
#[napi]
pub fn derive(path: String) -> Result<Identity> {
    guarded(|| {
        let file = std::fs::File::open(&path).map_err(|cause| io_error(&path, &cause))?;
        let secret = secret_file::read_secret(file.into());
        let secret = secret.map_err(|cause| error("EKEY", format_args!("{path} {cause}")))?;
        Ok(convert::identity(&Secret::from_seed(&secret)))
    })
}
