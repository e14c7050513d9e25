//! Under a flood of initiations: cookies for strangers, a session for who sends them back.

use std::net::SocketAddr;

use whalescale_core::drops::DropReason;
use whalescale_core::entropy::Entropy;
use whalescale_core::handshake::mac::MacSigner;
use whalescale_core::time::Now;

use crate::node::{Node, SeededEntropy};
use crate::pair::{Pair, address, link, ms, payloads, secs};

/// An initiation with a right mac1 and nothing else right.
fn initiation(to: &Node, entropy: &mut SeededEntropy, now: Now) -> Vec<u8> {
    let mut message = vec![0; 148];
    entropy.fill(&mut message);
    message[..4].copy_from_slice(&[1, 0, 0, 0]);
    MacSigner::new(&to.key()).sign(&mut message, now.instant);
    message
}

fn source(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([100, a, b, c], 5000))
}

/// Sends B one initiation from each of `count` sources, at once.
fn flood(pair: &mut Pair, entropy: &mut SeededEntropy, first: u32, count: u32) {
    let now = pair.now();
    for n in first..first + count {
        let message = initiation(&pair.b, entropy, now);
        pair.b.receive(source(n), &message, now);
    }
    pair.flush();
}

#[test]
fn strangers_get_nothing_until_there_are_many_and_then_only_cookies() {
    let mut pair = Pair::new(1, link());
    let mut entropy = SeededEntropy(1);
    flood(&mut pair, &mut entropy, 0, 100);
    assert!(pair.b.sent.is_empty());
    assert_eq!(pair.b.dropped(DropReason::HandshakeRefused), 100);
    flood(&mut pair, &mut entropy, 100, 200);
    assert_eq!(pair.b.sent.len(), 200);
    for (n, sent) in (100..).zip(&pair.b.sent) {
        assert_eq!((sent.bytes[0], sent.bytes.len()), (3, 64));
        assert_eq!(sent.to, source(n));
    }
    assert_eq!(pair.b.dropped(DropReason::RateLimited), 200);
}

#[test]
fn a_message_without_a_right_mac1_gets_no_cookie_either() {
    let mut pair = Pair::new(2, link());
    let mut entropy = SeededEntropy(2);
    flood(&mut pair, &mut entropy, 0, 150);
    pair.b.forget();
    let now = pair.now();
    let mut message = initiation(&pair.b, &mut entropy, now);
    message[120] ^= 1;
    pair.b.receive(source(1), &message, now);
    assert!(pair.b.sent.is_empty());
    assert_eq!(pair.b.dropped(DropReason::BadMac), 1);
}

#[test]
fn a_peer_connects_in_the_middle_of_a_flood_by_its_cookie() {
    let mut pair = Pair::new(3, link());
    let mut entropy = SeededEntropy(3);
    let mut next = 0;
    let mut storm = |pair: &mut Pair, millis: u32| {
        for _ in 0..millis / 5 {
            flood(pair, &mut entropy, next, 5);
            next += 5;
            pair.run_for(ms(5));
        }
    };
    storm(&mut pair, 500);
    pair.a_sends(b"through the storm");
    storm(&mut pair, 4000);
    assert!(pair.b.delivered.is_empty(), "no cookie was asked for");
    storm(&mut pair, 2000);
    assert_eq!(payloads(&pair.b), [b"through the storm"]);
    assert_eq!(pair.a.sent_of_type(1).len(), 2);
}

#[test]
fn a_session_lives_on_through_a_flood() {
    let mut pair = Pair::new(4, link());
    pair.connect();
    let mut entropy = SeededEntropy(4);
    for n in 0..600 {
        flood(&mut pair, &mut entropy, 20 * n, 20);
        pair.a_sends(b"data");
        pair.run_for(ms(50));
    }
    assert_eq!(pair.b.delivered.len(), 600);
}

