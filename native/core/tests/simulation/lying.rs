//! A peer that lies about what it received, or numbers its data absurdly: it costs bounded packets, time and memory,
//! and harms its own session alone.

use std::collections::BTreeSet;

use whalescale_core::bond::bare::LossReport;
use whalescale_core::bond::feedback::{Feedback, Gap, PathReport};
use whalescale_core::bond::shim::Shim;
use whalescale_core::entropy::Entropy;

use crate::node::SeededEntropy;
use crate::pair::{A_INNER, B_INNER, Pair, ms, payloads, secs, udp_packet};
use crate::paths_hostile::connected;

/// B sends 1200 bytes each millisecond, after which A says something; gives how many there were.
fn stream_against(pair: &mut Pair, millis: u32, mut lie: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let from = pair.a.address;
    for number in 0..millis {
        let mut payload = vec![0; 1200];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        pair.b_sends(&payload);
        pair.run_for(ms(1));
        let now = pair.now();
        let datagram = lie(number);
        pair.b.receive(from, &datagram, now);
    }
    millis
}

fn arrived(pair: &Pair) -> usize {
    let number = |payload: &[u8]| {
        payload
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    };
    let numbers: BTreeSet<u32> = payloads(&pair.a).into_iter().filter_map(number).collect();
    numbers.len()
}

fn report(dice: &mut SeededEntropy, truthful: bool) -> PathReport {
    let absurd = |dice: &mut SeededEntropy| if truthful { 0 } else { dice.u32() };
    PathReport {
        path: (dice.u32() % 16) as u8,
        highest: absurd(dice) & 0xff_ffff,
        received: absurd(dice),
        bytes: u64::from(absurd(dice)) << 16,
        arrived: absurd(dice),
        held: absurd(dice) as u16,
        gaps: (0..dice.u32() % 25)
            .map(|_| Gap {
                start: absurd(dice) & 0xff_ffff,
                count: 255,
            })
            .collect(),
    }
}

#[test]
fn feedback_about_what_was_never_sent_multiplies_nothing() {
    for seed in 1..=4 {
        let (mut pair, mut forger) = connected(seed);
        let mut dice = SeededEntropy(seed);
        let before = pair.steps;
        let sent = stream_against(&mut pair, 3000, |number| {
            let paths = (0..8).map(|_| report(&mut dice, false)).collect();
            let number = 1_000_000 + number;
            forger.forge_plaintext(Feedback { number, paths }.frame())
        });
        pair.run_for(secs(1));
        let of_data = |bytes: &&crate::node::Sent| bytes.bytes.len() > 1200;
        let datagrams = pair.b.sent.iter().filter(of_data).count();
        println!("{datagrams} for {sent}, {} steps", pair.steps - before);
        assert!(datagrams <= sent as usize * 12 / 10 + 1024);
        assert!(pair.steps - before < 60_000, "it spins");
    }
}

#[test]
fn a_peer_that_calls_everything_lost_gets_little_more_than_was_sent() {
    let (mut pair, mut forger) = connected(11);
    let sent = stream_against(&mut pair, 4000, |number| {
        let gaps = (0..24).map(|n| Gap {
            start: number.saturating_sub(1 + 20 * n) & 0xff_ffff,
            count: 20,
        });
        let report = PathReport {
            path: 0,
            highest: number,
            received: 1,
            bytes: 1,
            arrived: number,
            held: 0,
            gaps: gaps.collect(),
        };
        let feedback = Feedback {
            number: 1_000_000 + number,
            paths: [report].into_iter().collect(),
        };
        forger.forge_plaintext(feedback.frame())
    });
    pair.run_for(secs(1));
    let of_data = |bytes: &&crate::node::Sent| bytes.bytes.len() > 1200;
    let datagrams = pair.b.sent.iter().filter(of_data).count();
    println!("{datagrams} for {sent}");
    assert!(datagrams <= sent as usize * 12 / 10 + 1024);
}

#[test]
fn reports_of_loss_that_is_not_there_change_nothing_but_the_form() {
    let (mut pair, mut forger) = connected(21);
    let sent = stream_against(&mut pair, 3000, |number| {
        let report = LossReport {
            passed: number.wrapping_mul(0x9e37_79b9),
            received: 0,
        };
        forger.forge_plaintext(report.frame())
    });
    pair.run_for(secs(1));
    assert_eq!(arrived(&pair), sent as usize);
}

#[test]
fn absurd_sequences_are_delivered_once_and_held_for_half_a_second_at_most() {
    for seed in 31..=33 {
        let (mut pair, mut forger) = connected(seed);
        let mut dice = SeededEntropy(seed);
        let from = pair.a.address;
        let before = pair.steps;
        for number in 0..5000_u32 {
            let shim = Shim {
                ordered: !dice.u32().is_multiple_of(4),
                latency: false,
                path: (dice.u32() % 16) as u8,
                bucket: (dice.u32() % 16) as u8,
                path_sequence: dice.u32() & 0xff_ffff,
                bucket_sequence: dice.u32() & 0xff_ffff,
            };
            let mut plaintext = shim.encode().to_vec();
            plaintext.extend(udp_packet(A_INNER, B_INNER, &number.to_be_bytes()));
            let now = pair.now();
            pair.b
                .receive(from, &forger.forge_plaintext(plaintext), now);
            if number % 8 == 0 {
                pair.run_for(ms(1));
            }
        }
        pair.run_for(ms(600));
        let got = payloads(&pair.b).into_iter().map(<[u8]>::to_vec);
        let numbers: BTreeSet<Vec<u8>> = got.collect();
        println!("{} of 5000, {} steps", numbers.len(), pair.steps - before);
        assert_eq!(numbers.len(), pair.b.delivered.len(), "twice");
        assert!(numbers.len() > 4000);
        assert!(pair.steps - before < 20_000, "it spins");
        // The session itself goes on.
        pair.b.forget();
        pair.a_sends(b"still here");
        pair.run_for(ms(600));
        assert_eq!(pair.b.delivered.len(), 1);
    }
}
