//! WireGuard's timers (whitepaper, section 6), to the nanosecond of virtual time.

use std::time::Duration;

use whalescale_core::control::{Command, PeerState};
use whalescale_core::drops::DropReason;
use whalescale_core::handoff::{FromSender, PeerIndex};
use whalescale_core::time::Instant;

use crate::node::Setup;
use crate::pair::{Pair, link, ms, secs};

/// When keepalives were sent.
fn keepalives(node: &crate::node::Node) -> Vec<Instant> {
    let plaintexts = node.sent_plaintexts().into_iter();
    plaintexts
        .filter_map(|(at, plaintext)| plaintext.is_empty().then_some(at))
        .collect()
}

fn initiations(node: &crate::node::Node) -> Vec<Instant> {
    node.sent_of_type(1).iter().map(|sent| sent.at).collect()
}

#[test]
fn unanswered_data_is_acknowledged_by_a_keepalive_ten_seconds_later() {
    let mut pair = Pair::quiet_stock(1);
    pair.a_sends(b"data");
    pair.run_for(secs(60));
    let due = pair.b.delivered_at[0] + secs(10);
    assert_eq!(keepalives(&pair.b), [due]);
    // A keepalive is no data, so nothing answers it.
    assert!(keepalives(&pair.a).is_empty());
}

#[test]
fn more_data_does_not_put_the_keepalive_off() {
    let mut pair = Pair::quiet_stock(2);
    for _ in 0..9 {
        pair.a_sends(b"data");
        pair.run_for(secs(1));
    }
    pair.run_for(secs(2));
    assert_eq!(keepalives(&pair.b), [pair.b.delivered_at[0] + secs(10)]);
}

#[test]
fn data_in_the_other_direction_makes_the_keepalive_unnecessary() {
    let mut pair = Pair::quiet_stock(3);
    pair.a_sends(b"data");
    pair.run_for(ms(9_900));
    pair.b_sends(b"answer");
    pair.run_for(secs(5));
    assert!(keepalives(&pair.b).is_empty());
    pair.run_for(secs(20));
    assert_eq!(keepalives(&pair.a), [pair.a.delivered_at[0] + secs(10)]);
}

#[test]
fn data_that_arrives_with_the_keepalive_gets_one_of_its_own() {
    let mut pair = Pair::quiet_stock(4);
    pair.a_sends(b"data");
    pair.run_for(secs(1));
    let due = pair.b.delivered_at[0] + secs(10);
    let again = pair.a.sent.last().expect("sent").bytes.clone();
    assert_eq!(again.len() % 16, 0);
    pair.a_sends(b"at the very instant");
    let second = pair.a.sent.last().expect("sent").bytes.clone();
    pair.cut(true);
    pair.run_until(Duration::from_nanos(due.as_nanos()));
    assert_eq!(keepalives(&pair.b), [due]);
    let (from, now) = (pair.a.address, pair.now());
    let before = pair.b.delivered.len();
    pair.b.receive(from, &second, now);
    if pair.b.delivered.len() > before {
        pair.run_for(secs(11));
        assert_eq!(keepalives(&pair.b), [due, due + secs(10)]);
    }
}

#[test]
fn data_without_an_answer_for_fifteen_seconds_starts_a_handshake() {
    let mut pair = Pair::quiet_stock(5);
    pair.cut(true);
    let sent = pair.now().instant;
    pair.a_sends(b"data");
    pair.run_for(secs(4));
    pair.a_sends(b"more data does not put it off");
    pair.run_for(secs(14));
    assert_eq!(initiations(&pair.a), [sent + secs(15)]);
}

#[test]
fn an_answer_of_any_kind_prevents_that_handshake() {
    let mut pair = Pair::quiet_stock(6);
    pair.a_sends(b"data");
    // The passive keepalive of B is the answer.
    pair.run_for(secs(60));
    assert!(initiations(&pair.a).is_empty());
}

#[test]
fn silence_is_kept_for_ever_without_a_persistent_keepalive() {
    let mut pair = Pair::quiet_stock(7);
    pair.run_for(secs(3600));
    assert!(pair.a.sent.is_empty() && pair.b.sent.is_empty());
    assert_eq!(pair.a.states(), [PeerState::Idle]);
    assert_eq!(pair.b.states(), [PeerState::Idle]);
}

#[test]
fn idle_whalescale_peers_fall_silent_too() {
    for setup in [Some(1420), None].map(|inner_mtu| Setup {
        inner_mtu,
        ..Setup::default()
    }) {
        let mut pair = Pair::with(8, link(), setup, |_, _| {});
        pair.connect();
        pair.run_for(secs(60));
        pair.a.forget();
        pair.b.forget();
        pair.run_for(secs(3600));
        assert!(pair.a.sent.is_empty() && pair.b.sent.is_empty());
    }
}

