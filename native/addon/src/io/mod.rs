//! Everything that touches the operating system on the packet path: sockets, the TUN device, waiting,
//! clocks, randomness and key files.
//!
//! Each part is a thin, typed face of a few system calls. Nothing here decides: what to do about a
//! refused offload, a full queue or a datagram that is too big is the caller's choice.

pub mod clock;
pub mod entropy;
pub mod poll;
pub mod secret_file;
pub mod tun;
pub mod udp;

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Turns the -1 of a system call into the error in `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// As [`check`] for calls that return a count.
fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The errno of `error`, 0 if it has none.
fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// The size of `T` as socket calls want it.
fn socklen<T>() -> libc::socklen_t {
    const { assert!(size_of::<T>() <= u16::MAX as usize) };
    size_of::<T>() as libc::socklen_t
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL takes no pointer.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes an integer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// Lets a receive on a blocking `socket` end with EAGAIN after `timeout`.
pub(crate) fn set_receive_timeout(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    let timeout = libc::timeval {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(timeout.subsec_micros()),
    };
    let (level, name, len) = (
        libc::SOL_SOCKET,
        libc::SO_RCVTIMEO,
        socklen::<libc::timeval>(),
    );
    // SAFETY: the value is a live timeval of the length given.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const timeout).cast(),
            len,
        )
    })?;
    Ok(())
}

/// Sets an option whose value is an integer.
fn set_option(socket: impl AsFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the value is a live integer of the length given.
    check(unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            socklen::<libc::c_int>(),
        )
    })?;
    Ok(())
}

/// Reads an option whose value is an integer.
fn get_option(socket: impl AsFd, level: i32, name: i32) -> io::Result<libc::c_int> {
    let (mut value, mut len) = (0 as libc::c_int, socklen::<libc::c_int>());
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: value and length are live; the kernel writes at most `len` bytes.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}
