//! Every vector of the protocol, computed with the shipped code.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use data_encoding::HEXLOWER;
use whalescale_core::bond::feedback;
use whalescale_core::constants::{limits, mtu, protocol};
use whalescale_core::handshake::mac::{CookieChecker, MacSigner, MacVerifier};
use whalescale_core::handshake::noise::{Initiator, Responder};
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::{OVERLAY_PREFIX, PresharedKey, Secret};
use whalescale_core::replay;
use whalescale_core::wire::datagram::{ProbeKey, write_relay_header};
use whalescale_core::wire::frame::{self, Frame};

use super::bonded::{bonded, feedbacks, path_frames};
use super::session::{
    Fixed, INITIATOR_INDEX, NOW, RESPONDER_INDEX, Session, ip_packet, padded_lengths, probed_sizes,
};

/// Values by name, as text.
pub type Vectors = BTreeMap<String, String>;

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn node(byte: u8) -> Secret {
    Secret::from_seed(&[byte; 32])
}

/// All of them; no name twice.
pub fn computed() -> Vectors {
    let mut all = Vectors::new();
    let areas = [
        identity(),
        signatures(),
        handshake(),
        cookies(),
        transport(),
        datagrams(),
        frames(),
        path_frames(),
        feedbacks(),
        bonded(),
        constants(),
    ];
    for (name, value) in areas.into_iter().flatten() {
        assert!(all.insert(name.clone(), value).is_none(), "{name} twice");
    }
    all
}

pub fn named<const N: usize>(vectors: [(&str, String); N]) -> Vec<(String, String)> {
    vectors.map(|(name, value)| (name.to_owned(), value)).into()
}

fn identity() -> Vec<(String, String)> {
    let rfc8032 = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let rfc8032: [u8; 32] = HEXLOWER
        .decode(rfc8032.as_bytes())
        .unwrap()
        .try_into()
        .unwrap();
    let mut vectors = named([
        ("overlay.prefix", hex(OVERLAY_PREFIX)),
        (
            "identity.rfc8032.signature",
            hex(Secret::from_seed(&rfc8032).sign("whalescale test v1", b"hello")),
        ),
    ]);
    for (name, seed) in [
        ("rfc8032", rfc8032),
        ("initiator", [1; 32]),
        ("responder", [2; 32]),
    ] {
        let secret = Secret::from_seed(&seed);
        let id = secret.node_id();
        let fields = [
            ("seed", hex(seed)),
            ("key_file", secret.encode().to_string()),
            ("ed25519", hex(id.as_bytes())),
            ("node_id", id.to_string()),
            ("x25519", hex(id.public_key().as_bytes())),
            ("wireguard_public_key", id.public_key().to_string()),
            ("overlay", id.overlay_address().to_string()),
        ];
        vectors.extend(fields.map(|(field, value)| (format!("identity.{name}.{field}"), value)));
    }
    let refused = REFUSED_KEYS.map(|(name, key)| (format!("identity.refused.{name}"), hex(key)));
    vectors.extend(refused);
    vectors
}

/// What is signed, and the signature: a domain, and the numbers from 0 to 15.
fn signatures() -> Vec<(String, String)> {
    let domain = "whalescale record v1";
    let bytes: [u8; 16] = std::array::from_fn(|place| place as u8);
    let length = (domain.len() as u64).to_le_bytes();
    let message = [&length[..], domain.as_bytes(), &bytes].concat();
    named([
        ("signature.message", hex(message)),
        ("signature.initiator", hex(node(1).sign(domain, &bytes))),
        ("signature.of_nothing", hex(node(1).sign("", &[]))),
    ])
}

/// Little-endian y with the sign of x in the last bit: each is refused for another reason.
pub const REFUSED_KEYS: [(&str, [u8; 32]); 4] = [
    ("neutral", ends(1, 0x00, 0x00)),
    ("order_4", ends(0, 0x00, 0x00)),
    ("y_not_reduced", ends(0xee, 0xff, 0x7f)),
    ("no_point", ends(2, 0x00, 0x00)),
];

const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut key = [middle; 32];
    key[0] = first;
    key[31] = last;
    key
}

const TIME: Duration = Duration::new(1_790_000_000, 123_456_789);

