//! Commands: peers come, change and go, pings are answered or time out, and limits hold.

use std::time::Duration;

use whalescale_core::constants::limits;
use whalescale_core::control::{Command, CommandError, Event, PeerConfig, PeerState};
use whalescale_core::drops::DropReason;
use whalescale_core::handoff::{Endpoint, FromReceiver, PeerIndex};
use whalescale_core::identity::Secret;
use whalescale_core::sender::Handled;

use crate::node::{Node, SOCKET};
use crate::pair::{Pair, address, link, ms, now_at, payloads, secs};

fn stranger(n: u16) -> PeerConfig {
    let [high, low] = n.to_be_bytes();
    let mut seed = [3; 32];
    (seed[0], seed[1]) = (high, low);
    PeerConfig {
        public_key: Secret::from_seed(&seed).public_key(),
        node_id: None,
        preshared_key: Default::default(),
        allowed_ips: Vec::new(),
        endpoints: Vec::new(),
        persistent_keepalive: None,
    }
}

fn put(node: &mut Node, config: PeerConfig) -> Result<(), CommandError> {
    node.try_command(Command::Peer(Box::new(config)), now_at(0))
}

#[test]
fn peers_are_limited_and_one_that_goes_makes_room() {
    let address = crate::pair::address("192.0.2.1:1");
    let mut node = Node::new(1, address, 1, Default::default(), now_at(0));
    let limit = u16::try_from(limits::PEERS).expect("limit");
    for n in 0..limit {
        assert_eq!(put(&mut node, stranger(n)), Ok(()));
    }
    assert_eq!(
        put(&mut node, stranger(limit)),
        Err(CommandError::TooManyPeers)
    );
    // A known one may still be changed.
    assert_eq!(put(&mut node, stranger(7)), Ok(()));
    node.command(Command::RemovePeer(stranger(7).public_key), now_at(0));
    assert_eq!(put(&mut node, stranger(limit)), Ok(()));
}

#[test]
fn a_peer_that_claims_anothers_prefix_is_refused_and_changes_nothing() {
    let mut pair = Pair::new(2, link());
    pair.connect();
    let mut greedy = stranger(1);
    greedy.allowed_ips = vec!["10.88.0.2/32".parse().expect("prefix")];
    let refused = put(&mut pair.a, greedy);
    assert!(matches!(refused, Err(CommandError::Overlap(_))));
    assert_eq!(pair.a.control.status(pair.now().instant).len(), 1);
    pair.a_sends(b"as ever");
    pair.run_for(ms(20));
    assert_eq!(payloads(&pair.b), [b"as ever"]);
}

#[test]
fn a_wider_prefix_leaves_the_longer_one_to_its_owner() {
    let mut pair = Pair::new(3, link());
    let mut wide = stranger(1);
    wide.allowed_ips = vec!["10.88.0.0/16".parse().expect("prefix")];
    assert_eq!(put(&mut pair.a, wide), Ok(()));
    pair.connect();
    // Now a packet from B with a source of the other peer's.
    let packet = crate::pair::udp_packet([10, 88, 7, 7], crate::pair::A_INNER, b"spoofed");
    let now = pair.now();
    pair.b.tun(&packet, now);
    pair.flush();
    pair.run_for(ms(20));
    assert!(pair.a.delivered.is_empty());
    assert_eq!(pair.a.dropped(DropReason::WrongSource), 1);
}

#[test]
fn the_same_configuration_again_disturbs_nothing() {
    let mut pair = Pair::new(4, link());
    pair.connect();
    let now = pair.now();
    let again = pair.a.peer.clone().expect("peer");
    pair.a.command(Command::Peer(Box::new(again)), now);
    assert!(pair.a.sent.is_empty() && pair.a.events.is_empty());
    pair.a_sends(b"as ever");
    pair.run_for(ms(20));
    assert_eq!(payloads(&pair.b), [b"as ever"]);
    assert!(pair.a.sent_of_type(1).is_empty());
}

#[test]
fn what_is_still_said_of_a_removed_peer_is_not_said_of_the_next_one() {
    let mut pair = Pair::new(6, link());
    pair.connect();
    let (key, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::RemovePeer(key), now);
    assert_eq!(put(&mut pair.a, stranger(9)), Ok(()));
    let late = FromReceiver::Moved {
        peer: PeerIndex(0),
        from: Endpoint {
            socket: SOCKET,
            remote: address("198.51.100.9:4000"),
        },
    };
    pair.a.control.handle_receiver(late, now);
    pair.a.pump(now);
    assert!(pair.a.status(now).paths.is_empty());
}

#[test]
fn a_removed_peer_is_neither_sent_to_nor_heard() {
    let mut pair = Pair::new(5, link());
    pair.connect();
    let (key, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::RemovePeer(key), now);
    assert_eq!(pair.a_sends(b"gone"), Handled::Dropped(DropReason::NoRoute));
    pair.b_sends(b"gone");
    pair.run_for(ms(400));
    assert!(pair.a.delivered.is_empty());
    assert_eq!(pair.a.dropped(DropReason::UnknownIndex), 1);
    assert_eq!(
        pair.a.try_command(Command::RemovePeer(key), now),
        Err(CommandError::UnknownPeer)
    );
}

