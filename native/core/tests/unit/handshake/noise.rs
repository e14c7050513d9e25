//! The Noise handshake: against captured wireguard-go messages, against itself, against forgers.

use std::time::Duration;

use super::captured::{
    INITIATION_TIME, INITIATOR_INDEX, NamedEntropy, RESPONDER_INDEX, captured, captured_message,
    captured_node, captured_psk, node, open,
};
use proptest::prelude::*;
use whalescale_core::handshake::mac::{MacSigner, MacVerifier};
use whalescale_core::handshake::noise::{HandshakeError, Initiator, Responder, TransportKeys};
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::{PresharedKey, PublicKey};
use whalescale_core::time::Instant;

const NOW: Instant = Instant::from_nanos(0);

/// The u-coordinates of low order (RFC 7748, section 6.1; Wycheproof's x25519 tests list them), and
/// those of their non-canonical spellings that fit into 255 bits.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Each low-order point, with the bit that X25519 ignores clear and set.
fn low_order_points() -> impl Iterator<Item = [u8; 32]> {
    LOW_ORDER.into_iter().flat_map(|hex| {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        let point: [u8; 32] = bytes.try_into().unwrap();
        let mut high = point;
        high[31] |= 0x80;
        [point, high]
    })
}

fn no_psk() -> PresharedKey {
    PresharedKey::default()
}

/// An initiation from node 1 to node 2.
fn initiation(psk: &PresharedKey) -> (Initiator, [u8; 148]) {
    Initiator::start(
        &node(1),
        &node(2).public_key(),
        psk,
        INITIATOR_INDEX,
        Tai64n::from_unix(Duration::from_secs(7)),
        &mut NamedEntropy::new("initiator"),
    )
    .unwrap()
}

/// Node 2's answer to an initiation.
fn response(message: &[u8; 148], psk: &PresharedKey) -> ([u8; 92], TransportKeys) {
    Responder::read(&node(2), message, &mut NamedEntropy::new("responder"))
        .unwrap()
        .respond(psk, RESPONDER_INDEX)
        .unwrap()
}

#[test]
fn a_captured_initiation_of_wireguard_go_is_read_and_answered_as_it_accepted() {
    let initiation = captured_message("their_initiation");
    let local = captured_node();
    assert!(MacVerifier::new(&local.public_key()).mac1_valid(&initiation));

    let mut entropy = NamedEntropy::new("they initiate");
    let responder = Responder::read(&local, &initiation, &mut entropy).unwrap();
    let remote = responder.remote();
    assert!(responder.timestamp() > Tai64n::from_unix(Duration::from_secs(1_700_000_000)));
    assert_eq!(responder.remote_index().to_le_bytes(), initiation[4..8]);
    let (mut response, keys) = responder.respond(&captured_psk(), RESPONDER_INDEX).unwrap();
    MacSigner::new(&remote).sign(&mut response, NOW);
    assert_eq!(response, captured_message("our_response"));
    assert_eq!(
        open(&keys.receive, &captured()["their_first_transport"]),
        Some(Vec::new())
    );
}

#[test]
fn a_captured_response_of_wireguard_go_completes_our_initiation() {
    let their_initiation = captured_message("their_initiation");
    let mut entropy = NamedEntropy::new("they initiate");
    let remote = Responder::read(&captured_node(), &their_initiation, &mut entropy)
        .unwrap()
        .remote();
    let (mut initiator, mut initiation) = Initiator::start(
        &captured_node(),
        &remote,
        &captured_psk(),
        INITIATOR_INDEX,
        Tai64n::from_unix(Duration::from_secs(INITIATION_TIME)),
        &mut NamedEntropy::new("we initiate"),
    )
    .unwrap();
    MacSigner::new(&remote).sign(&mut initiation, NOW);
    assert_eq!(initiation, captured_message("our_initiation"));

    let response = captured_message("their_response");
    assert!(MacVerifier::new(&captured_node().public_key()).mac1_valid(&response));
    let keys = initiator.finish(&response).unwrap();
    assert_eq!(
        open(&keys.receive, &captured()["their_second_transport"]),
        Some(Vec::new())
    );
}

#[test]
fn both_sides_learn_who_speaks_and_get_the_same_two_keys() {
    let (mut initiator, message) = initiation(&no_psk());
    let mut entropy = NamedEntropy::new("responder");
    let responder = Responder::read(&node(2), &message, &mut entropy).unwrap();
    assert_eq!(responder.remote(), node(1).public_key());
    assert_eq!(responder.remote_index(), INITIATOR_INDEX);
    assert_eq!(
        responder.timestamp(),
        Tai64n::from_unix(Duration::from_secs(7))
    );
    let (answer, theirs) = responder.respond(&no_psk(), RESPONDER_INDEX).unwrap();
    let ours = initiator.finish(&answer).unwrap();
    assert_eq!(ours.send, theirs.receive);
    assert_eq!(ours.receive, theirs.send);
    assert_ne!(ours.send, ours.receive);
}

