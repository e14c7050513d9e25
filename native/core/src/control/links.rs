//! Paths as control sees them: sockets that come and go, addresses that work, and what the packet
//! machines are told of all that (design, sections 4 and 5).
//!
//! [`Paths`](super::paths::Paths) decides; this carries its decisions out, and keeps one address as the
//! current one of each peer. A stock peer has that address and nothing else.

use crate::constants::limits;
use crate::handoff::{Endpoint, PathHealth, PathId, PeerIndex, ToSender};
use crate::time::Instant;
use crate::wire::frame::Frame;

use super::announcing::announcement;
use super::paths::Action;
use super::repeat::Repeat;
use super::{Control, LocalSocket, Output};

impl Control {
    /// Puts other sockets to use; what went over those that are gone moves at once.
    pub(super) fn set_sockets(&mut self, sockets: Vec<LocalSocket>, now: Instant) {
        if sockets == self.sockets {
            return;
        }
        let before = std::mem::replace(&mut self.sockets, sockets);
        self.tell_network();
        let announcement = announcement(&self.sockets);
        let news = announcement != self.announcement;
        if news {
            self.announcement = announcement;
            self.announcement_number += 1;
        }
        let indices: Vec<PeerIndex> = self.peers.keys().copied().collect();
        for index in indices {
            self.move_off(index, &before, now);
            let Some(peer) = self.peers.get_mut(&index) else {
                continue;
            };
            if !peer.speaks_frames() {
                continue;
            }
            if news && peer.hello.is_answered() {
                peer.announce = Repeat::starting(now);
            }
            peer.paths.hurry(true, now);
            self.refresh(index, now);
        }
    }

    /// The current address goes on through another socket if its own is gone.
    fn move_off(&mut self, index: PeerIndex, before: &[LocalSocket], now: Instant) {
        let Some(endpoint) = self.peers.get(&index).and_then(|peer| peer.endpoint) else {
            return;
        };
        let find = |all: &[LocalSocket]| {
            let mut same = all.iter().filter(|socket| socket.id == endpoint.socket);
            same.next()
                .map(|socket| (socket.link, socket.local.is_ipv4()))
        };
        if find(&self.sockets) == find(before) && find(before).is_some() {
            return;
        }
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        peer.paths.remove(endpoint);
        let next = peer.paths.better_than(None);
        if let Some(next) = next.filter(|next| self.local_address(next.socket).is_some()) {
            self.set_endpoint(index, next, now);
        } else if let Some(next) = self.endpoint_to(endpoint.remote) {
            self.set_endpoint(index, next, now);
        }
    }

    /// Brings the peer's table of paths to the sockets and addresses that are known.
    pub(super) fn refresh(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.speaks_frames() && peer.hello.is_answered() {
            let configured = peer.config.endpoints.iter().copied();
            let configured: Vec<_> = configured.take(limits::ENDPOINTS).collect();
            peer.paths.refresh(&self.sockets, &configured, now);
        }
        self.settle(index, now);
    }

    /// A frame came from there: an address that was not known is worth a challenge, and a path that had
    /// failed another look.
    pub(super) fn heard_from(&mut self, index: PeerIndex, from: Endpoint, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let Some(path) = peer.paths.ensure(from, &self.sockets, true, now) else {
            return;
        };
        path.heard = Some(now);
        if !path.probing.validated {
            path.probing.heard(now);
        } else if path.probing.health == PathHealth::Failed {
            path.probing.suspect(now);
        }
    }

    /// A newer packet came from elsewhere. A stock peer roams at once (whitepaper, section 2.1); a
    /// Whalescale peer must first answer a challenge there (design, section 4, Moving).
    pub(super) fn moved(&mut self, index: PeerIndex, from: Endpoint, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.endpoint == Some(from) {
            return;
        }
        if !peer.speaks_frames() || peer.endpoint.is_none() {
            self.set_endpoint(index, from, now);
            return;
        }
        // The peer may have left the address in use: ask there too.
        let current = peer
            .endpoint
            .and_then(|current| peer.paths.get_mut(current));
        if let Some(current) = current {
            current.probing.suspect(now);
        }
        self.heard_from(index, from, now);
        self.poll_paths(index, now);
    }

