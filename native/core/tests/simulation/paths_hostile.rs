//! A peer that lies about its addresses: bounded tables, bounded packets to others.

use std::net::SocketAddr;

use whalescale_core::control::Command;
use whalescale_core::wire::frame::{Announced, Frame};

use crate::cipher::{counter, receiver_index, seal};
use crate::pair::{Pair, address, link, ms, secs};

/// What it takes to forge frames of A's: the key, the index, and the next counter.
pub struct Forger {
    key: [u8; 32],
    receiver: u32,
    counter: u64,
}

impl Forger {
    fn new(pair: &mut Pair) -> Self {
        pair.a_sends(b"for its header");
        let datagram = &pair.a.sent.last().expect("sent").bytes;
        let opens = |key: &[u8; 32]| {
            let plaintext = pair.a.keys.open(datagram).expect("own");
            let again = seal(key, receiver_index(datagram), counter(datagram), &plaintext);
            again == *datagram
        };
        Self {
            key: pair.a.keys.keys().into_iter().find(opens).expect("key"),
            receiver: receiver_index(datagram),
            counter: counter(datagram) + 1000,
        }
    }

    fn forge(&mut self, frame: &Frame) -> Vec<u8> {
        let mut plaintext = Vec::new();
        frame.encode(&mut plaintext);
        self.forge_plaintext(plaintext)
    }

    pub fn forge_plaintext(&mut self, mut plaintext: Vec<u8>) -> Vec<u8> {
        plaintext.resize(plaintext.len().next_multiple_of(16), 0);
        self.counter += 1;
        seal(&self.key, self.receiver, self.counter, &plaintext)
    }
}

pub fn connected(seed: u64) -> (Pair, Forger) {
    let mut pair = Pair::new(seed, link());
    pair.connect();
    pair.run_for(secs(5));
    let forger = Forger::new(&mut pair);
    pair.run_for(secs(1));
    pair.a.forget();
    pair.b.forget();
    (pair, forger)
}

fn victim(n: u32) -> Announced {
    let [_, a, b, c] = n.to_be_bytes();
    Announced {
        address: SocketAddr::from(([100, 64 + a, b, c], 53)),
        link: n,
    }
}

fn sent_to_others(pair: &Pair) -> usize {
    let sent = pair.b.sent.iter();
    sent.filter(|sent| sent.to != pair.a.address).count()
}

#[test]
fn a_peer_that_announces_thousands_of_addresses_has_few_of_them_probed() {
    let (mut pair, mut forger) = connected(1);
    let from = pair.a.address;
    for round in 0..2000_u32 {
        let addresses = (0..8).map(|n| victim(round * 8 + n)).collect();
        let frame = Frame::PathAnnounce {
            number: 1000 + round,
            addresses,
            reply: false,
        };
        let now = pair.now();
        pair.b.receive(from, &forger.forge(&frame), now);
        pair.run_for(ms(29));
    }
    assert!(sent_to_others(&pair) <= 2 * 48, "{}", sent_to_others(&pair));
    assert!(pair.b.status(pair.now()).paths.len() <= 16);
    pair.b_sends(b"unmoved");
    assert_eq!(pair.b.sent.last().expect("sent").to, from);
}

#[test]
fn an_announced_address_that_does_not_answer_gets_three_probes_a_minute_and_then_fewer() {
    let (mut pair, mut forger) = connected(2);
    let frame = Frame::PathAnnounce {
        number: 1000,
        addresses: (0..8).map(victim).collect(),
        reply: false,
    };
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &forger.forge(&frame), now);
    pair.run_for(secs(59));
    for n in 0..8 {
        let to = victim(n).address;
        let probes = pair.b.sent.iter().filter(|sent| sent.to == to);
        assert_eq!(probes.count(), 3);
    }
    pair.run_for(secs(600));
    assert!(
        sent_to_others(&pair) <= 8 * 3 * 5,
        "{}",
        sent_to_others(&pair)
    );
}

