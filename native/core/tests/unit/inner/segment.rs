//! Super-packets from the TUN device, cut into packets.

use super::packets::*;
use proptest::prelude::*;
use whalescale_core::inner::checksum::{fold, sum};
use whalescale_core::inner::segment::{SegmentError, plan};
use whalescale_core::inner::vnet::*;

#[test]
fn a_complete_packet_is_copied_as_it_is() {
    let packet = Flow::tcp4().packet(&payload(100, 1));
    assert_eq!(segments(&VnetHeader::default(), &packet), [packet]);
}

#[test]
fn bytes_that_are_no_ip_packet_are_copied_too() {
    assert_eq!(segments(&VnetHeader::default(), &[]), [vec![]]);
    assert_eq!(
        segments(&VnetHeader::default(), &[1, 2, 3]),
        [vec![1, 2, 3]]
    );
}

#[test]
fn a_missing_checksum_is_completed() {
    for flow in [Flow::tcp4(), Flow::tcp6(), Flow::udp4(), Flow::udp6()] {
        let (vnet, packet) = flow.super_packet(&payload(333, 2), 0);
        let vnet = VnetHeader {
            gso_type: GSO_NONE,
            ..vnet
        };
        assert_eq!(segments(&vnet, &packet), [flow.packet(&payload(333, 2))]);
    }
}

#[test]
fn a_checksum_outside_of_the_packet_is_an_error() {
    let (vnet, packet) = Flow::tcp4().super_packet(&[], 0);
    for (csum_start, csum_offset) in [(20, 60), (52, 0), (51, 0), (65_535, 65_535), (60, 0)] {
        let vnet = VnetHeader {
            gso_type: GSO_NONE,
            csum_start,
            csum_offset,
            ..vnet
        };
        assert_eq!(
            plan(&vnet, &packet).err(),
            Some(SegmentError::ChecksumOutside)
        );
    }
    let vnet = VnetHeader {
        gso_type: GSO_NONE,
        csum_start: 50,
        csum_offset: 0,
        ..vnet
    };
    assert!(plan(&vnet, &packet).is_ok());
}

#[test]
fn identification_and_sequence_wrap() {
    let flow = Flow {
        id: 0xffff,
        sequence: 0xffff_ffff,
        ..Flow::tcp4()
    };
    let (vnet, packet) = flow.super_packet(&payload(300, 3), 100);
    let made = segments(&vnet, &packet);
    assert_eq!(made[1][4..6], [0, 0]);
    assert_eq!(made[1][24..28], 99u32.to_be_bytes());
    assert_eq!(made[2][24..28], 199u32.to_be_bytes());
}

#[test]
fn fin_and_psh_stand_on_the_last_segment_only() {
    let flow = Flow {
        flags: ACK | PSH | FIN,
        ..Flow::tcp4()
    };
    let (vnet, packet) = flow.super_packet(&payload(300, 4), 100);
    let made: Vec<u8> = segments(&vnet, &packet)
        .iter()
        .map(|packet| packet[33])
        .collect();
    assert_eq!(made, [ACK, ACK, ACK | PSH | FIN]);
}

#[test]
fn cwr_stands_on_the_first_segment_only() {
    let flow = Flow {
        flags: ACK | CWR | ECE,
        ..Flow::tcp6()
    };
    let (vnet, packet) = flow.super_packet(&payload(300, 4), 100);
    let vnet = VnetHeader {
        gso_type: vnet.gso_type | GSO_ECN,
        ..vnet
    };
    let made: Vec<u8> = segments(&vnet, &packet)
        .iter()
        .map(|packet| packet[53])
        .collect();
    assert_eq!(made, [ACK | CWR | ECE, ACK | ECE, ACK | ECE]);
}

#[test]
fn a_payload_of_one_segment_is_one_packet() {
    let flow = Flow {
        flags: ACK | PSH,
        ..Flow::tcp4()
    };
    let (vnet, packet) = flow.super_packet(&payload(100, 5), 100);
    assert_eq!(segments(&vnet, &packet), [flow.packet(&payload(100, 5))]);
}

#[test]
fn a_super_packet_without_payload_is_one_packet() {
    let flow = Flow::tcp6();
    let (vnet, packet) = flow.super_packet(&[], 100);
    assert_eq!(segments(&vnet, &packet), [flow.packet(&[])]);
}

#[test]
fn the_header_length_of_the_virtio_header_is_not_believed() {
    let (vnet, packet) = Flow::tcp4().super_packet(&payload(300, 6), 100);
    let lying = VnetHeader {
        hdr_len: 7,
        csum_start: 9999,
        csum_offset: 9999,
        ..vnet
    };
    assert_eq!(segments(&lying, &packet), segments(&vnet, &packet));
}

#[test]
fn ipv4_options_go_on_every_segment() {
    let (vnet, packet) = Flow::tcp4().super_packet(&payload(250, 7), 100);
    let mut packet = [&packet[..20], &[0x94, 4, 0, 0], &packet[20..]].concat();
    packet[0] = 0x46;
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    for segment in segments(&vnet, &packet) {
        assert_eq!(segment[20..24], [0x94, 4, 0, 0]);
        assert_eq!(fold(sum(&segment[..24])), 0xffff);
        let mut fixed = segment.clone();
        fix_transport_checksum(&mut fixed, 24);
        assert_eq!(segment, fixed);
    }
}

