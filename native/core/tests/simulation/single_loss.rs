//! A single path that loses: what is sent on it is repaired while it does, and bare while it does not.

use std::collections::BTreeSet;
use std::time::Duration;

use whalescale_core::bond::bare::{HOLD, LOSS};
use whalescale_netem::{Change, LinkConfig, Loss};

use crate::inner_tcp::InnerTcp;
use crate::node::Setup;
use crate::pair::{Pair, ms, payloads, secs};
use crate::uplinks::{Uplinks, uplink};

/// 1200 bytes each: 12 Mbit/s.
const SPACING: Duration = Duration::from_micros(800);

fn connected(seed: u64) -> Pair {
    let mut pair = Pair::with(seed, LinkConfig::new(50, 10), Setup::default(), |_, _| {});
    pair.connect();
    pair.run_for(secs(2));
    pair
}

/// Sends numbered packets for a while, and gives the numbers that did not arrive.
fn stream(pair: &mut Pair, spacing: Duration, span: Duration) -> (u32, Vec<u32>) {
    pair.b.forget();
    pair.a.forget();
    let count = u32::try_from(span.as_nanos() / spacing.as_nanos()).expect("count");
    for number in 0..count {
        let mut payload = vec![0; 1200];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        pair.a_sends(&payload);
        pair.run_for(spacing);
    }
    pair.run_for(ms(500));
    let number = |payload: &[u8]| {
        payload
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    };
    let arrived: BTreeSet<u32> = payloads(&pair.b).into_iter().filter_map(number).collect();
    let lost = (0..count)
        .filter(|number| !arrived.contains(number))
        .collect::<Vec<_>>();
    println!(
        "{} of {count} lost, drops {:?}",
        lost.len(),
        pair.a.drop_report()
    );
    (count, lost)
}

/// Whether the last packet of data that A sent had a shim.
fn is_bonded(pair: &Pair) -> bool {
    let sent = pair.a.sent_of_type(4).into_iter().rev();
    let mut firsts = sent.filter_map(|sent| pair.a.keys.open(&sent.bytes)?.first().copied());
    firsts.find(|first| matches!(first >> 4, 4 | 6 | 8)) == Some(0x81)
}

fn loss_reports(pair: &Pair) -> usize {
    let sent = pair.b.sent_plaintexts().into_iter();
    sent.filter(|(_, plaintext)| plaintext.first() == Some(&LOSS))
        .count()
}

#[test]
fn the_first_bulk_on_a_lossy_path_is_repaired_from_its_beginning() {
    let losses = [
        Loss::Independent(0.001),
        Loss::Independent(0.01),
        Loss::Independent(0.03),
        Loss::bursts(0.01, 5.0),
    ];
    for (seed, loss) in (1..).zip(losses) {
        let mut pair = connected(seed);
        pair.change_from_a(Change::Loss(loss));
        let (count, lost) = stream(&mut pair, SPACING, secs(8));
        // What goes before the flow counts as bulk goes bare.
        let later = lost.iter().filter(|number| **number > 20).count();
        assert!(later <= count as usize / 5000, "{loss:?}: {lost:?}");
        assert!(is_bonded(&pair), "{loss:?}");
    }
}

#[test]
fn a_path_that_proves_clean_carries_bare_data_and_nothing_is_reported() {
    let mut pair = connected(11);
    let (_, lost) = stream(&mut pair, SPACING, secs(6));
    assert_eq!(lost, []);
    assert!(!is_bonded(&pair));
    assert_eq!(loss_reports(&pair), 0);
}

#[test]
fn sparse_traffic_is_bare_on_any_path() {
    let mut pair = connected(12);
    pair.change_from_a(Change::Loss(Loss::Independent(0.01)));
    stream(&mut pair, ms(20), secs(4));
    assert!(!is_bonded(&pair));
}

#[test]
fn a_path_that_begins_to_lose_is_repaired_within_seconds_and_bare_again_when_it_ceases() {
    let mut pair = connected(13);
    stream(&mut pair, SPACING, secs(6));
    pair.change_from_a(Change::Loss(Loss::Independent(0.01)));
    stream(&mut pair, SPACING, secs(2));
    assert!(loss_reports(&pair) > 0);
    let (_, lost) = stream(&mut pair, SPACING, secs(4));
    assert_eq!(lost, []);
    assert!(is_bonded(&pair));
    pair.change_from_a(Change::Loss(Loss::Independent(0.0)));
    stream(&mut pair, SPACING, 2 * HOLD + secs(2));
    assert!(!is_bonded(&pair));
}

