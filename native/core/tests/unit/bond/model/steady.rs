//! Links that do not change: the estimates meet the truth, and the rate fills the link.

use std::time::Duration;

use whalescale_netem::{Jitter, LinkConfig, Loss, QueueLimit};

use super::bench::*;

/// What a run must reach.
struct Bar {
    /// Capacity's relative error after settling.
    capacity: f64,
    goodput: f64,
    queue_ms: f64,
    overflow: f64,
}

/// Settles for 3 s or 20 round trips, then measures for 10 s against `deliverable` Mbit/s.
fn check(name: &str, mut bench: Bench, mbit: u64, delivered: f64, bar: &Bar) {
    let truth = mbit as f64 * 1e6 / 8.0 * delivered;
    let rtt = 2 * bench.link.config().delay.as_nanos() as u64;
    bench.run((3 * SECOND).max(20 * rtt));
    let capacity = bench.model.capacity().unwrap_or(0.0) / truth;
    bench.mark();
    bench.run(10 * SECOND);
    let goodput = bench.goodput() / truth;
    let (queue, overflow) = (bench.marks.mean_queue_ms(), bench.marks.overflow_share());
    println!(
        "{name:40} capacity {capacity:.3} goodput {goodput:.3} queue {queue:5.2} ms overflow {overflow:.4}"
    );
    assert!(
        (capacity - 1.0).abs() <= bar.capacity,
        "{name}: capacity {capacity:.3} of the truth"
    );
    assert!(
        goodput >= bar.goodput,
        "{name}: goodput {goodput:.3} of the truth"
    );
    // What a packet takes to be sent is no queue, and two of them are the shortest target.
    let packets = 3.0 * PACKET as f64 * 8.0 / mbit as f64 / 1e3;
    let queue_max = bar.queue_ms.max(packets);
    assert!(queue <= queue_max, "{name}: {queue:.2} ms of queue");
    assert!(overflow <= bar.overflow, "{name}: {overflow:.4} overflow");
}

const CLEAN: Bar = Bar {
    capacity: 0.05,
    goodput: 0.96,
    queue_ms: 8.0,
    overflow: 0.001,
};

#[test]
fn the_rate_fills_every_clean_link_and_builds_no_queue() {
    for mbit in [1, 5, 20, 50, 100, 300] {
        for ms in [5, 20, 60, 100] {
            let bench = Bench::new(LinkConfig::new(mbit, ms), 1);
            check(&format!("{mbit} Mbit/s, {ms} ms"), bench, mbit, 1.0, &CLEAN);
        }
    }
}

#[test]
fn late_lossy_and_disordered_feedback_costs_little() {
    for (mbit, ms) in [(5, 30), (50, 10), (20, 60), (300, 10), (50, 100)] {
        for seed in 1..=3 {
            let bench = Bench::with_bad_feedback(LinkConfig::new(mbit, ms), seed);
            check(
                &format!("{mbit} Mbit/s, {ms} ms, seed {seed}"),
                bench,
                mbit,
                1.0,
                &CLEAN,
            );
        }
    }
}

#[test]
fn buffers_from_half_to_eight_bandwidth_delay_products_do_not_overflow() {
    for (mbit, ms) in [(5, 20), (5, 100), (50, 20), (50, 100), (300, 20)] {
        for share in [0.5, 1.0, 8.0] {
            let product = mbit as f64 * 1e6 / 8.0 * ms as f64 * 2e-3;
            let queue = QueueLimit::Bytes((product * share) as usize);
            let config = LinkConfig {
                queue,
                ..LinkConfig::new(mbit, ms)
            };
            let name = format!("{mbit} Mbit/s, {ms} ms, {share} products");
            check(&name, Bench::new(config, 1), mbit, 1.0, &CLEAN);
        }
    }
}

#[test]
fn a_buffer_shorter_than_the_target_queue_is_not_flooded() {
    let bar = Bar {
        overflow: 0.06,
        ..CLEAN
    };
    for (mbit, ms, bytes) in [
        (5, 5, 3_000),
        (5, 5, 6_250),
        (50, 5, 15_000),
        (50, 20, 62_500),
    ] {
        let queue = QueueLimit::Bytes(bytes);
        let config = LinkConfig {
            queue,
            ..LinkConfig::new(mbit, ms)
        };
        let name = format!("{mbit} Mbit/s, {ms} ms, {bytes} bytes");
        check(&name, Bench::new(config, 1), mbit, 1.0, &bar);
    }
}

#[test]
fn a_policer_is_found_by_its_loss() {
    let bar = Bar {
        overflow: 0.06,
        ..CLEAN
    };
    for (mbit, ms) in [(5, 5), (50, 10), (20, 60)] {
        let queue = QueueLimit::Bytes(3 * PACKET);
        let config = LinkConfig {
            queue,
            ..LinkConfig::new(mbit, ms)
        };
        check(
            &format!("{mbit} Mbit/s, {ms} ms"),
            Bench::new(config, 1),
            mbit,
            1.0,
            &bar,
        );
    }
}