/// Both messages with mac1, and the keys from initiator to responder and back.
pub fn handshake_messages() -> ([u8; 148], [u8; 92], [[u8; 32]; 2]) {
    let (initiator, responder) = (node(1), node(2));
    let psk = PresharedKey::from_bytes(&[3; 32]);
    let (mut state, mut initiation) = Initiator::start(
        &initiator,
        &responder.public_key(),
        &psk,
        INITIATOR_INDEX,
        Tai64n::from_unix(TIME),
        &mut Fixed::of([4]),
    )
    .unwrap();
    MacSigner::new(&responder.public_key()).sign(&mut initiation, NOW);
    let read = Responder::read(&responder, &initiation, &mut Fixed::of([5])).unwrap();
    let (mut response, there) = read.respond(&psk, RESPONDER_INDEX).unwrap();
    MacSigner::new(&initiator.public_key()).sign(&mut response, NOW);
    let here = state.finish(&response).unwrap();
    assert_eq!(here.send, there.receive);
    assert_eq!(here.receive, there.send);
    (initiation, response, [*here.send, *here.receive])
}

fn handshake() -> Vec<(String, String)> {
    let (initiation, response, [forth, back]) = handshake_messages();
    named([
        ("handshake.timestamp", Tai64n::from_unix(TIME).to_string()),
        ("handshake.initiation", hex(initiation)),
        ("handshake.response", hex(response)),
        ("handshake.key_initiator_to_responder", hex(forth)),
        ("handshake.key_responder_to_initiator", hex(back)),
    ])
}

/// The responder under load: its cookie reply, and mac2 of the same initiation sent again.
fn cookies() -> Vec<(String, String)> {
    let responder = node(2).public_key();
    let (mut initiation, _, _) = handshake_messages();
    let mut signer = MacSigner::new(&responder);
    signer.sign(&mut initiation, NOW);
    let source = "192.0.2.1:51820".parse().unwrap();
    let mut checker = CookieChecker::new(&responder);
    let mut entropy = Fixed::of([6, 7]);
    let reply = checker.reply(&initiation, source, NOW, &mut entropy);
    assert!(signer.take_cookie(&reply, NOW));
    signer.sign(&mut initiation, NOW);
    assert!(MacVerifier::new(&responder).mac1_valid(&initiation));
    assert!(checker.mac2_valid(&initiation, source, NOW, &mut entropy));
    named([
        ("cookie.reply", hex(reply)),
        ("cookie.mac2", hex(&initiation[132..])),
    ])
}

/// What the send machine makes of a HELLO, a keepalive and an inner packet, in this order.
fn transport() -> Vec<(String, String)> {
    let (_, _, [forth, _]) = handshake_messages();
    let mut session = Session::open(&forth, 1420);
    let packet = ip_packet(33);
    named([
        ("transport.hello", hex(session.frame(&hello(false)))),
        ("transport.keepalive", hex(session.keepalive())),
        ("transport.inner_packet", hex(&packet)),
        ("transport.packet", hex(session.packet(&packet))),
        (
            "transport.padding_1420",
            padded_lengths(&forth, 1420, &[20, 32, 33, 1408, 1409, 1420]),
        ),
    ])
}

fn datagrams() -> Vec<(String, String)> {
    let id: [u8; 16] = std::array::from_fn(|place| place as u8);
    let key = ProbeKey::new(&node(2).public_key());
    let (_, _, [forth, _]) = handshake_messages();
    let keepalive = Session::open(&forth, 1420).keepalive();
    let mut relay = [0; 8];
    write_relay_header(&mut relay, 0x0102_0304);
    let (v4, v6) = ("192.0.2.1:51820", "[2001:db8::1]:51820");
    named([
        ("relay.keepalive", hex([&relay[..], &keepalive].concat())),
        ("probe.request", hex(key.request(&id))),
        ("probe.reply_ipv4", hex(key.reply(&id, v4.parse().unwrap()))),
        ("probe.reply_ipv6", hex(key.reply(&id, v6.parse().unwrap()))),
    ])
}

fn hello(reply: bool) -> Frame {
    Frame::Hello {
        version: 1,
        node_id: *node(1).node_id().as_bytes(),
        instance: 0x0102_0304_0506_0708,
        reply,
    }
}

/// The bytes of a frame, which read as the same frame.
pub fn encoded(frame: Frame) -> String {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    assert_eq!(frame::parse(&bytes), Ok(frame::Plaintext::Frame(frame)));
    hex(bytes)
}

