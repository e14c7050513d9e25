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

#[cfg(test)]
mod tests {
    use super::*;

    /// A new link `eth0`, an address 10.1.2.3/24 on it, and a route, as the kernel lays them out.
    fn datagram() -> Vec<u8> {
        let link = message(
            16,
            &[
                &[0, 0, 1, 0, 3, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0],
                &[9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0],
                &[8, 0, 4, 0, 0xdc, 5, 0, 0],
            ],
        );
        let address = message(
            20,
            &[
                &[2, 24, 0, 0, 3, 0, 0, 0],
                &[8, 0, 1, 0, 10, 1, 2, 3],
                &[8, 0, 2, 0, 10, 1, 2, 3],
            ],
        );
        let route = message(
            24,
            &[
                &[2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0],
                &[8, 0, 4, 0, 3, 0, 0, 0],
            ],
        );
        [link, address, route.clone(), route].concat()
    }

    fn message(kind: u16, parts: &[&[u8]]) -> Vec<u8> {
        let payload = parts.concat();
        let len = u32::try_from(16 + payload.len()).unwrap();
        [
            &len.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &[0; 10],
            &payload,
        ]
        .concat()
    }

    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        parse(bytes, &mut events);
        events
    }

    #[test]
    fn a_datagram_of_several_changes_gives_each_and_repeated_routes_once() {
        let events = events(&datagram());
        let [Event::Link(link), Event::Address(address), Event::Routes] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(
            (link.index, &link.name[..], link.mtu, link.up, link.carrier),
            (3, "eth0", 1500, true, true)
        );
        assert_eq!(
            (address.link, address.prefix, address.usable),
            (3, 24, true)
        );
        assert_eq!(address.ip, std::net::IpAddr::from([10, 1, 2, 3]));
    }

    #[test]
    fn any_bytes_give_events_or_nothing() {
        let whole = datagram();
        for len in 0..whole.len() {
            events(&whole[..len]);
        }
        // Every byte of a datagram replaced by every value reaches each length and type field.
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut bytes = whole.clone();
                bytes[at] = value;
                assert!(events(&bytes).len() <= whole.len() / 4);
            }
        }
        // Random bytes behind a correct header, for all types of route messages; splitmix64, seed 1.
        let mut state = 1_u64;
        for round in 0..50_000_u32 {
            let payload: Vec<u8> = (0..round % 97)
                .map(|_| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (state >> 56) as u8 & if round % 2 == 0 { 0x0f } else { 0xff }
                })
                .collect();
            events(&message(
                16 + u16::try_from(round % 96).unwrap(),
                &[&payload],
            ));
        }
    }

    #[test]
    fn an_unreadable_message_says_that_something_is_lost() {
        assert_eq!(events(&message(16, &[&[0; 3]])), [Event::Lost]);
        assert_eq!(events(&datagram()[..40]), [Event::Lost]);
    }
}
