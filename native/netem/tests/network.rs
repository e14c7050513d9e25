//! Endpoints joined by links.

use std::net::SocketAddr;
use std::time::Duration;
use whalescale_netem::{Change, DropReason, LinkConfig, Network, Verdict};

const MS: u64 = 1_000_000;

fn ipv4(network: u8, host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, network, host], 1000))
}

fn ipv6(host: u16) -> SocketAddr {
    SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, host], 1000))
}

fn pair() -> (SocketAddr, SocketAddr) {
    (ipv4(0, 1), ipv4(0, 2))
}

/// Bytes of all that arrives, in the order of arrival, with the times in milliseconds.
fn drain(net: &mut Network) -> Vec<(u64, Vec<u8>)> {
    std::iter::from_fn(|| net.poll(u64::MAX))
        .map(|delivery| (delivery.at / MS, delivery.bytes))
        .collect()
}

#[test]
fn a_datagram_reaches_its_address_with_its_source_and_time() {
    let (a, b) = pair();
    let mut net = Network::new(1);
    net.link(a, b, LinkConfig::new(8, 10));
    assert_eq!(net.send(0, a, b, &[7; 972]), Verdict::Queued);
    assert_eq!(net.in_flight(), 1);
    assert_eq!(net.next_event(), Some(11 * MS));
    assert!(net.poll(11 * MS - 1).is_none());
    let delivery = net.poll(11 * MS).unwrap();
    assert_eq!((delivery.at, delivery.from, delivery.to), (11 * MS, a, b));
    assert_eq!((delivery.bytes, delivery.congestion), (vec![7; 972], false));
    assert_eq!(net.next_event(), None);
}

#[test]
fn the_headers_of_ipv6_are_twenty_bytes_longer() {
    let (a, b) = (ipv6(1), ipv6(2));
    let mut net = Network::new(1);
    net.link(
        a,
        b,
        LinkConfig {
            max_packet: Some(1000),
            ..LinkConfig::new(8, 10)
        },
    );
    assert_eq!(net.send(0, a, b, &[0; 952]), Verdict::Queued);
    assert_eq!(
        net.send(0, a, b, &[0; 953]),
        Verdict::Dropped(DropReason::TooBig)
    );
    assert_eq!(net.next_event(), Some(11 * MS));
}

#[test]
fn deliveries_of_several_links_come_in_the_order_of_time() {
    let (a, b) = pair();
    let (a2, b2) = (ipv4(1, 1), ipv4(1, 2));
    let mut net = Network::new(1);
    net.link(a, b, LinkConfig::new(50, 30));
    net.link_asymmetric(a2, b2, LinkConfig::new(20, 10), LinkConfig::new(20, 50));
    for (from, to, byte) in [(a, b, 1), (a2, b2, 2), (b, a, 3), (b2, a2, 4), (a2, b2, 5)] {
        assert_eq!(net.send(0, from, to, &[byte; 972]), Verdict::Queued);
    }
    let order: Vec<(u64, u8)> = drain(&mut net)
        .iter()
        .map(|(at, bytes)| (*at, bytes[0]))
        .collect();
    assert_eq!(order, [(10, 2), (10, 5), (30, 1), (30, 3), (50, 4)]);
}

#[test]
fn pairs_that_share_a_link_share_its_rate() {
    let (a, b) = pair();
    let (a6, b6) = (ipv6(1), ipv6(2));
    let mut net = Network::new(1);
    let wifi = net.link(a, b, LinkConfig::new(8, 0));
    net.share(wifi, a6, b6);
    assert_eq!(net.send(0, a, b, &[4; 972]), Verdict::Queued);
    assert_eq!(net.send(0, a6, b6, &[6; 952]), Verdict::Queued);
    assert_eq!(drain(&mut net), [(1, vec![4; 972]), (2, vec![6; 952])]);
    assert_eq!(net.stats(a, b), net.stats(a6, b6));
}

#[test]
fn a_black_hole_in_one_direction_leaves_the_other() {
    let (a, b) = pair();
    let mut net = Network::new(1);
    net.link(a, b, LinkConfig::new(50, 10));
    assert!(net.apply(0, a, b, Change::BlackHole(true)));
    let _ = (net.send(0, a, b, b"lost"), net.send(0, b, a, b"arrives"));
    assert_eq!(drain(&mut net), [(10, b"arrives".to_vec())]);
    assert_eq!(
        net.stats(a, b).map(|stats| stats.dropped_black_hole),
        Some(1)
    );
    assert_eq!(net.stats(b, a).map(|stats| stats.delivered), Some(1));
}

