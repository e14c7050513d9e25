//! Answers to packets that are too long for the tunnel.

use super::packets::{Flow, fix_ip_checksum, naive_sum, payload};
use proptest::prelude::*;
use whalescale_core::inner::ip::{Fragment, destination, parse, source};
use whalescale_core::inner::too_big::{MAX_ANSWER, too_big};

fn answer(packet: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xa5; MAX_ANSWER];
    too_big(packet, 1300, &mut out).map(|length| out[..length].to_vec())
}

/// A packet of another protocol than the flow's, from its fourth byte on.
fn with_payload(mut packet: Vec<u8>, protocol: u8, bytes: &[u8]) -> Vec<u8> {
    let v6 = packet[0] >> 4 == 6;
    packet.truncate(if v6 { 40 } else { 20 });
    packet.extend(bytes);
    if v6 {
        packet[5] = bytes.len() as u8;
        packet[6] = protocol;
    } else {
        packet[3] = packet.len() as u8;
        packet[9] = protocol;
        fix_ip_checksum(&mut packet);
    }
    packet
}

#[test]
fn an_ipv4_packet_is_answered_with_fragmentation_needed() {
    let packet = Flow::tcp4().packet(&payload(1400, 1));
    let answer = answer(&packet).unwrap();
    assert_eq!(answer.len(), 576);
    assert_eq!(answer[20..22], [3, 4]);
    assert_eq!(answer[24..28], [0, 0, 0x05, 0x14]);
    assert_eq!(answer[28..], packet[..548]);
    assert_eq!(naive_sum(&answer[..20]), 0xffff);
    assert_eq!(naive_sum(&answer[20..]), 0xffff);
}

#[test]
fn an_ipv6_packet_is_answered_with_packet_too_big() {
    let packet = Flow::tcp6().packet(&payload(1400, 1));
    let answer = answer(&packet).unwrap();
    assert_eq!(answer.len(), 1280);
    assert_eq!(answer[40..42], [2, 0]);
    assert_eq!(answer[44..48], [0, 0, 0x05, 0x14]);
    assert_eq!(answer[48..], packet[..1232]);
    let pseudo = [&answer[8..40], &1240u32.to_be_bytes(), &[0, 0, 0, 58]].concat();
    assert_eq!(naive_sum(&[&pseudo, &answer[40..]].concat()), 0xffff);
}

#[test]
fn a_short_packet_is_quoted_whole_without_its_padding() {
    for flow in [Flow::udp4(), Flow::udp6()] {
        let packet = flow.packet(&payload(31, 1));
        let padded = [&packet[..], &[0; 9]].concat();
        assert!(answer(&padded).unwrap().ends_with(&packet));
    }
}

#[test]
fn the_answer_comes_from_the_destination() {
    for flow in [Flow::udp4(), Flow::udp6()] {
        let packet = flow.packet(&payload(1400, 1));
        let answer = answer(&packet).unwrap();
        assert_eq!(source(&answer), destination(&packet));
        assert_eq!(destination(&answer), source(&packet));
    }
}

#[test]
fn icmp_errors_get_no_answer() {
    for kind in [3, 4, 5, 11, 12] {
        assert_eq!(
            answer(&with_payload(
                Flow::udp4().packet(&[]),
                1,
                &[kind, 0, 0, 0, 0, 0, 0, 0]
            )),
            None
        );
    }
    for kind in [1, 2, 3, 4, 127, 137] {
        assert_eq!(
            answer(&with_payload(
                Flow::udp6().packet(&[]),
                58,
                &[kind, 0, 0, 0, 0, 0, 0, 0]
            )),
            None
        );
    }
}

#[test]
fn an_answer_gets_no_answer() {
    for flow in [Flow::udp4(), Flow::udp6()] {
        let first = answer(&flow.packet(&payload(1400, 1))).unwrap();
        assert_eq!(answer(&first), None);
    }
}

#[test]
fn echo_requests_get_an_answer() {
    assert!(
        answer(&with_payload(
            Flow::udp4().packet(&[]),
            1,
            &[8, 0, 0, 0, 0, 0, 0, 0]
        ))
        .is_some()
    );
    assert!(
        answer(&with_payload(
            Flow::udp6().packet(&[]),
            58,
            &[128, 0, 0, 0, 0, 0, 0, 0]
        ))
        .is_some()
    );
}

#[test]
fn an_icmp_message_too_short_to_tell_gets_no_answer() {
    assert_eq!(
        answer(&with_payload(Flow::udp4().packet(&[]), 1, &[])),
        None
    );
    assert_eq!(
        answer(&with_payload(Flow::udp6().packet(&[]), 58, &[])),
        None
    );
}

#[test]
fn multicast_broadcast_and_unspecified_addresses_get_no_answer() {
    for (at, address) in [
        (4, [224, 0, 0, 1]),
        (4, [255; 4]),
        (0, [0; 4]),
        (0, [239, 1, 1, 1]),
    ] {
        let mut flow = Flow::udp4();
        flow.addresses[at..at + 4].copy_from_slice(&address);
        assert_eq!(answer(&flow.packet(&payload(1400, 1))), None);
    }
    let mut flow = Flow::udp6();
    flow.addresses[16] = 0xff;
    assert_eq!(answer(&flow.packet(&payload(1400, 1))), None);
    let mut flow = Flow::udp6();
    flow.addresses[..16].fill(0);
    assert_eq!(answer(&flow.packet(&payload(1400, 1))), None);
}

#[test]
fn only_the_first_fragment_gets_an_answer() {
    let mut packet = Flow::udp4().packet(&payload(1400, 1));
    packet[6] = 0x20;
    assert!(answer(&packet).is_some());
    packet[7] = 1;
    assert_eq!(answer(&packet), None);
}

#[test]
fn malformed_packets_get_no_answer() {
    assert_eq!(answer(&[]), None);
    assert_eq!(answer(&[0x45; 19]), None);
}

proptest! {
    #[test]
    fn answers_are_well_formed_and_never_longer_than_allowed(
        first in prop::sample::select(vec![0x45u8, 0x4f, 0x60]),
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        mtu in any::<u16>(),
    ) {
        let mut bytes = bytes;
        let length = bytes.len();
        if length >= 40 {
            bytes[0] = first;
            let at = if first == 0x60 { 4 } else { 2 };
            let told = if first == 0x60 { length - 40 } else { length } as u16;
            bytes[at..at + 2].copy_from_slice(&told.to_be_bytes());
        }
        let mut out = [0; MAX_ANSWER];
        if let Some(length) = too_big(&bytes, mtu, &mut out) {
            let header = parse(&out[..length]).unwrap();
            prop_assert_eq!((header.total_len, header.fragment), (length, Fragment::Whole));
        }
    }
}
