//! What strangers, attackers and broken networks send: no answer, no effect, a counted reason.

use proptest::prelude::*;
use whalescale_core::control::PeerStatus;
use whalescale_core::drops::DropReason;
use whalescale_core::replay::WINDOW;

use crate::cipher::{counter, receiver_index, seal};
use crate::pair::{A_INNER, B_INNER, Pair, address, link, ms, payloads, secs, udp_packet};

/// One of each kind that A sends to B, none of which B has seen, and B as it stands.
fn unseen() -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::new(1, link());
    pair.connect();
    pair.run_for(secs(120));
    pair.a.forget();
    pair.b.forget();
    pair.cut(true);
    // Of age: data, and an initiation. Then a response, HELLO's answer and a cookie reply.
    pair.a_sends(b"data that never arrived");
    pair.a_sends(b"");
    let mut unseen: Vec<Vec<u8>> = pair.a.sent.iter().map(|sent| sent.bytes.clone()).collect();
    assert_eq!(pair.a.sent_of_type(1).len(), 1);
    unseen.push([&[2, 0, 0, 0][..], &[9; 88]].concat());
    unseen.push([&[3, 0, 0, 0][..], &[9; 60]].concat());
    unseen.push([&[6, 0, 0, 0][..], &[9; 52]].concat());
    (pair, unseen)
}

#[derive(Clone, Debug)]
enum Mutation {
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
    Truncate(prop::sample::Index),
    Extend(Vec<u8>),
    Set {
        at: prop::sample::Index,
        value: u8,
    },
    Splice {
        other: prop::sample::Index,
        at: prop::sample::Index,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        at().prop_map(Mutation::Truncate),
        prop::collection::vec(any::<u8>(), 1..64).prop_map(Mutation::Extend),
        (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Set { at, value }),
        (at(), at()).prop_map(|(other, at)| Mutation::Splice { other, at }),
    ]
}

fn mutate(datagram: &mut Vec<u8>, mutation: &Mutation, all: &[Vec<u8>]) {
    match mutation {
        _ if datagram.is_empty() => {}
        Mutation::Flip { at, bit } => *at.get_mut(datagram) ^= 1 << bit,
        Mutation::Truncate(at) => datagram.truncate(at.index(datagram.len())),
        Mutation::Extend(tail) => datagram.extend(tail),
        Mutation::Set { at, value } => *at.get_mut(datagram) = *value,
        Mutation::Splice { other, at } => {
            let at = at.index(datagram.len());
            let other = other.get(all);
            datagram.truncate(at);
            datagram.extend(other.iter().skip(at));
        }
    }
}

/// What must not change; a status without what only time changes.
fn standing(pair: &Pair) -> PeerStatus {
    pair.b.status(pair.now())
}

/// The bytes that are protected: mac2 counts only under load.
fn protected(datagram: &[u8]) -> &[u8] {
    match (datagram.first(), datagram.len()) {
        (Some(1), 148) | (Some(2), 92) => &datagram[..datagram.len() - 16],
        _ => datagram,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_datagram_is_unanswered_and_changes_nothing(
        rounds in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(mutation(), 1..4), any::<bool>()),
            1..60,
        ),
    ) {
        let (mut pair, unseen) = unseen();
        let before = standing(&pair);
        let now = pair.now();
        for (which, mutations, from_elsewhere) in rounds {
            let mut datagram = which.get(&unseen).clone();
            for mutation in &mutations {
                mutate(&mut datagram, mutation, &unseen);
            }
            if unseen.iter().any(|whole| protected(whole) == protected(&datagram)) {
                continue;
            }
            let stranger = address("203.0.113.66:666");
            let from = if from_elsewhere { stranger } else { pair.a.address };
            pair.b.receive(from, &datagram, now);
        }
        prop_assert!(pair.b.sent.is_empty());
        prop_assert!(pair.b.delivered.is_empty());
        prop_assert!(pair.b.events.is_empty());
        prop_assert_eq!(standing(&pair), before);
        // The true ones are as good as ever.
        let from = pair.a.address;
        for datagram in &unseen {
            pair.b.receive(from, datagram, now);
        }
        prop_assert_eq!(payloads(&pair.b), [&b"data that never arrived"[..], b""]);
        prop_assert_eq!(pair.b.sent_of_type(2).len(), 1);
    }

    #[test]
    fn arbitrary_messages_of_arbitrary_strides_are_unanswered(
        messages in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..400), 0..200_usize, 0..8_u8),
            0..40,
        ),
    ) {
        let (mut pair, _) = unseen();
        let before = standing(&pair);
        let now = pair.now();
        let index = receiver_index(&pair.a.sent_of_type(4)[0].bytes);
        for (mut message, stride, kind) in messages {
            // Most would fail at the first byte: let them get further.
            if let Some(header) = message.first_chunk_mut::<8>() {
                let [a, b, c, d] = index.to_le_bytes();
                *header = [kind, 0, 0, 0, a, b, c, d];
            }
            pair.b.receive_joined(address("203.0.113.66:666"), &message, stride, now);
        }
        prop_assert!(pair.b.sent.is_empty());
        prop_assert!(pair.b.delivered.is_empty());
        prop_assert_eq!(standing(&pair), before);
    }
}

