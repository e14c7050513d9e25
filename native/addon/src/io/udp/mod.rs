//! UDP sockets of the packet path: options, segmentation offload both ways, kernel drop counters.
//!
//! Every datagram leaves with DF set and the kernel's idea of the path MTU ignored: the path MTU is
//! found by probing (RFC 8899). Sockets are never connected; an IPv6 socket is IPv6 only, so that no
//! IPv4-mapped address appears. What the kernel refuses to offload is reported, never an error.

mod address;
mod receive;
mod send;

pub use receive::{Message, RecvArena};
pub use send::SendOutcome;

use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{check, get_option, set_option, socklen};
use address::RawAddress;

/// Segments that one send may carry: the kernel's UDP_MAX_SEGMENTS was 64 until Linux 6.9.
pub const MAX_SEGMENTS: usize = 64;
/// Bytes that one send may carry: the largest UDP payload over IPv4.
pub const MAX_SEND_LEN: usize = 65_507;
/// What is asked for each buffer, in bytes: some 5 ms at 10 Gbit/s, the time that a busy thread may be away.
pub const SOCKET_BUFFER: usize = 8 << 20;

/// The IP version of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, and nothing else.
    V6,
}

/// What a socket got of what it asked for; `status` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The kernel coalesces received datagrams (UDP_GRO).
    pub gro: bool,
    /// The kernel knows UDP_SEGMENT. An interface may still refuse it: see [`SendOutcome::NoSegmentation`].
    pub gso: bool,
    /// Bytes of the receive buffer, at most [`SOCKET_BUFFER`].
    pub receive_buffer: usize,
    /// Bytes of the send buffer, at most [`SOCKET_BUFFER`].
    pub send_buffer: usize,
}

/// A bound, unconnected, non-blocking UDP socket. One thread may send while another receives.
#[derive(Debug)]
pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
    granted: Granted,
}

impl UdpSocket {
    /// Opens a socket of `family` on `port` (0: any) of all addresses, bound to the interface `device`
    /// (SO_BINDTODEVICE); without one the routing table chooses.
    ///
    /// Fails as socket(2) and bind(2) do, and where the device is refused.
    pub fn open(family: Family, port: u16, device: Option<&str>) -> io::Result<Self> {
        let (domain, any) = match family {
            Family::V4 => (libc::AF_INET, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Family::V6 => (libc::AF_INET6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        };
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes integers and returns a new descriptor, owned here.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(domain, kind, 0))?) };
        never_fragment(&fd, family)?;
        if let Some(device) = device {
            bind_to_device(&fd, device)?;
        }
        let granted = Granted {
            gro: set_option(&fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok(),
            // Zero is "no segmentation unless a send asks for it", and refused by kernels without GSO.
            gso: set_option(&fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok(),
            receive_buffer: grow_buffer(&fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?,
            send_buffer: grow_buffer(&fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?,
        };
        let address = RawAddress::from(SocketAddr::new(any, port));
        // SAFETY: the address is live and as long as said.
        check(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr(), address.len()) })?;
        let local = local_address(&fd)?;
        Ok(Self { fd, local, granted })
    }

    /// The address it is bound to, with the port that the kernel chose.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What it got of what it asked for.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// Datagrams that the kernel dropped because the receive buffer was full, since the start; wraps.
    pub fn kernel_drops(&self) -> io::Result<u32> {
        // Indexed by SK_MEMINFO_*, linux/sock_diag.h; the drops are the last of nine.
        const DROPS: usize = 8;
        let mut info = [0_u32; DROPS + 1];
        let mut len = socklen::<[u32; DROPS + 1]>();
        let (fd, out) = (self.fd.as_raw_fd(), info.as_mut_ptr());
        // SAFETY: the array is writable for `len` bytes.
        check(unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                out.cast(),
                &raw mut len,
            )
        })?;
        Ok(info[DROPS])
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sets DF and lets no datagram exceed the interface's MTU.
fn never_fragment(fd: &OwnedFd, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set_option(
            fd,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        ),
        Family::V6 => {
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
            set_option(
                fd,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_PROBE,
            )
        }
    }
}

fn bind_to_device(fd: &OwnedFd, device: &str) -> io::Result<()> {
    let name = CString::new(device)?;
    let bytes = name.as_bytes_with_nul();
    let len = libc::socklen_t::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (fd, name) = (fd.as_raw_fd(), bytes.as_ptr().cast());
    // SAFETY: the name is live and as long as said.
    check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, len) })?;
    Ok(())
}

/// Asks for [`SOCKET_BUFFER`] past the system's limit, else up to it; returns what was granted.
fn grow_buffer(fd: &OwnedFd, force: i32, plain: i32) -> io::Result<usize> {
    let wanted = SOCKET_BUFFER as libc::c_int;
    set_option(fd, libc::SOL_SOCKET, force, wanted)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, wanted))?;
    // The kernel doubles the value for its own book-keeping and reports the double (socket(7)).
    let doubled = get_option(fd, libc::SOL_SOCKET, plain)?;
    Ok(usize::try_from(doubled).unwrap_or(0) / 2)
}

fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    let mut address = RawAddress::default();
    let mut len = address.capacity();
    // SAFETY: the address is writable for `len` bytes.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), address.as_mut_ptr(), &raw mut len) })?;
    address
        .parse(len)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
