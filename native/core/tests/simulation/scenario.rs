//! Long random runs: whatever happens, nothing is delivered twice or forged, nothing spins, and
//! what heals works again.

use std::collections::BTreeMap;

use whalescale_core::entropy::Entropy;
use whalescale_netem::{Change, Jitter, Loss, Reorder};

use crate::node::{SeededEntropy, Setup};
use crate::pair::{Pair, address, link, ms, payload, secs};

/// Draws from a seeded generator.
struct Dice(SeededEntropy);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0.u32() % limit
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

/// What was sent, by its number, and how often it arrived.
#[derive(Default)]
struct Ledger {
    next: u32,
    arrived: BTreeMap<u32, u32>,
}

impl Ledger {
    /// A payload that nobody can make up by chance.
    fn write(&mut self) -> Vec<u8> {
        self.next += 1;
        let number = self.next.to_be_bytes();
        [&number[..], b"genuine", &number].concat()
    }

    fn read(&mut self, packets: &[Vec<u8>]) {
        for packet in packets {
            let payload = payload(packet);
            let number = u32::from_be_bytes(payload[..4].try_into().expect("number"));
            assert_eq!(payload[4..11], *b"genuine", "forged");
            assert_eq!(payload[..4], payload[11..15], "forged");
            assert!(number <= self.next, "never sent");
            *self.arrived.entry(number).or_default() += 1;
        }
        assert!(self.arrived.values().all(|times| *times == 1), "twice");
    }
}

fn make_bad(pair: &mut Pair, dice: &mut Dice) {
    let percent = |dice: &mut Dice, most| f64::from(dice.below(most)) / 100.0;
    let loss = percent(dice, 60);
    pair.change(Change::Loss(Loss::bursts(loss, 4.0)));
    pair.change(Change::Duplicate(percent(dice, 30)));
    pair.change(Change::Corrupt(percent(dice, 20)));
    pair.change(Change::Jitter(Jitter::Unordered(ms(u64::from(
        dice.below(200),
    )))));
    pair.change(Change::Reorder(Reorder {
        probability: percent(dice, 30),
        by: ms(u64::from(dice.below(400))),
    }));
}

fn heal(pair: &mut Pair) {
    pair.cut(false);
    pair.change(Change::Loss(Loss::default()));
    pair.change(Change::Duplicate(0.0));
    pair.change(Change::Corrupt(0.0));
    pair.change(Change::Jitter(Jitter::default()));
    pair.change(Change::Reorder(Reorder::default()));
}

/// Repeats something that was sent before, altered or not, from anywhere.
fn attack(pair: &mut Pair, dice: &mut Dice) {
    let now = pair.now();
    let (victim, source) = if dice.chance(50) {
        (&mut pair.a, &pair.b.sent)
    } else {
        (&mut pair.b, &pair.a.sent)
    };
    if source.is_empty() {
        return;
    }
    let place = dice.below(u32::try_from(source.len()).expect("length"));
    let mut datagram = source[place as usize].bytes.clone();
    if dice.chance(50) {
        let at = dice.below(u32::try_from(datagram.len()).expect("length"));
        datagram[at as usize] ^= 1 << dice.below(8);
    }
    victim.receive(address("203.0.113.66:666"), &datagram, now);
    pair.flush();
}

fn scenario(seed: u64, whalescale: bool) {
    let mut dice = Dice(SeededEntropy(seed));
    let setup = Setup {
        inner_mtu: seed.is_multiple_of(2).then_some(1420),
        ..Setup::default()
    };
    let mutual = dice.chance(50);
    let mut pair = Pair::with(seed, link(), setup, |b_for_a, a_for_b| {
        if mutual {
            a_for_b.endpoints = vec![address("192.0.2.1:51820")];
        }
        if !whalescale {
            b_for_a.node_id = None;
            a_for_b.node_id = None;
        }
        b_for_a.persistent_keepalive = seed.is_multiple_of(3).then_some(secs(25));
    });
    let (mut to_a, mut to_b) = (Ledger::default(), Ledger::default());
    for round in 0..600_u64 {
        match dice.below(100) {
            0..4 => make_bad(&mut pair, &mut dice),
            4..7 => pair.cut(true),
            7..14 => heal(&mut pair),
            14..16 => {
                let port = 1000 + dice.below(1000);
                let shown = address(&format!("198.51.100.1:{port}"));
                pair.network.rebind(pair.a.address, shown);
            }
            16 => pair.restart_b(seed * 1000 + round),
            17..30 => attack(&mut pair, &mut dice),
            _ => {}
        }
        for _ in 0..dice.below(4) {
            if dice.chance(60) {
                let payload = to_b.write();
                pair.a_sends(&payload);
            }
            if dice.chance(40) {
                let payload = to_a.write();
                pair.b_sends(&payload);
            }
        }
        let quiet = if dice.chance(3) { 60_000 } else { 1500 };
        let (before, span) = (pair.steps, ms(u64::from(dice.below(quiet))));
        pair.run_for(span);
        let bound = 200 + 100 * (span.as_secs() + 1);
        assert!(pair.steps - before < bound, "it spins");
        to_a.read(&std::mem::take(&mut pair.a.delivered));
        to_b.read(&std::mem::take(&mut pair.b.delivered));
    }
    heal(&mut pair);
    traffic_flows(&mut pair, &mut to_a, &mut to_b);
}

/// Within twenty seconds of the network's recovery, as long as somebody has something to say.
fn traffic_flows(pair: &mut Pair, to_a: &mut Ledger, to_b: &mut Ledger) {
    for _ in 0..200 {
        pair.a_sends(&to_b.write());
        pair.b_sends(&to_a.write());
        pair.run_for(ms(100));
    }
    let (expected_by_a, expected_by_b) = (to_a.next + 1, to_b.next + 1);
    for _ in 0..10 {
        pair.a_sends(&to_b.write());
        pair.b_sends(&to_a.write());
        pair.run_for(ms(100));
    }
    to_a.read(&std::mem::take(&mut pair.a.delivered));
    to_b.read(&std::mem::take(&mut pair.b.delivered));
    for n in 0..10 {
        let arrived = to_b.arrived.contains_key(&(expected_by_b + n));
        assert!(arrived, "nothing from A: {:?}", pair.b.drop_report());
        let arrived = to_a.arrived.contains_key(&(expected_by_a + n));
        assert!(arrived, "nothing from B: {:?}", pair.a.drop_report());
    }
}

#[test]
fn whalescale_peers_survive_whatever_happens() {
    for seed in 1..=24 {
        scenario(seed, true);
    }
}

#[test]
fn stock_peers_survive_whatever_happens() {
    for seed in 101..=124 {
        scenario(seed, false);
    }
}