#[test]
fn a_loss_too_small_to_pay_for_is_not_repaired() {
    let mut pair = connected(14);
    stream(&mut pair, SPACING, secs(6));
    pair.change_from_a(Change::Loss(Loss::Independent(0.0002)));
    stream(&mut pair, SPACING, secs(20));
    assert!(!is_bonded(&pair));
}

#[test]
fn what_exceeds_a_lossy_path_is_dropped_before_it_and_not_repaired() {
    let mut pair = connected(15);
    pair.change_from_a(Change::Loss(Loss::Independent(0.01)));
    let before = *pair
        .network
        .stats(pair.a.address, pair.b.address)
        .expect("link");
    // 85 Mbit/s for 50.
    let (count, lost) = stream(&mut pair, Duration::from_micros(120), secs(4));
    let after = *pair
        .network
        .stats(pair.a.address, pair.b.address)
        .expect("link");
    let overflow = after.dropped_queue_full - before.dropped_queue_full;
    println!("{overflow} overflowed");
    assert!(lost.len() as f64 > 0.3 * f64::from(count));
    assert!(overflow < u64::from(count) / 50);
}

/// Goodput of a TCP flow in Mbit/s from `skip` on for 8 s, over links that lose in both directions.
fn goodput(seed: u64, rates: &[(u64, u64)], loss: Loss, skip: Duration) -> f64 {
    let uplinks = rates.iter().map(|(mbit, delay)| uplink(*mbit, *delay));
    let mut links = Uplinks::new(seed, &uplinks.collect::<Vec<_>>());
    let (nanos, to) = (links.pair.nanos, links.pair.b.address);
    for socket in links.pair.a.sockets.clone() {
        for (from, to) in [(socket.local, to), (to, socket.local)] {
            let change = Change::Loss(loss);
            assert!(links.pair.network.apply(nanos, from, to, change));
        }
    }
    let mut flow = InnerTcp::new(links.pair.now().instant);
    flow.run(&mut links, skip + secs(8));
    let goodput = flow.goodput(skip, skip + secs(8));
    flow.print(&links, skip.as_secs() + 8);
    println!("{rates:?}, {loss:?}, seed {seed}: {goodput:.1} Mbit/s");
    goodput
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The flow never starts badly, whichever of its first packets are lost: no seed of ten is below the bar,
/// its start included.
fn always_starts_well(rates: &[(u64, u64)], bar: f64) {
    let loss = Loss::Independent(0.01);
    for seed in 1..=10 {
        let figure = goodput(seed, rates, loss, Duration::ZERO);
        assert!(figure >= bar, "seed {seed}: {figure:.1} Mbit/s");
    }
}

#[test]
fn a_flow_over_one_lossy_path_always_starts_well() {
    always_starts_well(&[(50, 10)], 40.0);
}

#[test]
fn a_flow_over_two_lossy_paths_always_starts_well() {
    always_starts_well(&[(50, 10), (20, 60)], 50.0);
}

#[test]
fn a_full_packet_lost_at_the_beginning_of_bulk_is_not_seen_by_a_flow() {
    // The very first one goes bare: it may be a lone one.
    for lost in [1, 4, 9, 16] {
        let mut pair = connected(16);
        let full = |number: u32| {
            let mut payload = vec![0; 1372];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            payload
        };
        for number in 0..30 {
            pair.change_from_a(Change::BlackHole(number == lost));
            pair.a_sends(&full(number));
            pair.run_for(Duration::from_micros(500));
        }
        pair.run_for(ms(200));
        let first = |payload: &[u8]| u32::from_be_bytes(*payload.first_chunk().expect("number"));
        let numbers = payloads(&pair.b).into_iter().map(first);
        assert!(numbers.eq(0..30), "packet {lost}");
    }
}

#[test]
fn a_flow_over_one_lossy_path_gets_most_of_it() {
    for (loss, bar) in [
        (Loss::Independent(0.001), 41.0),
        (Loss::Independent(0.01), 41.0),
        (Loss::Independent(0.03), 35.0),
        (Loss::bursts(0.01, 5.0), 35.0),
    ] {
        let figures = (1..=5)
            .map(|seed| goodput(seed, &[(50, 10)], loss, ms(1500)))
            .collect();
        let median = median(figures);
        println!("{loss:?}: {median:.1} Mbit/s");
        assert!(median >= bar, "{loss:?}: {median:.1} Mbit/s");
    }
}

#[test]
fn a_flow_over_two_lossy_paths_gets_most_of_both() {
    let loss = Loss::Independent(0.01);
    let figures = (1..=5)
        .map(|seed| goodput(seed, &[(50, 10), (20, 60)], loss, secs(2)))
        .collect();
    let median = median(figures);
    println!("{median:.1} Mbit/s");
    assert!(median >= 60.0, "{median:.1} Mbit/s");
}
