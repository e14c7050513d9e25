//! Short messages that a receive thread takes before longer ones: what they pass, and what not.

use whalescale_core::bond::bare::LOSS;
use whalescale_core::control::Command;
use whalescale_core::handoff::{Crossing, Endpoint};
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::receiver::Waiting;

use crate::node::SOCKET;
use crate::offload::{super_packet, udp_super_packet};
use crate::pair::{A_INNER, B_INNER, Pair, link, ms, udp_packet};

/// Messages of A as they lie in the arena of B.
struct Arrived {
    arena: Vec<u8>,
    messages: Vec<Waiting>,
}

impl Arrived {
    /// What A sends for each of these packets of its own: super-packets of 1000 bytes a segment, or
    /// single ones.
    fn of(pair: &mut Pair, packets: &[Inner]) -> Self {
        let (mut arena, mut messages) = (Vec::new(), Vec::new());
        let now = pair.now();
        for packet in packets {
            pair.a.forget();
            match packet {
                Inner::Bulk => _ = pair.a.tun_batch(&[super_packet(1_000, 10_000)], now),
                Inner::Tail => _ = pair.a.tun_batch(&[super_packet(100, 100)], now),
                Inner::Other => _ = pair.a.tun(&udp_packet(A_INNER, B_INNER, b"other"), now),
                Inner::Frame => {
                    let peer = pair.b.key();
                    pair.a.command(Command::Ping { peer, token: 1 }, now);
                }
                Inner::Voices(count) => _ = pair.a.tun_batch(&vec![voice(1); *count], now),
                Inner::Hidden => {
                    let mut voices = vec![voice(2); 9];
                    voices[4] = voice(1);
                    _ = pair.a.tun_batch(&voices, now);
                }
                Inner::LongOther => {
                    _ = pair.a.tun_batch(&[udp_super_packet(1_000, 10_000)], now);
                }
            }
            pair.flush();
            let (start, stride) = (arena.len(), pair.a.sent[0].bytes.len());
            for sent in &pair.a.sent {
                arena.extend_from_slice(&sent.bytes);
            }
            messages.push(Waiting {
                place: start..arena.len(),
                stride,
                from: Endpoint {
                    socket: SOCKET,
                    remote: pair.a.address,
                },
            });
        }
        Self { arena, messages }
    }

    /// B takes the `n`-th message before its turn.
    fn ahead(&mut self, pair: &mut Pair, n: usize) {
        let now = pair.now();
        let receiver = &mut pair.b.receiver;
        let (earlier, short) = (&self.messages[..n], &self.messages[n]);
        receiver.handle_ahead(&mut self.arena, earlier, short, now.instant);
        pair.b.deliver(&mut self.arena, now);
    }

    /// It is the turn of the `n`-th message. Says whether it was opened before.
    fn turn(&mut self, pair: &mut Pair, n: usize) -> bool {
        let now = pair.now();
        let message = self.messages[n].clone();
        let receiver = &mut pair.b.receiver;
        let opened = receiver.take_turn(&mut self.arena, message.place.start);
        if !opened {
            let (place, stride) = (message.place, message.stride);
            receiver.handle_message(&mut self.arena, place, stride, message.from, now.instant);
        }
        pair.b.deliver(&mut self.arena, now);
        opened
    }

    /// It is the turn of all.
    fn turns(&mut self, pair: &mut Pair) {
        for n in 0..self.messages.len() {
            self.turn(pair, n);
        }
    }
}

enum Inner {
    /// Ten segments of one TCP flow.
    Bulk,
    /// A short packet of the same flow.
    Tail,
    /// A short packet of another one.
    Other,
    /// So many short packets of that one at once.
    Voices(usize),
    /// One of them among eight of another flow, all at once.
    Hidden,
    /// Ten long packets of that flow.
    LongOther,
    /// None, but a control frame.
    Frame,
}

/// A short UDP packet of flow `source`, the one that [`Inner::Other`] belongs to being 1.
fn voice(source: u8) -> (VnetHeader, Vec<u8>) {
    let mut packet = udp_packet(A_INNER, B_INNER, b"voice");
    packet[20] ^= source - 1;
    (VnetHeader::default(), packet)
}