#[test]
fn ipv6_extension_headers_go_on_every_segment() {
    let (vnet, packet) = Flow::udp6().super_packet(&payload(250, 7), 100);
    let mut packet = [&packet[..40], &[17, 0, 1, 4, 0, 0, 0, 0], &packet[40..]].concat();
    packet[6] = 60;
    let length = packet.len() as u16 - 40;
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    let made = segments(&vnet, &packet);
    assert_eq!(made.len(), 3);
    assert_eq!(made[0].len(), 156);
    assert_eq!(made[0][4..6], [0, 116]);
    assert_eq!(made[2][52..54], [0, 58]);
}

#[test]
fn a_super_packet_with_a_segment_size_of_zero_is_an_error() {
    let (vnet, packet) = Flow::tcp4().super_packet(&payload(300, 8), 0);
    assert_eq!(
        plan(&vnet, &packet).err(),
        Some(SegmentError::ZeroSegmentSize)
    );
}

#[test]
fn an_unknown_kind_of_super_packet_is_an_error() {
    let (vnet, packet) = Flow::tcp4().super_packet(&payload(300, 8), 100);
    let vnet = VnetHeader {
        gso_type: 3,
        ..vnet
    };
    assert_eq!(
        plan(&vnet, &packet).err(),
        Some(SegmentError::UnknownGsoType(3))
    );
}

#[test]
fn a_super_packet_of_another_protocol_than_announced_is_an_error() {
    for (flow, gso_type) in [
        (Flow::tcp4(), GSO_TCPV6),
        (Flow::tcp6(), GSO_TCPV4),
        (Flow::tcp4(), GSO_UDP_L4),
        (Flow::udp4(), GSO_TCPV4),
    ] {
        let (vnet, packet) = flow.super_packet(&payload(300, 8), 100);
        let vnet = VnetHeader { gso_type, ..vnet };
        assert_eq!(
            plan(&vnet, &packet).err(),
            Some(SegmentError::WrongProtocol)
        );
    }
}

#[test]
fn a_super_packet_that_is_a_fragment_is_an_error() {
    let (vnet, mut packet) = Flow::tcp4().super_packet(&payload(300, 8), 100);
    packet[6] = 0x20;
    assert_eq!(plan(&vnet, &packet).err(), Some(SegmentError::Fragmented));
}

#[test]
fn a_transport_header_longer_than_the_packet_is_an_error() {
    let (vnet, packet) = Flow::tcp4().super_packet(&[], 100);
    let mut longer = packet.clone();
    longer[32] = 0xf0;
    let mut shorter = packet.clone();
    shorter[32] = 0x40;
    let mut cut = packet[..39].to_vec();
    cut[3] = 39;
    for packet in [longer, shorter, cut] {
        assert_eq!(
            plan(&vnet, &packet).err(),
            Some(SegmentError::TruncatedTransport)
        );
    }
}

#[test]
fn a_malformed_ip_header_is_an_error() {
    let (vnet, packet) = Flow::tcp4().super_packet(&payload(300, 8), 100);
    for (at, value) in [(0, 0x55), (0, 0x44), (0, 0x4f), (2, 0xff)] {
        let mut packet = packet[..if value == 0x4f { 50 } else { packet.len() }].to_vec();
        packet[at] = value;
        assert_eq!(
            plan(&vnet, &packet).err(),
            Some(SegmentError::MalformedIp),
            "{value:x} at {at}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn segments_are_those_of_the_naive_twin(
        flow in any_flow(),
        extra_flags in prop::sample::select(vec![0, FIN, CWR, ECE, CWR | ECE | FIN]),
        length in 1usize..20_000,
        gso_size in 1u16..2000,
    ) {
        let flow = Flow { flags: flow.flags | extra_flags, ..flow };
        let length = length.min(usize::from(gso_size) * 60);
        let (vnet, packet) = flow.super_packet(&payload(length, 9), gso_size);
        prop_assert_eq!(segments(&vnet, &packet), naive_segments(&packet, usize::from(gso_size)));
    }

    #[test]
    fn hostile_headers_never_panic(
        flow in any_flow(),
        length in 0usize..300,
        cut in 0usize..400,
        vnet in any::<[u8; 10]>(),
        gso_type in prop::sample::select(vec![0u8, 1, 3, 4, 5, 0x81, 0x84]),
        damage in prop::collection::vec((0usize..80, any::<u8>()), 0..6),
    ) {
        let (_, mut packet) = flow.super_packet(&payload(length, 9), 100);
        packet.truncate(cut);
        for (at, value) in damage {
            if let Some(byte) = packet.get_mut(at) {
                *byte = value;
            }
        }
        let vnet = VnetHeader { gso_type, ..VnetHeader::parse(&vnet) };
        if plan(&vnet, &packet).is_ok() {
            let made = segments(&vnet, &packet);
            prop_assert!(!made.is_empty() && made.len() <= packet.len().max(1));
        }
    }

    #[test]
    fn random_bytes_never_panic(vnet in any::<[u8; 10]>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let vnet = VnetHeader::parse(&vnet);
        if plan(&vnet, &bytes).is_ok() {
            segments(&vnet, &bytes);
        }
    }

    #[test]
    fn the_virtio_header_encodes_what_it_parsed(bytes in any::<[u8; 10]>()) {
        prop_assert_eq!(VnetHeader::parse(&bytes).encode(), bytes);
    }
}