/// A pair with a session, and how to seal under A's key what A never sent.
struct Forger {
    pair: Pair,
    key: [u8; 32],
    index: u32,
    next: u64,
}

impl Forger {
    fn new(seed: u64) -> Self {
        let mut pair = Pair::quiet_stock(seed);
        pair.a_sends(b"for its header");
        pair.run_for(ms(20));
        let datagram = pair.a.sent.last().expect("sent").bytes.clone();
        pair.b.forget();
        Self {
            key: *pair.a.keys.keys().last().expect("key"),
            index: receiver_index(&datagram),
            next: counter(&datagram) + 1,
            pair,
        }
    }

    /// B receives `plaintext` under this counter.
    fn send(&mut self, counter: u64, plaintext: &[u8]) {
        let datagram = seal(&self.key, self.index, counter, plaintext);
        let (from, now) = (self.pair.a.address, self.pair.now());
        self.pair.b.receive(from, &datagram, now);
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.pair.b.dropped(reason)
    }
}

fn inner(payload: &[u8]) -> Vec<u8> {
    udp_packet(A_INNER, B_INNER, payload)
}

#[test]
fn a_repeated_datagram_is_dropped_as_a_replay() {
    let mut forger = Forger::new(2);
    let next = forger.next;
    forger.send(next, &inner(b"once"));
    forger.send(next, &inner(b"once"));
    forger.send(next, &inner(b"another under the same counter"));
    assert_eq!(payloads(&forger.pair.b), [b"once"]);
    assert_eq!(forger.dropped(DropReason::Replayed), 2);
}

#[test]
fn a_datagram_behind_the_window_is_dropped_as_too_old() {
    let mut forger = Forger::new(3);
    let next = forger.next;
    forger.send(next + WINDOW, &inner(b"far ahead"));
    forger.send(next + 1, &inner(b"just within"));
    forger.send(next, &inner(b"just behind"));
    assert_eq!(
        payloads(&forger.pair.b),
        [&b"far ahead"[..], b"just within"]
    );
    assert_eq!(forger.dropped(DropReason::TooOld), 1);
}

#[test]
fn counters_end_before_the_last_ones() {
    let mut forger = Forger::new(4);
    let limit = u64::MAX - (1 << 13);
    for beyond in [limit, limit + 1, u64::MAX] {
        forger.send(beyond, &inner(b"beyond"));
    }
    assert_eq!(forger.dropped(DropReason::TooOld), 3);
    // They did not move the window either.
    let next = forger.next;
    forger.send(next, &inner(b"next"));
    forger.send(limit - 1, &inner(b"last"));
    assert_eq!(payloads(&forger.pair.b), [b"next", b"last"]);
}

