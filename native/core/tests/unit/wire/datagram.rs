//! Datagrams: what each type must look like, and that nothing else passes.

use std::net::SocketAddr;

use proptest::prelude::*;
use whalescale_core::identity::Secret;
use whalescale_core::wire::datagram::{
    Datagram, Malformed, PROBE_LEN, ProbeKey, cookie_reply_receiver, initiation_sender, parse,
    response_receiver, response_sender, write_relay_header, write_transport_header,
};

fn datagram(kind: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; length];
    bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
    bytes
}

fn probe_key() -> ProbeKey {
    ProbeKey::new(&Secret::from_seed(&[2; 32]).public_key())
}

#[test]
fn fixed_length_types_have_exactly_their_length() {
    for (kind, length) in [(1, 148), (2, 92), (3, 64), (6, 56)] {
        assert!(parse(&datagram(kind, length)).is_ok());
        for wrong in [length - 1, length + 1, 4] {
            assert_eq!(parse(&datagram(kind, wrong)), Err(Malformed::Length));
        }
    }
}

#[test]
fn transport_data_has_at_least_header_and_tag() {
    assert!(parse(&datagram(4, 32)).is_ok());
    assert!(parse(&datagram(4, 65_507)).is_ok());
    assert_eq!(parse(&datagram(4, 31)), Err(Malformed::Length));
}

#[test]
fn reserved_bytes_must_be_zero() {
    for (kind, length) in [(1, 148), (2, 92), (3, 64), (4, 32), (5, 40)] {
        for place in 1..4 {
            let mut bytes = datagram(kind, length);
            bytes[place] = 1;
            assert_eq!(parse(&bytes), Err(Malformed::Reserved));
        }
    }
}

#[test]
fn other_types_are_unknown() {
    for kind in [0, 7, 8, 128, 255] {
        assert_eq!(parse(&datagram(kind, 148)), Err(Malformed::Type));
    }
}

#[test]
fn a_transport_header_reads_back_and_is_little_endian() {
    let mut bytes = [0; 32];
    let (header, _) = bytes.split_first_chunk_mut().unwrap();
    write_transport_header(header, 0x0102_0304, 0x0506_0708_090a_0b0c);
    assert_eq!(
        bytes[..16],
        [4, 0, 0, 0, 4, 3, 2, 1, 12, 11, 10, 9, 8, 7, 6, 5]
    );
    let transport = Datagram::Transport {
        receiver: 0x0102_0304,
        counter: 0x0506_0708_090a_0b0c,
    };
    assert_eq!(parse(&bytes), Ok(transport));
}

#[test]
fn indices_are_read_from_their_places() {
    let mut initiation = [0; 148];
    initiation[4..8].copy_from_slice(&[1, 2, 3, 4]);
    assert_eq!(initiation_sender(&initiation), 0x0403_0201);
    let mut response = [0; 92];
    response[4..12].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(response_sender(&response), 0x0403_0201);
    assert_eq!(response_receiver(&response), 0x0807_0605);
    let mut reply = [0; 64];
    reply[4..8].copy_from_slice(&[1, 2, 3, 4]);
    assert_eq!(cookie_reply_receiver(&reply), 0x0403_0201);
}

#[test]
fn a_relayed_datagram_is_the_inner_one_untouched_behind_eight_bytes() {
    for (kind, length) in [(1, 148), (2, 92), (3, 64), (4, 33)] {
        let inner = datagram(kind, length);
        let mut header = [0; 8];
        write_relay_header(&mut header, 0x0102_0304);
        let outer = [&header[..], &inner].concat();
        let relay = Datagram::Relay {
            channel: 0x0102_0304,
            inner: &inner,
        };
        assert_eq!(parse(&outer), Ok(relay));
    }
}

#[test]
fn only_wireguard_datagrams_of_correct_form_are_relayed() {
    let mut header = [0; 8];
    write_relay_header(&mut header, 1);
    for inner in [
        vec![],
        datagram(4, 31),
        datagram(1, 147),
        datagram(5, 48),
        datagram(6, 56),
        datagram(9, 100),
    ] {
        assert!(parse(&[&header[..], &inner].concat()).is_err());
    }
}

#[test]
fn a_probe_and_its_reply_are_equally_long() {
    let probe = probe_key().request(&[5; 16]);
    let reply = probe_key().reply(&[5; 16], "192.0.2.1:7".parse().unwrap());
    assert_eq!(probe.len(), reply.len());
    assert_eq!(parse(&probe), Ok(Datagram::Probe(&probe)));
    assert_eq!(parse(&reply), Ok(Datagram::ProbeReply(&reply)));
}

#[test]
fn a_probe_opens_for_its_receiver_alone() {
    let probe = probe_key().request(&[5; 16]);
    assert_eq!(probe_key().open_request(&probe), Some([5; 16]));
    let other = ProbeKey::new(&Secret::from_seed(&[3; 32]).public_key());
    assert_eq!(other.open_request(&probe), None);
}

#[test]
fn a_probe_does_not_pass_for_a_reply_nor_a_reply_for_a_probe() {
    let key = probe_key();
    let mut probe = key.request(&[5; 16]);
    let mut reply = key.reply(&[5; 16], "192.0.2.1:7".parse().unwrap());
    probe[1] = 1;
    reply[1] = 0;
    assert_eq!(key.open_reply(&probe), None);
    assert_eq!(key.open_request(&reply), None);
}

#[test]
fn probes_have_the_bytes_of_their_vectors() {
    let id = std::array::from_fn(|place| place as u8);
    let observed = "192.0.2.1:51820".parse().unwrap();
    let lines: Vec<_> = include_str!("../../vectors/wire_probe.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let hex = |bytes: [u8; PROBE_LEN]| data_encoding::HEXLOWER.encode(&bytes);
    assert_eq!(hex(probe_key().request(&id)), lines[0]);
    assert_eq!(hex(probe_key().reply(&id, observed)), lines[1]);
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_bytes_behind_any_header_are_parsed_or_refused(
        kind in 0..8_u8,
        second in 0..3_u8,
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&[kind, second, 0, 0][..], &rest].concat();
        let parsed = parse(&bytes);
        if let Ok(Datagram::Probe(probe) | Datagram::ProbeReply(probe)) = parsed {
            prop_assert_eq!(probe_key().open_request(probe), None);
            prop_assert_eq!(probe_key().open_reply(probe), None);
        }
    }

    #[test]
    fn a_reply_carries_id_and_address_back(id: [u8; 16], observed: SocketAddr) {
        let reply = probe_key().reply(&id, observed);
        let ip = observed.ip().to_canonical();
        let observed = SocketAddr::new(ip, observed.port());
        prop_assert_eq!(probe_key().open_reply(&reply), Some((id, observed)));
    }

    #[test]
    fn a_probe_or_reply_altered_anywhere_is_refused(place in 0..PROBE_LEN, change in 1..=255_u8) {
        let key = probe_key();
        let mut probe = key.request(&[5; 16]);
        let mut reply = key.reply(&[5; 16], "[2001:db8::1]:7".parse().unwrap());
        probe[place] ^= change;
        reply[place] ^= change;
        prop_assert_eq!(key.open_request(&probe), None);
        prop_assert_eq!(key.open_reply(&reply), None);
    }
}