#[test]
fn both_macs_are_left_zero_for_the_signer() {
    let (_, message) = initiation(&no_psk());
    let (answer, _) = response(&message, &no_psk());
    assert_eq!(message[116..], [0; 32]);
    assert_eq!(answer[60..], [0; 32]);
}

#[test]
fn a_different_preshared_key_is_noticed_by_the_initiator() {
    let (mut initiator, message) = initiation(&captured_psk());
    let (answer, _) = response(&message, &no_psk());
    let refusal = initiator.finish(&answer).err();
    assert_eq!(refusal, Some(HandshakeError::NotAuthentic));
}

#[test]
fn a_forged_response_does_not_end_the_pending_handshake() {
    let (mut initiator, message) = initiation(&no_psk());
    let (answer, theirs) = response(&message, &no_psk());
    // Every byte of the Noise message, wrong once: ephemeral key and tag.
    for place in 12..60 {
        let mut forged = answer;
        forged[place] ^= 1;
        let refusal = initiator.finish(&forged).err();
        assert_eq!(refusal, Some(HandshakeError::NotAuthentic), "byte {place}");
    }
    let ours = initiator.finish(&answer).unwrap();
    assert_eq!(ours.send, theirs.receive);
}

#[test]
fn a_response_to_another_index_is_refused() {
    let (mut initiator, message) = initiation(&no_psk());
    let (mut answer, _) = response(&message, &no_psk());
    answer[8] ^= 1;
    let refusal = initiator.finish(&answer).err();
    assert_eq!(refusal, Some(HandshakeError::NotAuthentic));
}

#[test]
fn a_handshake_gives_its_keys_once() {
    let (mut initiator, message) = initiation(&no_psk());
    let (answer, _) = response(&message, &no_psk());
    initiator.finish(&answer).unwrap();
    let refusal = initiator.finish(&answer).err();
    assert_eq!(refusal, Some(HandshakeError::Finished));
}

#[test]
fn an_initiation_for_someone_else_is_refused() {
    let (_, message) = initiation(&no_psk());
    let mut entropy = NamedEntropy::new("responder");
    let refusal = Responder::read(&node(3), &message, &mut entropy).err();
    assert_eq!(refusal, Some(HandshakeError::NotAuthentic));
}

#[test]
fn a_remote_key_of_low_order_is_refused_before_anything_is_sent() {
    for point in low_order_points() {
        let Ok(remote) = PublicKey::from_bytes(&point) else {
            assert_eq!(point, [0; 32]);
            continue;
        };
        let mut entropy = NamedEntropy::new("initiator");
        let timestamp = Tai64n::default();
        let result = Initiator::start(&node(1), &remote, &no_psk(), 1, timestamp, &mut entropy);
        assert_eq!(result.err(), Some(HandshakeError::WeakKey), "{remote}");
    }
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused_in_an_initiation() {
    let (_, message) = initiation(&no_psk());
    for point in low_order_points() {
        let mut forged = message;
        forged[8..40].copy_from_slice(&point);
        let mut entropy = NamedEntropy::new("responder");
        let refusal = Responder::read(&node(2), &forged, &mut entropy).err();
        assert_eq!(refusal, Some(HandshakeError::WeakKey));
    }
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused_in_a_response_and_the_true_one_still_counts() {
    let (mut initiator, message) = initiation(&no_psk());
    let (answer, theirs) = response(&message, &no_psk());
    for point in low_order_points() {
        let mut forged = answer;
        forged[12..44].copy_from_slice(&point);
        let refusal = initiator.finish(&forged).err();
        assert_eq!(refusal, Some(HandshakeError::WeakKey));
    }
    let ours = initiator.finish(&answer).unwrap();
    assert_eq!(ours.receive, theirs.send);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_as_an_initiation_are_refused(bytes in prop::array::uniform32(any::<[u8; 5]>())) {
        let mut message = [0; 148];
        message.copy_from_slice(&bytes.as_flattened()[..148]);
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
        let mut entropy = NamedEntropy::new("responder");
        prop_assert!(Responder::read(&node(2), &message, &mut entropy).is_err());
    }

    #[test]
    fn any_change_to_the_noise_part_of_an_initiation_is_refused(
        place in 8..116_usize,
        change in 1..=255_u8,
    ) {
        let (_, mut message) = initiation(&no_psk());
        // X25519 ignores the last bit of a key, but the transcript does not.
        message[place] ^= change;
        let mut entropy = NamedEntropy::new("responder");
        prop_assert!(Responder::read(&node(2), &message, &mut entropy).is_err());
    }
}