fn frames() -> Vec<(String, String)> {
    let token = 0x1112_1314_1516_1718;
    let reply = |received, observed: Option<&str>| Frame::PathProbeReply {
        token,
        received,
        observed: observed.map(|address| address.parse().unwrap()),
    };
    let range = |range: RangeInclusive<u8>| format!("{:02x}-{:02x}", range.start(), range.end());
    named([
        ("frame.hello", encoded(hello(false))),
        ("frame.hello_reply", encoded(hello(true))),
        (
            "frame.path_probe_12",
            encoded(Frame::PathProbe { token, size: 12 }),
        ),
        (
            "frame.path_probe_24",
            encoded(Frame::PathProbe { token, size: 24 }),
        ),
        ("frame.path_probe_reply", encoded(reply(48, None))),
        (
            "frame.path_probe_reply_ipv4",
            encoded(reply(48, Some("192.0.2.1:51820"))),
        ),
        (
            "frame.path_probe_reply_ipv6",
            encoded(reply(1432, Some("[2001:db8::1]:51820"))),
        ),
        ("frame.message", encoded(message(0x10, 3))),
        ("frame.message_of_nothing", encoded(message(0x3f, 0))),
        ("message.datagrams", message_datagrams()),
        ("frame.types_native", range(frame::NATIVE_TYPES)),
        ("frame.types_message", range(frame::MESSAGE_TYPES)),
        ("frame.types_bonded", range(frame::BONDED_TYPES)),
    ])
}

/// A message whose body is the numbers from 0 on.
fn message(kind: u8, length: usize) -> Frame {
    let body = (0..length).map(|n| n as u8).collect();
    Frame::Message { kind, body }
}

/// `body:datagram` lengths, on a path that carries no more than any path does.
fn message_datagrams() -> String {
    let (_, _, [forth, _]) = handshake_messages();
    let lengths = [0, 12, 13, limits::MESSAGE_BODY].map(|length| {
        let datagram = Session::open(&forth, mtu::INNER_MIN).frame(&message(0x10, length));
        format!("{length}:{}", datagram.len())
    });
    lengths.join(" ")
}

fn constants() -> Vec<(String, String)> {
    let ms = |span: Duration| span.as_millis().to_string();
    named([
        (
            "constant.rekey_after_messages",
            protocol::REKEY_AFTER_MESSAGES.to_string(),
        ),
        (
            "constant.reject_after_messages",
            protocol::REJECT_AFTER_MESSAGES.to_string(),
        ),
        (
            "constant.rekey_after_time_ms",
            ms(protocol::REKEY_AFTER_TIME),
        ),
        (
            "constant.rekey_on_receive_time_ms",
            ms(protocol::REKEY_ON_RECEIVE_TIME),
        ),
        (
            "constant.reject_after_time_ms",
            ms(protocol::REJECT_AFTER_TIME),
        ),
        (
            "constant.rekey_attempt_time_ms",
            ms(protocol::REKEY_ATTEMPT_TIME),
        ),
        ("constant.rekey_timeout_ms", ms(protocol::REKEY_TIMEOUT)),
        (
            "constant.rekey_jitter_max_ms",
            ms(protocol::REKEY_JITTER_MAX),
        ),
        (
            "constant.keepalive_timeout_ms",
            ms(protocol::KEEPALIVE_TIMEOUT),
        ),
        (
            "constant.initiation_spacing_ms",
            ms(protocol::INITIATION_SPACING),
        ),
        ("constant.replay_window", replay::WINDOW.to_string()),
        ("constant.endpoints", limits::ENDPOINTS.to_string()),
        ("constant.message_body", limits::MESSAGE_BODY.to_string()),
        ("constant.paths", limits::PATHS.to_string()),
        ("constant.feedback_paths", feedback::PATHS.to_string()),
        ("constant.feedback_gaps", feedback::GAPS.to_string()),
        (
            "constant.initiations_per_second",
            limits::INITIATIONS_PER_SECOND.to_string(),
        ),
        ("constant.inner_mtu_min", mtu::INNER_MIN.to_string()),
        (
            "constant.inner_mtu_auto_max",
            mtu::INNER_AUTO_MAX.to_string(),
        ),
        ("pmtu.path_of_1400", probed_sizes(1400)),
        ("pmtu.path_of_1333", probed_sizes(1333)),
        ("pmtu.path_of_1280", probed_sizes(1280)),
    ])
}
