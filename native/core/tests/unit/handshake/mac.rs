//! mac1, mac2 and cookies: against captured wireguard-go messages, and every way to be wrong.

use std::net::SocketAddr;
use std::time::Duration;

use super::captured::{
    INITIATION_TIME, INITIATOR_INDEX, NamedEntropy, captured_message, captured_node, captured_psk,
    node,
};
use proptest::prelude::*;
use whalescale_core::handshake::mac::{CookieChecker, MacSigner, MacVerifier};
use whalescale_core::handshake::noise::{Initiator, Responder};
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::PublicKey;
use whalescale_core::time::Instant;
use whalescale_core::wire::datagram::cookie_reply_receiver;

const START: Instant = Instant::from_nanos(5_000_000_000);
const LIFETIME: Duration = Duration::from_secs(120);
const MOMENT: Duration = Duration::from_nanos(1);

fn source() -> SocketAddr {
    "192.0.2.1:51820".parse().unwrap()
}

/// Bytes in the form of an initiation from index 0x0a0b0c0d; the macs do not look at the rest.
fn message() -> [u8; 148] {
    let mut message = [0x5a; 148];
    message[4..8].copy_from_slice(&0x0a0b_0c0d_u32.to_le_bytes());
    message
}

/// One receiver under load, and one sender to it.
struct Conversation {
    verifier: MacVerifier,
    checker: CookieChecker,
    signer: MacSigner,
    entropy: NamedEntropy,
}

impl Conversation {
    fn new() -> Self {
        let receiver = node(2).public_key();
        Self {
            verifier: MacVerifier::new(&receiver),
            checker: CookieChecker::new(&receiver),
            signer: MacSigner::new(&receiver),
            entropy: NamedEntropy::new("cookie"),
        }
    }

    fn signed(&mut self, now: Instant) -> [u8; 148] {
        let mut message = message();
        self.signer.sign(&mut message, now);
        message
    }

    fn reply(&mut self, message: &[u8], now: Instant) -> [u8; 64] {
        self.checker
            .reply(message, source(), now, &mut self.entropy)
    }

    fn mac2_valid(&mut self, message: &[u8], source: SocketAddr, now: Instant) -> bool {
        self.checker
            .mac2_valid(message, source, now, &mut self.entropy)
    }

    /// Lets the sender have a cookie.
    fn give_cookie(&mut self, now: Instant) {
        let message = self.signed(now);
        let reply = self.reply(&message, now);
        assert!(self.signer.take_cookie(&reply, now));
    }
}

fn their_public_key() -> PublicKey {
    let initiation = captured_message("their_initiation");
    let mut entropy = NamedEntropy::new("they initiate");
    Responder::read(&captured_node(), &initiation, &mut entropy)
        .unwrap()
        .remote()
}

#[test]
fn the_cookie_that_wireguard_go_gave_under_load_makes_the_mac2_that_it_accepted() {
    let remote = their_public_key();
    let initiation = |name, seconds| {
        Initiator::start(
            &captured_node(),
            &remote,
            &captured_psk(),
            INITIATOR_INDEX,
            Tai64n::from_unix(Duration::from_secs(seconds)),
            &mut NamedEntropy::new(name),
        )
        .unwrap()
        .1
    };
    let mut signer = MacSigner::new(&remote);
    let mut first = initiation("flood", INITIATION_TIME);
    signer.sign(&mut first, START);
    assert_eq!(first, captured_message("our_refused_initiation"));
    let reply = captured_message("their_cookie_reply");
    assert_eq!(cookie_reply_receiver(&reply), INITIATOR_INDEX);
    assert!(signer.take_cookie(&reply, START));

    let mut second = initiation("with cookie", INITIATION_TIME + 1);
    signer.sign(&mut second, START);
    assert_eq!(second, captured_message("our_initiation_with_cookie"));
}

#[test]
fn a_signed_message_verifies_in_both_lengths_and_for_its_receiver_alone() {
    let mut conversation = Conversation::new();
    let mut short = [7; 92];
    conversation.signer.sign(&mut short, START);
    let long = conversation.signed(START);
    for message in [&short[..], &long[..]] {
        assert!(conversation.verifier.mac1_valid(message));
        assert!(!MacVerifier::new(&node(3).public_key()).mac1_valid(message));
    }
}

#[test]
fn mac2_is_zero_without_a_cookie() {
    assert_eq!(Conversation::new().signed(START)[132..], [0; 16]);
}

