//! Where nodes are reached: handshakes on demand, addresses that change, and what is told of them.

use std::net::SocketAddr;
use std::time::Duration;

use whalescale_core::constants::limits;
use whalescale_core::control::{Command, Event, LocalSocket, PeerState};
use whalescale_core::handoff::SocketId;
use whalescale_core::wire::frame::PATH_PROBE;

use crate::node::{Node, Setup, socket};
use crate::pair::{Pair, address, link, ms, payloads, secs};
use crate::paths::{A, B, Grid};

const DEAD: [&str; 2] = ["203.0.113.1:1", "203.0.113.2:2"];

fn connect(pair: &mut Pair) {
    let (peer, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::Connect(peer), now);
    pair.flush();
}

/// Tells A where B is.
fn place_b(pair: &mut Pair, endpoints: &[SocketAddr]) {
    let mut config = pair.a.peer.clone().expect("peer");
    config.endpoints = endpoints.to_vec();
    let now = pair.now();
    pair.a.command(Command::Peer(Box::new(config)), now);
    pair.flush();
}

/// When initiations went, and where to.
fn initiations(node: &Node) -> Vec<(Duration, SocketAddr)> {
    let sent = node.sent_of_type(1).into_iter();
    sent.map(|sent| (Duration::from_nanos(sent.at.as_nanos()), sent.to))
        .collect()
}

fn observed(node: &Node) -> Vec<SocketAddr> {
    let observed = node.events.iter().filter_map(|event| match event {
        Event::Observed { address, .. } => Some(*address),
        _ => None,
    });
    observed.collect()
}

fn networks(node: &Node) -> Vec<Vec<SocketAddr>> {
    let networks = node.events.iter().filter_map(|event| match event {
        Event::Network(own) => Some(own.iter().map(|own| own.address).collect()),
        _ => None,
    });
    networks.collect()
}

#[test]
fn a_session_is_opened_on_demand() {
    let mut pair = Pair::new(1, link());
    connect(&mut pair);
    pair.run_for(secs(1));
    assert_eq!(
        pair.a.states(),
        [PeerState::Handshaking, PeerState::Connected]
    );
    assert_eq!(pair.b.states(), [PeerState::Connected]);
}

#[test]
fn a_session_that_lives_is_not_opened_again() {
    let mut pair = Pair::new(2, link());
    pair.connect();
    for _ in 0..100 {
        pair.a_sends(b"there");
        pair.b_sends(b"and back");
        pair.run_for(ms(100));
        connect(&mut pair);
    }
    assert!(pair.a.sent_of_type(1).is_empty());
}

#[test]
fn a_silent_session_is_renewed_on_demand_without_loss() {
    let mut pair = Pair::new(3, link());
    pair.connect();
    pair.run_for(secs(20));
    pair.a.forget();
    connect(&mut pair);
    pair.a_sends(b"meanwhile");
    pair.run_for(secs(1));
    pair.a_sends(b"after");
    pair.run_for(secs(1));
    assert_eq!(pair.a.sent_of_type(1).len(), 1);
    assert_eq!(payloads(&pair.b), [&b"meanwhile"[..], b"after"]);
    assert_eq!(pair.a.states(), [], "the state did not change");
}

#[test]
fn each_demand_tries_the_next_address_in_order() {
    let mut pair = Pair::new(4, link());
    let there = pair.b.address;
    let [first, second] = DEAD.map(address);
    place_b(&mut pair, &[first, second, there]);
    for _ in 0..3 {
        connect(&mut pair);
        pair.run_for(secs(1));
    }
    let expected = [(secs(0), first), (secs(1), second), (secs(2), there)];
    assert_eq!(initiations(&pair.a), expected);
    assert_eq!(pair.a.states().last(), Some(&PeerState::Connected));
}