fn connected(seed: u64) -> Pair {
    let mut pair = Pair::new(seed, link());
    pair.connect();
    pair.b.forget();
    pair
}

/// Lengths of the packets that B has written.
fn delivered(pair: &Pair) -> Vec<usize> {
    pair.b.delivered.iter().map(Vec::len).collect()
}

#[test]
fn a_short_message_passes_a_long_one() {
    let mut pair = connected(1);
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Other]);
    arrived.ahead(&mut pair, 1);
    assert_eq!(delivered(&pair).first(), Some(&33));
    arrived.turns(&mut pair);
    assert_eq!(delivered(&pair).len(), 11, "nothing came twice");
}

#[test]
fn a_short_message_does_not_pass_its_own_flow() {
    // Between our own agents bulk may be bonded, whose order is the reordering buffer's affair.
    let mut pair = Pair::quiet_stock(2);
    pair.b.forget();
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Tail, Inner::Other]);
    arrived.ahead(&mut pair, 1);
    arrived.ahead(&mut pair, 2);
    assert_eq!(delivered(&pair), [33]);
    arrived.turns(&mut pair);
    let long = [1_040; 10];
    assert_eq!(delivered(&pair), [&[33][..], &long, &[140]].concat());
}

#[test]
fn a_flow_of_short_packets_of_which_several_came_at_once_keeps_its_order() {
    let mut pair = Pair::quiet_stock(5);
    pair.b.forget();
    let mut arrived = Arrived::of(&mut pair, &[Inner::Voices(9), Inner::Other]);
    arrived.ahead(&mut pair, 1);
    assert!(pair.b.delivered.is_empty(), "nine of the same flow wait");
    arrived.turns(&mut pair);
    assert_eq!(pair.b.delivered.len(), 10);
    assert!(pair.b.delivered[9].ends_with(b"other"));
}

#[test]
fn a_flow_in_the_middle_of_a_message_of_short_packets_is_not_passed() {
    let mut pair = Pair::quiet_stock(6);
    pair.b.forget();
    let mut arrived = Arrived::of(&mut pair, &[Inner::Hidden, Inner::Other]);
    arrived.ahead(&mut pair, 1);
    assert!(pair.b.delivered.is_empty(), "one of the same flow waits");
    arrived.turns(&mut pair);
    assert_eq!(pair.b.delivered.len(), 10);
    assert!(pair.b.delivered[9].ends_with(b"other"));
}

#[test]
fn a_flow_that_was_long_lately_passes_nothing() {
    let mut pair = Pair::quiet_stock(7);
    pair.b.forget();
    let mut earlier = Arrived::of(&mut pair, &[Inner::Bulk]);
    earlier.turns(&mut pair);
    pair.b.forget();
    // Its packets could be those between the first and the last of a long message.
    let mut arrived = Arrived::of(&mut pair, &[Inner::LongOther, Inner::Tail]);
    arrived.ahead(&mut pair, 1);
    assert!(pair.b.delivered.is_empty());
    arrived.turns(&mut pair);
    assert_eq!(pair.b.delivered.len(), 11);
}

#[test]
fn what_was_passed_is_not_reported_as_lost() {
    let mut pair = connected(3);
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Frame]);
    arrived.ahead(&mut pair, 1);
    pair.nanos += 100_000_000;
    assert!(!reports_loss(&mut pair), "its turn has not come");
    arrived.turns(&mut pair);
    pair.nanos += 100_000_000;
    assert!(!reports_loss(&mut pair), "nothing is missing");
}

#[test]
fn what_is_missing_is_reported_once_the_turn_of_the_short_message_has_come() {
    let mut pair = connected(4);
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Frame]);
    arrived.ahead(&mut pair, 1);
    arrived.turn(&mut pair, 1);
    pair.run_for(ms(0));
    pair.nanos += 100_000_000;
    assert!(reports_loss(&mut pair));
}

fn reports_loss(pair: &mut Pair) -> bool {
    let now = pair.now();
    pair.b.receiver.handle_timeout(now.instant);
    let mut crossings = pair.b.receiver.take_crossings();
    crossings.any(|crossing| match crossing {
        Crossing::Report { frame, .. } => frame.first() == Some(&LOSS),
        _ => false,
    })
}
