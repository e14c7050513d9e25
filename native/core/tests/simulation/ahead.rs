//! Short messages that a receive thread takes before longer ones: what they pass, and what not.

use std::ops::Range;

use whalescale_core::bond::bare::LOSS;
use whalescale_core::handoff::{Crossing, Endpoint};

use crate::node::SOCKET;
use crate::offload::super_packet;
use crate::pair::{A_INNER, B_INNER, Pair, link, ms, udp_packet};

/// Messages of A as they lie in the arena of B.
struct Arrived {
    arena: Vec<u8>,
    messages: Vec<(Range<usize>, usize)>,
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
            }
            pair.flush();
            let (start, stride) = (arena.len(), pair.a.sent[0].bytes.len());
            for sent in &pair.a.sent {
                arena.extend_from_slice(&sent.bytes);
            }
            messages.push((start..arena.len(), stride));
        }
        Self { arena, messages }
    }

    fn from(pair: &Pair) -> Endpoint {
        Endpoint {
            socket: SOCKET,
            remote: pair.a.address,
        }
    }

    /// B takes the `n`-th message before its turn.
    fn ahead(&mut self, pair: &mut Pair, n: usize) {
        let (now, from) = (pair.now(), Self::from(pair));
        let (message, stride) = self.messages[n].clone();
        let receiver = &mut pair.b.receiver;
        receiver.handle_ahead(&mut self.arena, message, stride, from, now.instant);
        pair.b.deliver(&mut self.arena, now);
    }

    /// It is the turn of the `n`-th message. Says whether it was taken before.
    fn turn(&mut self, pair: &mut Pair, n: usize) -> bool {
        let (now, from) = (pair.now(), Self::from(pair));
        let (message, stride) = self.messages[n].clone();
        let receiver = &mut pair.b.receiver;
        let taken = receiver.take_turn(message.start);
        if !taken {
            receiver.handle_message(&mut self.arena, message, stride, from, now.instant);
        }
        pair.b.deliver(&mut self.arena, now);
        taken
    }
}

enum Inner {
    /// Ten segments of one TCP flow.
    Bulk,
    /// A short packet of the same flow.
    Tail,
    /// A short packet of another one.
    Other,
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
    assert_eq!(delivered(&pair), [33]);
    assert!(!arrived.turn(&mut pair, 0));
    assert!(arrived.turn(&mut pair, 1));
    assert_eq!(delivered(&pair).len(), 11, "nothing came twice");
}

#[test]
fn a_flow_that_brought_something_long_is_not_passed_by_its_own_packets() {
    // Between our own agents bulk may be bonded, whose order is the reordering buffer's affair.
    let mut pair = Pair::quiet_stock(2);
    pair.b.forget();
    let mut earlier = Arrived::of(&mut pair, &[Inner::Bulk]);
    earlier.turn(&mut pair, 0);
    pair.b.forget();
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Tail, Inner::Other]);
    arrived.ahead(&mut pair, 1);
    arrived.ahead(&mut pair, 2);
    assert_eq!(delivered(&pair), [33]);
    for n in 0..3 {
        arrived.turn(&mut pair, n);
    }
    let long = [1_040; 10];
    assert_eq!(delivered(&pair), [&[33][..], &long, &[140]].concat());
}

#[test]
fn what_was_passed_is_not_reported_as_lost() {
    let mut pair = connected(3);
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Other]);
    arrived.ahead(&mut pair, 1);
    pair.nanos += 100_000_000;
    assert!(!reports_loss(&mut pair), "its turn has not come");
    for n in 0..2 {
        arrived.turn(&mut pair, n);
    }
    pair.nanos += 100_000_000;
    assert!(!reports_loss(&mut pair), "nothing is missing");
}

#[test]
fn what_is_missing_is_reported_once_the_turn_of_the_short_message_has_come() {
    let mut pair = connected(4);
    let mut arrived = Arrived::of(&mut pair, &[Inner::Bulk, Inner::Other]);
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
