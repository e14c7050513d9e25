//! Packets before there is a session, and packets that lead nowhere.

use whalescale_core::drops::DropReason;
use whalescale_core::sender::Handled;

use crate::pair::{A_INNER, Pair, link, payload, payloads, secs, udp_packet};

#[test]
fn what_waits_for_a_session_arrives_in_order_before_anything_later() {
    let mut pair = Pair::new(1, link());
    for n in 0..100_u8 {
        pair.a_sends(&[n]);
    }
    pair.run_for(secs(1));
    pair.a_sends(&[100]);
    pair.run_for(secs(1));
    let numbers = pair.b.delivered.iter().map(|packet| payload(packet)[0]);
    assert!(numbers.eq(0..=100));
    assert_eq!(pair.a.sent_of_type(1).len(), 1);
}

#[test]
fn of_too_many_that_wait_the_oldest_are_dropped() {
    let mut pair = Pair::new(2, link());
    for n in 0..200_u8 {
        pair.a_sends(&[n]);
    }
    assert_eq!(pair.a.dropped(DropReason::StageFull), 72);
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 128);
    assert_eq!(payloads(&pair.b)[0], [72]);
}

#[test]
fn of_too_many_bytes_that_wait_the_oldest_are_dropped() {
    let mut pair = Pair::new(3, link());
    let packet = udp_packet(A_INNER, [10, 88, 0, 2], &[7; 60_000]);
    for _ in 0..6 {
        let now = pair.now();
        pair.a.tun(&packet, now);
    }
    assert_eq!(pair.a.dropped(DropReason::StageFull), 2);
}

#[test]
fn a_packet_for_a_peer_of_unknown_address_is_dropped_at_once() {
    let mut pair = Pair::new(4, link());
    assert_eq!(pair.b_sends(b"nowhere to go"), Handled::Taken);
    assert_eq!(pair.b.dropped(DropReason::Unreachable), 1);
    // It does not turn up hours later.
    pair.a_sends(b"first");
    pair.run_for(secs(1));
    assert!(pair.a.delivered.is_empty());
}

#[test]
fn a_packet_for_nobody_is_dropped_for_that_reason() {
    let mut pair = Pair::new(5, link());
    let now = pair.now();
    let lost = udp_packet(A_INNER, [10, 99, 0, 1], b"?");
    let no_route = Handled::Dropped(DropReason::NoRoute);
    assert_eq!(pair.a.tun(&lost, now), no_route);
    let not_ip = Handled::Dropped(DropReason::NotIp);
    assert_eq!(pair.a.tun(b"", now), not_ip);
    assert_eq!(pair.a.tun(&[0x20; 40], now), not_ip);
    assert_eq!(pair.a.tun(&lost[..19], now), not_ip);
    assert!(pair.a.sent.is_empty());
}