#[test]
fn a_persistent_keepalive_opens_the_session_and_keeps_its_interval() {
    let mut pair = Pair::with(9, link(), Setup::default(), |b_for_a, a_for_b| {
        b_for_a.node_id = None;
        a_for_b.node_id = None;
        b_for_a.persistent_keepalive = Some(secs(25));
    });
    assert_eq!(initiations(&pair.a), [Instant::from_nanos(0)]);
    pair.run_for(secs(110));
    let sent = keepalives(&pair.a);
    assert_eq!(sent.len(), 5, "one to confirm, four of the interval");
    for two in sent.windows(2) {
        assert_eq!(two[1] - two[0], secs(25));
    }
}

#[test]
fn traffic_in_either_direction_puts_a_persistent_keepalive_off() {
    let mut pair = Pair::with(10, link(), Setup::default(), |b_for_a, a_for_b| {
        b_for_a.node_id = None;
        a_for_b.node_id = None;
        b_for_a.persistent_keepalive = Some(secs(8));
    });
    pair.run_for(secs(1));
    pair.a.forget();
    pair.a_sends(b"out");
    let out = pair.now().instant;
    pair.run_for(secs(5));
    pair.b_sends(b"in");
    pair.run_for(secs(9));
    let received = pair.a.delivered_at[0];
    assert!(received > out);
    assert_eq!(keepalives(&pair.a), [received + secs(8)]);
}

#[test]
fn a_persistent_keepalive_of_zero_is_none() {
    let mut pair = Pair::with(11, link(), Setup::default(), |b_for_a, _| {
        b_for_a.persistent_keepalive = Some(Duration::ZERO);
    });
    pair.run_for(secs(10));
    assert!(pair.a.sent.is_empty());
    assert_eq!(pair.steps, 0);
}

#[test]
fn an_unanswered_initiation_is_repeated_with_jitter_and_given_up_after_ninety_seconds() {
    let mut pair = Pair::stock(12);
    pair.cut(true);
    for _ in 0..3 {
        pair.a_sends(b"staged");
    }
    pair.run_for(secs(89));
    assert_eq!(pair.a.dropped(DropReason::Unreachable), 0);
    assert_eq!(pair.a.states(), [PeerState::Handshaking]);
    pair.run_for(secs(600));
    let sent = initiations(&pair.a);
    assert!((17..=18).contains(&sent.len()), "{}", sent.len());
    let gaps: Vec<Duration> = sent.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (secs(5)..ms(5334)).contains(gap)));
    assert!(gaps.windows(2).any(|two| two[0] != two[1]), "no jitter");
    assert!(*sent.last().expect("sent") - sent[0] < secs(90));
    assert_eq!(pair.a.dropped(DropReason::Unreachable), 3);
    assert_eq!(
        pair.a.states(),
        [PeerState::Handshaking, PeerState::Unreachable]
    );
}

#[test]
fn a_peer_that_was_given_up_is_tried_again_for_new_data() {
    let mut pair = Pair::stock(13);
    pair.cut(true);
    pair.a_sends(b"dropped");
    pair.run_for(secs(100));
    pair.cut(false);
    pair.a_sends(b"delivered");
    pair.run_for(ms(50));
    assert_eq!(crate::pair::payloads(&pair.b), [b"delivered"]);
}

#[test]
fn initiations_are_five_seconds_apart_however_much_traffic_asks_for_one() {
    let mut pair = Pair::stock(14);
    pair.cut(true);
    for _ in 0..80 {
        pair.a_sends(b"impatient");
        pair.run_for(ms(500));
    }
    let sent = initiations(&pair.a);
    assert!(sent.windows(2).all(|two| two[1] - two[0] >= secs(5)));
}

#[test]
fn retries_without_a_socket_to_send_from_do_not_spin() {
    let mut pair = Pair::stock(15);
    pair.cut(true);
    pair.a_sends(b"staged");
    pair.run_for(secs(1));
    let now = pair.now();
    pair.a.command(Command::Sockets(Vec::new()), now);
    let before = pair.steps;
    pair.run_for(secs(120));
    assert!(pair.steps - before < 50, "{}", pair.steps - before);
    assert_eq!(pair.a.dropped(DropReason::Unreachable), 1);
}

#[test]
fn a_wish_for_a_key_just_after_a_handshake_starts_no_other() {
    let mut pair = Pair::stock(16);
    pair.a_sends(b"first");
    pair.run_for(ms(4_999));
    for expected in [1, 2] {
        let now = pair.now();
        let wish = FromSender::KeyAged(PeerIndex(0));
        pair.a.control.handle_sender(wish, now);
        pair.a.pump(now);
        assert_eq!(initiations(&pair.a).len(), expected);
        pair.run_for(ms(1));
    }
}

#[test]
fn a_key_asked_for_before_it_arrived_starts_no_handshake() {
    let mut pair = Pair::stock(17);
    pair.a_sends(b"first");
    pair.run_for(secs(6));
    let now = pair.now();
    let wish = FromSender::NeedKey(PeerIndex(0));
    pair.a.control.handle_sender(wish, now);
    pair.a.pump(now);
    assert_eq!(initiations(&pair.a).len(), 1);
}
