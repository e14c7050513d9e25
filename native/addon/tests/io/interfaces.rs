//! Interfaces that come, go and change: the sockets follow, and a number is not soon another link's.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use whalescale_addon::agent::Sockets;
use whalescale_addon::agent::interfaces::{Interfaces, Wish};
use whalescale_addon::io::clock;
use whalescale_addon::io::poll::{Interest, Poller};
use whalescale_addon::netlink::{Monitor, Netlink};
use whalescale_core::control::LocalSocket;

use crate::namespace::{Namespace, isolated, run};

/// The sockets as the agent would keep them: refreshed when the kernel says that something changed.
struct Host {
    interfaces: Interfaces,
    monitor: Monitor,
    table: Option<Sockets>,
    locals: Vec<LocalSocket>,
    _namespace: Namespace,
}

impl Host {
    fn new(wish: Wish) -> Self {
        let namespace = Namespace::new();
        let monitor = Monitor::open().unwrap();
        let mut interfaces = Interfaces::new(Netlink::open().unwrap(), 0);
        interfaces.set_wish(wish);
        let mut host = Self {
            interfaces,
            monitor,
            table: None,
            locals: Vec::new(),
            _namespace: namespace,
        };
        host.refresh();
        host
    }

    fn refresh(&mut self) {
        let refreshed = self.interfaces.refresh(clock::now()).unwrap();
        self.table = refreshed.sockets.or(self.table.take());
        self.locals = refreshed.locals.unwrap_or(std::mem::take(&mut self.locals));
    }

    /// Follows the kernel's news until the sockets are as expected.
    fn until(&mut self, expected: impl Fn(&[LocalSocket]) -> bool) {
        let mut poller = Poller::new();
        poller.add(&self.monitor.as_fd(), Interest::Read);
        while !expected(&self.locals) {
            let retry = self.interfaces.retry_at().map(|at| at - clock::now());
            let silence = Duration::from_secs(10);
            let ready = poller.wait(Some(retry.unwrap_or(silence))).unwrap();
            assert!(ready > 0 || retry.is_some(), "silence: {:?}", self.locals);
            self.monitor.drain(&mut Vec::new());
            self.refresh();
        }
        let table = self.table.as_ref().unwrap();
        for local in &self.locals {
            let socket = table[usize::from(local.id.0)].as_ref().unwrap();
            assert_eq!(socket.local(), local.local);
        }
        assert_eq!(table.iter().flatten().count(), self.locals.len());
    }
}

fn auto() -> Wish {
    Wish {
        port: 5182,
        interfaces: vec!["auto".into()],
        ..Wish::default()
    }
}

fn names(locals: &[LocalSocket]) -> Vec<(&str, bool)> {
    let name = |local: &LocalSocket| local.local.is_ipv4();
    let mut names: Vec<_> = locals
        .iter()
        .map(|local| (local.interface.as_deref().unwrap_or("none"), name(local)))
        .collect();
    names.sort_unstable();
    names
}

fn add(name: &str, host: u8) {
    run(&format!(
        "ip link add {name} type veth peer name {name}-peer"
    ));
    run(&format!("ip link set {name}-peer up"));
    run(&format!("ip addr add 10.{host}.0.1/24 dev {name}"));
    run(&format!("ip link set {name} up"));
}

#[test]
fn without_a_network_one_unbound_pair_waits_for_it() {
    isolated(|| {
        let mut host = Host::new(auto());
        assert_eq!(names(&host.locals), [("none", false), ("none", true)]);
        add("d0", 1);
        host.until(|locals| names(locals) == [("d0", true)]);
        assert_eq!(host.locals[0].local.port(), 5182);
        run("ip link set d0 down");
        host.until(|locals| names(locals) == [("none", false), ("none", true)]);
    });
}

