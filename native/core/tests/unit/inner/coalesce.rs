//! Received packets, joined into super-packets.

use core::ops::Range;

use super::packets::*;
use proptest::prelude::*;
use whalescale_core::inner::coalesce::{MAX_DATAGRAMS, MAX_PIECES, Offload, coalesce};
use whalescale_core::inner::vnet::VnetHeader;

const ALL: Offload = Offload {
    tcp: true,
    udp: true,
};

/// The packets in one buffer, with other bytes between them as there are on the wire.
fn arena(packets: &[Vec<u8>]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut bytes = Vec::new();
    let mut ranges = Vec::new();
    for packet in packets {
        bytes.extend([0xee; 16]);
        ranges.push(bytes.len()..bytes.len() + packet.len());
        bytes.extend(packet);
        bytes.extend([0xdd; 16]);
    }
    (bytes, ranges)
}

/// What is written for these packets: the header and the joined bytes of each write.
fn joined(packets: &[Vec<u8>], offload: Offload) -> Vec<(VnetHeader, Vec<u8>)> {
    let (mut bytes, ranges) = arena(packets);
    let mut writes = Vec::new();
    coalesce(&mut bytes, &ranges, offload, |vnet, pieces| {
        assert!(pieces.len() <= MAX_PIECES);
        let bytes = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        writes.push((*vnet, bytes));
    });
    writes
}

/// How many writes these packets take; those that stay alone must be untouched.
fn writes(packets: &[Vec<u8>]) -> usize {
    let writes = joined(packets, ALL);
    for (vnet, written) in &writes {
        assert!(*vnet != VnetHeader::default() || packets.contains(written));
    }
    writes.len()
}

fn join(packets: &[Vec<u8>]) -> bool {
    writes(packets) == 1
}

/// Two adjacent packets, the second of a flow that `change` altered.
fn pair(mut flow: Flow, change: impl FnOnce(&mut Flow)) -> [Vec<u8>; 2] {
    let first = flow.send(&payload(100, 1));
    change(&mut flow);
    [first, flow.send(&payload(100, 2))]
}

/// Two adjacent packets, `change` made to the second and its checksums made right again.
fn edited(mut flow: Flow, change: impl Fn(&mut Vec<u8>)) -> [Vec<u8>; 2] {
    let first = flow.send(&payload(100, 1));
    let mut second = flow.send(&payload(100, 2));
    change(&mut second);
    if !flow.v6 {
        fix_ip_checksum(&mut second);
    }
    fix_transport_checksum(&mut second, flow.ip_len());
    [first, second]
}

#[test]
fn adjacent_packets_of_a_flow_join() {
    for flow in [Flow::tcp4(), Flow::tcp6(), Flow::udp4(), Flow::udp6()] {
        assert!(join(&pair(flow.clone(), |_| {})), "{flow:?}");
        assert!(join(&edited(flow.clone(), |_| {})), "{flow:?}");
    }
}

#[test]
fn a_joined_packet_announces_its_segments() {
    let flow = Flow::tcp6();
    let packets = pair(flow.clone(), |_| {});
    let whole = [payload(100, 1), payload(100, 2)].concat();
    assert_eq!(joined(&packets, ALL), [flow.super_packet(&whole, 100)]);
}

#[test]
fn a_packet_alone_is_untouched_under_an_empty_header() {
    let packet = Flow::tcp4().packet(&payload(100, 1));
    assert_eq!(
        joined(std::slice::from_ref(&packet), ALL),
        [(VnetHeader::default(), packet)]
    );
}

#[test]
fn bytes_that_are_no_ip_packet_are_written_as_they_are() {
    let packets = [vec![], vec![0x45], vec![0x60; 41], vec![0xff; 100]];
    let expected = packets
        .clone()
        .map(|packet| (VnetHeader::default(), packet));
    assert_eq!(joined(&packets, ALL), expected);
}

#[test]
fn a_range_outside_of_the_arena_is_left_out() {
    let mut writes = 0;
    let ranges = [0..20, 90..101, 200..300, 20..40];
    coalesce(&mut [0; 100], &ranges, ALL, |_, _| writes += 1);
    assert_eq!(writes, 2);
}

#[test]
fn tcp_stays_apart_where_the_device_does_not_take_it_joined() {
    let udp_only = Offload {
        tcp: false,
        udp: true,
    };
    assert_eq!(joined(&pair(Flow::tcp4(), |_| {}), udp_only).len(), 2);
    assert_eq!(joined(&pair(Flow::udp4(), |_| {}), udp_only).len(), 1);
}

