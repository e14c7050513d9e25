//! Waiting: a fixed set of descriptors with a deadline in nanoseconds, and the bell between threads.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{check, check_len, errno};

/// A counter that one thread raises and another waits for: eventfd(2), non-blocking.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new one, not signalled.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes integers and returns a new descriptor, owned here.
        let fd = unsafe {
            OwnedFd::from_raw_fd(check(libc::eventfd(
                0,
                libc::EFD_CLOEXEC | libc::EFD_NONBLOCK,
            ))?)
        };
        Ok(Self(fd))
    }

    /// Wakes whoever waits; signals before it looks are merged into one. From any thread.
    pub fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // A full counter is refused with EAGAIN, and is a signal already.
        // SAFETY: `one` is readable for its length.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Takes the signal back; says whether there was one.
    pub fn drain(&self) -> bool {
        let mut count = [0; 8];
        // SAFETY: `count` is writable for its length.
        check_len(unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) })
            .is_ok()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What a descriptor of a [`Poller`] is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Not at all, for now.
    None,
    /// Until it is readable.
    Read,
    /// Until it is readable or writable.
    ReadWrite,
}

impl Interest {
    fn events(self) -> libc::c_short {
        match self {
            Self::None => 0,
            Self::Read => libc::POLLIN,
            Self::ReadWrite => libc::POLLIN | libc::POLLOUT,
        }
    }
}

/// A small set of descriptors waited for by ppoll(2), which takes nanoseconds and, for a handful of
/// descriptors, costs no more than epoll.
///
/// A slot is the position in the order of [`Poller::add`]. The poller does not own the descriptors:
/// a closed one shows as ready with an error.
#[derive(Debug, Default)]
pub struct Poller(Vec<libc::pollfd>);

impl Poller {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `fd` and returns its slot.
    pub fn add(&mut self, fd: &impl AsFd, interest: Interest) -> usize {
        let slot = self.0.len();
        self.0.push(libc::pollfd {
            fd: fd.as_fd().as_raw_fd(),
            events: 0,
            revents: 0,
        });
        self.set_interest(slot, interest);
        slot
    }

    /// Empties the set, to be filled anew when the sockets have changed; keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Changes what `slot` is waited for.
    pub fn set_interest(&mut self, slot: usize, interest: Interest) {
        if let Some(entry) = self.0.get_mut(slot) {
            entry.events = interest.events();
            // A negative descriptor is passed over, also when it is broken (poll(2)).
            let fd = entry.fd.max(!entry.fd);
            entry.fd = if interest == Interest::None { !fd } else { fd };
        }
    }

    /// Waits until a descriptor is ready or `timeout` is over (`None`: for ever). Returns how many are
    /// ready; 0 also when a signal interrupted it.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|timeout| libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
        });
        let timeout = timeout
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        let count = self.0.len() as libc::nfds_t;
        // SAFETY: the array has `count` entries; `timeout` is null or outlives the call; no signal mask.
        let ready =
            check(unsafe { libc::ppoll(self.0.as_mut_ptr(), count, timeout, std::ptr::null()) });
        match ready {
            Ok(ready) => Ok(usize::try_from(ready).unwrap_or(0)),
            Err(error) if errno(&error) == libc::EINTR => {
                self.0.iter_mut().for_each(|entry| entry.revents = 0);
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether `slot` was readable, or broken, at the end of the last wait.
    pub fn readable(&self, slot: usize) -> bool {
        self.has(
            slot,
            libc::POLLIN | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL,
        )
    }

    /// Whether `slot` was writable, or broken, at the end of the last wait.
    pub fn writable(&self, slot: usize) -> bool {
        self.has(
            slot,
            libc::POLLOUT | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL,
        )
    }

    fn has(&self, slot: usize, events: libc::c_short) -> bool {
        self.0
            .get(slot)
            .is_some_and(|entry| entry.revents & events != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_wakes_once_however_often_it_was_given() {
        let bell = EventFd::new().unwrap();
        let mut poller = Poller::new();
        let slot = poller.add(&bell, Interest::Read);
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), 0);
        assert!(!poller.readable(slot));
        bell.signal();
        bell.signal();
        assert_eq!(poller.wait(None).unwrap(), 1);
        assert!(poller.readable(slot));
        assert!(bell.drain());
        assert!(!bell.drain());
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), 0);
    }

    #[test]
    fn only_the_interest_that_was_set_is_reported() {
        let bell = EventFd::new().unwrap();
        let mut poller = Poller::new();
        let slot = poller.add(&bell, Interest::None);
        bell.signal();
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), 0);
        poller.set_interest(slot, Interest::ReadWrite);
        assert_eq!(poller.wait(None).unwrap(), 1);
        assert!(poller.readable(slot) && poller.writable(slot));
        assert!(!poller.readable(slot + 1));
    }

    #[test]
    fn a_timeout_of_nanoseconds_ends_the_wait() {
        let bell = EventFd::new().unwrap();
        let mut poller = Poller::new();
        poller.add(&bell, Interest::Read);
        assert_eq!(poller.wait(Some(Duration::from_nanos(1))).unwrap(), 0);
    }
}