#[test]
fn a_cut_link_is_silent_in_both_directions_until_it_is_restored() {
    let (a, b) = pair();
    let mut net = Network::new(1);
    let link = net.link(a, b, LinkConfig::new(50, 10));
    net.cut(0, link, true);
    let _ = (net.send(0, a, b, b"lost"), net.send(0, b, a, b"lost"));
    net.cut(5 * MS, link, false);
    let _ = net.send(5 * MS, a, b, b"arrives");
    assert_eq!(drain(&mut net), [(15, b"arrives".to_vec())]);
}

#[test]
fn a_rebound_endpoint_is_seen_and_reached_at_its_new_address_only() {
    let (a, b) = pair();
    let (first, second) = (ipv4(9, 1), ipv4(9, 2));
    let mut net = Network::new(1);
    net.link(a, b, LinkConfig::new(50, 10));
    for (shown, gone) in [(first, a), (second, first)] {
        net.rebind(a, shown);
        let _ = net.send(0, a, b, b"out");
        assert_eq!(
            net.poll(u64::MAX).map(|delivery| delivery.from),
            Some(shown)
        );
        assert_eq!(
            net.send(0, b, gone, b"old"),
            Verdict::Dropped(DropReason::NoRoute)
        );
        assert_eq!(net.send(0, b, shown, b"back"), Verdict::Queued);
        let back = net.poll(u64::MAX).unwrap();
        assert_eq!((back.from, back.to, back.bytes), (b, a, b"back".to_vec()));
    }
}

#[test]
fn a_datagram_in_flight_arrives_although_its_sender_was_rebound() {
    let (a, b) = pair();
    let mut net = Network::new(1);
    net.link(a, b, LinkConfig::new(50, 10));
    let _ = (net.send(0, a, b, b"out"), net.send(0, b, a, b"in"));
    net.rebind(a, ipv4(9, 1));
    let arrived: Vec<_> = std::iter::from_fn(|| net.poll(u64::MAX))
        .map(|delivery| delivery.from)
        .collect();
    assert_eq!(arrived.len(), 2);
    assert!(arrived.contains(&a) && arrived.contains(&b));
}

#[test]
fn addresses_that_no_link_joins_are_unreachable() {
    let (a, b) = pair();
    let mut net = Network::new(1);
    assert_eq!(
        net.send(0, a, b, b"nowhere"),
        Verdict::Dropped(DropReason::NoRoute)
    );
    assert!(!net.apply(0, a, b, Change::BlackHole(true)));
    assert!(net.stats(a, b).is_none() && net.poll(u64::MAX).is_none());
}

#[test]
fn the_two_directions_of_a_link_and_neighbouring_seeds_lose_different_packets() {
    let (a, b) = pair();
    let lossy = LinkConfig {
        loss: whalescale_netem::Loss::Independent(0.5),
        ..LinkConfig::default()
    };
    let survivors = |seed: u64, from: SocketAddr, to: SocketAddr| {
        let mut net = Network::new(seed);
        net.link(a, b, lossy.clone());
        for byte in 0..64 {
            let _ = net.send(0, from, to, &[byte]);
        }
        drain(&mut net)
    };
    assert_eq!(survivors(1, a, b), survivors(1, a, b));
    assert_ne!(survivors(1, a, b), survivors(1, b, a));
    assert_ne!(survivors(1, b, a), survivors(2, a, b));
}

#[test]
fn congestion_marks_reach_the_receiver() {
    let (a, b) = pair();
    let mut net = Network::new(1);
    net.link(
        a,
        b,
        LinkConfig {
            ecn: Some(Duration::from_millis(1)),
            ..LinkConfig::new(8, 10)
        },
    );
    for _ in 0..4 {
        let _ = net.send(0, a, b, &[0; 972]);
    }
    let marks: Vec<bool> = std::iter::from_fn(|| net.poll(u64::MAX))
        .map(|delivery| delivery.congestion)
        .collect();
    assert_eq!(marks, [false, false, true, true]);
}
