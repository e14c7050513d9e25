//! Super-packets out and joined messages in: nothing is lost, reordered or half sent.

use whalescale_core::drops::DropReason;
use whalescale_core::inner::vnet::{GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VnetHeader};
use whalescale_core::sender::Handled;

use crate::pair::{A_INNER, B_INNER, Pair, address, link, ms, payloads, secs, udp_packet};

/// A TCP super-packet over IPv4 to be cut every `mss` bytes, as the kernel hands it over.
pub fn super_packet(mss: u16, length: usize) -> (VnetHeader, Vec<u8>) {
    let total = u16::try_from(40 + length).expect("length");
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(A_INNER);
    packet.extend(B_INNER);
    packet.extend([0x30, 0x39, 0x30, 0x39, 0, 0, 0, 0, 0, 0, 0, 0]);
    packet.extend([0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend((0..length).map(|n| n as u8));
    let vnet = VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: 40,
        gso_size: mss,
        csum_start: 20,
        csum_offset: 16,
    };
    (vnet, packet)
}

/// The same over IPv6.
pub fn super_packet_v6(mss: u16, length: usize) -> (VnetHeader, Vec<u8>) {
    let (vnet, v4) = super_packet(mss, length);
    let payload_len = u16::try_from(20 + length).expect("length");
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(payload_len.to_be_bytes());
    packet.extend([6, 64]);
    packet.extend([0xfd; 16]);
    packet.extend([0xfe; 16]);
    packet.extend(&v4[20..]);
    let vnet = VnetHeader {
        gso_type: GSO_TCPV6,
        csum_start: 40,
        ..vnet
    };
    (vnet, packet)
}

/// A UDP super-packet over IPv4.
pub fn udp_super_packet(size: u16, length: usize) -> (VnetHeader, Vec<u8>) {
    let vnet = VnetHeader {
        flags: NEEDS_CSUM,
        gso_type: GSO_UDP_L4,
        hdr_len: 28,
        gso_size: size,
        csum_start: 20,
        csum_offset: 6,
    };
    (vnet, udp_packet(A_INNER, B_INNER, &vec![7; length]))
}

fn received_payload(pair: &Pair) -> Vec<u8> {
    let packets = pair.b.delivered.iter();
    packets.flat_map(|packet| packet[40..].to_vec()).collect()
}

#[test]
fn a_super_packet_arrives_as_its_segments_in_order() {
    let mut pair = Pair::new(1, link());
    pair.connect();
    let batch = [super_packet(1380, 60_000)];
    let now = pair.now();
    pair.a.tun_batch(&batch, now);
    pair.flush();
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 60_000_usize.div_ceil(1380));
    assert_eq!(received_payload(&pair), batch[0].1[40..]);
}

#[test]
fn many_runs_and_then_a_super_packet_of_small_segments_lose_nothing() {
    let mut pair = Pair::new(2, link());
    pair.connect();
    // Each is longer than the one before, so that none joins another's run.
    let mut batch: Vec<_> = (0..63_usize)
        .map(|n| udp_packet(A_INNER, B_INNER, &vec![1; 16 * n]))
        .map(|packet| (VnetHeader::default(), packet))
        .collect();
    batch.push(super_packet(100, 60_000));
    let now = pair.now();
    let handled = pair.a.tun_batch(&batch, now);
    assert!(handled.iter().all(|handled| *handled == Handled::Taken));
    pair.flush();
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 63 + 600);
}

#[test]
fn a_super_packet_of_too_many_segments_is_dropped_whole() {
    let mut pair = Pair::new(3, link());
    pair.connect();
    let batch = [super_packet(1, 60_000)];
    let now = pair.now();
    let handled = pair.a.tun_batch(&batch, now);
    assert_eq!(handled, [Handled::Dropped(DropReason::BadOffload)]);
    assert!(pair.a.sent.is_empty());
    pair.a_sends(b"the next one is fine");
    pair.run_for(ms(20));
    assert_eq!(payloads(&pair.b), [b"the next one is fine"]);
}

#[test]
fn the_worst_super_packet_that_is_taken_arrives() {
    let mut pair = Pair::new(4, link());
    pair.connect();
    let batch = [super_packet(88, 65_495)];
    let now = pair.now();
    assert_eq!(pair.a.tun_batch(&batch, now), [Handled::Taken]);
    pair.flush();
    pair.run_for(secs(1));
    assert_eq!(received_payload(&pair), batch[0].1[40..]);
}

#[test]
fn a_joined_message_with_a_stranger_in_the_middle_loses_only_that() {
    let mut pair = Pair::new(5, link());
    pair.connect();
    let mut message = Vec::new();
    for n in 0..6_u8 {
        pair.a_sends(&[n; 100]);
        let mut datagram = pair.a.sent.last().expect("sent").bytes.clone();
        match n {
            2 => datagram[4] ^= 1,
            3 => datagram[40] ^= 1,
            4 => datagram[0] = 9,
            _ => {}
        }
        message.extend(datagram);
    }
    let stride = message.len() / 6;
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive_joined(from, &message, stride, now);
    let expected: Vec<Vec<u8>> = [0_u8, 1, 5].map(|n| vec![n; 100]).to_vec();
    assert_eq!(payloads(&pair.b), expected);
    assert_eq!(pair.b.dropped(DropReason::UnknownIndex), 1);
    assert_eq!(pair.b.dropped(DropReason::Forged), 1);
    assert_eq!(pair.b.dropped(DropReason::Malformed), 1);
}

#[test]
fn a_joined_message_whose_last_datagram_is_shorter_arrives_whole() {
    let mut pair = Pair::new(6, link());
    pair.connect();
    let now = pair.now();
    pair.a.tun_batch(&[super_packet(500, 1700)], now);
    let message: Vec<u8> = pair
        .a
        .sent
        .iter()
        .flat_map(|sent| sent.bytes.clone())
        .collect();
    let stride = pair.a.sent[0].bytes.len();
    pair.b
        .receive_joined(address("192.0.2.1:51820"), &message, stride, now);
    assert_eq!(pair.b.delivered.len(), 4);
    assert_eq!(received_payload(&pair), super_packet(500, 1700).1[40..]);
}
