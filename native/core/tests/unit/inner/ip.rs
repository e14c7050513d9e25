//! IP headers of inner packets.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packets::{Flow, payload};
use proptest::prelude::*;
use whalescale_core::inner::ip::{
    Fragment, IpHeader, Malformed, destination, parse, source, total_len,
};

/// An IPv6 packet with these bytes after its header.
fn v6(next_header: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = Flow::udp6().packet(&[])[..40].to_vec();
    packet[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
    packet[6] = next_header;
    packet.extend(rest);
    packet
}

#[test]
fn an_ipv4_header_tells_lengths_protocol_and_addresses() {
    let packet = Flow::tcp4().packet(&payload(100, 1));
    let expected = IpHeader {
        version: 4,
        header_len: 20,
        total_len: 152,
        protocol: 6,
        source: IpAddr::V4(Ipv4Addr::new(10, 11, 12, 13)),
        destination: IpAddr::V4(Ipv4Addr::new(14, 15, 16, 17)),
        fragment: Fragment::Whole,
    };
    assert_eq!(parse(&packet), Ok(expected));
}

#[test]
fn an_ipv6_header_tells_lengths_protocol_and_addresses() {
    let packet = Flow::udp6().packet(&payload(100, 1));
    let octets = |from: u8| Ipv6Addr::from(core::array::from_fn::<u8, 16, _>(|at| from + at as u8));
    let expected = IpHeader {
        version: 6,
        header_len: 40,
        total_len: 148,
        protocol: 17,
        source: IpAddr::V6(octets(10)),
        destination: IpAddr::V6(octets(26)),
        fragment: Fragment::Whole,
    };
    assert_eq!(parse(&packet), Ok(expected));
}

#[test]
fn padding_after_the_packet_is_not_part_of_it() {
    for flow in [Flow::tcp4(), Flow::tcp6()] {
        let mut packet = flow.packet(&payload(5, 1));
        let length = packet.len();
        packet.extend([0; 15]);
        assert_eq!(total_len(&packet), Some(length));
    }
}

#[test]
fn a_total_length_beyond_the_bytes_is_malformed() {
    for flow in [Flow::tcp4(), Flow::tcp6()] {
        let packet = flow.packet(&payload(5, 1));
        let cut = &packet[..packet.len() - 1];
        assert_eq!((total_len(cut), parse(cut)), (None, Err(Malformed)));
    }
}

#[test]
fn a_total_length_below_the_header_is_malformed() {
    let mut packet = Flow::tcp4().packet(&payload(5, 1));
    packet[3] = 19;
    assert_eq!(total_len(&packet), None);
    packet[0] = 0x46;
    packet[3] = 23;
    assert_eq!(total_len(&packet), None);
    packet[3] = 24;
    assert_eq!(total_len(&packet), Some(24));
}

#[test]
fn an_ipv4_header_length_below_five_words_is_malformed() {
    let mut packet = Flow::tcp4().packet(&[]);
    packet[0] = 0x44;
    assert_eq!(parse(&packet), Err(Malformed));
}

#[test]
fn other_versions_have_no_addresses() {
    let packet = [0x50; 60];
    assert_eq!(
        (source(&packet), destination(&packet), total_len(&packet)),
        (None, None, None)
    );
    assert_eq!(parse(&[]), Err(Malformed));
}

#[test]
fn fragments_are_told_apart() {
    let fragment = |bits: u16| {
        let mut packet = Flow::udp4().packet(&[]);
        packet[6..8].copy_from_slice(&bits.to_be_bytes());
        parse(&packet).unwrap().fragment
    };
    assert_eq!(fragment(0x4000), Fragment::Whole);
    assert_eq!(fragment(0x2000), Fragment::First);
    assert_eq!(fragment(0x2001), Fragment::Later);
    assert_eq!(fragment(0x0001), Fragment::Later);
}

#[test]
fn extension_headers_are_followed_to_the_upper_layer() {
    let hop_by_hop = [43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let routing = [60, 0, 0, 0, 0, 0, 0, 0];
    let options = [6, 0, 1, 4, 0, 0, 0, 0];
    let packet = v6(0, &[&hop_by_hop[..], &routing, &options, &[9; 20]].concat());
    let header = parse(&packet).unwrap();
    assert_eq!(
        (header.header_len, header.protocol, header.total_len),
        (72, 6, 92)
    );
}

#[test]
fn ipv6_fragments_are_told_apart() {
    let fragment = |bits: u16| {
        let [high, low] = bits.to_be_bytes();
        let header = parse(&v6(44, &[17, 0, high, low, 0, 0, 0, 1])).unwrap();
        assert_eq!((header.header_len, header.protocol), (48, 17));
        header.fragment
    };
    assert_eq!(fragment(0), Fragment::Whole);
    assert_eq!(fragment(1), Fragment::First);
    assert_eq!(fragment(8), Fragment::Later);
    assert_eq!(fragment(9), Fragment::Later);
}

#[test]
fn an_extension_header_that_leaves_the_packet_is_malformed() {
    assert_eq!(parse(&v6(0, &[6, 1, 1, 4, 0, 0, 0, 0])), Err(Malformed));
    assert_eq!(parse(&v6(0, &[6, 0, 1])), Err(Malformed));
    assert_eq!(parse(&v6(60, &[])), Err(Malformed));
}

#[test]
fn an_endless_chain_of_extension_headers_is_malformed() {
    let chain = [60, 0, 1, 4, 0, 0, 0, 0].repeat(100);
    assert_eq!(parse(&v6(60, &chain)), Err(Malformed));
}

proptest! {
    #[test]
    fn what_is_parsed_lies_within_the_packet(
        first in prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60, 0x6f, 0x00]),
        next in prop::sample::select(vec![0u8, 43, 44, 60, 6, 17]),
        bytes in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 44, 60, 100, 255]), 0..150),
    ) {
        let mut bytes = bytes;
        for (at, value) in [(0, first), (6, next), (4, 0), (2, 0)] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Ok(header) = parse(&bytes) {
            prop_assert!(header.header_len <= header.total_len && header.total_len <= bytes.len());
            prop_assert_eq!(Some(header.source), source(&bytes));
            prop_assert_eq!(Some(header.destination), destination(&bytes));
            prop_assert_eq!(Some(header.total_len), total_len(&bytes));
        }
    }
}