#[test]
fn udp_stays_apart_where_the_device_does_not_take_it_joined() {
    let tcp_only = Offload {
        tcp: true,
        udp: false,
    };
    assert_eq!(joined(&pair(Flow::udp6(), |_| {}), tcp_only).len(), 2);
    assert_eq!(joined(&pair(Flow::tcp6(), |_| {}), tcp_only).len(), 1);
}

#[test]
fn other_addresses_do_not_join() {
    for flow in [Flow::tcp4(), Flow::tcp6(), Flow::udp4(), Flow::udp6()] {
        assert!(!join(&pair(flow.clone(), |flow| flow.addresses[0] ^= 1)));
        assert!(!join(&pair(flow.clone(), |flow| flow.addresses[7] ^= 1)));
        assert!(!flow.v6 || !join(&pair(flow, |flow| flow.addresses[31] ^= 1)));
    }
}

#[test]
fn other_ports_do_not_join() {
    for flow in [Flow::tcp4(), Flow::tcp6(), Flow::udp4(), Flow::udp6()] {
        assert!(!join(&pair(flow.clone(), |flow| flow.ports[1] ^= 1)));
        assert!(!join(&pair(flow, |flow| flow.ports[3] ^= 1)));
    }
}

#[test]
fn another_protocol_does_not_join() {
    assert!(!join(&pair(
        Flow {
            options: vec![],
            ..Flow::tcp4()
        },
        |flow| flow.udp = true
    )));
}

#[test]
fn another_ip_version_does_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.v6 = true)));
}

#[test]
fn another_type_of_service_does_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.tos = 1)));
    assert!(!join(&pair(Flow::tcp6(), |flow| flow.tos = 1)));
}

#[test]
fn another_hop_limit_does_not_join() {
    assert!(!join(&pair(Flow::udp4(), |flow| flow.hop_limit = 63)));
    assert!(!join(&pair(Flow::udp6(), |flow| flow.hop_limit = 63)));
}

#[test]
fn another_flow_label_does_not_join() {
    assert!(!join(&pair(Flow::tcp6(), |flow| flow.flow_label = 1)));
}

#[test]
fn another_dont_fragment_bit_does_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.dont_fragment = false)));
}

#[test]
fn a_gap_in_the_identification_joins_only_under_dont_fragment() {
    let fragmentable = Flow {
        dont_fragment: false,
        ..Flow::tcp4()
    };
    assert!(join(&pair(fragmentable.clone(), |_| {})));
    assert!(!join(&pair(fragmentable, |flow| flow.id = 9)));
    assert!(join(&pair(Flow::tcp4(), |flow| flow.id = 9)));
}

#[test]
fn another_acknowledgement_does_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.acknowledgement += 1)));
}

#[test]
fn another_window_does_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.window += 1)));
}

#[test]
fn other_tcp_options_do_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.options[11] ^= 1)));
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.options.truncate(8))));
}

#[test]
fn a_gap_or_an_overlap_in_the_sequence_does_not_join() {
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.sequence =
        flow.sequence.wrapping_add(1))));
    assert!(!join(&pair(Flow::tcp4(), |flow| flow.sequence =
        flow.sequence.wrapping_sub(1))));
}

#[test]
fn swapped_packets_do_not_join() {
    let [first, second] = pair(Flow::tcp4(), |_| {});
    assert!(!join(&[second, first]));
}

#[test]
fn flags_other_than_ack_and_psh_do_not_join() {
    for flags in [FIN, SYN, 4, URG, ECE, CWR]
        .map(|flag| flag | ACK)
        .into_iter()
        .chain([0, PSH])
    {
        assert!(
            !join(&pair(Flow::tcp4(), |flow| flow.flags = flags)),
            "second {flags:x}"
        );
        assert!(
            !join(&pair(
                Flow {
                    flags,
                    ..Flow::tcp4()
                },
                |flow| flow.flags = ACK
            )),
            "first {flags:x}"
        );
        assert!(
            !join(&pair(
                Flow {
                    flags,
                    ..Flow::tcp4()
                },
                |_| {}
            )),
            "both {flags:x}"
        );
    }
}

#[test]
fn reserved_bits_beside_the_flags_do_not_join() {
    let [first, second] = edited(Flow::tcp4(), |packet| packet[32] |= 1);
    assert!(!join(&[first, second]));
}

#[test]
fn psh_is_kept_and_ends_a_run() {
    let mut flow = Flow::tcp4();
    let head = flow.clone();
    let mut packets = vec![flow.send(&payload(100, 1))];
    flow.flags = ACK | PSH;
    packets.push(flow.send(&payload(100, 2)));
    flow.flags = ACK;
    packets.push(flow.send(&payload(100, 3)));
    let pushed = Flow {
        flags: ACK | PSH,
        ..head
    };
    let whole = [payload(100, 1), payload(100, 2)].concat();
    let writes = joined(&packets, ALL);
    assert_eq!(writes.len(), 2);
    assert_eq!(writes[0], pushed.super_packet(&whole, 100));
    assert_eq!(writes[1].1, packets[2]);
}