#[test]
fn random_loss_does_not_lower_the_rate() {
    let bar = Bar {
        capacity: 0.08,
        goodput: 0.95,
        queue_ms: 10.0,
        ..CLEAN
    };
    for (mbit, ms) in [(5, 30), (50, 10), (20, 60), (300, 10)] {
        for loss in [0.001, 0.01, 0.03, 0.1] {
            for seed in 1..=3 {
                let config = LinkConfig {
                    loss: Loss::Independent(loss),
                    ..LinkConfig::new(mbit, ms)
                };
                let name = format!("{mbit} Mbit/s, {ms} ms, loss {loss}, seed {seed}");
                check(&name, Bench::new(config, seed), mbit, 1.0 - loss, &bar);
            }
        }
    }
}

#[test]
fn bursts_of_loss_do_not_lower_the_rate() {
    let bar = Bar {
        capacity: 0.08,
        goodput: 0.95,
        queue_ms: 10.0,
        overflow: 0.02,
    };
    for (mbit, ms) in [(5, 30), (50, 10), (20, 60), (300, 10)] {
        for seed in 1..=5 {
            let loss = Loss::bursts(0.02, 8.0);
            let config = LinkConfig {
                loss,
                ..LinkConfig::new(mbit, ms)
            };
            let name = format!("{mbit} Mbit/s, {ms} ms, bursts, seed {seed}");
            check(&name, Bench::new(config, seed), mbit, 0.98, &bar);
        }
    }
}

#[test]
fn jitter_is_not_taken_for_a_queue() {
    // Half of the 5 ms is the link's own, on average.
    let bar = Bar {
        capacity: 0.08,
        goodput: 0.93,
        queue_ms: 12.5,
        overflow: 0.002,
    };
    let span = Duration::from_millis(5);
    for (mbit, ms) in [(5, 30), (50, 10), (20, 60), (300, 10)] {
        for jitter in [Jitter::Ordered(span), Jitter::Unordered(span)] {
            for seed in 1..=3 {
                let config = LinkConfig {
                    jitter,
                    ..LinkConfig::new(mbit, ms)
                };
                let name = format!("{mbit} Mbit/s, {ms} ms, {jitter:?}, seed {seed}");
                check(&name, Bench::new(config, seed), mbit, 1.0, &bar);
            }
        }
    }
}

#[test]
fn delays_are_the_links() {
    let mut bench = Bench::new(LinkConfig::new(50, 20), 1);
    bench.run(5 * SECOND);
    let model = &bench.model;
    let serialisation = PACKET as f64 * 8.0 / 50e6;
    let (delay, base) = (model.delay().unwrap(), model.base_delay().unwrap());
    let true_base = CLOCK_OFFSET as i64 + 20 * MS as i64 + (serialisation * 1e9) as i64;
    // The receiver's clock wraps after 2^32 us; the same turn is found modulo that.
    let error = (base - true_base).rem_euclid(1_000 << 32);
    let error = error.min((1_000 << 32) - error);
    assert!(error < MS as i64, "base delay off by {error} ns");
    assert!((0..10 * MS as i64).contains(&(delay - base)));
    let rtt = model.rtt().unwrap().as_secs_f64();
    assert!((0.040..0.050).contains(&rtt), "{rtt}");
    let min = model.min_rtt().unwrap().as_secs_f64();
    assert!((0.040..0.043).contains(&min), "{min}");
    assert!(model.jitter().unwrap() < Duration::from_millis(1));
    assert_eq!(model.loss(), Some(0.0));
}

#[test]
fn predicted_arrival_meets_the_actual_one() {
    let mut bench = Bench::new(LinkConfig::new(20, 30), 1);
    bench.run(5 * SECOND);
    let (mut error, mut count) = (0.0, 0.0);
    for _ in 0..200 {
        bench.run(7 * MS);
        let predicted = bench.model.arrival_after(bench.instant(), PACKET).unwrap();
        let base = bench.model.base_delay().unwrap();
        let next = bench.model.next_send(bench.instant());
        let wait = next.as_nanos().saturating_sub(bench.now) as f64 * 1e-6;
        let actual = wait + bench.backlog_ms() + PACKET as f64 * 8.0 / 20e3;
        error += ((predicted - base) as f64 * 1e-6 - actual).abs();
        count += 1.0;
    }
    assert!(error / count < 2.0, "off by {} ms", error / count);
}

#[test]
fn a_lossy_path_knows_its_loss() {
    let config = LinkConfig {
        loss: Loss::Independent(0.03),
        ..LinkConfig::new(50, 10)
    };
    let mut bench = Bench::new(config, 3);
    bench.run(8 * SECOND);
    let loss = bench.model.loss().unwrap();
    assert!((0.02..0.04).contains(&loss), "{loss}");
}
