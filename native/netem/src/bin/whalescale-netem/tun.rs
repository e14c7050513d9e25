//! The kernel's side: TUN devices inside network namespaces, waiting, and termination signals.
//!
//! The only unsafe code of the crate. A device lives as long as its descriptor: it vanishes with the process,
//! however that ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// A TUN device without packet information and without vnet header: one read or write is one IP packet.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// Creates `interface` in the namespace `netns`, as `ip netns` names it. The device is down.
    ///
    /// # Errors
    /// No such namespace, the interface exists, or CAP_NET_ADMIN and CAP_SYS_ADMIN are missing.
    pub fn open(netns: &str, interface: &str) -> io::Result<Self> {
        let home = File::open("/proc/thread-self/ns/net")?;
        let path = Path::new("/run/netns").join(netns);
        let target = File::open(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        enter(&target)?;
        // The device belongs to the namespace in which its descriptor was opened.
        let opened = Self::create(interface);
        enter(&home)?;
        opened
    }

    fn create(interface: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        // SAFETY: ifreq is plain old data, for which all zeroes is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if interface.len() >= request.ifr_name.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "interface name above 15 bytes",
            ));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags =
            (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_TUN_EXCL) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is, and the descriptor is open.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
        Ok(Self(file))
    }

    /// Reads one packet; `None` when there is none now.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.0).read(buffer) {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one packet.
    ///
    /// # Errors
    /// The device is down, or the bytes are no IP packet.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        (&self.0).write(packet).map(drop)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: setns takes an open descriptor and a flag; it changes this thread alone.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// SIGTERM and SIGINT from now on make the returned descriptor readable in place of ending the process.
///
/// # Errors
/// As the kernel says.
pub fn termination() -> io::Result<OwnedFd> {
    // SAFETY: sigset_t is plain old data; sigemptyset initialises it before any other use, and all
    // calls take a pointer to this live local.
    let descriptor = unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGTERM);
        libc::sigaddset(&raw mut signals, libc::SIGINT);
        check(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const signals,
            std::ptr::null_mut(),
        ))?;
        check(libc::signalfd(-1, &raw const signals, libc::SFD_CLOEXEC))?
    };
    // SAFETY: signalfd has just returned this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Makes the kernel wake this thread when a wait is over: without slack, and before any ordinary thread. On a
/// busy machine the link would else add tens of milliseconds that are not its own.
///
/// # Errors
/// CAP_SYS_NICE is missing.
pub fn wake_punctually() -> io::Result<()> {
    let nanosecond: libc::c_ulong = 1;
    // SAFETY: PR_SET_TIMERSLACK takes one integer and no pointer.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanosecond) })?;
    let lowest = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is this thread, and the pointer is to a live sched_param, which is only read.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const lowest) }).map(drop)
}

/// What to wait for.
#[derive(Debug, Default)]
pub struct Watched(Vec<libc::pollfd>);

impl Watched {
    /// Watches one more descriptor, which must stay open; returns its place.
    pub fn add(&mut self, descriptor: BorrowedFd<'_>) -> usize {
        let fd = descriptor.as_raw_fd();
        self.0.push(libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        self.0.len() - 1
    }

    /// Stops watching the descriptor at `place`.
    pub fn ignore(&mut self, place: usize) {
        if let Some(watched) = self.0.get_mut(place) {
            // poll(2) skips negative descriptors.
            (watched.fd, watched.revents) = (-1, 0);
        }
    }

    /// Whether the descriptor at `place` had something to read, or its other end was gone, at the last wait.
    pub fn is_ready(&self, place: usize) -> bool {
        self.0
            .get(place)
            .is_some_and(|watched| watched.revents != 0)
    }

    /// Waits until something is ready or the time is over; `None` waits for ever.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs().min(1 << 30) as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        });
        let timeout = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        let count = self.0.len() as libc::nfds_t;
        // SAFETY: the pointer and count describe the live vector; timeout is null or points to a
        // live timespec; a null signal mask is allowed.
        let waited =
            check(unsafe { libc::ppoll(self.0.as_mut_ptr(), count, timeout, std::ptr::null()) });
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                // Nothing was found out, and what the last wait found is no longer true.
                self.0.iter_mut().for_each(|watched| watched.revents = 0);
                Ok(())
            }
            waited => waited.map(drop),
        }
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
