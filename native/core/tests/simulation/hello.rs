//! HELLO: it follows every new session until it is answered, and tells a restart.

use whalescale_core::control::{Event, PeerState};
use whalescale_core::identity::Secret;
use whalescale_core::time::Instant;
use whalescale_core::wire::frame::{Frame, Plaintext, parse};
use whalescale_netem::{Change, Loss};

use crate::node::{Node, Setup};
use crate::pair::{Pair, link, ms, secs};

/// When HELLOs were sent, and whether as answers.
fn hellos(node: &Node) -> Vec<(Instant, bool)> {
    let plaintexts = node.sent_plaintexts().into_iter();
    plaintexts
        .filter_map(|(at, plaintext)| match parse(&plaintext) {
            Ok(Plaintext::Frame(Frame::Hello { reply, .. })) => Some((at, reply)),
            _ => None,
        })
        .collect()
}

fn restarts(node: &Node) -> usize {
    let is_restart = |event: &&Event| matches!(event, Event::Restarted { .. });
    node.events.iter().filter(is_restart).count()
}

#[test]
fn the_initiator_says_hello_once_when_it_is_answered() {
    let mut pair = Pair::new(1, link());
    pair.a_sends(b"first");
    pair.run_for(secs(60));
    assert_eq!(hellos(&pair.a).len(), 1);
    assert_eq!(hellos(&pair.b).len(), 1);
    assert!(!hellos(&pair.a)[0].1 && hellos(&pair.b)[0].1);
}

#[test]
fn an_unanswered_hello_is_repeated_at_doubling_intervals() {
    let mut pair = Pair::new(2, link());
    pair.a_sends(b"first");
    pair.run_for(ms(25));
    assert_eq!(pair.a.states().last(), Some(&PeerState::Connected));
    pair.cut(true);
    pair.run_for(secs(20));
    let at: Vec<Instant> = hellos(&pair.a).iter().map(|(at, _)| *at).collect();
    let gaps: Vec<_> = at.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(gaps[..5], [250, 500, 1000, 2000, 4000].map(ms));
    assert!(gaps[5..].iter().all(|gap| *gap == secs(5)));
}

#[test]
fn a_lost_hello_or_answer_is_made_up_for() {
    for seed in 10..30 {
        let mut pair = Pair::new(seed, link());
        pair.a_sends(b"first");
        pair.run_for(ms(21));
        pair.change(Change::Loss(Loss::Independent(0.5)));
        pair.run_for(secs(10));
        pair.change(Change::Loss(Loss::Independent(0.0)));
        pair.run_for(secs(10));
        pair.a.forget();
        pair.run_for(secs(60));
        assert!(hellos(&pair.a).is_empty(), "still unanswered");
    }
}

#[test]
fn a_hello_with_another_node_id_is_not_answered() {
    let mut pair = Pair::with(3, link(), Setup::default(), |_, a_for_b| {
        a_for_b.node_id = Some(Secret::from_seed(&[9; 32]).node_id());
    });
    pair.a_sends(b"first");
    pair.run_for(secs(10));
    assert!(hellos(&pair.a).len() > 3);
    assert!(hellos(&pair.b).is_empty());
    assert_eq!(
        pair.b.delivered.len(),
        1,
        "the key is the peer's all the same"
    );
}

#[test]
fn hellos_end_when_both_ends_initiated_at_once() {
    for seed in 0..12 {
        let mut pair = Pair::mutual(seed, link());
        pair.a_sends(b"from a");
        pair.run_for(ms(2 * seed));
        pair.b_sends(b"from b");
        pair.run_for(secs(2));
        pair.a.forget();
        pair.b.forget();
        pair.run_for(secs(60));
        assert!(hellos(&pair.a).is_empty(), "{}", hellos(&pair.a).len());
        assert!(hellos(&pair.b).is_empty(), "{}", hellos(&pair.b).len());
    }
}

#[test]
fn a_restart_is_noticed_and_a_renewal_is_not_one() {
    let mut pair = Pair::new(4, link());
    pair.connect();
    for _ in 0..130 {
        pair.a_sends(b"data");
        pair.run_for(secs(1));
    }
    assert_eq!(pair.a.sent_of_type(1).len(), 1, "no renewal");
    assert_eq!(restarts(&pair.a) + restarts(&pair.b), 0);
    pair.restart_b(44);
    pair.a_sends(b"data");
    pair.run_for(secs(20));
    assert_eq!(restarts(&pair.a), 1);
    assert_eq!(restarts(&pair.b), 0);
}

#[test]
fn a_hello_of_a_session_that_ended_is_not_repeated_in_the_next() {
    let mut pair = Pair::new(5, link());
    pair.a_sends(b"first");
    pair.run_for(ms(25));
    pair.cut(true);
    pair.run_for(secs(400));
    assert_ne!(pair.a.states().last(), Some(&PeerState::Connected));
    pair.cut(false);
    let (there, now) = (pair.a.address, pair.now());
    let mut config = pair.b.peer.clone().expect("peer");
    config.endpoints = vec![there];
    pair.b.command(
        whalescale_core::control::Command::Peer(Box::new(config)),
        now,
    );
    pair.a.forget();
    pair.b.forget();
    pair.b_sends(b"B opens the next one");
    pair.run_for(secs(1));
    assert_eq!(
        hellos(&pair.a).iter().filter(|(_, reply)| !reply).count(),
        0
    );
    assert_eq!(hellos(&pair.b).len(), 1);
}
