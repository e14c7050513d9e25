//! The UDP sockets: one per usable interface and address family, bound to the interface, all on one
//! port (design, section 5).
//!
//! What is wished comes from JavaScript, what there is from netlink; [`Interfaces::refresh`] closes and
//! opens the difference. Without any usable interface, one pair that is bound to none lets the agent
//! wait for the network. No datagram goes into our own tunnel: a bound socket has its own way out, and
//! a configured endpoint inside an allowed prefix is refused, so no firewall mark is needed.

mod places;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use whalescale_core::control::LocalSocket;
use whalescale_core::routes::IpPrefix;
use whalescale_core::time::Instant;

use crate::io::udp::{Family, UdpSocket};
use crate::netlink::{Link, Netlink, NetlinkError, Route};

use super::Sockets;
use places::{Places, Purpose, SOCKETS};

/// Routes kept of each interface and family, the longest prefixes: more than a host has, and a bound
/// on a router with all of the internet in its table.
const ROUTES: usize = 64;
/// A socket that could not be opened is tried again after this: its predecessor may be closing still.
const RETRY: Duration = Duration::from_millis(20);
/// After this many attempts, an obstacle is not a passing one.
const QUICK_RETRIES: u32 = 10;
/// The same afterwards.
const SLOW_RETRY: Duration = Duration::from_secs(5);

/// Which interfaces carry paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// UDP port, 0 for any.
    pub port: u16,
    /// Names, or `auto` for every one that is fit.
    pub interfaces: Vec<String>,
    /// Names of those never to use.
    pub exclude: Vec<String>,
    /// Names of those that cost money.
    pub metered: Vec<String>,
}

impl Wish {
    fn wants(&self, link: &Link) -> bool {
        let named = |list: &[String]| list.contains(&link.name);
        let chosen = named(&self.interfaces) || self.interfaces.iter().any(|name| name == "auto");
        chosen && !named(&self.exclude) && link.up && link.carrier && !link.loopback
    }
}

/// The sockets and why they are there. See the module's header.
pub struct Interfaces {
    netlink: Netlink,
    /// Our own device, which must never carry what goes into it.
    own: u32,
    wish: Option<Wish>,
    /// The port in use, once there is one.
    port: u16,
    places: Places,
    locals: Vec<LocalSocket>,
    attempts: u32,
    retry_at: Option<Instant>,
}

/// What became of a refresh.
pub struct Refreshed {
    /// The new table, if sockets were opened or closed.
    pub sockets: Option<Sockets>,
    /// The new list for the core, if anything about it changed.
    pub locals: Option<Vec<LocalSocket>>,
    /// What could not be opened; it is tried again.
    pub obstacle: Option<io::Error>,
}

impl Interfaces {
    /// None yet; `own` is the index of the TUN device.
    pub fn new(netlink: Netlink, own: u32) -> Self {
        Self {
            netlink,
            own,
            wish: None,
            port: 0,
            places: Places::default(),
            locals: Vec::new(),
            attempts: 0,
            retry_at: None,
        }
    }

    /// Takes another wish; nothing happens before [`Self::refresh`].
    pub fn set_wish(&mut self, wish: Wish) {
        if wish.port != 0 && wish.port != self.port {
            self.port = wish.port;
            self.places.close_all();
        }
        self.attempts = 0;
        self.wish = Some(wish);
    }

    /// Whether an obstacle has just turned out not to be a passing one.
    pub fn is_stuck(&self) -> bool {
        self.attempts == QUICK_RETRIES
    }

    /// When to refresh although nothing was heard.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Brings the sockets to what is wished and what there is.
    ///
    /// # Errors
    /// The kernel did not list its links or routes; nothing changed.
    pub fn refresh(&mut self, now: Instant) -> Result<Refreshed, NetlinkError> {
        let Some(wish) = self.wish.clone() else {
            return Ok(Refreshed::nothing());
        };
        let links = self.netlink.links()?;
        let routes = self.netlink.routes()?;
        let own = self.own;
        let fit: BTreeMap<u32, &Link> = links
            .iter()
            .filter(|link| link.index != own && wish.wants(link))
            .map(|link| (link.index, link))
            .collect();
        let wanted = purposes(&fit);
        let mut changed = self.places.close_others(&wanted);
        let mut obstacle = None;
        for purpose in wanted {
            if !self.places.has(purpose) {
                match self.open(purpose, &fit) {
                    Ok(()) => changed = true,
                    Err(error) => obstacle = obstacle.or(Some(error)),
                }
            }
        }
        self.plan_retry(obstacle.is_some(), now);
        let locals = self.describe(&fit, &routes, &wish);
        let news = locals != self.locals;
        self.locals.clone_from(&locals);
        Ok(Refreshed {
            sockets: changed.then(|| self.places.table()),
            locals: news.then_some(locals),
            obstacle,
        })
    }

