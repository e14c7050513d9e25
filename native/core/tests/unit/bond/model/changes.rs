//! Links that change: the rate follows, down before a queue builds, up within moments.

use std::time::Duration;

use whalescale_netem::{Change, LinkConfig, QueueLimit, Schedule};

use super::bench::*;

fn step(at_ms: u64, mbit: u64) -> (Duration, Change) {
    (
        Duration::from_millis(at_ms),
        Change::Rate(Some(mbit * 1_000_000)),
    )
}

fn scheduled(mbit: u64, ms: u64, changes: &[(Duration, Change)]) -> Bench {
    let schedule = changes
        .iter()
        .fold(Schedule::default(), |schedule, (at, change)| {
            schedule.at(*at, *change)
        });
    Bench::new(
        LinkConfig {
            schedule,
            ..LinkConfig::new(mbit, ms)
        },
        1,
    )
}

#[test]
fn a_halved_rate_is_followed_within_two_round_trips_and_its_queue_let_out() {
    for ms in [10, 30, 60] {
        let rtt = 2 * ms * MS;
        let mut bench = scheduled(50, ms, &[step(5000, 25)]);
        // The change, half a round trip until it shows, two round trips and the window of a sample.
        bench.run(5 * SECOND + 3 * rtt + 50 * MS);
        let rate = bench.model.rate() * 8e-6;
        assert!(rate < 30.0, "{ms} ms: still {rate:.1} Mbit/s");
        bench.run(5 * rtt + 300 * MS);
        bench.mark();
        bench.run(3 * SECOND);
        let (goodput, queue) = (bench.goodput() * 8e-6, bench.marks.mean_queue_ms());
        println!("{ms} ms: goodput {goodput:.2} of 25, queue {queue:.2} ms");
        assert!(goodput > 24.0, "{ms} ms: {goodput:.2} of 25 Mbit/s");
        assert!(queue < 12.0, "{ms} ms: {queue:.1} ms of queue");
    }
}

#[test]
fn a_doubled_rate_is_found_within_two_seconds() {
    for ms in [10, 30, 60, 100] {
        let mut bench = scheduled(25, ms, &[step(5000, 50)]);
        bench.run(7 * SECOND);
        bench.mark();
        bench.run(2 * SECOND);
        let goodput = bench.goodput() * 8e-6;
        println!("{ms} ms: {goodput:.2} of 50");
        assert!(goodput > 46.0, "{ms} ms: {goodput:.2} of 50 Mbit/s");
    }
}

#[test]
fn a_tenth_of_the_rate_and_back_is_followed() {
    let mut bench = scheduled(100, 20, &[step(4000, 10), step(8000, 100)]);
    bench.run(4500 * MS);
    bench.mark();
    bench.run(3 * SECOND);
    assert!(bench.goodput() * 8e-6 > 9.5);
    assert!(bench.marks.mean_queue_ms() < 15.0);
    bench.run(2 * SECOND);
    bench.mark();
    bench.run(3 * SECOND);
    assert!(bench.goodput() * 8e-6 > 95.0);
}

#[test]
fn a_rate_that_wanders_every_second_is_followed() {
    for seed in 1..=3 {
        let mut random = Random(seed);
        let rates: Vec<u64> = (0..20)
            .map(|_| 5_000_000 + random.below(35_000_000))
            .collect();
        let truth = rates.iter().sum::<u64>() as f64 / rates.len() as f64;
        let schedule = Schedule::rates(Duration::from_secs(1), &rates);
        let queue = QueueLimit::Bytes(300_000);
        let mut bench = Bench::new(
            LinkConfig {
                schedule,
                queue,
                ..LinkConfig::new(20, 20)
            },
            seed,
        );
        bench.run(20 * SECOND);
        let (goodput, queue) = (bench.goodput() * 8.0 / truth, bench.marks.mean_queue_ms());
        println!("seed {seed}: goodput {goodput:.3}, queue {queue:.1} ms");
        assert!(goodput > 0.9, "seed {seed}: {goodput:.3}");
        assert!(queue < 25.0, "seed {seed}: {queue:.1} ms");
    }
}

#[test]
fn a_rate_that_wanders_ten_times_a_second_is_mostly_used() {
    for seed in 1..=3 {
        let mut random = Random(seed);
        let mut rate = 20_000_000;
        let rates: Vec<u64> = (0..200)
            .map(|_| {
                rate = (rate * (80 + random.below(45)) / 100).clamp(5_000_000, 40_000_000);
                rate
            })
            .collect();
        let truth = rates.iter().sum::<u64>() as f64 / rates.len() as f64;
        let schedule = Schedule::rates(Duration::from_millis(100), &rates);
        let queue = QueueLimit::Bytes(300_000);
        let mut bench = Bench::new(
            LinkConfig {
                schedule,
                queue,
                ..LinkConfig::new(20, 25)
            },
            seed,
        );
        bench.run(20 * SECOND);
        let (goodput, queue) = (bench.goodput() * 8.0 / truth, bench.marks.mean_queue_ms());
        println!("seed {seed}: goodput {goodput:.3}, queue {queue:.1} ms");
        assert!(goodput > 0.8, "seed {seed}: {goodput:.3}");
        assert!(queue < 60.0, "seed {seed}: {queue:.1} ms");
    }
}

#[test]
fn a_longer_route_is_not_taken_for_a_queue_for_long() {
    for (ms, longer) in [(10, 15), (10, 40), (60, 90)] {
        let change = (
            Duration::from_secs(4),
            Change::Delay(Duration::from_millis(longer)),
        );
        let mut bench = scheduled(50, ms, &[change]);
        bench.run(6 * SECOND);
        bench.mark();
        bench.run(3 * SECOND);
        let goodput = bench.goodput() * 8e-6;
        println!("{ms} -> {longer} ms: {goodput:.2} of 50");
        assert!(
            goodput > 47.0,
            "{ms} -> {longer} ms: {goodput:.2} of 50 Mbit/s"
        );
    }
}

#[test]
fn a_shorter_route_gets_no_standing_queue_for_long() {
    let change = (
        Duration::from_secs(4),
        Change::Delay(Duration::from_millis(10)),
    );
    let mut bench = scheduled(50, 40, &[change]);
    bench.run(14 * SECOND);
    bench.mark();
    bench.run(5 * SECOND);
    let (goodput, queue) = (bench.goodput() * 8e-6, bench.marks.mean_queue_ms());
    println!("goodput {goodput:.2} of 50, queue {queue:.2} ms");
    assert!(
        goodput > 48.0 && queue < 8.0,
        "{goodput:.2} Mbit/s, {queue:.2} ms"
    );
}
