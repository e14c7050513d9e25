//! Netlink: what is set is what is listed, twice is once, and what changes is told.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use whalescale_addon::io::poll::{Interest, Poller};
use whalescale_addon::netlink::{Event, Link, LinkSettings, Monitor, Netlink};

use crate::namespace::{Namespace, isolated, run};

/// Adds a link called `name` that is down but has a carrier once it is up; returns it.
fn add_link(netlink: &mut Netlink, name: &str) -> Link {
    run(&format!(
        "ip link add {name} type veth peer name {name}-peer"
    ));
    run(&format!("ip link set {name}-peer up"));
    netlink.link(name).unwrap().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const UP: LinkSettings = LinkSettings {
    up: Some(true),
    mtu: None,
    tx_queue_len: None,
    gso_max_segments: None,
    gso_max_size: None,
};

#[test]
fn settings_of_a_link_are_those_that_are_listed() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut netlink = Netlink::open().unwrap();
        let link = add_link(&mut netlink, "d0");
        assert!(!link.up && !link.loopback);
        let settings = LinkSettings {
            up: Some(true),
            mtu: Some(1333),
            tx_queue_len: Some(1234),
            gso_max_segments: Some(45),
            gso_max_size: Some(60_000),
        };
        netlink.set_link(link.index, &settings).unwrap();
        netlink.set_link(link.index, &settings).unwrap();
        let link = netlink.link("d0").unwrap().unwrap();
        assert!(link.up);
        assert_eq!((link.mtu, link.tx_queue_len), (1333, 1234));
        assert_eq!((link.gso_max_segments, link.gso_max_size), (45, 60_000));
        netlink
            .set_link(
                link.index,
                &LinkSettings {
                    up: Some(false),
                    ..LinkSettings::default()
                },
            )
            .unwrap();
        let link = netlink.link("d0").unwrap().unwrap();
        assert!(!link.up && link.mtu == 1333);
    });
}

#[test]
fn addresses_come_and_go_and_asking_twice_is_asking_once() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut netlink = Netlink::open().unwrap();
        let index = add_link(&mut netlink, "d0").index;
        netlink.disable_autoconfiguration(index).unwrap();
        netlink.set_link(index, &UP).unwrap();
        assert_eq!(netlink.addresses(index).unwrap(), []);
        for (address, prefix) in [(ip("10.88.0.1"), 24), (ip("fd88::1"), 64)] {
            for _ in 0..2 {
                netlink.replace_address(index, address, prefix).unwrap();
            }
            let listed = netlink.addresses(index).unwrap();
            assert_eq!(listed.len(), 1);
            assert_eq!(
                (listed[0].ip, listed[0].prefix, listed[0].usable),
                (address, prefix, true)
            );
            assert_eq!(netlink.link("d0").unwrap().unwrap().addresses, listed);
            for _ in 0..2 {
                netlink.remove_address(index, address, prefix).unwrap();
            }
            assert_eq!(netlink.addresses(index).unwrap(), []);
        }
    });
}

#[test]
fn routes_come_and_go_and_asking_twice_is_asking_once() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut netlink = Netlink::open().unwrap();
        let index = add_link(&mut netlink, "d0").index;
        netlink.set_link(index, &UP).unwrap();
        for (to, prefix) in [
            (ip("10.99.0.0"), 16),
            (ip("fd99::"), 32),
            (ip("0.0.0.0"), 0),
            (ip("fd98::1"), 128),
        ] {
            assert!(!netlink.is_routed(to, prefix, index).unwrap());
            netlink.replace_route(to, prefix, index, None).unwrap();
            netlink
                .replace_route(to, prefix, index, Some(1300))
                .unwrap();
            assert!(
                netlink.is_routed(to, prefix, index).unwrap(),
                "{to}/{prefix}"
            );
            for _ in 0..2 {
                netlink.remove_route(to, prefix, index).unwrap();
            }
            assert!(
                !netlink.is_routed(to, prefix, index).unwrap(),
                "{to}/{prefix}"
            );
        }
    });
}