#[test]
fn an_inner_source_that_is_not_the_peers_is_dropped() {
    let mut forger = Forger::new(5);
    let next = forger.next;
    for (n, source) in (next..).zip([B_INNER, [10, 88, 0, 3], [0; 4], [255; 4]]) {
        forger.send(n, &udp_packet(source, B_INNER, b"spoofed"));
    }
    let mut v6 = vec![0; 48];
    v6[0] = 0x60;
    v6[5] = 8;
    forger.send(next + 9, &v6);
    assert_eq!(forger.dropped(DropReason::WrongSource), 5);
    assert!(forger.pair.b.delivered.is_empty());
}

#[test]
fn an_inner_packet_that_lies_about_its_length_is_dropped() {
    let mut forger = Forger::new(6);
    let mut n = forger.next;
    let whole = inner(b"of some length");
    let mut longer = whole.clone();
    longer[3] += 1;
    let mut shorter_than_header = whole.clone();
    shorter_than_header[3] = 19;
    let mut options_beyond = whole.clone();
    options_beyond[0] = 0x4f;
    let short = whole[..19].to_vec();
    let lies = [
        longer,
        shorter_than_header,
        options_beyond,
        short,
        vec![0x60; 39],
        vec![0],
    ];
    let count = lies.len() as u64;
    for lie in lies {
        forger.send(n, &lie);
        n += 1;
    }
    assert_eq!(forger.dropped(DropReason::BadPlaintext), count);
    assert!(forger.pair.b.delivered.is_empty());
    // Padding after a packet is no lie.
    forger.send(n, &[whole.clone(), vec![0; 11]].concat());
    assert_eq!(forger.pair.b.delivered, [whole]);
}

#[test]
fn what_b_sent_is_not_taken_when_it_is_sent_back() {
    let mut pair = Pair::quiet_stock(7);
    pair.b_sends(b"echo");
    let mine = pair.b.sent.last().expect("sent").bytes.clone();
    let (from, now) = (pair.a.address, pair.now());
    pair.b.receive(from, &mine, now);
    assert!(pair.b.delivered.is_empty());
    assert_eq!(pair.b.dropped(DropReason::UnknownIndex), 1);
}

#[test]
fn a_flood_of_garbage_loses_no_valid_packet() {
    let mut pair = Pair::new(8, link());
    pair.connect();
    let template = {
        pair.a_sends(b"first");
        pair.a.sent.last().expect("sent").bytes.clone()
    };
    for round in 0..200_u8 {
        let now = pair.now();
        for n in 0..50_u8 {
            let mut forged = template.clone();
            forged[8] = n;
            forged[20] ^= round | 1;
            pair.b.receive(address("203.0.113.66:666"), &forged, now);
        }
        pair.a_sends(&[round]);
        pair.run_for(ms(5));
    }
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered.len(), 201);
    assert_eq!(pair.b.dropped(DropReason::Forged), 200 * 50);
}

#[test]
fn an_inner_source_is_checked_for_each_packet_of_a_message() {
    let mut forger = Forger::new(9);
    let sources = [A_INNER, [10, 88, 0, 3], A_INNER];
    let packets = sources.map(|source| udp_packet(source, B_INNER, b"mixed"));
    let datagrams = (forger.next..).zip(&packets);
    let message: Vec<u8> = datagrams
        .flat_map(|(counter, packet)| seal(&forger.key, forger.index, counter, packet))
        .collect();
    let stride = message.len() / 3;
    let (from, now) = (forger.pair.a.address, forger.pair.now());
    forger.pair.b.receive_joined(from, &message, stride, now);
    assert_eq!(forger.pair.b.delivered.len(), 2);
    assert_eq!(forger.dropped(DropReason::WrongSource), 1);
}

#[test]
fn what_is_sealed_is_padded_to_sixteen_but_not_beyond_the_mtu() {
    let mut pair = Pair::quiet_stock(10);
    for length in [0, 3, 4, 5, 1376, 1381, 1392] {
        pair.a_sends(&vec![7; length]);
        let inner = length + 28;
        let sealed = pair.a.sent.last().expect("sent").bytes.len() - 32;
        assert_eq!(sealed, inner.next_multiple_of(16).min(1420));
    }
}