#[test]
fn a_peer_that_was_removed_and_added_again_connects_again() {
    let mut pair = Pair::new(6, link());
    pair.connect();
    let (key, now) = (pair.b.key(), pair.now());
    let config = pair.a.peer.clone().expect("peer");
    pair.a.command(Command::RemovePeer(key), now);
    pair.a.command(Command::Peer(Box::new(config)), now);
    pair.a_sends(b"again");
    pair.run_for(secs(1));
    assert_eq!(payloads(&pair.b), [b"again"]);
}

#[test]
fn routes_change_under_a_session() {
    let mut pair = Pair::new(7, link());
    pair.connect();
    let now = pair.now();
    let mut config = pair.a.peer.clone().expect("peer");
    config.allowed_ips = vec!["10.99.0.0/16".parse().expect("prefix")];
    pair.a.command(Command::Peer(Box::new(config)), now);
    assert_eq!(
        pair.a_sends(b"no longer"),
        Handled::Dropped(DropReason::NoRoute)
    );
    pair.b_sends(b"no longer");
    pair.run_for(secs(1));
    assert_eq!(pair.a.dropped(DropReason::WrongSource), 1);
}

#[test]
fn a_ping_measures_the_round_trip_and_opens_a_session_if_it_must() {
    let mut pair = Pair::new(8, link());
    let (peer, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::Ping { peer, token: 9 }, now);
    pair.flush();
    pair.run_for(secs(1));
    let pong = pair.a.events.iter().find_map(|event| match event {
        Event::Pong { token, rtt, .. } => Some((*token, *rtt)),
        _ => None,
    });
    let (token, rtt) = pong.expect("no pong");
    assert_eq!(token, 9);
    assert!(rtt >= ms(20) && rtt < ms(21), "{rtt:?}");
}

#[test]
fn a_ping_without_an_answer_times_out_in_time() {
    let mut pair = Pair::new(9, link());
    pair.connect();
    pair.cut(true);
    let (peer, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::Ping { peer, token: 9 }, now);
    pair.flush();
    pair.run_for(limits::PING_TIMEOUT - Duration::from_nanos(1));
    let timeout = Event::PingTimeout { peer, token: 9 };
    assert!(!pair.a.events.contains(&timeout));
    pair.run_for(Duration::from_nanos(1));
    assert!(pair.a.events.contains(&timeout));
}

#[test]
fn pings_are_limited_and_unknown_peers_refused() {
    let mut pair = Pair::new(10, link());
    let (peer, now) = (pair.b.key(), pair.now());
    for token in 0..u32::try_from(limits::PINGS).expect("limit") {
        pair.a.command(Command::Ping { peer, token }, now);
    }
    let one_more = Command::Ping { peer, token: 0 };
    let refused = pair.a.try_command(one_more, now);
    assert_eq!(refused, Err(CommandError::TooManyPings));
    let peer = stranger(1).public_key;
    let refused = pair.a.try_command(Command::Ping { peer, token: 0 }, now);
    assert_eq!(refused, Err(CommandError::UnknownPeer));
    pair.run_for(limits::PING_TIMEOUT);
    let peer = pair.b.key();
    let now = pair.now();
    pair.a.command(Command::Ping { peer, token: 0 }, now);
}

#[test]
fn the_timestamp_of_every_initiation_is_given_out_to_be_kept() {
    let mut pair = Pair::new(11, link());
    pair.connect();
    for _ in 0..260 {
        pair.a_sends(b"data");
        pair.run_for(secs(1));
    }
    let timestamps: Vec<_> = pair
        .a
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Timestamp(timestamp) => Some(*timestamp),
            _ => None,
        })
        .collect();
    assert_eq!(timestamps.len(), pair.a.sent_of_type(1).len());
    assert!(timestamps.len() >= 2);
    assert!(timestamps.windows(2).all(|two| two[0] < two[1]));
}

#[test]
fn a_node_whose_clock_went_back_connects_by_its_kept_timestamp() {
    let mut pair = Pair::new(12, link());
    pair.run_for(secs(1000));
    pair.a_sends(b"first");
    pair.run_for(secs(1));
    // A restarts with a wall clock of a thousand seconds ago.
    let kept = pair.a.events.iter().find_map(|event| match event {
        Event::Timestamp(timestamp) => Some(*timestamp),
        _ => None,
    });
    let floor = kept.expect("a timestamp");
    pair.b.forget();
    let setup = crate::node::Setup {
        timestamp_floor: floor,
        ..Default::default()
    };
    let config = pair.a.peer.clone().expect("peer");
    let past = now_at(0);
    let mut reborn = Node::new(1, pair.a.address, 99, setup, past);
    reborn.command(Command::Peer(Box::new(config)), past);
    let packet = crate::pair::udp_packet(crate::pair::A_INNER, crate::pair::B_INNER, b"back");
    reborn.tun(&packet, past);
    let initiation = reborn.sent_of_type(1)[0].bytes.clone();
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &initiation, now);
    assert_eq!(pair.b.sent_of_type(2).len(), 1);
    assert_eq!(pair.b.status(now).state, PeerState::Connected);
}
