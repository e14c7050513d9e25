//! The handshake: it opens a session from either side, from both at once, and over bad networks.

use whalescale_core::control::{Command, PeerState};
use whalescale_core::drops::DropReason;
use whalescale_core::identity::PresharedKey;
use whalescale_netem::{Jitter, LinkConfig, Loss, Reorder};

use crate::node::{Node, Setup};
use crate::pair::{A_INNER, B_INNER, Pair, address, link, ms, now_at, payloads, secs, udp_packet};

#[test]
fn the_first_packet_opens_a_session_and_arrives() {
    let mut pair = Pair::new(1, link());
    pair.a_sends(b"hello");
    pair.run_for(secs(1));
    assert_eq!(payloads(&pair.b), [b"hello"]);
    assert_eq!(
        pair.a.states(),
        [PeerState::Handshaking, PeerState::Connected]
    );
    assert_eq!(pair.b.states(), [PeerState::Connected]);
}

#[test]
fn the_responder_answers_over_the_same_session() {
    let mut pair = Pair::new(2, link());
    pair.connect();
    pair.b_sends(b"back");
    pair.run_for(ms(50));
    assert_eq!(payloads(&pair.a), [b"back"]);
    assert!(pair.b.sent_of_type(1).is_empty());
}

#[test]
fn both_ends_that_initiate_at_once_converge() {
    for seed in 0..20 {
        let mut pair = Pair::mutual(seed, link());
        pair.a_sends(b"from a");
        pair.run_for(ms(seed));
        pair.b_sends(b"from b");
        pair.run_for(secs(1));
        assert_eq!(payloads(&pair.b), [b"from a"]);
        assert_eq!(payloads(&pair.a), [b"from b"]);
        for round in 0_u32..300 {
            pair.a_sends(&round.to_le_bytes());
            pair.b_sends(&round.to_le_bytes());
            pair.run_for(secs(1));
        }
        assert_eq!(pair.a.delivered.len(), 301);
        assert_eq!(pair.b.delivered.len(), 301);
    }
}

#[test]
fn a_handshake_gets_through_loss_reordering_duplication_and_corruption() {
    for seed in 0..50 {
        let bad = LinkConfig {
            loss: Loss::Independent(0.2),
            duplicate: 0.2,
            corrupt: 0.2,
            jitter: Jitter::Unordered(ms(40)),
            reorder: Reorder {
                probability: 0.3,
                by: ms(100),
            },
            ..link()
        };
        let mut pair = Pair::new(seed, bad);
        pair.a_sends(b"through");
        // One packet may be lost for good, so that it is sent again until it comes.
        for _ in 0..88 {
            pair.run_for(secs(1));
            if !pair.b.delivered.is_empty() {
                break;
            }
            pair.a_sends(b"through");
        }
        assert_eq!(payloads(&pair.b)[0], b"through", "seed {seed}");
    }
}

#[test]
fn another_preshared_key_opens_no_session() {
    let mut pair = Pair::with(3, link(), Setup::default(), |b_for_a, _| {
        b_for_a.preshared_key = PresharedKey::from_bytes(&[7; 32]);
    });
    pair.a_sends(b"never");
    pair.run_for(secs(10));
    assert!(pair.b.delivered.is_empty());
    assert_eq!(pair.a.states(), [PeerState::Handshaking]);
    assert!(pair.b.states().is_empty());
    assert_eq!(pair.a.dropped(DropReason::HandshakeRefused), 2);
    assert!(pair.a.sent_of_type(4).is_empty());
}

#[test]
fn the_same_preshared_key_opens_one() {
    let mut pair = Pair::with(4, link(), Setup::default(), |b_for_a, a_for_b| {
        b_for_a.preshared_key = PresharedKey::from_bytes(&[7; 32]);
        a_for_b.preshared_key = PresharedKey::from_bytes(&[7; 32]);
    });
    pair.connect();
}

#[test]
fn an_initiation_from_an_unknown_key_gets_no_answer() {
    let mut pair = Pair::new(5, link());
    let key = pair.a.key();
    let now = pair.now();
    pair.b
        .command(whalescale_core::control::Command::RemovePeer(key), now);
    pair.a_sends(b"stranger");
    pair.run_for(secs(3));
    assert!(pair.b.sent.is_empty());
    assert_eq!(pair.b.dropped(DropReason::HandshakeRefused), 1);
}

#[test]
fn a_replayed_initiation_gets_no_second_answer() {
    let mut pair = Pair::new(6, link());
    pair.a_sends(b"first");
    pair.run_for(secs(1));
    let initiation = pair.a.sent_of_type(1)[0].bytes.clone();
    let answers = pair.b.sent.len();
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &initiation, now);
    assert_eq!(pair.b.sent.len(), answers);
    assert_eq!(pair.b.dropped(DropReason::HandshakeRefused), 1);
}