#[test]
fn one_source_with_a_cookie_is_still_limited() {
    let mut pair = Pair::new(5, link());
    let mut entropy = SeededEntropy(5);
    flood(&mut pair, &mut entropy, 0, 101);
    let now = pair.now();
    // The stranger reads its cookie and signs with it.
    let mut signer = MacSigner::new(&pair.b.key());
    let mut message = initiation(&pair.b, &mut entropy, now);
    signer.sign(&mut message, now.instant);
    let here = address("198.51.100.1:1");
    pair.b.receive(here, &message, now);
    let reply = pair.b.sent.last().expect("a cookie").bytes.clone();
    let reply = reply.as_slice().try_into().expect("64 bytes");
    assert!(signer.take_cookie(reply, now.instant));
    let refused = pair.b.dropped(DropReason::HandshakeRefused);
    pair.b.forget();
    for _ in 0..50 {
        let mut message = initiation(&pair.b, &mut entropy, now);
        signer.sign(&mut message, now.instant);
        pair.b.receive(here, &message, now);
    }
    assert_eq!(pair.b.dropped(DropReason::HandshakeRefused) - refused, 5);
    assert!(pair.b.sent.is_empty());
    // The cookie is that address's alone.
    let mut message = initiation(&pair.b, &mut entropy, now);
    signer.sign(&mut message, now.instant);
    pair.b.receive(address("198.51.100.1:2"), &message, now);
    assert_eq!(pair.b.sent.len(), 1);
}

#[test]
fn a_cookie_reply_moves_nobody_and_stops_no_timer() {
    let mut pair = Pair::quiet_stock(6);
    pair.cut(true);
    pair.a_sends(b"unanswered");
    let sent = pair.now().instant;
    let mut entropy = SeededEntropy(6);
    pair.run_for(secs(15));
    let initiation = pair.a.sent_of_type(1).pop().expect("sent").bytes.clone();
    flood(&mut pair, &mut entropy, 0, 101);
    let (from, now) = (pair.a.address, pair.now());
    pair.b.forget();
    pair.b.receive(from, &initiation, now);
    let cookie = pair.b.sent[0].bytes.clone();
    pair.a.receive(source(9), &cookie, now);
    let refused = |pair: &Pair| pair.a.dropped(DropReason::HandshakeRefused);
    assert_eq!(
        refused(&pair),
        1,
        "taken from an address that was not asked"
    );
    let asked = pair.b.address;
    pair.a.receive(asked, &cookie, now);
    assert_eq!(refused(&pair), 1);
    pair.a.receive(asked, &cookie, now);
    assert_eq!(refused(&pair), 2, "taken twice");
    pair.run_for(ms(5400));
    let retries = pair.a.sent_of_type(1);
    assert_eq!(retries.len(), 2);
    assert!(retries[1].at - sent >= secs(20));
    assert!(retries.iter().all(|retry| retry.to == pair.b.address));
    assert_ne!(retries[1].bytes[132..], [0; 16], "no mac2");
}

#[test]
fn the_load_ends_with_the_flood() {
    let mut pair = Pair::new(7, link());
    let mut entropy = SeededEntropy(7);
    flood(&mut pair, &mut entropy, 0, 300);
    pair.run_for(secs(2));
    pair.b.forget();
    pair.a_sends(b"calm");
    pair.run_for(ms(40));
    assert_eq!(payloads(&pair.b), [b"calm"]);
}

/// A response to this initiation with a right mac1, as who saw it can make one.
fn forged_response(initiation: &[u8], to: &Node, entropy: &mut SeededEntropy, now: Now) -> Vec<u8> {
    let mut message = vec![0; 92];
    entropy.fill(&mut message);
    message[..4].copy_from_slice(&[2, 0, 0, 0]);
    message[8..12].copy_from_slice(&initiation[4..8]);
    MacSigner::new(&to.key()).sign(&mut message, now.instant);
    message
}

#[test]
fn of_a_flood_of_forged_responses_a_few_are_looked_into_and_the_session_opens_all_the_same() {
    let mut pair = Pair::new(9, link());
    let mut entropy = SeededEntropy(9);
    pair.a_sends(b"patience");
    let initiation = pair.a.sent_of_type(1)[0].bytes.clone();
    let now = pair.now();
    for n in 0..100 {
        let forged = forged_response(&initiation, &pair.a, &mut entropy, now);
        pair.a.receive(source(n), &forged, now);
    }
    pair.flush();
    assert_eq!(pair.a.dropped(DropReason::HandshakeRefused), 4);
    assert_eq!(pair.a.sent_of_type(3).len(), 96);
    pair.run_for(secs(7));
    assert_eq!(payloads(&pair.b), [b"patience"]);
}

#[test]
fn a_response_to_nothing_is_counted_apart_and_unanswered() {
    let mut pair = Pair::new(10, link());
    let mut entropy = SeededEntropy(10);
    let now = pair.now();
    let forged = forged_response(&[0; 148], &pair.a, &mut entropy, now);
    pair.a.receive(source(1), &forged, now);
    assert_eq!(pair.a.dropped(DropReason::UnknownHandshake), 1);
    assert!(pair.a.sent.is_empty());
}
