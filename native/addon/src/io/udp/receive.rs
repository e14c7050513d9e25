//! Receiving in batches: one recvmmsg(2) into an arena that is allocated once.

use std::io;
use std::mem::zeroed;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::UdpSocket;
use super::address::RawAddress;
use crate::io::{check, errno};

/// Messages that one call takes. With UDP_GRO a message is up to 64 datagrams, so 16 of them are some
/// 500 full packets: more would only spill out of the second-level cache before they are opened.
const MESSAGES: usize = 16;
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
}

/// The memory of one receiving thread, for all of its sockets in turn.
pub struct RecvArena {
    bytes: Box<[u8]>,
    addresses: [RawAddress; MESSAGES],
    controls: [Control; MESSAGES],
    messages: [Option<Message>; MESSAGES],
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
            truncated: 0,
        }
    }

    /// Takes what has arrived at `socket`, without waiting; returns how many messages there are.
    ///
    /// 0: nothing there now. An ICMP error that the kernel reports here is passed over. When the
    /// return value is less than [`RecvArena::capacity`], the socket was empty.
    pub fn recv(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: both are plain data, for which zero is a value.
        let (mut pieces, mut headers): ([libc::iovec; MESSAGES], [libc::mmsghdr; MESSAGES]) =
            unsafe { zeroed() };
        let slots = self
            .bytes
            .chunks_exact_mut(SLOT)
            .zip(&mut self.addresses)
            .zip(&mut self.controls);
        for (((slot, address), control), (piece, header)) in
            slots.zip(pieces.iter_mut().zip(&mut headers))
        {
            *piece = libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: MESSAGE_LEN,
            };
            let header = &mut header.msg_hdr;
            header.msg_name = address.as_mut_ptr().cast();
            header.msg_namelen = address.capacity();
            header.msg_iov = piece;
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = Control::LEN as _;
        }
        let (fd, flags) = (socket.fd.as_raw_fd(), libc::MSG_DONTWAIT);
        let (headers_start, count) = (headers.as_mut_ptr(), MESSAGES as libc::c_uint);
        // SAFETY: the headers point into `self` and `pieces`, which live and are not touched meanwhile.
        let received =
            check(unsafe { libc::recvmmsg(fd, headers_start, count, flags, std::ptr::null_mut()) });
        let received = match received {
            Ok(received) => usize::try_from(received).unwrap_or(0),
            Err(error) if is_passing(&error) => 0,
            Err(error) => return Err(error),
        };
        self.messages = [None; MESSAGES];
        let filled = self
            .messages
            .iter_mut()
            .zip(&self.addresses)
            .zip(&headers)
            .take(received);
        for ((message, address), header) in filled {
            *message = parse(address, header);
            self.truncated += u64::from(message.is_none());
        }
        Ok(received)
    }

    /// Messages that one [`RecvArena::recv`] takes at most.
    pub const fn capacity() -> usize {
        MESSAGES
    }

    /// The `n`-th message of the last [`RecvArena::recv`] and its bytes; `None` if it was truncated or
    /// its source is no IP address.
    pub fn message(&mut self, n: usize) -> Option<(Message, &mut [u8])> {
        let message = (*self.messages.get(n)?)?;
        let start = n * SLOT;
        let bytes = self.bytes.get_mut(start..start + message.len)?;
        Some((message, bytes))
    }

    /// The whole memory, in which [`RecvArena::place`] says where messages are.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The `n`-th message as [`RecvArena::message`] gives it, and its place in [`RecvArena::bytes`].
    pub fn place(&self, n: usize) -> Option<(Message, Range<usize>)> {
        let message = (*self.messages.get(n)?)?;
        let start = n * SLOT;
        Some((message, start..start + message.len))
    }

    /// Messages dropped here since the start: truncated, or without a source.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }
}

/// What the kernel says about a message; `None` if it was truncated or has no source.
fn parse(address: &RawAddress, header: &libc::mmsghdr) -> Option<Message> {
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
