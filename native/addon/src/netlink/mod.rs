//! Links, addresses and routes of this network namespace, by rtnetlink, synchronously.
//!
//! Commands are idempotent: asking for what is there already, or removing what is gone, succeeds.
//! Every call ends within [`TIMEOUT`]. None of it is on the packet path.

mod address;
mod link;
mod monitor;
mod route;

pub use address::Address;
pub use link::{Link, LinkSettings, gso_max_segments};
pub use monitor::{Event, Monitor};
pub use route::Route;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// How long the kernel may take over one answer. It answers at once unless the RTNL lock is held.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// The kernel fills buffers of at most 32 KiB when it dumps (NLMSG_GOODSIZE and its growth).
const BUFFER_LEN: usize = 64 << 10;
/// Messages of one dump at most: 100 times the routes of a large host, and an end to a kernel gone mad.
const MAX_DUMP: usize = 1 << 20;
/// Attempts at a dump that changes interrupt (NLM_F_DUMP_INTR).
const DUMP_ATTEMPTS: usize = 4;

type RouteMessage = NetlinkMessage<RouteNetlinkMessage>;

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetlinkError {
    /// What was tried, in words for people.
    pub tried: String,
    /// The errno of the kernel's refusal; ETIMEDOUT if it did not answer, EBADMSG if it made no sense.
    pub errno: i32,
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.tried,
            io::Error::from_raw_os_error(self.errno)
        )
    }
}

impl std::error::Error for NetlinkError {}

/// A connection to the kernel for requests.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens it in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let socket = open_socket(0)?;
        crate::io::set_receive_timeout(socket.as_fd(), TIMEOUT)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(BUFFER_LEN),
        })
    }

    /// Sends a request that changes something, and waits for its acknowledgement.
    fn change(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        tried: impl Fn() -> String,
    ) -> Result<(), NetlinkError> {
        self.change_raw(request, flags)
            .map_err(|errno| NetlinkError {
                tried: tried(),
                errno,
            })
    }

    fn change_raw(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<(), i32> {
        self.send(request, NLM_F_ACK | flags)?;
        loop {
            for message in self.receive()? {
                if let NetlinkPayload::Error(answer) = message.payload {
                    return answer.code.map_or(Ok(()), |code| Err(code.get().abs()));
                }
            }
        }
    }

    /// Sends a request for a list, and hands every part of the answer to `visit`.
    ///
    /// A list that changed while it was dumped is asked for again; `visit` returns what it collects.
    fn dump<T>(
        &mut self,
        request: &RouteNetlinkMessage,
        visit: impl Fn(RouteNetlinkMessage) -> Option<T>,
        tried: &str,
    ) -> Result<Vec<T>, NetlinkError> {
        let mut result = Err(libc::EINTR);
        for _ in 0..DUMP_ATTEMPTS {
            result = self.dump_once(request.clone(), &visit);
            if result.as_ref().err() != Some(&libc::EINTR) {
                break;
            }
        }
        result.map_err(|errno| NetlinkError {
            tried: tried.to_owned(),
            errno,
        })
    }

    fn dump_once<T>(
        &mut self,
        request: RouteNetlinkMessage,
        visit: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, i32> {
        self.send(request, NLM_F_DUMP)?;
        let (mut list, mut interrupted, mut count) = (Vec::new(), false, 0);
        while count < MAX_DUMP {
            for message in self.receive()? {
                count += 1;
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(part) => list.extend(visit(part)),
                    NetlinkPayload::Done(done) if done.code != 0 => {
                        return Err(done.code.saturating_abs());
                    }
                    NetlinkPayload::Done(_) if interrupted => return Err(libc::EINTR),
                    NetlinkPayload::Done(_) => return Ok(list),
                    NetlinkPayload::Error(answer) => {
                        return Err(answer.raw_code().saturating_abs());
                    }
                    _ => {}
                }
            }
        }
        Err(libc::EMSGSIZE)
    }

    fn send(&mut self, request: RouteNetlinkMessage, flags: u16) -> Result<(), i32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket
            .send(&bytes, 0)
            .map(|_| ())
            .map_err(|error| errno_of(&error))
    }

    /// The messages of the next answer to the latest request; answers to earlier ones are dropped.
    fn receive(&mut self) -> Result<Vec<RouteMessage>, i32> {
        self.buffer.clear();
        let (_, source) = self
            .socket
            .recv_from(&mut self.buffer, 0)
            .map_err(|error| errno_of(&error))?;
        if source.port_number() != KERNEL {
            return Ok(Vec::new());
        }
        let parsed: Option<Vec<_>> = messages(&self.buffer).collect();
        let mut list = parsed.ok_or(libc::EBADMSG)?;
        list.retain(|message| message.header.sequence_number == self.sequence);
        Ok(list)
    }
}

/// The port number of the kernel: nobody else can send from it.
const KERNEL: u32 = 0;

/// A netlink socket that is connected to the kernel and hears the multicast `groups` (a bit mask).
fn open_socket(groups: u32) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, groups))?;
    socket.connect(&SocketAddr::new(KERNEL, 0))?;
    Ok(socket)
}

/// The messages in one datagram; `None` for one that cannot be read. Ends at the first broken length.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Option<RouteMessage>> {
    const ALIGNMENT: usize = 4;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(*rest.first_chunk::<4>()?);
        let len = usize::try_from(len).ok().filter(|len| *len >= ALIGNMENT)?;
        let message = rest.get(..len);
        rest = rest
            .get(len.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        Some(message.and_then(|message| RouteMessage::deserialize(message).ok()))
    })
}

fn errno_of(error: &io::Error) -> i32 {
    match error.raw_os_error() {
        Some(libc::EAGAIN) | None => libc::ETIMEDOUT,
        Some(errno) => errno,
    }
}
