//! A TUN device that TypeScript has opened and named: offloads, reads and writes.
//!
//! With a vnet header every packet, both ways, follows a `virtio_net_hdr` of [`VNET_LEN`] bytes
//! and may be a super-packet of up to 64 KiB. What the kernel refuses to offload is given up step by
//! step and reported, never an error.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use whalescale_core::inner::vnet::VNET_LEN;

use super::{check, check_len, errno, set_nonblocking};

/// The room that one read may need: header and the largest super-packet.
pub const READ_LEN: usize = VNET_LEN + 65_535;

const CHECKSUM: libc::c_uint = libc::TUN_F_CSUM;
const TSO: libc::c_uint = libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
const USO: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// What the kernel hands over unsegmented. Both off: only packets no larger than the MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// TCP super-packets.
    pub tso: bool,
    /// UDP super-packets (Linux 6.2 and later).
    pub uso: bool,
}

/// Why a packet was not written. Only `Other` is unexpected.
#[derive(Debug)]
pub enum WriteError {
    /// The queue is full (EAGAIN).
    WouldBlock,
    /// The kernel has no memory for it now (ENOBUFS, ENOMEM).
    NoBuffers,
    /// The kernel does not take this packet (EINVAL): a super-packet is written again singly (some
    /// kernels refuse all of them, tailscale/tailscale#13041), a single packet is dropped.
    Refused,
    /// The interface is down (EIO).
    Down,
    /// Anything else.
    Other(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        match errno(&error) {
            libc::EAGAIN => Self::WouldBlock,
            libc::ENOBUFS | libc::ENOMEM => Self::NoBuffers,
            libc::EINVAL => Self::Refused,
            libc::EIO => Self::Down,
            _ => Self::Other(error),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the device's queue is full"),
            Self::NoBuffers => f.write_str("the kernel is out of buffers"),
            Self::Refused => f.write_str("the kernel refused the packet"),
            Self::Down => f.write_str("the device is down"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {}

/// An attached TUN queue, non-blocking. Reads and writes may come from different threads.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    vnet: bool,
    offload: Offload,
}

impl Tun {
    /// Takes over `fd`, on which TUNSETIFF has succeeded with IFF_TUN | IFF_NO_PI, and IFF_VNET_HDR if
    /// `vnet`. Turns on all offloads that the kernel grants.
    pub fn adopt(fd: OwnedFd, vnet: bool) -> io::Result<Self> {
        set_nonblocking(fd.as_fd())?;
        let offload = if vnet {
            request_offload(&fd)?
        } else {
            Offload::default()
        };
        Ok(Self { fd, vnet, offload })
    }

    /// Whether packets carry a vnet header.
    pub fn vnet(&self) -> bool {
        self.vnet
    }

    /// The offloads in use.
    pub fn offload(&self) -> Offload {
        self.offload
    }

    /// Reads one packet, header first if [`Tun::vnet`]. `None`: nothing there now.
    ///
    /// What does not fit `buffer` is lost; [`READ_LEN`] bytes hold everything.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: `buffer` is writable for its length.
        let len = unsafe {
            libc::read(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        };
        none_if_empty(check_len(len))
    }

    /// As [`Tun::read`], spread over `buffers` in order.
    pub fn readv(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<usize>> {
        let count = libc::c_int::try_from(buffers.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: IoSliceMut has the layout of iovec, and each is writable for its length.
        let len = unsafe { libc::readv(self.fd.as_raw_fd(), buffers.as_ptr().cast(), count) };
        none_if_empty(check_len(len))
    }

    /// Writes one packet made of `pieces`, header first if [`Tun::vnet`]; at most 1024 pieces.
    pub fn write(&self, pieces: &[IoSlice<'_>]) -> Result<(), WriteError> {
        let count = libc::c_int::try_from(pieces.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: IoSlice has the layout of iovec, and each is readable for its length.
        check_len(unsafe { libc::writev(self.fd.as_raw_fd(), pieces.as_ptr().cast(), count) })?;
        Ok(())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn none_if_empty(read: io::Result<usize>) -> io::Result<Option<usize>> {
    match read {
        Ok(len) => Ok(Some(len)),
        Err(error) if matches!(errno(&error), libc::EAGAIN | libc::EINTR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the header's length, without which nothing can be read, and asks for ever less offload.
fn request_offload(fd: &OwnedFd) -> io::Result<Offload> {
    let len = VNET_LEN as libc::c_int;
    // SAFETY: TUNSETVNETHDRSZ reads an int through the pointer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) })?;
    let steps = [(true, true), (true, false), (false, false)];
    for (tso, uso) in steps {
        let flags = if tso { CHECKSUM | TSO } else { 0 } | if uso { USO } else { 0 };
        // SAFETY: TUNSETOFFLOAD takes its flags by value.
        let set = unsafe {
            libc::ioctl(
                fd.as_raw_fd(),
                libc::TUNSETOFFLOAD,
                libc::c_ulong::from(flags),
            )
        };
        if set == 0 {
            return Ok(Offload { tso, uso });
        }
    }
    // A new descriptor has no offload, so a kernel that refuses to be asked leaves it so.
    Ok(Offload::default())
}
