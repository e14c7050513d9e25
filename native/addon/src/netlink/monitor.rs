//! What changes about links, addresses and routes, as events; the source of path discovery.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;

use super::{Address, BUFFER_LEN, KERNEL, Link, messages, open_socket};

/// The multicast groups it listens to (linux/rtnetlink.h), as the mask that bind takes.
const GROUPS: u32 = (libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE)
    .cast_unsigned();
/// Datagrams read by one drain at most, so that a storm of changes cannot hold a thread.
const MAX_DRAIN: usize = 64;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link is new or has changed; without its addresses.
    Link(Link),
    /// The link of this index is gone.
    LinkGone(u32),
    /// An address is new or has changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// Some route has changed.
    Routes,
    /// Something was lost or could not be read: list everything again.
    Lost,
}

/// A non-blocking socket that hears all changes from its opening on.
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Opens it in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let socket = open_socket(GROUPS)?;
        socket.set_non_blocking(true)?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(BUFFER_LEN),
        })
    }

    /// Appends what has happened since the last call to `events`. What exceeds a batch stays for the
    /// next call, for which the descriptor is readable again.
    pub fn drain(&mut self, events: &mut Vec<Event>) {
        for _ in 0..MAX_DRAIN {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, 0) {
                Ok((_, source)) if source.port_number() == KERNEL => parse(&self.buffer, events),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // ENOBUFS: the kernel had more to say than the socket holds.
                Err(_) => {
                    events.push(Event::Lost);
                    return;
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Appends the events of one datagram; what is no change of interest is left out.
fn parse(bytes: &[u8], events: &mut Vec<Event>) {
    for message in messages(bytes) {
        let Some(message) = message else {
            events.push(Event::Lost);
            continue;
        };
        let NetlinkPayload::InnerMessage(change) = message.payload else {
            continue;
        };
        events.extend(match change {
            RouteNetlinkMessage::NewLink(link) => Link::parse(&link).map(Event::Link),
            RouteNetlinkMessage::DelLink(link) => Some(Event::LinkGone(link.header.index)),
            RouteNetlinkMessage::NewAddress(address) => {
                Address::parse(&address).map(Event::Address)
            }
            RouteNetlinkMessage::DelAddress(address) => {
                Address::parse(&address).map(Event::AddressGone)
            }
            RouteNetlinkMessage::NewRoute(_) | RouteNetlinkMessage::DelRoute(_) => {
                Some(Event::Routes)
            }
            _ => None,
        });
    }
    // A routing daemon changes thousands of routes at once: one event says it all.
    events.dedup_by(|later, earlier| {
        later == earlier && matches!(earlier, Event::Routes | Event::Lost)
    });
}