#[test]
fn nothing_joins_after_a_first_packet_with_psh() {
    assert!(!join(&pair(
        Flow {
            flags: ACK | PSH,
            ..Flow::tcp4()
        },
        |flow| flow.flags = ACK
    )));
}

#[test]
fn a_shorter_packet_joins_as_the_last_one() {
    for flow in [Flow::tcp4(), Flow::udp6()] {
        let mut flow = flow;
        let packets = [100, 100, 40, 40].map(|length| flow.send(&payload(length, 1)));
        let writes = joined(&packets, ALL);
        let lengths: Vec<usize> = writes
            .iter()
            .map(|(_, bytes)| bytes.len() - flow.header_len())
            .collect();
        assert_eq!(lengths, [240, 40]);
    }
}

#[test]
fn a_longer_packet_does_not_join() {
    let mut flow = Flow::udp4();
    assert!(!join(&[
        flow.send(&payload(100, 1)),
        flow.send(&payload(101, 1))
    ]));
}

#[test]
fn packets_without_payload_do_not_join() {
    for flow in [Flow::tcp4(), Flow::udp4()] {
        assert!(!join(&[flow.packet(&[]), flow.packet(&[])]));
        assert!(!join(&[flow.packet(&[1]), flow.packet(&[])]));
    }
}

#[test]
fn ipv4_options_do_not_join() {
    let with_options = |packet: Vec<u8>| {
        let mut packet = [&packet[..20], &[1, 1, 1, 1], &packet[20..]].concat();
        packet[0] = 0x46;
        packet[3] += 4;
        fix_ip_checksum(&mut packet);
        packet
    };
    assert!(!join(&pair(Flow::tcp4(), |_| {}).map(with_options)));
}

#[test]
fn ipv6_extension_headers_do_not_join() {
    let with_extension = |packet: Vec<u8>| {
        let mut packet = [&packet[..40], &[17, 0, 1, 4, 0, 0, 0, 0], &packet[40..]].concat();
        packet[6] = 60;
        packet[5] += 8;
        packet
    };
    assert!(!join(&pair(Flow::udp6(), |_| {}).map(with_extension)));
}

#[test]
fn fragments_do_not_join() {
    for bits in [0x20, 0x01] {
        let fragment = |mut packet: Vec<u8>| {
            packet[6] |= bits;
            fix_ip_checksum(&mut packet);
            packet
        };
        assert!(!join(&pair(Flow::udp4(), |_| {}).map(fragment)));
    }
}

#[test]
fn bytes_beyond_the_total_length_do_not_join() {
    assert!(!join(&edited(Flow::tcp4(), |packet| packet[3] -= 1)));
    assert!(!join(&edited(Flow::tcp6(), |packet| packet[5] -= 1)));
}

#[test]
fn a_tcp_header_shorter_or_longer_than_possible_does_not_join() {
    for offset in [0x00, 0x40, 0xf0] {
        let mut flow = Flow {
            options: vec![],
            ..Flow::tcp4()
        };
        let mut packets = Vec::new();
        for fill in 0..2 {
            let mut packet = flow.packet(&payload(30, fill));
            packet[32] = offset;
            fix_transport_checksum(&mut packet, 20);
            flow.sequence = flow
                .sequence
                .wrapping_add(50)
                .wrapping_sub(u32::from(offset) / 4);
            packets.push(packet);
        }
        assert!(!join(&packets), "offset {offset:x}");
    }
}

/// The sum over such a datagram is right, and yet it was sent without a checksum.
#[test]
fn udp_without_a_checksum_does_not_join() {
    for flow in [Flow::udp4(), Flow::udp6()] {
        let mut packets = pair(flow.clone(), |_| {});
        let field = flow.ip_len() + 6;
        for packet in &mut packets {
            packet[field + 2..field + 4].fill(0);
            fix_transport_checksum(packet, flow.ip_len());
            packet.copy_within(field..field + 2, field + 2);
            packet[field..field + 2].fill(0);
        }
        assert!(!join(&packets));
    }
}

#[test]
fn a_udp_length_other_than_the_packets_does_not_join() {
    assert!(!join(&edited(Flow::udp4(), |packet| packet[25] -= 1)));
}

#[test]
fn a_corrupt_payload_does_not_join_and_stays_corrupt() {
    for flow in [Flow::tcp4(), Flow::tcp6(), Flow::udp4(), Flow::udp6()] {
        for corrupt in 0..2 {
            for at in [flow.header_len(), flow.header_len() + 99] {
                let mut packets = pair(flow.clone(), |_| {});
                packets[corrupt][at] ^= 0x10;
                assert_eq!(writes(&packets), 2, "packet {corrupt}, byte {at}");
            }
        }
    }
}

