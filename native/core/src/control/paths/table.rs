//! Which pairs are in the table, who numbers them, and who carries: changes of [`Paths`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::constants::limits;
use crate::entropy::Entropy;
use crate::handoff::{Endpoint, PathGauge, PathId, PathRole};
use crate::pmtu::PathMtu;
use crate::time::Instant;
use crate::wire::frame::Announcement;

use super::super::LocalSocket;
use super::super::repeat::Repeat;
use super::probing::Probing;
use super::roles::{Edge, cover};
use super::{Binding, Path, Paths, ROLE_GAIN, RemoteLink, draw, is_sensible, reaches};

/// What the send machine is to be told of a path.
pub(in crate::control) struct Publication {
    pub path: PathId,
    pub endpoint: Endpoint,
    pub role: PathRole,
    pub gauge: Arc<PathGauge>,
}

impl Paths {
    /// Finds the path at `endpoint`, or makes room for it; `seen` if only packets tell of it.
    pub(in crate::control) fn ensure(
        &mut self,
        endpoint: Endpoint,
        sockets: &[LocalSocket],
        seen: bool,
        now: Instant,
    ) -> Option<&mut Path> {
        if self.get(endpoint).is_none() {
            if self.all.len() >= limits::PATHS {
                let place = self.all.iter().position(|path| !path.probing.validated)?;
                self.all.remove(place);
            }
            let socket = sockets.iter().find(|socket| socket.id == endpoint.socket);
            let (link, metered) = socket.map_or((0, false), |socket| (socket.link, socket.metered));
            self.all.push(Path {
                endpoint,
                link,
                metered,
                remote_link: self.link_of(endpoint.remote),
                pmtu: PathMtu::new(self.sizing),
                probing: Probing::new(metered, !seen, now),
                heard: None,
                observed: None,
                gauge: Arc::default(),
                binding: None,
                bulk: false,
            });
        }
        self.get_mut(endpoint)
    }

    fn link_of(&self, remote: SocketAddr) -> RemoteLink {
        let told = self.announced.iter().find(|told| told.address == remote);
        told.map_or(RemoteLink::Address(remote.ip()), |told| {
            RemoteLink::Told(told.link)
        })
    }

    /// The peer told its addresses. Returns whether that is news.
    pub(in crate::control) fn announced(&mut self, number: u32, addresses: Announcement) -> bool {
        if self.announcement.is_some_and(|known| number <= known) {
            return false;
        }
        self.announcement = Some(number);
        self.announced = addresses;
        self.announced.retain(|told| is_sensible(told.address));
        for place in 0..self.all.len() {
            let told = self
                .all
                .get(place)
                .map(|path| self.link_of(path.endpoint.remote));
            if let (Some(path), Some(RemoteLink::Told(link))) = (self.all.get_mut(place), told) {
                path.remote_link = RemoteLink::Told(link);
            }
        }
        true
    }

    /// The peer was restarted: it numbers anew, and knows of no binding.
    pub(in crate::control) fn peer_restarted(&mut self) {
        self.announcement = None;
    }

    /// Brings the table to the sockets there are and the addresses that are known.
    pub(in crate::control) fn refresh(
        &mut self,
        sockets: &[LocalSocket],
        configured: &[SocketAddr],
        now: Instant,
    ) {
        let lives = |path: &Path| {
            let mut same = sockets
                .iter()
                .filter(|socket| socket.id == path.endpoint.socket);
            same.any(|socket| socket.link == path.link && reaches(socket, path.endpoint.remote))
        };
        let gone: Vec<Endpoint> = self
            .all
            .iter()
            .filter(|path| !lives(path))
            .map(|path| path.endpoint)
            .collect();
        for endpoint in gone {
            self.remove(endpoint);
        }
        let told = self.announced.iter().map(|told| told.address);
        let remotes: Vec<SocketAddr> = configured.iter().copied().chain(told).collect();
        let wanted = |remote: SocketAddr| remotes.contains(&remote);
        // A candidate that nobody speaks of any more makes room.
        self.all.retain(|path| {
            path.probing.validated || path.probing.is_waiting() || wanted(path.endpoint.remote)
        });
        for remote in &remotes {
            for socket in sockets.iter().filter(|socket| reaches(socket, *remote)) {
                let endpoint = Endpoint {
                    socket: socket.id,
                    remote: *remote,
                };
                if let Some(path) = self.get_mut(endpoint) {
                    path.probing.known(now);
                } else if self.all.len() < limits::PATHS {
                    self.ensure(endpoint, sockets, false, now);
                }
            }
        }
    }