#[test]
fn demands_in_a_storm_are_spaced_and_one_is_under_way() {
    let mut pair = Pair::new(5, link());
    pair.cut(true);
    for _ in 0..500 {
        connect(&mut pair);
        pair.run_for(ms(10));
    }
    let sent = initiations(&pair.a);
    assert_eq!(sent.len(), 10);
    let spaced = |two: &[(Duration, SocketAddr)]| two[1].0 - two[0].0 >= limits::CONNECT_SPACING;
    assert!(sent.windows(2).all(spaced));
    assert_eq!(pair.a.states(), [PeerState::Handshaking]);
}

#[test]
fn a_stock_peer_is_asked_no_more_often_than_its_protocol_has_it() {
    let mut pair = Pair::stock(6);
    pair.cut(true);
    for _ in 0..100 {
        connect(&mut pair);
        pair.run_for(ms(100));
    }
    assert_eq!(initiations(&pair.a).len(), 2);
}

#[test]
fn a_peer_without_an_address_is_tried_as_soon_as_one_is_known() {
    let mut pair = Pair::with(7, link(), Setup::default(), |b_for_a, _| {
        b_for_a.endpoints.clear();
    });
    connect(&mut pair);
    pair.run_for(secs(10));
    assert!(pair.a.sent.is_empty());
    assert_eq!(pair.a.states(), []);
    let there = pair.b.address;
    place_b(&mut pair, &[there]);
    connect(&mut pair);
    pair.run_for(secs(1));
    assert_eq!(pair.a.states().last(), Some(&PeerState::Connected));
}

#[test]
fn a_new_address_of_a_peer_that_is_sought_has_its_turn_at_once() {
    let mut pair = Pair::new(8, link());
    let there = pair.b.address;
    let [first, second] = DEAD.map(address);
    place_b(&mut pair, &[first, second]);
    connect(&mut pair);
    pair.run_for(ms(100));
    place_b(&mut pair, &[there, first, second]);
    pair.run_for(secs(1));
    let expected = [(secs(0), first), (limits::CONNECT_SPACING, there)];
    assert_eq!(initiations(&pair.a), expected);
    assert_eq!(pair.a.states().last(), Some(&PeerState::Connected));
}

#[test]
fn other_addresses_do_not_disturb_a_session() {
    let mut pair = Pair::new(9, link());
    pair.connect();
    let there = pair.b.address;
    let [first, second] = DEAD.map(address);
    let lists: [&[SocketAddr]; 4] = [&[first, there], &[second], &[], &[there]];
    for (n, list) in (0..40_u8).zip(lists.iter().cycle()) {
        place_b(&mut pair, list);
        pair.a_sends(&[n]);
        pair.b_sends(&[n]);
        pair.run_for(secs(1));
    }
    assert_eq!(pair.a.delivered.len() + pair.b.delivered.len(), 80);
    assert!(pair.a.sent_of_type(1).is_empty());
    assert_eq!(pair.a.states(), []);
    let probes = pair.a.sent.iter().filter(|sent| sent.to != there).count();
    // What candidates may cost in a minute.
    let budget = limits::PATHS * limits::CANDIDATE_PROBES as usize;
    assert!(probes <= budget, "{probes} datagrams to dead addresses");
}

#[test]
fn a_handshake_from_an_address_that_nobody_told_is_answered() {
    let mut pair = Pair::with(10, link(), Setup::default(), |_, a_for_b| {
        a_for_b.endpoints = vec![address(DEAD[0])];
    });
    connect(&mut pair);
    pair.run_for(secs(1));
    pair.b_sends(b"found");
    pair.run_for(secs(1));
    assert_eq!(payloads(&pair.a), [b"found"]);
}

#[test]
fn own_addresses_are_told_at_start_and_when_they_change() {
    let mut pair = Pair::new(11, link());
    let here = pair.a.address;
    assert_eq!(networks(&pair.a), [[here]]);
    let now = pair.now();
    let mut sockets = pair.a.sockets.clone();
    sockets[0].metered = true;
    pair.a.set_sockets(sockets.clone(), now);
    assert_eq!(networks(&pair.a).len(), 1, "the addresses are the same");
    sockets[0].addresses.push(address("198.51.100.1:1").ip());
    pair.a.set_sockets(sockets, now);
    let both = vec![here, address("198.51.100.1:51820")];
    assert_eq!(networks(&pair.a).last(), Some(&both));
    pair.a.set_sockets(Vec::new(), now);
    assert_eq!(networks(&pair.a).last(), Some(&Vec::new()));
}

