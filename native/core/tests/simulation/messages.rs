//! Messages and signatures for those above: they arrive as sent, wait for sessions, and hold to limits.

use whalescale_core::constants::limits;
use whalescale_core::control::{Command, CommandError, Event, PeerState};
use whalescale_core::drops::DropReason;
use whalescale_core::wire::frame::Frame;

use crate::cipher::{counter, receiver_index, seal};
use crate::node::{Node, Setup};
use crate::pair::{Pair, link, ms, secs};

/// A message to B, of a kind and a body.
fn tell(pair: &mut Pair, kind: u8, body: &[u8]) -> Result<(), CommandError> {
    let (peer, now) = (pair.b.key(), pair.now());
    let body = body.to_vec();
    let told = pair
        .a
        .try_command(Command::Message { peer, kind, body }, now);
    pair.flush();
    told
}

/// Kinds and bodies of the messages that a node was given.
pub fn heard(node: &Node) -> Vec<(u8, Vec<u8>)> {
    let messages = node.events.iter().filter_map(|event| match event {
        Event::Message { kind, body, .. } => Some((*kind, body.clone())),
        _ => None,
    });
    messages.collect()
}

/// B gets what A would send if A were hostile: a plaintext under A's key.
fn forge(pair: &mut Pair, plaintext: &[u8], ahead: u64) {
    pair.a_sends(b"for its header");
    let datagram = pair.a.sent.last().expect("sent").bytes.clone();
    let (receiver, next) = (receiver_index(&datagram), counter(&datagram) + ahead);
    let key = *pair.a.keys.keys().last().expect("key");
    let forged = seal(&key, receiver, next, plaintext);
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &forged, now);
}

#[test]
fn a_message_arrives_as_it_was_sent_and_says_from_whom() {
    let mut pair = Pair::new(1, link());
    pair.connect();
    let body: Vec<u8> = (0..limits::MESSAGE_BODY).map(|n| n as u8).collect();
    assert_eq!(tell(&mut pair, 0x10, &body), Ok(()));
    assert_eq!(tell(&mut pair, 0x3f, b""), Ok(()));
    pair.run_for(ms(20));
    let from = |kind, body| Event::Message {
        peer: pair.a.key(),
        kind,
        body,
        remote: pair.a.address,
    };
    assert_eq!(pair.b.events, [from(0x10, body), from(0x3f, Vec::new())]);
    let longest = pair.a.sent.iter().map(|sent| sent.bytes.len()).max();
    assert_eq!(longest, Some(1168));
}

#[test]
fn a_message_without_a_session_opens_one_and_waits_for_it() {
    let mut pair = Pair::new(2, link());
    for n in 0..3 {
        assert_eq!(tell(&mut pair, 0x11, &[n]), Ok(()));
    }
    pair.run_for(secs(1));
    assert_eq!(pair.a.states().last(), Some(&PeerState::Connected));
    assert_eq!(
        heard(&pair.b),
        [(0x11, vec![0]), (0x11, vec![1]), (0x11, vec![2])]
    );
}

#[test]
fn of_too_many_messages_that_wait_the_oldest_go_and_are_counted() {
    let mut pair = Pair::new(3, link());
    for n in 0..20 {
        assert_eq!(tell(&mut pair, 0x11, &[n]), Ok(()));
    }
    pair.run_for(secs(1));
    let kept: Vec<(u8, Vec<u8>)> = (4..20).map(|n| (0x11, vec![n])).collect();
    assert_eq!(heard(&pair.b), kept);
    assert_eq!(pair.a.dropped(DropReason::MessageQueueFull), 4);
}

#[test]
fn messages_to_a_peer_that_does_not_answer_are_given_up_with_the_handshake() {
    let mut pair = Pair::new(4, link());
    pair.cut(true);
    assert_eq!(tell(&mut pair, 0x11, b"anybody"), Ok(()));
    pair.run_for(secs(89));
    assert_eq!(pair.a.dropped(DropReason::MessageUnreachable), 0);
    pair.run_for(secs(10));
    assert_eq!(pair.a.dropped(DropReason::MessageUnreachable), 1);
    pair.cut(false);
    pair.a_sends(b"later");
    pair.run_for(secs(1));
    assert_eq!(heard(&pair.b), []);
}

#[test]
fn a_message_to_a_peer_without_an_address_does_not_wait() {
    let mut pair = Pair::with(5, link(), Setup::default(), |b_for_a, _| {
        b_for_a.endpoints.clear();
    });
    assert_eq!(tell(&mut pair, 0x11, b"where"), Ok(()));
    assert_eq!(pair.a.dropped(DropReason::MessageUnreachable), 1);
    assert!(pair.a.sent.is_empty());
    assert_eq!(pair.a.next_timeout(pair.now().instant), None);
}