    /// The network has changed, here or there: candidates are worth a probe, and paths too if `all`.
    pub(in crate::control) fn hurry(&mut self, all: bool, now: Instant) {
        for path in &mut self.all {
            if all || !path.probing.validated {
                path.probing.hurry(now);
            }
        }
    }

    /// Forgets all of them.
    pub(in crate::control) fn clear(&mut self) {
        self.all.clear();
    }

    /// Forgets one.
    pub(in crate::control) fn remove(&mut self, endpoint: Endpoint) {
        let Some(place) = self.all.iter().position(|path| path.endpoint == endpoint) else {
            return;
        };
        self.give_up_number(place);
        self.all.remove(place);
    }

    fn give_up_number(&mut self, place: usize) {
        let binding = self.all.get_mut(place).and_then(|path| path.binding.take());
        let published = binding.filter(|binding| binding.published.is_some());
        self.removed.extend(published.map(|binding| binding.path));
    }

    /// Ends what has failed for long: what is known from elsewhere starts over.
    pub(super) fn forget_failed(&mut self, now: Instant) {
        let due: Vec<Endpoint> = self
            .all
            .iter()
            .filter(|path| self.forgotten_at(path).is_some_and(|at| at <= now))
            .map(|path| path.endpoint)
            .collect();
        for endpoint in due {
            let known = self
                .get(endpoint)
                .map(|path| (path.remote_link, path.metered));
            let Some((RemoteLink::Told(_), metered)) = known else {
                self.remove(endpoint);
                continue;
            };
            if let Some(place) = self.all.iter().position(|path| path.endpoint == endpoint) {
                self.give_up_number(place);
            }
            if let Some(path) = self.get_mut(endpoint) {
                path.probing = Probing::new(metered, true, now);
                path.bulk = false;
            }
        }
    }

    /// Gives each validated path a number, and has it bound at the other end.
    pub(in crate::control) fn number(&mut self, entropy: &mut dyn Entropy, now: Instant) {
        for place in 0..self.all.len() {
            let needs = |path: &Path| path.probing.validated && path.binding.is_none();
            if !self.all.get(place).is_some_and(needs) {
                continue;
            }
            let Some(path) = self.free_number() else {
                return;
            };
            let binding = Binding {
                path,
                token: draw(entropy),
                acknowledged: false,
                repeat: Repeat::starting(now),
                published: None,
            };
            if let Some(path) = self.all.get_mut(place) {
                path.binding = Some(binding);
            }
        }
    }

    /// The next free number in turn, so that one is not soon another path's.
    fn free_number(&mut self) -> Option<PathId> {
        let count = limits::PATHS as u8;
        let turn = (0..count).map(|n| PathId((self.next_id + n) % count));
        let free = |id: &PathId| !self.all.iter().any(|path| path.id() == Some(*id));
        let id = turn.into_iter().find(free)?;
        self.next_id = (id.0 + 1) % count;
        Some(id)
    }

    /// The session is new: the other end may have forgotten what was bound.
    pub(in crate::control) fn bind_again(&mut self, now: Instant) {
        for binding in self.all.iter_mut().filter_map(|path| path.binding.as_mut()) {
            if binding.repeat.at().is_none() {
                binding.repeat = Repeat::starting(now);
            }
        }
    }

    /// The other end knows the path with this token.
    pub(in crate::control) fn bound(&mut self, path: PathId, token: u64) {
        let bindings = self.all.iter_mut().filter_map(|path| path.binding.as_mut());
        for binding in bindings.filter(|known| known.path == path && known.token == token) {
            binding.acknowledged = true;
            binding.repeat = Repeat::default();
        }
    }