#[test]
fn sockets_follow_links_addresses_and_families() {
    isolated(|| {
        let mut host = Host::new(auto());
        add("d0", 1);
        add("d1", 2);
        host.until(|locals| names(locals) == [("d0", true), ("d1", true)]);
        run("ip addr add fd01::1/64 dev d0 nodad");
        host.until(|locals| names(locals) == [("d0", false), ("d0", true), ("d1", true)]);
        run("ip addr del 10.1.0.1/24 dev d0");
        host.until(|locals| names(locals) == [("d0", false), ("d1", true)]);
        run("ip link del d0");
        host.until(|locals| names(locals) == [("d1", true)]);
    });
}

#[test]
fn a_changed_address_keeps_the_socket_and_is_told() {
    isolated(|| {
        let mut host = Host::new(auto());
        add("d0", 1);
        host.until(|locals| names(locals) == [("d0", true)]);
        let before = host.locals[0].id;
        // Of another network, or the kernel would take it away with the first.
        run("ip addr add 10.7.0.9/24 dev d0");
        run("ip addr del 10.1.0.1/24 dev d0");
        let told: std::net::IpAddr = "10.7.0.9".parse().unwrap();
        host.until(|locals| locals.iter().any(|local| local.addresses == [told]));
        assert_eq!(host.locals[0].id, before);
    });
}

#[test]
fn only_wished_interfaces_are_used_and_metered_ones_marked() {
    isolated(|| {
        let wish = Wish {
            exclude: vec!["d0".into()],
            metered: vec!["d1".into()],
            ..auto()
        };
        let mut host = Host::new(wish.clone());
        add("d0", 1);
        add("d1", 2);
        add("d2", 3);
        host.until(|locals| names(locals) == [("d1", true), ("d2", true)]);
        let metered = |name| {
            let mut locals = host.locals.iter();
            locals
                .find(|local| local.interface.as_deref() == Some(name))
                .unwrap()
                .metered
        };
        assert!(metered("d1") && !metered("d2"));
        host.interfaces.set_wish(Wish {
            interfaces: vec!["d2".into()],
            ..wish
        });
        host.refresh();
        assert_eq!(names(&host.locals), [("d2", true)]);
    });
}

#[test]
fn a_number_is_not_used_again_while_a_thread_holds_its_socket() {
    isolated(|| {
        let mut host = Host::new(auto());
        add("d0", 1);
        host.until(|locals| names(locals) == [("d0", true)]);
        let held = host.table.clone().unwrap();
        let before = host.locals[0].id;
        add("d1", 2);
        host.until(|locals| names(locals) == [("d0", true), ("d1", true)]);
        run("ip link del d0");
        host.until(|locals| names(locals) == [("d1", true)]);
        add("d2", 3);
        host.until(|locals| names(locals) == [("d1", true), ("d2", true)]);
        assert!(host.locals.iter().all(|local| local.id != before));
        drop(held);
        add("d3", 4);
        host.until(|locals| names(locals).len() == 3);
        assert!(host.locals.iter().any(|local| local.id == before));
    });
}

#[test]
fn routes_tell_which_socket_leads_where_and_the_default_comes_first() {
    isolated(|| {
        let mut host = Host::new(auto());
        add("d0", 1);
        add("d1", 2);
        run("ip route add default via 10.2.0.9");
        run("ip route add 192.0.2.0/24 via 10.1.0.9");
        let leads = |locals: &[LocalSocket], to: &str| {
            let to: SocketAddr = to.parse().unwrap();
            let length = |local: &LocalSocket| {
                let fits = local.routes.iter().filter(|route| route.contains(to.ip()));
                fits.map(|route| route.length()).max()
            };
            let best = locals.iter().max_by_key(|local| length(local)).unwrap();
            best.interface.as_deref().unwrap_or("none").to_owned()
        };
        host.until(|locals| {
            names(locals).len() == 2
                && leads(locals, "192.0.2.7:1") == "d0"
                && leads(locals, "10.2.0.7:1") == "d1"
                && leads(locals, "203.0.113.1:1") == "d1"
        });
        assert_eq!(host.locals[0].interface.as_deref(), Some("d1"));
    });
}