    /// Takes a probe reply if it is a path's; it may make the path the peer's current address.
    pub(super) fn path_answered(
        &mut self,
        index: PeerIndex,
        from: Endpoint,
        token: u64,
        now: Instant,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&index) else {
            return false;
        };
        let path = peer.paths.get(from);
        let may_be_a_move = path.is_some_and(|path| path.probing.may_be_a_move());
        if !peer.paths.answered(from, token, now) {
            return false;
        }
        let current = peer.endpoint.and_then(|current| peer.paths.get(current));
        let in_doubt = current.is_none_or(|path| path.probing.in_doubt());
        if may_be_a_move && in_doubt {
            self.set_endpoint(index, from, now);
        }
        self.settle(index, now);
        self.poll_paths(index, now);
        true
    }

    /// The send machine judges a path by what became of its packets.
    pub(super) fn path_judged(
        &mut self,
        index: PeerIndex,
        path: PathId,
        health: PathHealth,
        now: Instant,
    ) {
        let found = self
            .peers
            .get_mut(&index)
            .and_then(|peer| peer.paths.by_id(path));
        if let Some(path) = found {
            path.probing.judged(health, now);
            if health != PathHealth::Healthy {
                // What is large may vanish while probes pass.
                path.pmtu.suspect(path.rtt(), now);
            }
            self.settle(index, now);
            self.poll_paths(index, now);
        }
    }

    /// Does what is due for the peer's paths.
    pub(super) fn poll_paths(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let actions = peer.paths.poll(now, self.settings.entropy.as_mut());
        for action in actions {
            let (to, frame) = match action {
                Action::Probe { to, token } => (to, Frame::PathProbe { token, size: 0 }),
                Action::Bind {
                    to,
                    path: PathId(path),
                    token,
                    link,
                    metered,
                } => {
                    let reply = false;
                    (
                        to,
                        Frame::PathBind {
                            path,
                            token,
                            link,
                            metered,
                            reply,
                        },
                    )
                }
            };
            self.send_frame(index, Some(to), &frame);
        }
        self.settle(index, now);
    }

    /// Tells the packet machines what has changed about the peer's paths.
    pub(super) fn settle(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        if peer.speaks_frames() && peer.hello.is_answered() {
            peer.paths.number(self.settings.entropy.as_mut(), now);
            if peer.endpoint.is_some() {
                peer.endpoint = peer.paths.better_than(peer.endpoint).or(peer.endpoint);
            }
            peer.paths.assign_roles(peer.endpoint);
            let (removed, changed) = peer.paths.take_changes();
            let removed = removed
                .into_iter()
                .map(|path| ToSender::RemovePath { peer: index, path });
            let changed = changed.into_iter().map(|change| ToSender::Path {
                peer: index,
                path: change.path,
                endpoint: change.endpoint,
                role: change.role,
                gauge: change.gauge,
            });
            self.outputs
                .extend(removed.chain(changed).map(Output::Sender));
        }
        self.publish_endpoint(index);
    }

    /// The way to `remote`: the socket with the longest route to it, else the first of its family.
    pub(super) fn endpoint_to(&self, remote: std::net::SocketAddr) -> Option<Endpoint> {
        self.endpoints_to(remote).next()
    }

    /// All ways to `remote`, the best first.
    pub(super) fn endpoints_to(
        &self,
        remote: std::net::SocketAddr,
    ) -> impl Iterator<Item = Endpoint> {
        let reach = |socket: &&LocalSocket| socket.local.is_ipv4() == remote.is_ipv4();
        let mut sockets: Vec<&LocalSocket> = self.sockets.iter().filter(reach).collect();
        sockets.sort_by_key(|socket| {
            let routes = socket.routes.iter();
            let lengths = routes
                .filter(|route| route.contains(remote.ip()))
                .map(|route| route.length());
            std::cmp::Reverse(lengths.max().map(u16::from))
        });
        sockets.into_iter().map(move |socket| Endpoint {
            socket: socket.id,
            remote,
        })
    }
}
