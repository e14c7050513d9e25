//! The paths to one peer: pairs of a local socket and a remote address (design, section 5).
//!
//! Pairs come from configured and announced addresses and from where authenticated packets arrive; at
//! most [`limits::PATHS`]. One that answered a probe is a path: it gets a number, is bound at the other
//! end, and is used in one of two roles, see [`roles`]. Everything here is pure: times come in, what
//! is to be sent goes out as [`Action`]s, what is to be told the packet path as differences between
//! what is wanted and what was published.

mod probing;
mod roles;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::constants::limits;
use crate::entropy::Entropy;
use crate::handoff::{Endpoint, PathGauge, PathHealth, PathId, PathRole};
use crate::pmtu::{PathMtu, Sizing};
use crate::time::Instant;
use crate::wire::frame::Announcement;

use super::LocalSocket;
use super::repeat::Repeat;
use probing::Probing;

/// A new best path must have at most half the round trip of the one in use, or every measurement
/// would move the address.
const BETTER: u32 = 2;
/// Bulk moves to another set of paths only if their round trips sum up to three quarters.
const ROLE_GAIN: (u32, u32) = (3, 4);
/// A failed path is given up after this, if nobody announces or configures its address.
const FORGET_SEEN: Duration = Duration::from_secs(60);
/// The same if somebody does: it becomes a candidate again.
const FORGET_KNOWN: Duration = Duration::from_secs(600);
/// Over this span, the probes of all candidates of a peer are bounded: those of a full table.
const CANDIDATE_SPAN: Duration = Duration::from_secs(60);
const CANDIDATE_BUDGET: usize = limits::PATHS * limits::CANDIDATE_PROBES as usize;

/// The link at the other end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RemoteLink {
    /// As the peer numbers it.
    Told(u32),
    /// The peer has not told: another address is another link.
    Address(IpAddr),
}

/// What is to be sent for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Probe {
        to: Endpoint,
        token: u64,
    },
    Bind {
        to: Endpoint,
        path: PathId,
        token: u64,
        link: u32,
    },
}

/// A path's number, and whether the other end knows it.
struct Binding {
    path: PathId,
    token: u64,
    acknowledged: bool,
    repeat: Repeat,
    /// What the send machine was told.
    published: Option<PathRole>,
}

/// A pair of a socket and an address, validated or not.
pub(super) struct Path {
    pub endpoint: Endpoint,
    pub link: u32,
    pub metered: bool,
    pub remote_link: RemoteLink,
    pub pmtu: PathMtu,
    pub probing: Probing,
    /// When anything of its own last arrived: replies, frames.
    pub heard: Option<Instant>,
    /// Where the peer sees what we send on it.
    pub observed: Option<SocketAddr>,
    pub gauge: Arc<PathGauge>,
    binding: Option<Binding>,
    bulk: bool,
}

impl Path {
    /// The number, once it has one.
    pub(super) fn id(&self) -> Option<PathId> {
        self.binding.as_ref().map(|binding| binding.path)
    }

    /// Whether it is to carry bulk.
    pub(super) fn is_bulk(&self) -> bool {
        self.bulk
    }

    /// Whether it may be used now.
    pub(super) fn is_usable(&self) -> bool {
        self.probing.validated && self.probing.health != PathHealth::Failed
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.probing.round_trip.map(|known| known.smoothed)
    }

    /// The order of preference, the best first; an unmeasured path is the worst of its kind.
    fn rank(&self) -> (bool, bool, bool, Duration) {
        (
            self.probing.health != PathHealth::Healthy,
            !self.pmtu.fits(),
            self.metered,
            self.rtt().unwrap_or(Duration::MAX),
        )
    }
}

/// The paths to one peer. See the module's header.
pub(super) struct Paths {
    all: Vec<Path>,
    sizing: Sizing,
    announced: Announcement,
    /// The number of the announcement in use.
    announcement: Option<u32>,
    next_id: u8,
    /// Probes to candidates in the span that began then.
    spent: (Instant, usize),
    /// Numbers given up that the send machine still has.
    removed: Vec<PathId>,
}

