//! Sessions grow old: who renews them and when, and that no packet notices.

use std::time::Duration;

use whalescale_core::drops::DropReason;
use whalescale_core::time::Instant;
use whalescale_netem::{LinkConfig, Reorder};

use crate::cipher::receiver_index;
use crate::node::{Node, Setup};
use crate::pair::{Pair, address, link, ms, payload, secs};

fn initiations(node: &Node) -> Vec<Instant> {
    node.sent_of_type(1).iter().map(|sent| sent.at).collect()
}

/// When the session in use was completed at this node.
fn session_start(node: &Node, pair: &Pair) -> Instant {
    let now = pair.now();
    let age = node.status(now).session_age.expect("a session");
    Instant::from_nanos(now.instant.as_nanos() - u64::try_from(age.as_nanos()).expect("age"))
}

#[test]
fn the_initiator_renews_on_the_first_send_after_120_seconds() {
    let mut pair = Pair::stock(1);
    pair.connect();
    let start = session_start(&pair.a, &pair);
    pair.run_until(Duration::from_nanos((start + ms(119_999)).as_nanos()));
    pair.a_sends(b"young");
    assert!(initiations(&pair.a).is_empty());
    pair.run_for(ms(1));
    pair.a_sends(b"of age");
    assert_eq!(initiations(&pair.a), [start + secs(120)]);
    pair.run_for(secs(1));
    assert!(session_start(&pair.a, &pair) > start);
}

#[test]
fn the_responder_does_not_renew_however_much_it_sends() {
    let mut pair = Pair::stock(2);
    pair.connect();
    pair.change_from_a(whalescale_netem::Change::Loss(
        whalescale_netem::Loss::Independent(0.0),
    ));
    for _ in 0..118 {
        pair.b_sends(b"data");
        pair.run_for(secs(1));
    }
    // A's passive keepalives are sends too, so that A renews: B never has to.
    for _ in 0..100 {
        pair.b_sends(b"data");
        pair.run_for(secs(1));
    }
    assert!(initiations(&pair.b).is_empty());
    assert_eq!(initiations(&pair.a).len(), 1);
}

#[test]
fn the_initiator_renews_when_it_only_receives_at_165_seconds() {
    let mut pair = Pair::stock(3);
    pair.connect();
    let start = session_start(&pair.a, &pair);
    pair.run_until(Duration::from_nanos((start + ms(164_980)).as_nanos()));
    pair.b_sends(b"too early by a little");
    pair.run_for(ms(12));
    assert_eq!(pair.a.delivered.len(), 1);
    assert!(initiations(&pair.a).is_empty());
    pair.b_sends(b"late enough");
    pair.run_for(ms(12));
    assert_eq!(initiations(&pair.a), [pair.a.delivered_at[1]]);
    assert!(initiations(&pair.b).is_empty());
}

#[test]
fn nothing_is_sealed_after_180_seconds() {
    let mut pair = Pair::stock(4);
    pair.connect();
    let start = session_start(&pair.a, &pair);
    pair.cut(true);
    for _ in 0..300 {
        pair.a_sends(b"data");
        pair.run_for(secs(1));
    }
    let last = pair.a.sent_of_type(4).last().expect("sent").at;
    assert!(last - start >= secs(178) && last - start < secs(180));
}

#[test]
fn nothing_is_opened_after_180_seconds() {
    let mut pair = Pair::stock(5);
    pair.connect();
    let start = session_start(&pair.b, &pair);
    pair.cut(true);
    pair.a_sends(b"young");
    let young = pair.a.sent_of_type(4).pop().expect("sent").bytes.clone();
    pair.a_sends(b"too old");
    let old = pair.a.sent_of_type(4).pop().expect("sent").bytes.clone();
    let from = pair.a.address;
    pair.run_until(Duration::from_nanos((start + secs(180)).as_nanos() - 1));
    let now = pair.now();
    pair.b.receive(from, &young, now);
    assert_eq!(pair.b.delivered.len(), 1);
    let expired = crate::pair::now_at((start + secs(180)).as_nanos());
    pair.b.receive(from, &old, expired);
    assert_eq!(pair.b.delivered.len(), 1);
    assert_eq!(pair.b.dropped(DropReason::KeyExpired), 1);
    pair.run_for(ms(1));
    let now = pair.now();
    pair.b.receive(from, &old, now);
    assert_eq!(
        pair.b.dropped(DropReason::UnknownIndex),
        1,
        "key not erased"
    );
}

