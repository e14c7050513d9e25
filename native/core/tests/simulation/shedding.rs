//! What pays when too much waits: one packet of bulk, by a mark or by its loss, at either end.

use whalescale_core::drops::DropReason;
use whalescale_core::inner::vnet::VnetHeader;

use crate::offload::super_packet;
use crate::pair::{Pair, link, secs};

/// A connected pair, and a super-packet of ten segments whose flow understands marks or does not.
fn bulk(seed: u64, capable: bool) -> (Pair, (VnetHeader, Vec<u8>)) {
    let mut pair = Pair::new(seed, link());
    pair.connect();
    let (vnet, mut packet) = super_packet(1_000, 10_000);
    packet[1] = if capable { 2 } else { 0 };
    (pair, (vnet, packet))
}

/// Sends `packet` to the other end as one joined message.
fn arrive_joined(pair: &mut Pair, packet: (VnetHeader, Vec<u8>)) {
    let now = pair.now();
    pair.a.forget();
    pair.a.tun_batch(&[packet], now);
    let stride = pair.a.sent[0].bytes.len();
    let sent = pair.a.sent.iter();
    let message: Vec<u8> = sent.flat_map(|sent| sent.bytes.clone()).collect();
    let from = pair.a.address;
    pair.b.receive_joined(from, &message, stride, now);
}

fn marks(pair: &Pair) -> Vec<u8> {
    let delivered = pair.b.delivered.iter();
    delivered.map(|packet| packet[1] & 3).collect()
}

#[test]
fn the_sender_drops_the_first_packet_of_the_next_super_packet_and_no_more() {
    let (mut pair, packet) = bulk(1, false);
    pair.a.sender.shed();
    let now = pair.now();
    pair.a.tun_batch(&[packet.clone(), packet], now);
    pair.flush();
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 19);
    assert_eq!(pair.a.dropped(DropReason::QueueDelay), 1);
}

#[test]
fn the_sender_marks_what_understands_marks_instead() {
    let (mut pair, packet) = bulk(2, true);
    pair.a.sender.shed();
    let now = pair.now();
    pair.a.tun_batch(&[packet], now);
    pair.flush();
    pair.run_for(secs(1));
    assert_eq!(marks(&pair), [3, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(pair.a.dropped(DropReason::QueueDelay), 0);
}

#[test]
fn the_receiver_drops_one_packet_of_the_next_message_of_bulk() {
    let (mut pair, packet) = bulk(3, false);
    pair.b.receiver.shed();
    arrive_joined(&mut pair, packet.clone());
    arrive_joined(&mut pair, packet);
    assert_eq!(pair.b.delivered.len(), 19);
    assert_eq!(pair.b.dropped(DropReason::BacklogDelay), 1);
}

#[test]
fn the_receiver_marks_what_understands_marks_instead() {
    let (mut pair, packet) = bulk(4, true);
    pair.b.receiver.shed();
    arrive_joined(&mut pair, packet);
    assert_eq!(marks(&pair), [3, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(pair.b.dropped(DropReason::BacklogDelay), 0);
}

#[test]
fn single_packets_never_pay() {
    let mut pair = Pair::new(5, link());
    pair.connect();
    pair.a.sender.shed();
    pair.b.receiver.shed();
    for n in 0..20 {
        pair.a_sends(&[n; 1_000]);
    }
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 20);
}
