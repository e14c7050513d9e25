//! A Whalescale peer moves: the new address must answer a challenge before anything goes there.

use std::net::SocketAddr;

use whalescale_core::control::{Command, Event};

use crate::cipher::{counter, receiver_index, seal};
use crate::node::{Node, Setup};
use crate::pair::{Pair, address, link, ms, payloads, secs};

fn elsewhere() -> SocketAddr {
    address("198.51.100.9:4000")
}

/// A pair with a session on which all is quiet.
fn quiet(seed: u64) -> Pair {
    let mut pair = Pair::new(seed, link());
    pair.connect();
    pair.run_for(secs(20));
    pair.a.forget();
    pair.b.forget();
    pair
}

fn bytes_to(node: &Node, to: SocketAddr) -> usize {
    let sent = node.sent.iter().filter(|sent| sent.to == to);
    sent.map(|sent| sent.bytes.len()).sum()
}

#[test]
fn a_peer_that_moves_is_followed_after_one_round_trip() {
    let mut pair = quiet(1);
    pair.network.rebind(pair.a.address, elsewhere());
    pair.a_sends(b"from elsewhere");
    pair.run_for(ms(11));
    assert_eq!(payloads(&pair.b), [b"from elsewhere"]);
    pair.b_sends(b"too soon");
    assert_ne!(pair.b.sent.last().expect("sent").to, elsewhere());
    pair.run_for(ms(25));
    pair.b_sends(b"followed");
    assert_eq!(pair.b.sent.last().expect("sent").to, elsewhere());
    pair.run_for(ms(20));
    assert_eq!(payloads(&pair.a), [b"followed"]);
}

#[test]
fn an_attacker_who_repeats_packets_from_another_address_moves_nobody() {
    let mut pair = quiet(2);
    let mut copied = 0;
    for round in 0..40_u32 {
        // The attacker is faster than the network: its copy is the first to arrive.
        pair.a_sends(&round.to_le_bytes());
        let copy = pair.a.sent.last().expect("sent").bytes.clone();
        copied += copy.len();
        let now = pair.now();
        pair.b.receive(elsewhere(), &copy, now);
        pair.flush();
        assert!(bytes_to(&pair.b, elsewhere()) <= 3 * copied);
        pair.run_for(ms(100));
        pair.b_sends(b"home");
        assert_eq!(pair.b.sent.last().expect("sent").to, pair.a.address);
        pair.run_for(ms(900));
    }
    assert_eq!(pair.a.delivered.len(), 40);
    assert_eq!(pair.b.delivered.len(), 40);
}

#[test]
fn the_smallest_packet_from_elsewhere_earns_at_most_three_times_its_bytes() {
    let mut pair = quiet(3);
    pair.a_sends(b"for its header");
    let datagram = pair.a.sent.last().expect("sent").bytes.clone();
    let key = *pair.a.keys.keys().last().expect("key");
    let keepalive = seal(&key, receiver_index(&datagram), counter(&datagram) + 1, &[]);
    assert_eq!(keepalive.len(), 32);
    let now = pair.now();
    pair.b.receive(elsewhere(), &keepalive, now);
    let sent = bytes_to(&pair.b, elsewhere());
    assert!(sent > 0 && sent <= 96, "{sent}");
}

#[test]
fn a_challenge_that_is_lost_is_repeated_with_the_traffic() {
    let mut pair = quiet(4);
    pair.network.rebind(pair.a.address, elsewhere());
    pair.cut(true);
    pair.a_sends(b"lost");
    pair.cut(false);
    pair.a_sends(b"arrives");
    pair.run_for(ms(9));
    pair.cut(true);
    pair.run_for(ms(300));
    pair.cut(false);
    pair.a_sends(b"again");
    pair.run_for(ms(50));
    pair.b_sends(b"followed");
    assert_eq!(pair.b.sent.last().expect("sent").to, elsewhere());
}

#[test]
fn a_response_repeated_from_another_address_moves_nobody() {
    let mut pair = quiet(5);
    pair.run_for(secs(100));
    pair.a_sends(b"renew");
    pair.run_for(ms(15));
    let response = pair.b.sent_of_type(2)[0].bytes.clone();
    let now = pair.now();
    // Before the true one, which is still on the way.
    pair.a.receive(elsewhere(), &response, now);
    pair.flush();
    pair.a_sends(b"to the true one");
    let last = pair.a.sent.last().expect("sent");
    assert_eq!(last.to, pair.b.address);
    assert!(bytes_to(&pair.a, elsewhere()) <= 3 * response.len());
    pair.run_for(ms(50));
    assert_eq!(payloads(&pair.b).last(), Some(&&b"to the true one"[..]));
}

#[test]
fn an_initiation_repeated_from_another_address_moves_no_session() {
    let mut pair = quiet(6);
    pair.run_for(secs(100));
    pair.a_sends(b"renew");
    let initiation = pair.a.sent_of_type(1)[0].bytes.clone();
    let now = pair.now();
    pair.b.receive(elsewhere(), &initiation, now);
    pair.b_sends(b"to the true one");
    assert_eq!(pair.b.sent.last().expect("sent").to, pair.a.address);
}

#[test]
fn retries_rotate_through_the_configured_addresses() {
    let mut pair = Pair::with(7, link(), Setup::default(), |b_for_a, _| {
        b_for_a.endpoints = vec![
            address("203.0.113.1:1"),
            address("203.0.113.2:2"),
            address("192.0.2.2:51820"),
        ];
    });
    pair.a_sends(b"patience");
    pair.run_for(secs(12));
    assert_eq!(payloads(&pair.b), [b"patience"]);
}

#[test]
fn a_dead_address_is_left_for_a_configured_one() {
    let mut pair = quiet(8);
    // B is where A was told only now; the session's address leads nowhere.
    let mut config = pair.a.peer.clone().expect("peer");
    config.endpoints.push(elsewhere());
    let now = pair.now();
    pair.a.command(Command::Peer(Box::new(config)), now);
    pair.network.rebind(pair.b.address, elsewhere());
    for _ in 0..30 {
        pair.a_sends(b"where are you");
        pair.run_for(secs(1));
    }
    assert_eq!(
        pair.a.status(pair.now()).path.expect("path").remote,
        elsewhere()
    );
}

#[test]
fn a_move_is_reported_in_the_status_and_not_as_a_restart() {
    let mut pair = quiet(9);
    pair.network.rebind(pair.a.address, elsewhere());
    pair.a_sends(b"from elsewhere");
    pair.run_for(secs(1));
    let path = pair.b.status(pair.now()).path.expect("path");
    assert_eq!(path.remote, elsewhere());
    let restarted = |event: &Event| matches!(event, Event::Restarted { .. });
    assert!(!pair.b.events.iter().any(restarted));
}

#[test]
fn a_challenge_that_is_answered_from_elsewhere_moves_nobody() {
    let mut pair = quiet(10);
    pair.a_sends(b"copied");
    let copy = pair.a.sent.last().expect("sent").bytes.clone();
    let now = pair.now();
    pair.b.receive(elsewhere(), &copy, now);
    let to_elsewhere = |sent: &&crate::node::Sent| sent.to == elsewhere();
    let challenge = pair.b.sent.iter().find(to_elsewhere).expect("challenge");
    // The attacker passes the challenge on, and A answers it in good faith.
    let (challenge, from) = (challenge.bytes.clone(), pair.b.address);
    pair.a.receive(from, &challenge, now);
    pair.flush();
    pair.run_for(ms(50));
    pair.b_sends(b"home");
    assert_eq!(pair.b.sent.last().expect("sent").to, pair.a.address);
}