    fn plan_retry(&mut self, failed: bool, now: Instant) {
        if !failed {
            self.attempts = 0;
            self.retry_at = None;
            return;
        }
        self.attempts = self.attempts.saturating_add(1);
        let quick = self.attempts < QUICK_RETRIES;
        self.retry_at = Some(now + if quick { RETRY } else { SLOW_RETRY });
    }

    fn open(&mut self, purpose: Purpose, fit: &BTreeMap<u32, &Link>) -> io::Result<()> {
        let (link, is_ipv4) = purpose;
        let device = fit.get(&link).map(|link| link.name.as_str());
        let family = if is_ipv4 { Family::V4 } else { Family::V6 };
        let port = &mut self.port;
        self.places.put(purpose, || {
            let socket = UdpSocket::open(family, *port, device)?;
            *port = socket.local().port();
            Ok(socket)
        })
    }

    /// The list for the core: the interface of the best default route first.
    fn describe(
        &self,
        fit: &BTreeMap<u32, &Link>,
        routes: &[Route],
        wish: &Wish,
    ) -> Vec<LocalSocket> {
        let described = self.places.used().map(|(id, slot)| {
            let (index, is_ipv4) = slot.purpose;
            let of_family = |ip: IpAddr| ip.is_ipv4() == is_ipv4;
            let mine = routes
                .iter()
                .filter(|route| route.link == index && of_family(route.destination));
            let metric = mine.clone().filter(|route| route.prefix == 0);
            let metric = metric.map(|route| route.metric).min();
            let mut prefixes: Vec<IpPrefix> = mine
                .filter_map(|route| IpPrefix::new(route.destination, route.prefix).ok())
                .collect();
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.length()));
            prefixes.truncate(ROUTES);
            let link = fit.get(&index);
            let addresses = link.into_iter().flat_map(|link| &link.addresses);
            let local = LocalSocket {
                interface: link.map(|link| link.name.as_str().into()),
                link: index,
                addresses: addresses
                    .filter(|address| address.usable && of_family(address.ip))
                    .map(|address| address.ip)
                    .collect(),
                routes: prefixes,
                metered: link.is_some_and(|link| wish.metered.contains(&link.name)),
                ..LocalSocket::unbound(id, slot.socket.local())
            };
            (metric.unwrap_or(u32::MAX), local)
        });
        let mut described: Vec<(u32, LocalSocket)> = described.collect();
        described.sort_by_key(|(metric, local)| (*metric, local.id));
        described.into_iter().map(|(_, local)| local).collect()
    }

    /// Each socket, with its interface.
    pub fn list(&self) -> impl Iterator<Item = (Option<&str>, &UdpSocket)> {
        self.places.used().map(|(id, slot)| {
            let local = self.locals.iter().find(|local| local.id == id);
            let name = local.and_then(|local| local.interface.as_deref());
            (name, &*slot.socket)
        })
    }
}

impl Refreshed {
    fn nothing() -> Self {
        Self {
            sockets: None,
            locals: None,
            obstacle: None,
        }
    }
}

/// One socket for each family of each interface; without any, both families of none.
fn purposes(fit: &BTreeMap<u32, &Link>) -> Vec<Purpose> {
    let each = fit.values().flat_map(|link| {
        [true, false].into_iter().filter_map(|is_ipv4| {
            let mut addresses = link.addresses.iter();
            addresses
                .any(|address| address.usable && address.ip.is_ipv4() == is_ipv4)
                .then_some((link.index, is_ipv4))
        })
    });
    let wanted: Vec<Purpose> = each.take(SOCKETS).collect();
    if wanted.is_empty() {
        return vec![(0, true), (0, false)];
    }
    wanted
}
