//! Frames inside a session: each reads back, and whatever is not one is refused or passed over.

use std::net::SocketAddr;

use proptest::prelude::*;
use whalescale_core::wire::frame::{
    Announced, Frame, Malformed, PATH_ANNOUNCE, PATH_BIND, Plaintext, parse,
};

fn encoded(frame: Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out);
    out
}

fn hello() -> Frame {
    Frame::Hello {
        version: 0x0102,
        node_id: [7; 32],
        instance: 0x0102_0304_0506_0708,
        reply: true,
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let hello =
        any::<(u16, [u8; 32], u64, bool)>().prop_map(|(version, node_id, instance, reply)| {
            Frame::Hello {
                version,
                node_id,
                instance,
                reply,
            }
        });
    let probe =
        (any::<u64>(), 12..=u16::MAX).prop_map(|(token, size)| Frame::PathProbe { token, size });
    let reply = any::<(u64, u16, Option<SocketAddr>)>().prop_map(|(token, received, observed)| {
        Frame::PathProbeReply {
            token,
            received,
            observed: observed
                .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port())),
        }
    });
    let announced = any::<(SocketAddr, u32)>().prop_map(|(address, link)| Announced {
        address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        link,
    });
    let announcement = (
        any::<(u32, bool)>(),
        prop::collection::vec(announced, 0..=8),
    );
    let announcement = announcement.prop_map(|((number, reply), addresses)| Frame::PathAnnounce {
        number,
        addresses: addresses.into_iter().collect(),
        reply,
    });
    let bind =
        any::<(u8, u64, u32, bool, bool)>().prop_map(|(path, token, link, metered, reply)| {
            Frame::PathBind {
                path,
                token,
                link,
                metered,
                reply,
            }
        });
    let message = (0x10..=0x3f_u8, prop::collection::vec(any::<u8>(), 0..=1120))
        .prop_map(|(kind, body)| Frame::Message { kind, body });
    prop_oneof![hello, probe, reply, announcement, bind, message]
}

#[test]
fn of_an_announcement_with_too_many_addresses_the_first_eight_are_taken() {
    let address = [
        &[0; 10][..],
        &[255, 255, 192, 0, 2, 1],
        &[1, 0],
        &[7, 0, 0, 0],
    ]
    .concat();
    for count in [8_u8, 9, 255] {
        let body = [&[1, 0, 0, 0, count][..], &address.repeat(count.into())].concat();
        let length = u16::try_from(body.len()).expect("length").to_le_bytes();
        let bytes = [&[8, 0][..], &length, &body].concat();
        let Ok(Plaintext::Frame(Frame::PathAnnounce { addresses, .. })) = parse(&bytes) else {
            panic!("not read");
        };
        assert_eq!(addresses.len(), 8);
    }
}

#[test]
fn an_announcement_shorter_than_it_says_is_refused() {
    let bytes = [8, 0, 5, 0, 1, 0, 0, 0, 1];
    assert_eq!(parse(&bytes), Err(Malformed::Length));
}

#[test]
fn a_message_has_its_kind_for_a_type_and_any_body_up_to_the_longest() {
    for kind in 0x10..=0x3f {
        for length in [0, 1, 1119, 1120] {
            let body = vec![kind; length];
            let bytes = encoded(Frame::Message { kind, body });
            assert_eq!(bytes.len(), 4 + length);
            assert_eq!(bytes[0], kind);
            assert_eq!(bytes[4..], vec![kind; length]);
        }
    }
}

#[test]
fn a_message_longer_than_the_longest_is_refused() {
    for length in [1121_u16, 1122, 1420] {
        let [low, high] = length.to_le_bytes();
        let mut bytes = vec![0x10, 0, low, high];
        bytes.resize(4 + usize::from(length), 7);
        assert_eq!(parse(&bytes), Err(Malformed::Length));
    }
}

#[test]
fn an_empty_plaintext_is_a_keepalive() {
    assert_eq!(parse(&[]), Ok(Plaintext::Keepalive));
}

#[test]
fn a_first_byte_of_4x_or_6x_is_an_inner_packet() {
    for first in (0x40..=0x4f).chain(0x60..=0x6f) {
        let packet = [first, 1, 2, 3];
        assert_eq!(parse(&packet), Ok(Plaintext::Ip(&packet)));
    }
}

#[test]
fn a_hello_has_the_bytes_of_the_specification() {
    let bytes = encoded(hello());
    assert_eq!(bytes[..6], [1, 1, 42, 0, 0x02, 0x01]);
    assert_eq!(bytes[6..38], [7; 32]);
    assert_eq!(bytes[38..], [8, 7, 6, 5, 4, 3, 2, 1]);
}

#[test]
fn a_path_probe_is_as_large_as_asked_and_at_least_its_token() {
    for (size, length) in [(0, 12), (12, 12), (13, 13), (1420, 1420), (65_535, 65_535)] {
        assert_eq!(encoded(Frame::PathProbe { token: 1, size }).len(), length);
    }
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    let bytes = encoded(hello());
    for length in 1..bytes.len() {
        assert_eq!(parse(&bytes[..length]), Err(Malformed::Length), "{length}");
    }
}

#[test]
fn a_body_shorter_than_its_type_needs_is_refused() {
    for (kind, flags, needed) in [(1, 0, 42), (2, 0, 8), (3, 0, 10), (3, 1, 28)] {
        let mut bytes = vec![0; 64];
        bytes[..3].copy_from_slice(&[kind, flags, needed - 1]);
        assert_eq!(parse(&bytes), Err(Malformed::Length));
        bytes[2] = needed;
        assert!(parse(&bytes).is_ok());
    }
}

#[test]
fn a_longer_body_and_unknown_flags_are_of_a_later_version_and_accepted() {
    let mut bytes = encoded(hello());
    bytes[1] |= 0xfe;
    bytes[2] += 3;
    bytes.extend_from_slice(&[1, 2, 3]);
    assert_eq!(parse(&bytes), Ok(Plaintext::Frame(hello())));
}

#[test]
fn unknown_control_types_are_passed_over_when_their_length_is_right() {
    for kind in (4..=0x0f).filter(|kind| ![PATH_ANNOUNCE, PATH_BIND].contains(kind)) {
        assert_eq!(parse(&[kind, 0, 1, 0, 9]), Ok(Plaintext::Unknown(kind)));
        assert_eq!(parse(&[kind, 0, 2, 0, 9]), Err(Malformed::Length));
    }
}

#[test]
fn bonded_data_is_passed_over() {
    for kind in 0x80..=0x8f {
        assert_eq!(parse(&[kind]), Ok(Plaintext::Unknown(kind)));
    }
}

#[test]
fn first_bytes_without_a_meaning_are_refused() {
    for kind in [0]
        .into_iter()
        .chain(0x50..=0x5f)
        .chain(0x70..=0x7f)
        .chain(0x90..=0xff)
    {
        assert_eq!(parse(&[kind, 0, 0, 0, 0]), Err(Malformed::Type));
    }
}

proptest! {
    #[test]
    fn any_frame_reads_back_with_any_padding(frame in any_frame(), padding in 0..16_usize) {
        let mut bytes = encoded(frame.clone());
        bytes.resize(bytes.len() + padding, 0);
        prop_assert_eq!(parse(&bytes), Ok(Plaintext::Frame(frame)));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_body_of_a_control_frame_is_parsed_or_refused(
        kind in 0..12_u8,
        flags: u8,
        length in 0..64_u8,
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let bytes = [&[kind, flags, length, 0][..], &body].concat();
        let fits = usize::from(length) <= body.len();
        prop_assert!(fits || parse(&bytes).is_err());
    }
}
