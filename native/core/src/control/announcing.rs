//! What two ends tell each other of their links: addresses to try, and the numbers of the paths found
//! (design, section 4).

use std::sync::Arc;

use crate::constants::limits;
use crate::handoff::{Endpoint, PathId, PeerIndex, ToReceiver};
use crate::time::Instant;
use crate::wire::frame::{Announced, Announcement, Frame};

use super::paths::RemoteLink;
use super::reach::own_addresses;
use super::repeat::Repeat;
use super::{Control, LocalSocket, Output};

/// How the peer numbers a path, and what it says of its end.
pub(super) struct Bound {
    pub path: u8,
    pub token: u64,
    pub link: u32,
    pub metered: bool,
}

impl Control {
    /// Both ends said hello: addresses are told, and bindings that may have been forgotten.
    pub(super) fn greet(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self
            .peers
            .get_mut(&index)
            .filter(|peer| peer.hello.is_answered())
        else {
            return;
        };
        if peer.announce.at().is_none() {
            peer.announce = Repeat::starting(now);
        }
        peer.paths.bind_again(now);
        self.refresh(index, now);
        self.ask_for_address(index, now);
    }

    pub(super) fn send_announcement(&mut self, index: PeerIndex, now: Instant) {
        let due = self
            .peers
            .get_mut(&index)
            .is_some_and(|peer| peer.announce.take(now));
        if due {
            let frame = Frame::PathAnnounce {
                number: self.announcement_number,
                addresses: self.announcement.clone(),
                reply: false,
            };
            self.send_frame(index, None, &frame);
        }
    }

    pub(super) fn handle_announcement(
        &mut self,
        index: PeerIndex,
        from: Endpoint,
        number: u32,
        addresses: Announcement,
        reply: bool,
        now: Instant,
    ) {
        let current = self.announcement_number;
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if reply {
            if number == current {
                peer.announce = Repeat::default();
            }
            return;
        }
        let news = peer.paths.announced(number, addresses);
        let answer = Frame::PathAnnounce {
            number,
            addresses: Announcement::new(),
            reply: true,
        };
        self.send_frame(index, Some(from), &answer);
        if news {
            if let Some(peer) = self.peers.get_mut(&index) {
                peer.paths.hurry(false, now);
                // What is bound to a socket that the peer has closed is to be bound to its new one.
                peer.paths.bind_again(now);
            }
            self.refresh(index, now);
        }
    }

    /// The peer knows the path by our number.
    pub(super) fn handle_bound(&mut self, index: PeerIndex, told: &Bound, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&index) {
            peer.paths.bound(PathId(told.path), told.token);
        }
        self.settle(index, now);
    }

    /// The peer numbers the path that this came by.
    pub(super) fn handle_bind(
        &mut self,
        index: PeerIndex,
        from: Endpoint,
        told: &Bound,
        now: Instant,
    ) {
        if usize::from(told.path) >= limits::PATHS {
            return;
        }
        self.heard_from(index, from, now);
        let known = self
            .peers
            .get_mut(&index)
            .and_then(|peer| peer.paths.get_mut(from));
        let gauge = known.map(|known| {
            known.remote_link = RemoteLink::Told(told.link);
            known.metered_there = told.metered;
            Arc::clone(&known.gauge)
        });
        self.outputs.push_back(Output::Receiver(ToReceiver::Path {
            peer: index,
            path: PathId(told.path),
            endpoint: from,
            token: told.token,
            // Where the table of paths is full, nobody looks at what arrives.
            gauge: gauge.unwrap_or_default(),
        }));
        let answer = Frame::PathBind {
            path: told.path,
            token: told.token,
            link: told.link,
            metered: false,
            reply: true,
        };
        self.send_frame(index, Some(from), &answer);
        self.settle(index, now);
    }
}

/// The addresses to announce.
pub(super) fn announcement(sockets: &[LocalSocket]) -> Announcement {
    let all = own_addresses(sockets).map(|(socket, address)| Announced {
        address,
        link: socket.link,
    });
    all.take(limits::ENDPOINTS).collect()
}