#[test]
fn a_message_signed_with_a_cookie_has_a_valid_mac2() {
    let mut conversation = Conversation::new();
    let without = conversation.signed(START);
    assert!(!conversation.mac2_valid(&without, source(), START));
    conversation.give_cookie(START);
    let with = conversation.signed(START);
    assert!(conversation.verifier.mac1_valid(&with));
    assert!(conversation.mac2_valid(&with, source(), START));
}

#[test]
fn a_cookie_is_good_for_one_address_and_one_port() {
    let mut conversation = Conversation::new();
    conversation.give_cookie(START);
    let message = conversation.signed(START);
    for other in ["192.0.2.2:51820", "192.0.2.1:51821", "[2001:db8::1]:51820"] {
        assert!(!conversation.mac2_valid(&message, other.parse().unwrap(), START));
    }
    assert!(conversation.mac2_valid(&message, source(), START));
}

#[test]
fn the_receiver_renews_its_secret_after_120_seconds() {
    let mut conversation = Conversation::new();
    conversation.give_cookie(START);
    let message = conversation.signed(START);
    let late = Instant::from_nanos((START + LIFETIME).as_nanos() - 1);
    assert!(conversation.mac2_valid(&message, source(), late));
    assert!(!conversation.mac2_valid(&message, source(), START + LIFETIME));
}

#[test]
fn the_sender_drops_a_cookie_after_120_seconds() {
    let mut conversation = Conversation::new();
    conversation.give_cookie(START);
    let late = Instant::from_nanos((START + LIFETIME).as_nanos() - 1);
    assert_ne!(conversation.signed(late)[132..], [0; 16]);
    assert_eq!(conversation.signed(START + LIFETIME)[132..], [0; 16]);
}

#[test]
fn a_cookie_reply_names_the_sender_index_of_what_it_answers() {
    let mut conversation = Conversation::new();
    let message = conversation.signed(START);
    let reply = conversation.reply(&message, START);
    assert_eq!(reply[..4], [3, 0, 0, 0]);
    assert_eq!(cookie_reply_receiver(&reply), 0x0a0b_0c0d);
}

#[test]
fn a_cookie_reply_is_taken_only_for_the_message_signed_last_and_once() {
    let mut conversation = Conversation::new();
    let first = conversation.signed(START);
    let reply = conversation.reply(&first, START);
    let mut other = message();
    other[100] = 0;
    conversation.signer.sign(&mut other, START + MOMENT);
    assert!(!conversation.signer.take_cookie(&reply, START + MOMENT));

    let reply = conversation.reply(&other, START + MOMENT);
    assert!(conversation.signer.take_cookie(&reply, START + MOMENT));
    assert!(!conversation.signer.take_cookie(&reply, START + MOMENT));
}

#[test]
fn a_cookie_reply_before_any_message_is_refused() {
    assert!(!Conversation::new().signer.take_cookie(&[3; 64], START));
}

proptest! {
    #[test]
    fn mac1_covers_every_byte_before_it(place in 0..132_usize, change in 1..=255_u8) {
        let mut conversation = Conversation::new();
        let mut message = conversation.signed(START);
        message[place] ^= change;
        prop_assert!(!conversation.verifier.mac1_valid(&message));
    }

    #[test]
    fn mac2_covers_every_byte_of_the_message(place in 0..148_usize, change in 1..=255_u8) {
        let mut conversation = Conversation::new();
        conversation.give_cookie(START);
        let mut message = conversation.signed(START);
        message[place] ^= change;
        prop_assert!(!conversation.mac2_valid(&message, source(), START));
    }

    #[test]
    fn a_cookie_reply_altered_anywhere_but_in_its_header_is_refused(
        place in 8..64_usize,
        change in 1..=255_u8,
    ) {
        let mut conversation = Conversation::new();
        let message = conversation.signed(START);
        let mut reply = conversation.reply(&message, START);
        reply[place] ^= change;
        prop_assert!(!conversation.signer.take_cookie(&reply, START));
    }

    #[test]
    fn bytes_of_any_length_have_no_valid_mac_and_break_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut conversation = Conversation::new();
        prop_assert!(!conversation.verifier.mac1_valid(&bytes));
        prop_assert!(!conversation.mac2_valid(&bytes, source(), START));
        conversation.reply(&bytes, START);
        let mut signed = bytes.clone();
        conversation.signer.sign(&mut signed, START);
        let is_handshake_length = matches!(bytes.len(), 92 | 148);
        prop_assert_eq!(signed != bytes, is_handshake_length);
    }
}
