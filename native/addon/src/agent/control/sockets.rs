//! The control thread's part in the UDP sockets: when the interfaces are looked at again, and who is
//! told of what changed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use whalescale_core::control::Command;
use whalescale_core::time::Instant;

use crate::agent::Update;
use crate::agent::interfaces::{Refreshed, Wish};
use crate::io::clock;
use crate::netlink;

use super::{ControlSide, hand_over};

/// Changes of routes alone are gathered for this long.
const ROUTES_SETTLE: Duration = Duration::from_millis(200);

impl ControlSide {
    /// Opens UDP sockets on the wished interfaces, now and whenever these change.
    ///
    /// # Errors
    /// None are open and not one could be, or the port was taken from the start.
    pub fn set_sockets(&mut self, wish: Wish) -> io::Result<()> {
        let is_first = self.sockets().is_empty();
        self.interfaces.set_wish(wish);
        let refreshed = self.interfaces.refresh(clock::now());
        let failed = self.take_sockets(refreshed.map_err(io::Error::other)?);
        match failed {
            Some(error) if is_first && error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Some(error) if self.sockets().is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Links, addresses or routes have changed, or a socket is to be tried again.
    pub(super) fn refresh_sockets(&mut self) {
        self.routes_at = None;
        match self.interfaces.refresh(clock::now()) {
            Ok(refreshed) => {
                let obstacle = self.take_sockets(refreshed);
                if let Some(error) = obstacle.filter(|_| self.interfaces.is_stuck()) {
                    self.warn("socket", format!("no UDP socket: {error}"));
                }
            }
            Err(error) => self.warn("netlink", error.to_string()),
        }
    }

    /// Puts other sockets to use; gives what could not be opened.
    fn take_sockets(&mut self, refreshed: Refreshed) -> Option<io::Error> {
        if let Some(sockets) = refreshed.sockets {
            self.sockets = Arc::clone(&sockets);
            let (receive, transmit) = (&self.shared.bells.receive, &self.shared.bells.transmit);
            let for_receiver = Update::Sockets(Arc::clone(&sockets));
            hand_over(&mut self.queues.receiver, for_receiver, receive);
            hand_over(&mut self.queues.sender, Update::Sockets(sockets), transmit);
            receive.signal();
            transmit.signal();
        }
        if let Some(locals) = refreshed.locals {
            // Cannot be refused: it names no peer.
            let _ = self.take(Command::Sockets(locals));
            self.finish();
        }
        refreshed.obstacle
    }

    /// Links and addresses count at once; routes, of which a router changes thousands, a little later.
    pub(super) fn network_changed(&mut self, events: &[netlink::Event]) {
        if events.iter().any(|event| *event != netlink::Event::Routes) {
            self.refresh_sockets();
            self.publish();
        } else if !events.is_empty() && self.routes_at.is_none() {
            self.routes_at = Some(clock::now() + ROUTES_SETTLE);
        }
    }

    /// When to look at the interfaces although nothing was heard.
    pub(super) fn refresh_at(&self) -> Option<Instant> {
        let due = [self.interfaces.retry_at(), self.routes_at];
        due.into_iter().flatten().min()
    }
}