#[test]
fn a_corrupt_ipv4_header_does_not_join() {
    for corrupt in 0..2 {
        let mut packets = pair(Flow::tcp4(), |_| {});
        packets[corrupt][10] ^= 1;
        assert!(!join(&packets));
    }
}

#[test]
fn sound_packets_join_on_both_sides_of_a_corrupt_one() {
    let mut flow = Flow::tcp4();
    let mut packets: Vec<_> = (0..5).map(|n| flow.send(&payload(100, n))).collect();
    packets[2][60] ^= 1;
    assert_eq!(writes(&packets), 3);
}

#[test]
fn only_neighbours_join() {
    let (mut a, mut b) = (
        Flow::tcp4(),
        Flow {
            ports: [9; 4],
            ..Flow::tcp4()
        },
    );
    let data = payload(100, 1);
    assert_eq!(
        writes(&[a.send(&data), b.send(&data), a.send(&data), b.send(&data)]),
        4
    );
    assert_eq!(
        writes(&[a.send(&data), a.send(&data), b.send(&data), b.send(&data)]),
        2
    );
}

#[test]
fn a_super_packet_stays_below_64_kib() {
    let mut flow = Flow::tcp4();
    let packets: Vec<_> = (0..50).map(|n| flow.send(&payload(1368, n))).collect();
    let writes = joined(&packets, ALL);
    assert_eq!(writes[0].1.len(), 52 + 47 * 1368);
    assert_eq!(writes.len(), 2);
}

#[test]
fn a_super_packet_has_no_more_pieces_than_the_limit() {
    for (flow, limit) in [(Flow::tcp4(), MAX_PIECES), (Flow::udp4(), MAX_DATAGRAMS)] {
        let mut flow = flow;
        let packets: Vec<_> = (0..=limit).map(|_| flow.send(&[1])).collect();
        let writes = joined(&packets, ALL);
        assert_eq!(writes[0].1.len(), flow.header_len() + limit);
        assert_eq!(writes.len(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn joining_the_segments_gives_back_the_super_packet(
        flow in any_flow(),
        gso_size in 1u16..2000,
        segment_count in 2usize..=MAX_PIECES,
        missing in any::<u16>(),
    ) {
        let segment_count = if flow.udp { segment_count.min(MAX_DATAGRAMS) } else { segment_count };
        let most = (65_535 - flow.header_len()).min(segment_count * usize::from(gso_size));
        let length = most - usize::from(missing % gso_size);
        prop_assume!(length > usize::from(gso_size));
        let (vnet, packet) = flow.super_packet(&payload(length, 3), gso_size);
        prop_assert_eq!(joined(&segments(&vnet, &packet), ALL), [(vnet, packet)]);
    }

    /// Whatever joins, the device's own segmentation undoes it: same packets, same order.
    #[test]
    fn cutting_what_was_written_gives_back_the_packets_in_order(
        flows in prop::collection::vec(any_flow(), 1..4),
        steps in prop::collection::vec(
            (0usize..3, prop::sample::select(vec![0usize, 1, 50, 100, 100, 100, 100]), 0u8..12), 1..150),
    ) {
        let mut flows = flows;
        let mut packets = Vec::new();
        let mut current = 0;
        for (choice, length, event) in steps {
            match event {
                0 | 1 => current = choice % flows.len(),
                2 => flows[current].flags ^= PSH,
                3 => flows[current].window ^= 1,
                _ => {}
            }
            let mut packet = flows[current].send(&payload(length, event));
            if event == 4 {
                let last = packet.len() - 1;
                packet[last] ^= 1;
            }
            packets.push(packet);
        }
        let undone: Vec<Vec<u8>> = joined(&packets, ALL)
            .iter()
            .flat_map(|(vnet, packet)| segments(vnet, packet))
            .collect();
        prop_assert_eq!(undone, packets);
    }

    #[test]
    fn damaged_packets_never_panic(
        flow in any_flow(),
        damage in prop::collection::vec((0usize..3, 0usize..100, any::<u8>()), 0..6),
        cut in prop::option::of((0usize..3, 0usize..150)),
    ) {
        let mut flow = flow;
        let mut packets: Vec<_> = (0..3).map(|n| flow.send(&payload(60, n))).collect();
        for (packet, at, value) in damage {
            if let Some(byte) = packets[packet].get_mut(at) {
                *byte = value;
            }
        }
        if let Some((packet, length)) = cut {
            packets[packet].truncate(length);
        }
        let written: usize = joined(&packets, ALL).iter().map(|(_, bytes)| bytes.len()).sum();
        prop_assert!(written <= packets.iter().map(Vec::len).sum());
    }
}