#[test]
fn a_stock_peer_is_never_sent_a_message() {
    let mut pair = Pair::quiet_stock(6);
    assert_eq!(
        tell(&mut pair, 0x11, b"no"),
        Err(CommandError::NotWhalescale)
    );
    assert!(pair.a.sent.is_empty());
}

#[test]
fn a_message_from_a_stock_peer_is_dropped() {
    let mut pair = Pair::quiet_stock(7);
    let mut message = Vec::new();
    let body = b"no".to_vec();
    Frame::Message { kind: 0x11, body }.encode(&mut message);
    forge(&mut pair, &message, 1);
    assert_eq!(heard(&pair.b), []);
    assert_eq!(pair.b.dropped(DropReason::BadPlaintext), 1);
}

#[test]
fn a_frame_that_is_no_message_is_refused_to_be_sent_as_one() {
    let mut pair = Pair::new(8, link());
    pair.connect();
    let long = vec![0; limits::MESSAGE_BODY + 1];
    for (kind, body) in [
        (0x01, &b"hello"[..]),
        (0x0f, b""),
        (0x40, b""),
        (0x10, &long),
    ] {
        assert_eq!(tell(&mut pair, kind, body), Err(CommandError::NotAMessage));
    }
    assert!(pair.a.sent.is_empty());
}

#[test]
fn a_message_longer_than_the_longest_is_dropped_and_counted() {
    let mut pair = Pair::new(9, link());
    pair.connect();
    let mut message = vec![0x10, 0];
    message.extend((limits::MESSAGE_BODY as u16 + 1).to_le_bytes());
    message.extend(vec![7; limits::MESSAGE_BODY + 1]);
    forge(&mut pair, &message, 1);
    assert_eq!(heard(&pair.b), []);
    assert_eq!(pair.b.dropped(DropReason::BadPlaintext), 1);
}

#[test]
fn a_flood_of_messages_is_cut_down_and_the_session_lives_on() {
    let mut pair = Pair::new(10, link());
    pair.connect();
    for _ in 0..100 {
        for n in 0..10 {
            assert_eq!(tell(&mut pair, 0x11, &[n]), Ok(()));
        }
        pair.run_for(ms(10));
    }
    pair.run_for(ms(20));
    // A burst, and what a second is worth.
    let taken = heard(&pair.b).len() as u64;
    assert!((190..=194).contains(&taken), "{taken}");
    assert_eq!(pair.b.dropped(DropReason::MessageRate), 1000 - taken);
    let (peer, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::Ping { peer, token: 1 }, now);
    pair.flush();
    pair.run_for(ms(25));
    let is_pong = |event: &Event| matches!(event, Event::Pong { token: 1, .. });
    assert!(pair.a.events.iter().any(is_pong));
    pair.run_for(secs(5));
    pair.b.forget();
    assert_eq!(tell(&mut pair, 0x11, b"calm again"), Ok(()));
    pair.run_for(ms(20));
    assert_eq!(heard(&pair.b).len(), 1);
}

#[test]
fn messages_alone_keep_a_session_in_keys() {
    let mut pair = Pair::new(11, link());
    pair.connect();
    for n in 0..400_u16 {
        assert_eq!(tell(&mut pair, 0x11, &n.to_le_bytes()), Ok(()));
        pair.run_for(secs(1));
    }
    assert_eq!(heard(&pair.b).len(), 400);
    assert!(pair.a.sent_of_type(1).len() >= 3, "no renewal");
    assert_eq!(pair.a.states(), []);
}

#[test]
fn a_signature_is_the_nodes_and_comes_with_its_token() {
    let mut pair = Pair::new(12, link());
    let now = pair.now();
    let (domain, body) = ("whalescale test v1".to_owned(), b"a record".to_vec());
    let signature = pair.a.secret.sign(&domain, &body);
    let sign = Command::Sign {
        token: 7,
        domain,
        body,
    };
    pair.a.forget();
    pair.a.command(sign, now);
    let token = 7;
    assert_eq!(pair.a.events, [Event::Signed { token, signature }]);
}

#[test]
fn what_is_too_long_is_not_signed() {
    let mut pair = Pair::new(13, link());
    let now = pair.now();
    for (domain, body) in [(limits::SIGNED_DOMAIN + 1, 1), (1, limits::SIGNED_BODY + 1)] {
        let sign = Command::Sign {
            token: 7,
            domain: "d".repeat(domain),
            body: vec![0; body],
        };
        assert_eq!(
            pair.a.try_command(sign, now),
            Err(CommandError::TooLongToSign)
        );
    }
}
