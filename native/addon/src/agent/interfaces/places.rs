//! The numbers of the sockets.
//!
//! A number is used again only when no thread holds its old socket any more: a datagram must never be
//! taken for another link's.

use std::io;
use std::sync::{Arc, Weak};

use whalescale_core::handoff::SocketId;

use crate::agent::Sockets;
use crate::io::udp::UdpSocket;

/// Sockets at once: two for each of more interfaces than a machine has.
pub(super) const SOCKETS: usize = 64;

/// What a socket is for: an interface's index, 0 for none, and a family.
pub(super) type Purpose = (u32, bool);

pub(super) struct Slot {
    pub purpose: Purpose,
    pub socket: Arc<UdpSocket>,
}

enum Place {
    Used(Slot),
    /// Closed here, perhaps still in a thread's hands.
    Closing(Weak<UdpSocket>),
}

/// A place for each number.
#[derive(Default)]
pub(super) struct Places(Vec<Place>);

impl Places {
    /// The sockets in use, with their numbers.
    pub(super) fn used(&self) -> impl Iterator<Item = (SocketId, &Slot)> {
        (0..).zip(&self.0).filter_map(|(id, place)| match place {
            Place::Used(slot) => Some((SocketId(id), slot)),
            Place::Closing(_) => None,
        })
    }

    pub(super) fn has(&self, purpose: Purpose) -> bool {
        self.used().any(|(_, slot)| slot.purpose == purpose)
    }

    pub(super) fn close_all(&mut self) {
        self.close_others(&[]);
    }

    /// Closes those that are not wanted; says whether there were any.
    pub(super) fn close_others(&mut self, wanted: &[Purpose]) -> bool {
        let mut any = false;
        for place in &mut self.0 {
            if let Place::Used(slot) = place
                && !wanted.contains(&slot.purpose)
            {
                *place = Place::Closing(Arc::downgrade(&slot.socket));
                any = true;
            }
        }
        any
    }

    /// Gives what `open` opens a number.
    ///
    /// # Errors
    /// There is no free number, or it could not be opened.
    pub(super) fn put(
        &mut self,
        purpose: Purpose,
        open: impl FnOnce() -> io::Result<UdpSocket>,
    ) -> io::Result<()> {
        let number = self.0.iter().position(Place::is_free);
        let number = number.unwrap_or(self.0.len());
        if number >= SOCKETS {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let socket = Arc::new(open()?);
        let used = Place::Used(Slot { purpose, socket });
        match self.0.get_mut(number) {
            Some(place) => *place = used,
            None => self.0.push(used),
        }
        Ok(())
    }

    /// The table for the packet threads; what is closed is closed when they have it.
    pub(super) fn table(&self) -> Sockets {
        let sockets = self.0.iter().map(|place| match place {
            Place::Used(slot) => Some(Arc::clone(&slot.socket)),
            Place::Closing(_) => None,
        });
        sockets.collect()
    }
}

impl Place {
    fn is_free(&self) -> bool {
        match self {
            Self::Used(_) => false,
            Self::Closing(socket) => socket.strong_count() == 0,
        }
    }
}