impl Paths {
    /// None; a fixed `inner_mtu` is only checked.
    pub(super) fn new(sizing: Sizing) -> Self {
        Self {
            all: Vec::new(),
            sizing,
            announced: Announcement::new(),
            announcement: None,
            next_id: 0,
            spent: (Instant::default(), 0),
            removed: Vec::new(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Path> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        self.all.iter_mut()
    }

    pub(super) fn get(&self, endpoint: Endpoint) -> Option<&Path> {
        self.all.iter().find(|path| path.endpoint == endpoint)
    }

    pub(super) fn get_mut(&mut self, endpoint: Endpoint) -> Option<&mut Path> {
        self.all.iter_mut().find(|path| path.endpoint == endpoint)
    }

    pub(super) fn by_id(&mut self, id: PathId) -> Option<&mut Path> {
        self.all.iter_mut().find(|path| path.id() == Some(id))
    }

    /// Whether there is at most one validated path.
    pub(super) fn alone(&self) -> bool {
        self.all
            .iter()
            .filter(|path| path.probing.validated)
            .count()
            < 2
    }

    /// When [`Self::poll`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let probes = self
            .all
            .iter()
            .filter_map(|path| path.probing.next_deadline());
        let bindings = self.all.iter().filter_map(|path| path.binding.as_ref());
        let forget = self.all.iter().filter_map(|path| self.forgotten_at(path));
        probes
            .chain(bindings.filter_map(|binding| binding.repeat.at()))
            .chain(forget)
            .min()
    }

    fn forgotten_at(&self, path: &Path) -> Option<Instant> {
        let failed = path.probing.validated && path.probing.health == PathHealth::Failed;
        let known = matches!(path.remote_link, RemoteLink::Told(_));
        let span = if known { FORGET_KNOWN } else { FORGET_SEEN };
        failed.then(|| path.probing.since + span)
    }

    /// Does what is due: probes, their losses, bindings, the end of what failed for long.
    pub(super) fn poll(&mut self, now: Instant, entropy: &mut dyn Entropy) -> Vec<Action> {
        self.forget_failed(now);
        let alone = self.alone();
        let mut actions = Vec::new();
        for place in 0..self.all.len() {
            let affordable = self.affordable(place, now);
            let Some(path) = self.all.get_mut(place) else {
                continue;
            };
            path.probing.heartbeat(alone, now);
            path.probing.expire(now, alone);
            if path.probing.is_due(now) {
                if affordable {
                    let token = draw(entropy);
                    self.spent.1 += usize::from(!path.probing.validated);
                    path.probing.sent(token, now);
                    let to = path.endpoint;
                    actions.push(Action::Probe { to, token });
                } else {
                    path.probing.postpone(now + CANDIDATE_SPAN);
                }
            }
            actions.extend(path.repeat_binding(now));
        }
        actions
    }

    fn affordable(&mut self, place: usize, now: Instant) -> bool {
        if now - self.spent.0 >= CANDIDATE_SPAN {
            self.spent = (now, 0);
        }
        let validated = self
            .all
            .get(place)
            .is_some_and(|path| path.probing.validated);
        validated || self.spent.1 < CANDIDATE_BUDGET
    }

    /// Takes a probe reply; true if it was one of ours and came from where it should.
    pub(super) fn answered(&mut self, from: Endpoint, token: u64, now: Instant) -> bool {
        let Some(path) = self.get_mut(from) else {
            return false;
        };
        path.heard = Some(now);
        path.probing.answered(token, now)
    }

    /// The best path to use alone, if it should not be `current`.
    pub(super) fn better_than(&self, current: Option<Endpoint>) -> Option<Endpoint> {
        let usable = self.all.iter().filter(|path| path.is_usable());
        let best = usable.min_by_key(|path| path.rank())?;
        let stay = current
            .and_then(|endpoint| self.get(endpoint))
            .filter(|path| path.is_usable() && path.probing.health == best.probing.health)
            .is_some_and(|path| {
                let same_kind =
                    path.pmtu.fits() == best.pmtu.fits() && path.metered == best.metered;
                let halved = match (path.rtt(), best.rtt()) {
                    (Some(held), Some(found)) => found * BETTER < held,
                    _ => false,
                };
                same_kind && !halved
            });
        (!stay && current != Some(best.endpoint)).then_some(best.endpoint)
    }

    /// The inner MTU of `primary` and of the paths that carry bulk.
    pub(super) fn inner_mtu(&self, primary: Option<Endpoint>) -> u16 {
        let carrying = self.all.iter().filter(|path| {
            Some(path.endpoint) == primary || (path.bulk && path.is_usable() && path.pmtu.fits())
        });
        let smallest = carrying.map(|path| path.pmtu.current()).min();
        smallest.unwrap_or(self.sizing.initial())
    }
}

impl Path {
    fn repeat_binding(&mut self, now: Instant) -> Option<Action> {
        let (to, link) = (self.endpoint, self.link);
        let binding = self.binding.as_mut()?;
        binding.repeat.take(now).then_some(Action::Bind {
            to,
            path: binding.path,
            token: binding.token,
            link,
        })
    }
}

fn draw(entropy: &mut dyn Entropy) -> u64 {
    let mut token = [0; 8];
    entropy.fill(&mut token);
    u64::from_le_bytes(token)
}

/// Whether an address that a peer tells may be one to send to at all.
pub(super) fn is_sensible(address: SocketAddr) -> bool {
    let ip = address.ip();
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        // Without a scope it leads nowhere.
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !ip.is_loopback()
        && !link_local
}

/// Whether `socket` can send to `remote`.
fn reaches(socket: &LocalSocket, remote: SocketAddr) -> bool {
    socket.local.is_ipv4() == remote.is_ipv4()
}
