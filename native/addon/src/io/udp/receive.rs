//! Receiving in batches: one recvmmsg(2) into what is free of an arena that is allocated once.
//!
//! The arena is a ring: messages wait in it in the order in which they came, until the oldest are
//! released. What has not been read waits in the socket.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;

use whalescale_core::constants::limits;
use whalescale_core::handoff::SocketId;
use whalescale_core::time::Instant;

use super::UdpSocket;
use super::address::RawAddress;
use crate::io::{check, errno};

/// Messages that one call takes, and that wait in one arena.
const MESSAGES: usize = limits::READ_AHEAD;
/// The largest message, coalesced or not: less room would lose data (envoyproxy/envoy#33474).
const MESSAGE_LEN: usize = 65_535;
/// Bytes between the messages: room for one, and an odd number of cache lines, so that the headers of
/// a batch do not all compete for the same cache set.
const SLOT: usize = 1025 * 64;
const _: () = assert!(SLOT >= MESSAGE_LEN && (SLOT / 64) % 2 == 1);

/// Room for the control messages of one message: UDP_GRO's int, and as much again for one more int.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; Self::LEN]);

impl Control {
    // SAFETY: CMSG_SPACE only computes.
    const LEN: usize =
        2 * unsafe { libc::CMSG_SPACE(size_of::<libc::c_int>() as libc::c_uint) } as usize;
}

/// A received message: one datagram, or several that the kernel coalesced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub source: SocketAddr,
    /// Bytes of all its datagrams; 0 for an empty one.
    pub len: usize,
    /// Bytes of each datagram, the last one possibly shorter; the length if there is only one. Never 0.
    pub stride: usize,
    /// The socket that it was read from, and when.
    pub socket: SocketId,
    /// See `socket`.
    pub read: Instant,
}

/// The memory of one receiving thread, for all of its sockets in turn.
pub struct RecvArena {
    bytes: Box<[u8]>,
    addresses: [RawAddress; MESSAGES],
    controls: [Control; MESSAGES],
    messages: [Option<Message>; MESSAGES],
    /// The slot of the oldest message, and how many wait.
    oldest: usize,
    waiting: usize,
    truncated: u64,
}

impl Default for RecvArena {
    fn default() -> Self {
        Self::new()
    }
}

impl RecvArena {
    /// Allocates it: about 1 MiB, of which only what is used becomes resident.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; MESSAGES * SLOT].into_boxed_slice(),
            addresses: [RawAddress::default(); MESSAGES],
            controls: [Control([0; Control::LEN]); MESSAGES],
            messages: [None; MESSAGES],
            oldest: 0,
            waiting: 0,
            truncated: 0,
        }
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Lets go of the oldest `count` messages, whose memory is used again.
    pub fn release(&mut self, count: usize) {
        let count = count.min(self.waiting);
        self.waiting -= count;
        // The same memory again where nothing waits: it is in the cache.
        self.oldest = if self.waiting == 0 {
            0
        } else {
            self.slot(count)
        };
    }

    /// The slot of the `n`-th message from the oldest on.
    fn slot(&self, n: usize) -> usize {
        (self.oldest + n) % MESSAGES
    }

    /// Takes what has arrived at `socket`, without waiting and while there is room; returns how many
    /// messages are new. They come last.
    ///
    /// 0: nothing there now, or no room. An ICMP error that the kernel reports here is passed over.
    pub fn recv(&mut self, socket: &UdpSocket, id: SocketId, now: Instant) -> io::Result<usize> {
        let free = MESSAGES - self.waiting;
        if free == 0 {
            return Ok(0);
        }
        // SAFETY: both are plain data, for which zero is a value.
        let (mut pieces, mut headers): ([libc::iovec; MESSAGES], [libc::mmsghdr; MESSAGES]) =
            unsafe { zeroed() };
        let first = self.slot(self.waiting);
        for (n, (piece, header)) in pieces.iter_mut().zip(&mut headers).take(free).enumerate() {
            let slot = (first + n) % MESSAGES;
            let header = &mut header.msg_hdr;
            *piece = libc::iovec {
                iov_base: self.bytes[slot * SLOT..][..MESSAGE_LEN].as_mut_ptr().cast(),
                iov_len: MESSAGE_LEN,
            };
            let address = &mut self.addresses[slot];
            header.msg_name = address.as_mut_ptr().cast();
            header.msg_namelen = address.capacity();
            header.msg_iov = piece;
            header.msg_iovlen = 1;
            header.msg_control = self.controls[slot].0.as_mut_ptr().cast();
            header.msg_controllen = Control::LEN as _;
        }
        let (fd, flags) = (socket.fd.as_raw_fd(), libc::MSG_DONTWAIT);
        let (headers_start, count) = (headers.as_mut_ptr(), free as libc::c_uint);
        // SAFETY: `count` headers point into `self` and `pieces`, each to memory of its own, which
        // lives and is not touched meanwhile.
        let received =
            check(unsafe { libc::recvmmsg(fd, headers_start, count, flags, std::ptr::null_mut()) });
        let received = match received {
            Ok(received) => usize::try_from(received).unwrap_or(0).min(free),
            Err(error) if is_passing(&error) => 0,
            Err(error) => return Err(error),
        };
        for (n, header) in headers.iter().take(received).enumerate() {
            let slot = (first + n) % MESSAGES;
            let message = parse(&self.addresses[slot], header, id, now);
            self.truncated += u64::from(message.is_none());
            self.messages[slot] = message;
        }
        self.waiting += received;
        Ok(received)
    }

    /// The whole memory, in which [`RecvArena::place`] says where messages are.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The `n`-th of the messages that wait, and its place in [`RecvArena::bytes`]; `None` if it was
    /// truncated or its source is no IP address.
    pub fn place(&self, n: usize) -> Option<(Message, Range<usize>)> {
        let slot = self.slot(n);
        let message = (*self.messages.get(slot).filter(|_| n < self.waiting)?)?;
        Some((message, slot * SLOT..slot * SLOT + message.len))
    }

    /// Messages dropped here since the start: truncated, or without a source.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }
}

/// What the kernel says about a message; `None` if it was truncated or has no source.
fn parse(
    address: &RawAddress,
    header: &libc::mmsghdr,
    socket: SocketId,
    read: Instant,
) -> Option<Message> {
    if header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return None;
    }
    let source = address.parse(header.msg_hdr.msg_namelen)?;
    let len = usize::try_from(header.msg_len).ok()?;
    let stride = segment_size(&header.msg_hdr).filter(|stride| (1..=len).contains(stride));
    Some(Message {
        source,
        len,
        stride: stride.unwrap_or(len.max(1)),
        socket,
        read,
    })
}

/// The errors that say nothing about the socket itself: nothing there, or the network's answer to
/// something that was sent earlier.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        errno(error),
        libc::EAGAIN
            | libc::EINTR
            | libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::ENETDOWN
            | libc::EMSGSIZE
            | libc::ENOPROTOOPT
            | libc::EPROTO
            | libc::EACCES
            | libc::EOPNOTSUPP
            | libc::ENOMEM
            | libc::ENOBUFS
    )
}

/// The stride that the kernel reports for a coalesced message (UDP_GRO).
fn segment_size(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel has filled the control buffer of `header`, which is still live, and set its
    // length; CMSG_FIRSTHDR and CMSG_NXTHDR return only messages within it.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = message.as_ref() {
            if control.cmsg_level == libc::SOL_UDP && control.cmsg_type == libc::UDP_GRO {
                let size = libc::CMSG_DATA(message)
                    .cast::<libc::c_int>()
                    .read_unaligned();
                return usize::try_from(size).ok();
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}