#[test]
fn addresses_that_are_nobodys_are_not_probed() {
    let (mut pair, mut forger) = connected(3);
    let nonsense = [
        "0.0.0.0:1",
        "127.0.0.1:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "203.0.113.9:0",
        "[::1]:1",
        "[fe80::1]:1",
        "[ff02::1]:1",
    ];
    let told = |text: &&str| Announced {
        address: address(text),
        link: 1,
    };
    let frame = Frame::PathAnnounce {
        number: 1000,
        addresses: nonsense.iter().map(told).collect(),
        reply: false,
    };
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &forger.forge(&frame), now);
    pair.run_for(secs(10));
    assert_eq!(sent_to_others(&pair), 0);
}

#[test]
fn a_path_number_beyond_four_bits_is_neither_bound_nor_answered() {
    let (mut pair, mut forger) = connected(4);
    let bound = pair.b.bound.clone();
    for path in [16, 17, 200, 255] {
        let frame = Frame::PathBind {
            path,
            token: 1,
            link: 1,
            metered: false,
            reply: false,
        };
        let (from, now) = (pair.a.address, pair.now());
        pair.b.receive(from, &forger.forge(&frame), now);
    }
    assert_eq!(pair.b.bound, bound);
    assert!(pair.b.sent.is_empty());
}

#[test]
fn frames_from_a_new_address_earn_at_most_three_times_their_bytes() {
    let elsewhere = address("198.51.100.9:4000");
    let frames = [
        Frame::PathProbe { token: 7, size: 0 },
        Frame::PathBind {
            path: 3,
            token: 7,
            link: 1,
            metered: false,
            reply: false,
        },
        Frame::PathAnnounce {
            number: 1000,
            addresses: Default::default(),
            reply: false,
        },
    ];
    for (seed, frame) in (10..).zip(frames) {
        let (mut pair, mut forger) = connected(seed);
        let mut spent = 0;
        for _ in 0..50 {
            let datagram = forger.forge(&frame);
            spent += datagram.len();
            let now = pair.now();
            pair.b.receive(elsewhere, &datagram, now);
            pair.run_for(ms(100));
            let sent = pair.b.sent.iter().filter(|sent| sent.to == elsewhere);
            let earned: usize = sent.map(|sent| sent.bytes.len()).sum();
            assert!(earned <= 3 * spent, "{earned} for {spent}");
        }
    }
}

#[test]
fn thousands_of_addresses_that_packets_come_from_leave_a_bounded_table() {
    let (mut pair, mut forger) = connected(20);
    for n in 0..5000 {
        let datagram = forger.forge(&Frame::PathProbe { token: 7, size: 0 });
        let now = pair.now();
        pair.b.receive(victim(n).address, &datagram, now);
        pair.run_for(ms(10));
    }
    assert!(pair.b.status(pair.now()).paths.len() <= 16);
    pair.b_sends(b"unmoved");
    let home = pair.a.address;
    assert_eq!(pair.b.sent.last().expect("sent").to, home);
}

#[test]
fn a_stock_peer_is_told_nothing_of_paths_whatever_it_sends() {
    let mut pair = Pair::with(21, link(), Default::default(), |_, a_for_b| {
        a_for_b.node_id = None;
    });
    pair.connect();
    let mut forger = Forger::new(&mut pair);
    pair.run_for(secs(1));
    pair.b.forget();
    let frames = [
        Frame::PathProbe { token: 7, size: 0 },
        Frame::PathAnnounce {
            number: 1,
            addresses: (0..8).map(victim).collect(),
            reply: false,
        },
    ];
    for frame in frames {
        let (from, now) = (pair.a.address, pair.now());
        pair.b.receive(from, &forger.forge(&frame), now);
    }
    let mut config = pair.b.peer.clone().expect("peer");
    config.endpoints = vec![address("203.0.113.5:1"), address("203.0.113.6:1")];
    let now = pair.now();
    pair.b.command(Command::Peer(Box::new(config)), now);
    pair.run_for(secs(60));
    assert!(pair.b.sent.iter().all(|sent| sent.bytes.len() == 32));
    assert!(pair.b.paths.is_empty());
}
