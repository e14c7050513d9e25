//! A peer configured by its WireGuard key: it sees bare WireGuard and nothing else.

use whalescale_core::control::{Command, CommandError};
use whalescale_core::drops::DropReason;
use whalescale_core::handoff::Endpoint;
use whalescale_core::wire::frame::Frame;

use crate::cipher::{counter, receiver_index, seal};
use crate::node::{SOCKET, Setup};
use crate::pair::{Pair, address, link, ms, payloads, secs};

impl Pair {
    /// Two nodes that take each other for stock WireGuard: no HELLO, no probes.
    pub fn stock(seed: u64) -> Self {
        Self::with(seed, link(), Setup::default(), |b_for_a, a_for_b| {
            b_for_a.node_id = None;
            a_for_b.node_id = None;
        })
    }

    /// A stock pair with a session on which nobody owes anything.
    pub fn quiet_stock(seed: u64) -> Self {
        let mut pair = Self::stock(seed);
        pair.connect();
        pair.run_for(secs(20));
        pair.a.forget();
        pair.b.forget();
        pair
    }
}

#[test]
fn a_stock_peer_is_sent_nothing_but_ip_packets_and_keepalives() {
    for inner_mtu in [None, Some(1420)] {
        let setup = Setup {
            inner_mtu,
            ..Setup::default()
        };
        // A takes B for stock; B would speak frames if asked to.
        let mut pair = Pair::with(1, link(), setup, |b_for_a, _| b_for_a.node_id = None);
        pair.a_sends(b"first");
        for round in 0..400_u32 {
            pair.run_for(secs(1));
            if round % 7 == 0 {
                pair.a_sends(&round.to_le_bytes());
            }
            if round % 90 < 45 {
                pair.b_sends(&round.to_le_bytes());
            }
        }
        let plaintexts = pair.a.sent_plaintexts();
        assert!(plaintexts.len() > 60);
        for (_, plaintext) in plaintexts {
            assert!(plaintext.is_empty() || plaintext[0] == 0x45);
        }
    }
}

#[test]
fn a_peer_that_becomes_stock_is_sent_no_more_frames() {
    let mut pair = Pair::new(2, link());
    pair.connect();
    pair.cut(true);
    // A's HELLO under the next session cannot be answered when B becomes stock.
    pair.restart_b(22);
    pair.cut(false);
    pair.a_sends(b"lost");
    pair.run_for(ms(15_025));
    let mut stock = pair.a.peer.clone().expect("peer");
    stock.node_id = None;
    let now = pair.now();
    pair.a.command(Command::Peer(Box::new(stock)), now);
    pair.a.forget();
    pair.run_for(secs(60));
    for (_, plaintext) in pair.a.sent_plaintexts() {
        assert!(plaintext.is_empty() || plaintext[0] == 0x45);
    }
}

#[test]
fn a_frame_from_a_stock_peer_is_dropped_and_unanswered() {
    let mut pair = Pair::quiet_stock(3);
    let mut hello = Vec::new();
    Frame::PathProbe { token: 1, size: 0 }.encode(&mut hello);
    pair.a_sends(b"for its header");
    let datagram = pair.a.sent.last().expect("sent").bytes.clone();
    let (receiver, next) = (receiver_index(&datagram), counter(&datagram) + 1);
    let key = *pair.a.keys.keys().last().expect("key");
    let forged = seal(&key, receiver, next, &hello);
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &forged, now);
    assert_eq!(pair.b.dropped(DropReason::BadPlaintext), 1);
    assert!(pair.b.sent.is_empty());
}

#[test]
fn a_stock_peer_cannot_be_pinged() {
    let mut pair = Pair::stock(4);
    let (key, now) = (pair.b.key(), pair.now());
    let ping = Command::Ping {
        peer: key,
        token: 1,
    };
    assert_eq!(
        pair.a.try_command(ping, now),
        Err(CommandError::NotWhalescale)
    );
}

#[test]
fn a_stock_peer_roams_at_once() {
    let mut pair = Pair::quiet_stock(5);
    let elsewhere = address("198.51.100.9:4000");
    pair.network.rebind(pair.a.address, elsewhere);
    pair.a_sends(b"from elsewhere");
    pair.run_for(ms(20));
    pair.b_sends(b"back");
    assert_eq!(pair.b.sent.last().expect("sent").to, elsewhere);
    pair.run_for(ms(20));
    assert_eq!(payloads(&pair.a), [b"back"]);
}

#[test]
fn the_answer_to_a_stock_peer_that_roams_goes_where_it_is_before_control_has_run() {
    let mut pair = Pair::quiet_stock(7);
    let elsewhere = address("198.51.100.9:4000");
    pair.a_sends(b"from elsewhere");
    let mut datagram = pair.a.sent.last().expect("sent").bytes.clone();
    let (now, len) = (pair.now(), datagram.len());
    let from = Endpoint {
        socket: SOCKET,
        remote: elsewhere,
    };
    let receiver = &mut pair.b.receiver;
    receiver.handle_message(&mut datagram, 0..len, len, from, now.instant);
    for crossing in receiver.take_crossings() {
        pair.b.sender.handle_crossing(crossing, now.instant);
    }
    pair.b_sends(b"answer");
    assert_eq!(pair.b.sent.last().expect("sent").to, elsewhere);
}

#[test]
fn a_late_packet_from_the_old_address_does_not_move_a_stock_peer_back() {
    let mut pair = Pair::quiet_stock(6);
    pair.a_sends(b"late");
    let late = pair.a.sent.last().expect("sent").bytes.clone();
    pair.a_sends(b"newer");
    let newer = pair.a.sent.last().expect("sent").bytes.clone();
    let (old, new) = (pair.a.address, address("198.51.100.9:4000"));
    let now = pair.now();
    pair.b.receive(new, &newer, now);
    pair.b.receive(old, &late, now);
    assert_eq!(payloads(&pair.b), [&b"newer"[..], b"late"]);
    pair.b_sends(b"back");
    assert_eq!(pair.b.sent.last().expect("sent").to, new);
}
