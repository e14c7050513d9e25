//! Sending a run of datagrams: one system call with segmentation offload, or sendmmsg without.

use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use super::address::RawAddress;
use super::{MAX_SEGMENTS, MAX_SEND_LEN, UdpSocket};
use crate::io::{check, check_len, errno};

/// What became of a send. None of them is fatal to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// All of it was handed to the kernel.
    Sent,
    /// The send buffer is full (EAGAIN): wait for writability, or drop.
    WouldBlock,
    /// The interface's queue is full or the kernel has no memory (ENOBUFS, ENOMEM): as a loss on the way.
    NoBuffers,
    /// A datagram exceeds the interface's MTU (EMSGSIZE).
    TooBig,
    /// Segmentation was refused (EIO: the interface computes no checksums; EINVAL: before Linux 6.14
    /// also when a segment exceeds the MTU). Nothing was sent: send it by [`UdpSocket::send_plain`],
    /// and leave segmentation off for this path unless that says [`SendOutcome::TooBig`].
    NoSegmentation,
    /// The network says that it cannot be reached now: an ICMP error, no route, a local rule, the
    /// interface is gone; carries errno. Harmless to the other paths of the socket.
    Unreachable(i32),
    /// Anything else; carries errno.
    Failed(i32),
}

impl SendOutcome {
    fn of(error: &io::Error, segmented: bool) -> Self {
        match errno(error) {
            libc::EAGAIN | libc::EINTR => Self::WouldBlock,
            libc::ENOBUFS | libc::ENOMEM => Self::NoBuffers,
            libc::EMSGSIZE => Self::TooBig,
            libc::EIO | libc::EINVAL if segmented => Self::NoSegmentation,
            code @ (libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::EHOSTDOWN
            | libc::ENETUNREACH
            | libc::ENETDOWN
            | libc::ENODEV
            | libc::ENOPROTOOPT
            | libc::EPROTO
            | libc::EPERM
            | libc::EACCES
            | libc::EADDRNOTAVAIL) => Self::Unreachable(code),
            code => Self::Failed(code),
        }
    }
}

/// Room for one control message that carries a 16-bit value, aligned as the kernel wants it.
#[repr(C, align(8))]
struct SegmentControl([u8; Self::LEN]);

impl SegmentControl {
    // SAFETY: CMSG_SPACE only computes.
    const LEN: usize = unsafe { libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint) } as usize;
}

impl UdpSocket {
    /// Sends `bytes` to `to` in one system call, as datagrams of `stride` bytes, the last one possibly
    /// shorter.
    ///
    /// At most [`MAX_SEGMENTS`] datagrams and [`MAX_SEND_LEN`] bytes.
    pub fn send(&self, to: &SocketAddr, bytes: &[u8], stride: usize) -> SendOutcome {
        debug_assert!(
            stride > 0
                && bytes.len() <= MAX_SEND_LEN
                && bytes.len().div_ceil(stride) <= MAX_SEGMENTS
        );
        let segmented = bytes.len() > stride;
        let mut address = RawAddress::from(*to);
        let piece = IoSlice::new(bytes);
        let mut control = SegmentControl([0; SegmentControl::LEN]);
        let mut header = header(&mut address, &piece);
        if segmented {
            let Ok(stride) = u16::try_from(stride) else {
                return SendOutcome::Failed(libc::EINVAL);
            };
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = SegmentControl::LEN as _;
            put_segment_size(&header, stride);
        }
        // SAFETY: everything that `header` points to outlives the call.
        let sent = check_len(unsafe { libc::sendmsg(self.fd.as_raw_fd(), &raw const header, 0) });
        sent.map_or_else(
            |error| SendOutcome::of(&error, segmented),
            |_| SendOutcome::Sent,
        )
    }

    /// Sends the same as [`UdpSocket::send`] without segmentation offload, by sendmmsg(2).
    ///
    /// Returns how many datagrams were sent and what became of the next one.
    pub fn send_plain(&self, to: &SocketAddr, bytes: &[u8], stride: usize) -> (usize, SendOutcome) {
        let mut address = RawAddress::from(*to);
        let (mut sent, mut rest) = (0, bytes);
        let stride = stride.max(1);
        while !rest.is_empty() {
            match self.send_batch(&mut address, rest, stride) {
                Ok(count) => {
                    sent += count;
                    rest = rest.get(count * stride..).unwrap_or_default();
                }
                Err(error) => return (sent, SendOutcome::of(&error, false)),
            }
        }
        (sent, SendOutcome::Sent)
    }

    /// Sends up to [`MAX_SEGMENTS`] datagrams; returns how many went, at least one.
    fn send_batch(
        &self,
        address: &mut RawAddress,
        bytes: &[u8],
        stride: usize,
    ) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); MAX_SEGMENTS];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MAX_SEGMENTS];
        let mut count = 0;
        for ((piece, slot), datagram) in pieces
            .iter_mut()
            .zip(&mut headers)
            .zip(bytes.chunks(stride))
        {
            *piece = IoSlice::new(datagram);
            slot.write(libc::mmsghdr {
                msg_hdr: header(address, piece),
                msg_len: 0,
            });
            count += 1;
        }
        // SAFETY: the first `count` headers are initialised, and what they point to outlives the call.
        let sent = check(unsafe {
            libc::sendmmsg(self.fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, 0)
        })?;
        Ok(usize::try_from(sent).unwrap_or(0).max(1))
    }
}

/// A message of one piece to `address`; valid while both live and stay where they are.
fn header(address: &mut RawAddress, piece: &IoSlice<'_>) -> libc::msghdr {
    // SAFETY: msghdr is plain data, for which zero is a value (musl has private padding in it).
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_namelen = address.len();
    header.msg_name = address.as_mut_ptr().cast();
    // IoSlice has the layout of iovec; sending does not write through it.
    header.msg_iov = std::ptr::from_ref(piece).cast::<libc::iovec>().cast_mut();
    header.msg_iovlen = 1;
    header
}

/// Writes the control message UDP_SEGMENT into the control buffer of `header`.
fn put_segment_size(header: &libc::msghdr, stride: u16) {
    // SAFETY: the buffer is a `SegmentControl`, aligned and long enough for one u16.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = libc::SOL_UDP;
        (*message).cmsg_type = libc::UDP_SEGMENT;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) as _;
        libc::CMSG_DATA(message)
            .cast::<u16>()
            .write_unaligned(stride);
    }
}