#[test]
fn no_answer_before_a_session_is_longer_than_its_request() {
    let mut pair = Pair::new(7, link());
    pair.a_sends(b"first");
    pair.run_for(ms(15));
    let request = pair.a.sent[0].bytes.len();
    let answer: usize = pair.b.sent.iter().map(|sent| sent.bytes.len()).sum();
    assert!(answer > 0 && answer <= request, "{answer} to {request}");
}

#[test]
fn the_responder_seals_nothing_before_the_initiator_used_the_session() {
    let mut pair = Pair::new(8, link());
    pair.connect();
    // A restarted B has nothing but the new session that A opens for it.
    pair.restart_b(80);
    pair.a_sends(b"lost");
    pair.run_for(ms(15_010));
    assert!(pair.b.sent_of_type(2).is_empty());
    pair.run_for(ms(6));
    assert_eq!(pair.b.sent_of_type(2).len(), 1);
    pair.b_sends(b"must wait");
    assert!(pair.b.sent_of_type(4).is_empty());
    pair.run_for(ms(50));
    assert_eq!(payloads(&pair.a), [b"must wait"]);
}

#[test]
fn a_session_that_the_other_end_opened_ends_our_own_attempts() {
    let mut pair = Pair::with(9, link(), Setup::default(), |b_for_a, a_for_b| {
        b_for_a.endpoints = vec![address("203.0.113.1:1")];
        a_for_b.endpoints = vec![address("192.0.2.1:51820")];
    });
    pair.a_sends(b"waits");
    pair.run_for(secs(1));
    pair.b_sends(b"opens");
    pair.run_for(secs(60));
    assert_eq!(payloads(&pair.a), [b"opens"]);
    assert_eq!(payloads(&pair.b), [b"waits"]);
    assert_eq!(pair.a.sent_of_type(1).len(), 1);
}

/// An initiation of A's at this time, which A itself knows nothing of.
fn initiation_at(pair: &Pair, nanos: u64) -> Vec<u8> {
    let now = now_at(nanos);
    let mut twin = Node::new(1, pair.a.address, nanos, Setup::default(), now);
    twin.command(
        Command::Peer(Box::new(pair.a.peer.clone().expect("peer"))),
        now,
    );
    twin.tun(&udp_packet(A_INNER, B_INNER, b"twin"), now);
    twin.sent_of_type(1)[0].bytes.clone()
}

#[test]
fn initiations_of_one_peer_are_accepted_every_twenty_milliseconds() {
    let mut pair = Pair::new(10, link());
    let from = pair.a.address;
    for (at, answers) in [(1, 1), (2, 1), (20, 1), (21, 2), (40, 2), (41, 3)] {
        let nanos = at * 1_000_000;
        let initiation = initiation_at(&pair, nanos);
        pair.b.receive(from, &initiation, now_at(nanos));
        assert_eq!(pair.b.sent_of_type(2).len(), answers, "at {at} ms");
    }
}

#[test]
fn a_session_that_was_never_used_makes_room_for_the_next() {
    let mut pair = Pair::new(11, link());
    let from = pair.a.address;
    for at in [1, 100] {
        let initiation = initiation_at(&pair, at * 1_000_000);
        pair.b.receive(from, &initiation, now_at(at * 1_000_000));
    }
    let indices: Vec<[u8; 4]> = pair
        .b
        .sent_of_type(2)
        .iter()
        .map(|response| response.bytes[4..8].try_into().expect("index"))
        .collect();
    let reasons = [DropReason::UnknownIndex, DropReason::Forged];
    for (index, reason) in indices.iter().zip(reasons) {
        let forged = [&[4, 0, 0, 0][..], index, &[0; 40]].concat();
        pair.b.receive(from, &forged, now_at(200_000_000));
        assert_eq!(pair.b.dropped(reason), 1);
    }
}

#[test]
fn a_response_to_an_attempt_that_was_given_up_is_unknown() {
    let mut pair = Pair::new(12, link());
    pair.a_sends(b"first");
    pair.run_for(ms(15));
    let response = pair.b.sent_of_type(2)[0].bytes.clone();
    // The same A once more, but one that the response does not reach in time.
    let mut pair = Pair::new(12, link());
    pair.cut(true);
    pair.a_sends(b"first");
    pair.run_for(secs(6));
    assert_eq!(pair.a.sent_of_type(1).len(), 2);
    let (from, now) = (pair.b.address, pair.now());
    pair.a.receive(from, &response, now);
    assert_eq!(pair.a.dropped(DropReason::UnknownHandshake), 1);
    assert!(pair.a.sent_of_type(4).is_empty());
}