#[test]
fn the_responder_seals_under_the_old_key_until_the_new_one_was_used() {
    let mut pair = Pair::stock(6);
    pair.connect();
    pair.run_for(secs(118));
    pair.a.forget();
    pair.b.forget();
    for _ in 0..3000 {
        pair.a_sends(b"a");
        pair.b_sends(b"b");
        pair.run_for(ms(1));
    }
    let response = pair.b.sent_of_type(2)[0].at;
    let indices: Vec<(Instant, u32)> = pair
        .b
        .sent_of_type(4)
        .iter()
        .map(|sent| (sent.at, receiver_index(&sent.bytes)))
        .collect();
    let first = indices[0].1;
    let switch = indices
        .iter()
        .find(|(_, index)| *index != first)
        .expect("no switch")
        .0;
    // The response needs 10 ms to A, and A's first packet under the new key 10 ms back.
    assert!(switch - response >= ms(20) && switch - response < ms(23));
}

/// Both send every millisecond around two renewals; every packet is counted.
fn rekey_under_load(mut pair: Pair, ordered: bool) {
    pair.a_sends(b"first");
    pair.b_sends(b"first");
    pair.run_for(secs(2));
    pair.a.forget();
    pair.b.forget();
    let mut number = 0_u32;
    for _ in 0..2 {
        let mut both = |pair: &mut Pair, pause: Duration| {
            pair.a_sends(&number.to_be_bytes());
            pair.b_sends(&number.to_be_bytes());
            number += 1;
            pair.run_for(pause);
        };
        for _ in 0..117 {
            both(&mut pair, secs(1));
        }
        for _ in 0..5000 {
            both(&mut pair, ms(1));
        }
    }
    pair.run_for(secs(1));
    assert!(initiations(&pair.a).len() + initiations(&pair.b).len() >= 2);
    for node in [&pair.a, &pair.b] {
        let mut numbers: Vec<u32> = node
            .delivered
            .iter()
            .map(|packet| u32::from_be_bytes(payload(packet).try_into().expect("number")))
            .collect();
        if !ordered {
            assert!(
                numbers.windows(2).any(|two| two[0] > two[1]),
                "nothing was reordered"
            );
            numbers.sort_unstable();
        }
        let missing = (0..number).filter(|n| numbers.binary_search(n).is_err());
        assert_eq!(
            missing.collect::<Vec<_>>(),
            [0_u32; 0],
            "{:?}",
            node.drop_report()
        );
        assert!(numbers.iter().copied().eq(0..number));
    }
}

fn reordering() -> LinkConfig {
    LinkConfig {
        reorder: Reorder {
            probability: 0.3,
            by: ms(8),
        },
        duplicate: 0.05,
        ..link()
    }
}

#[test]
fn no_packet_is_lost_or_reordered_by_a_renewal() {
    rekey_under_load(Pair::new(7, link()), true);
    rekey_under_load(Pair::stock(8), true);
}

#[test]
fn no_packet_is_lost_by_a_renewal_on_a_network_that_reorders() {
    rekey_under_load(Pair::new(9, reordering()), false);
}

#[test]
fn no_packet_is_lost_when_both_ends_hold_sessions_of_their_own_and_renew_them() {
    for seed in 10..14 {
        rekey_under_load(Pair::mutual(seed, link()), true);
    }
    rekey_under_load(Pair::mutual(14, reordering()), false);
}

#[test]
fn no_packet_is_lost_when_one_end_renews_sooner_than_the_other() {
    // B's clock of the session is behind A's by the time that its own handshake began later.
    for delay in [1, 5, 9, 15, 19] {
        let mut pair = Pair::mutual(20 + delay, link());
        pair.a_sends(b"first");
        pair.run_for(ms(delay));
        rekey_under_load(pair, true);
    }
}

#[test]
fn a_session_renews_when_handshake_messages_are_lost() {
    for seed in 30..36 {
        let mut pair = Pair::with(seed, link(), Setup::default(), |_, a_for_b| {
            a_for_b.endpoints = vec![address("192.0.2.1:51820")];
        });
        pair.connect();
        pair.run_for(secs(118));
        pair.change(whalescale_netem::Change::Loss(
            whalescale_netem::Loss::Independent(0.3),
        ));
        let mut longest = Duration::ZERO;
        for _ in 0..1500 {
            pair.a_sends(b"data");
            pair.b_sends(b"data");
            pair.run_for(ms(100));
            let now = pair.now().instant;
            for node in [&pair.a, &pair.b] {
                let last = node.delivered_at.last().copied().unwrap_or(now);
                longest = longest.max(now - last);
            }
        }
        assert!(longest < secs(3), "silent for {longest:?}");
    }
}

#[test]
fn the_responder_does_not_renew_on_receipt_either() {
    let mut pair = Pair::stock(40);
    pair.connect();
    let start = session_start(&pair.b, &pair);
    pair.run_until(Duration::from_nanos((start + secs(166)).as_nanos()));
    pair.a_sends(b"late");
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 1);
    assert!(initiations(&pair.b).is_empty());
}