    /// Decides anew which paths carry.
    pub(in crate::control) fn assign_roles(&mut self) {
        let mut places: Vec<usize> = self.eligible();
        places.sort_by_key(|place| {
            let path = self.all.get(*place);
            path.map(|path| (path.metered, path.rtt().unwrap_or(Duration::MAX), *place))
        });
        let edges: Vec<Edge<RemoteLink>> = places
            .iter()
            .filter_map(|place| self.all.get(*place))
            .map(|path| Edge {
                local: path.link,
                remote: path.remote_link,
            })
            .collect();
        let fresh: Vec<usize> = cover(&edges)
            .into_iter()
            .filter_map(|at| places.get(at).copied())
            .collect();
        if self.keeps_roles(&places, &fresh) {
            return;
        }
        for (place, path) in self.all.iter_mut().enumerate() {
            path.bulk = fresh.contains(&place);
        }
    }

    /// Paths that may carry: usable ones that take the smallest packet; else any that is validated.
    fn eligible(&self) -> Vec<usize> {
        let places = |wanted: &dyn Fn(&Path) -> bool| -> Vec<usize> {
            let all = self.all.iter().enumerate();
            all.filter(|(_, path)| wanted(path))
                .map(|(place, _)| place)
                .collect()
        };
        let fit = places(&|path| path.is_usable() && path.pmtu.fits());
        let usable = places(&|path| path.is_usable());
        match (fit.is_empty(), usable.first()) {
            (false, _) => fit,
            // Where no path fits, one alone carries what it can.
            (true, Some(first)) => vec![*first],
            (true, None) => places(&|path| path.probing.validated),
        }
    }

    /// Whether the paths that carry now cover the same links, as few, and not much slower.
    fn keeps_roles(&self, eligible: &[usize], fresh: &[usize]) -> bool {
        let held: Vec<usize> = (0..self.all.len())
            .filter(|place| self.all.get(*place).is_some_and(|path| path.bulk))
            .collect();
        let links = |places: &[usize], side: &dyn Fn(&Path) -> RemoteLink| {
            let paths = places.iter().filter_map(|place| self.all.get(*place));
            let mut links: Vec<RemoteLink> = paths.map(side).collect();
            links.sort_unstable();
            links.dedup();
            links
        };
        let covers =
            |side: &dyn Fn(&Path) -> RemoteLink| links(&held, side) == links(eligible, side);
        let sum = |places: &[usize]| {
            let paths = places.iter().filter_map(|place| self.all.get(*place));
            paths.filter_map(Path::rtt).sum::<Duration>()
        };
        let metered = |places: &[usize]| {
            let paths = places.iter().filter_map(|place| self.all.get(*place));
            paths.filter(|path| path.metered).count()
        };
        held.len() == fresh.len()
            && held.iter().all(|place| eligible.contains(place))
            && covers(&|path| RemoteLink::Told(path.link))
            && covers(&|path| path.remote_link)
            && metered(&held) == metered(fresh)
            && sum(fresh) * ROLE_GAIN.1 >= sum(&held) * ROLE_GAIN.0
    }

    /// Numbers that are nobody's any more, and paths whose role the send machine does not know yet.
    pub(in crate::control) fn take_changes(&mut self) -> (Vec<PathId>, Vec<Publication>) {
        let mut changed = Vec::new();
        for path in &mut self.all {
            let role = if path.bulk {
                PathRole::Bulk
            } else {
                PathRole::Standby
            };
            let (endpoint, gauge) = (path.endpoint, Arc::clone(&path.gauge));
            if let Some(rtt) = path.rtt() {
                // Until the send machine measures, this is what it goes by.
                let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
                let _ = gauge
                    .rtt_us
                    .compare_exchange(0, micros.max(1), Relaxed, Relaxed);
            }
            let Some(binding) = path.binding.as_mut().filter(|binding| binding.acknowledged) else {
                continue;
            };
            if binding.published.replace(role) != Some(role) {
                changed.push(Publication {
                    path: binding.path,
                    endpoint,
                    role,
                    gauge,
                });
            }
        }
        (std::mem::take(&mut self.removed), changed)
    }
}