#[test]
fn somebody_elses_route_is_neither_replaced_nor_removed() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut netlink = Netlink::open().unwrap();
        let index = add_link(&mut netlink, "d0").index;
        netlink.set_link(index, &UP).unwrap();
        let other = add_link(&mut netlink, "d1").index;
        netlink.set_link(other, &UP).unwrap();
        for (to, prefix) in [(ip("10.99.0.0"), 16), (ip("fd99::"), 32)] {
            netlink.replace_route(to, prefix, other, None).unwrap();
            let error = netlink.replace_route(to, prefix, index, None).unwrap_err();
            assert_eq!(error.errno, libc::EEXIST);
            assert!(error.tried.contains(&to.to_string()), "{error}");
            netlink.remove_route(to, prefix, index).unwrap();
            assert!(netlink.is_routed(to, prefix, other).unwrap());
        }
    });
}

#[test]
fn a_refusal_carries_the_kernels_errno_and_what_was_tried() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut netlink = Netlink::open().unwrap();
        let absent = 4711;
        let error = netlink.set_link(absent, &UP).unwrap_err();
        assert_eq!(error.errno, libc::ENODEV);
        assert_eq!(
            netlink
                .replace_address(absent, ip("10.0.0.1"), 24)
                .unwrap_err()
                .errno,
            libc::ENODEV
        );
        assert_eq!(
            netlink
                .replace_route(ip("10.1.0.0"), 16, absent, None)
                .unwrap_err()
                .errno,
            libc::ENODEV
        );
        assert!(error.to_string().contains("link 4711"), "{error}");
        assert!(netlink.link("absent0").unwrap().is_none());
        netlink.remove_address(absent, ip("10.0.0.1"), 24).unwrap();
        netlink.remove_route(ip("10.1.0.0"), 16, absent).unwrap();
    });
}

#[test]
fn a_monitor_hears_of_links_addresses_and_routes() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut monitor = Monitor::open().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = add_link(&mut netlink, "d0").index;
        netlink.set_link(index, &UP).unwrap();
        netlink.replace_address(index, ip("10.88.0.1"), 24).unwrap();
        netlink.remove_address(index, ip("10.88.0.1"), 24).unwrap();
        run("ip link del d0");

        let mut poller = Poller::new();
        poller.add(&monitor.as_fd(), Interest::Read);
        let mut events = Vec::new();
        while !events.contains(&Event::LinkGone(index)) {
            assert_eq!(
                poller.wait(Some(Duration::from_secs(10))).unwrap(),
                1,
                "{events:?}"
            );
            monitor.drain(&mut events);
        }
        let position = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
        let up =
            position(&|event| matches!(event, Event::Link(link) if link.index == index && link.up));
        let there = position(
            &|event| matches!(event, Event::Address(address) if address.ip == ip("10.88.0.1")),
        );
        let gone = position(
            &|event| matches!(event, Event::AddressGone(address) if address.ip == ip("10.88.0.1")),
        );
        assert!(up < there && there < gone);
        assert!(events.contains(&Event::Routes));
        assert!(!events.contains(&Event::Lost));
    });
}

#[test]
fn a_monitor_that_was_not_drained_in_time_says_that_something_is_lost() {
    isolated(|| {
        let _namespace = Namespace::new();
        let mut monitor = Monitor::open().unwrap();
        let mut netlink = Netlink::open().unwrap();
        let index = add_link(&mut netlink, "d0").index;
        for n in 0..3000 {
            netlink
                .set_link(
                    index,
                    &LinkSettings {
                        mtu: Some(1300 + n),
                        ..LinkSettings::default()
                    },
                )
                .unwrap();
        }
        let mut events = Vec::new();
        while events.last() != Some(&Event::Lost) {
            let before = events.len();
            monitor.drain(&mut events);
            assert_ne!(
                events.len(),
                before,
                "the kernel's buffer held all {before} events"
            );
        }
    });
}
