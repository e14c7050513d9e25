//! The handshake: it opens a session from either side, from both at once, and over bad networks.

use whalescale_core::control::PeerState;
use whalescale_core::drops::DropReason;
use whalescale_core::identity::PresharedKey;
use whalescale_netem::{Jitter, LinkConfig, Loss, Reorder};

use crate::node::Setup;
use crate::pair::{Pair, link, ms, payloads, secs};

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