#[test]
fn of_many_own_addresses_each_link_has_some_told() {
    let mut pair = Pair::new(12, link());
    let now = pair.now();
    let many = |n: u8| LocalSocket {
        addresses: (1..=20).map(|host| [10, n, 0, host].into()).collect(),
        ..socket(SocketId(n.into()), pair.a.address, n.into())
    };
    let sockets = (0..8).map(many).collect();
    pair.a.set_sockets(sockets, now);
    let told = networks(&pair.a).pop().expect("told");
    assert_eq!(told.len(), limits::NETWORK_ADDRESSES);
    for n in 0..8_u8 {
        let first = SocketAddr::new([10, n, 0, 1].into(), 51820);
        assert!(told.contains(&first));
    }
}

#[test]
fn each_end_of_a_single_path_hears_where_the_other_sees_it() {
    let mut pair = Pair::new(13, link());
    let shown = address("198.51.100.9:4000");
    pair.network.rebind(pair.a.address, shown);
    connect(&mut pair);
    pair.run_for(secs(1));
    assert_eq!(observed(&pair.a), [shown]);
    assert_eq!(observed(&pair.b), [pair.b.address]);
    pair.run_for(secs(300));
    assert_eq!(observed(&pair.a).len() + observed(&pair.b).len(), 2);
}

#[test]
fn a_node_that_a_nat_moves_hears_of_it_and_its_peer_says_so() {
    let mut pair = Pair::new(14, link());
    pair.connect();
    pair.run_for(secs(20));
    pair.b.forget();
    let shown = address("198.51.100.9:4000");
    pair.network.rebind(pair.a.address, shown);
    pair.a_sends(b"from elsewhere");
    pair.run_for(secs(1));
    assert_eq!(observed(&pair.a), [shown]);
    let moves: Vec<_> = pair
        .b
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Peer {
                state, endpoint, ..
            } => Some((*state, *endpoint)),
            _ => None,
        })
        .collect();
    assert_eq!(moves, [(PeerState::Connected, Some(shown))]);
}

#[test]
fn a_node_that_is_looked_for_asks_back_every_fifteen_seconds_at_most() {
    let mut pair = Pair::new(15, link());
    pair.connect();
    pair.run_for(secs(20));
    pair.network
        .rebind(pair.a.address, address("198.51.100.9:4000"));
    pair.a_sends(b"from elsewhere");
    pair.b_sends(b"answer");
    pair.run_for(secs(150));
    let plaintexts = pair.a.sent_plaintexts().into_iter();
    let asked = plaintexts.filter(|(_, plaintext)| plaintext.first() == Some(&PATH_PROBE));
    // B looks after the address that A has left, which it was told, for ten minutes.
    let asked = asked.count();
    assert!((9..=14).contains(&asked), "{asked} times");
}

#[test]
fn every_path_tells_where_the_peer_sees_it() {
    let mut grid = Grid::new(16, &A[..2], &B[..1]);
    grid.pair.a_sends(b"first");
    grid.pair.run_for(secs(5));
    let mut all = observed(&grid.pair.a);
    all.sort();
    all.dedup();
    assert_eq!(all, [address(A[0].0), address(A[1].0)]);
}

#[test]
fn an_address_that_leads_nowhere_is_not_taken_for_an_observed_one() {
    let mut pair = Pair::new(17, link());
    pair.network
        .rebind(pair.a.address, address("127.0.0.1:4000"));
    connect(&mut pair);
    pair.run_for(secs(1));
    assert_eq!(pair.a.states().last(), Some(&PeerState::Connected));
    assert_eq!(observed(&pair.a), []);
}
