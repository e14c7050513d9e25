//! Sources that do not fill the path: the estimate neither starves nor grows beyond the truth.

use whalescale_netem::{LinkConfig, Stats};

use super::bench::*;

/// Half of the link's rate, in bursts of `every` milliseconds.
fn half(mbit: u64, every: u64) -> Source {
    let packets = mbit * 1000 * every / 16 / PACKET as u64;
    Source::Bursts {
        packets,
        every: every * MS,
    }
}

#[test]
fn an_application_that_sends_half_keeps_the_estimate() {
    for (mbit, ms) in [(50, 10), (20, 60)] {
        for every in [5, 50, 500] {
            let mut bench = Bench::new(LinkConfig::new(mbit, ms), 1);
            bench.run(5 * SECOND);
            bench.source = half(mbit, every);
            bench.mark();
            bench.run(10 * SECOND);
            let capacity = bench.model.capacity().unwrap() * 8e-6 / mbit as f64;
            println!(
                "{mbit}/{ms} every {every} ms: {capacity:.3}, most {:.3}",
                bench.marks.capacity_max * 8e-6 / mbit as f64
            );
            assert!(
                (0.9..1.1).contains(&capacity),
                "{mbit}/{ms} every {every} ms: {capacity:.3}"
            );
        }
    }
}

#[test]
fn an_application_that_never_fills_the_path_does_not_inflate_the_estimate() {
    for (mbit, ms) in [(50, 10), (20, 60)] {
        for every in [5, 50, 500] {
            let mut bench = Bench::new(LinkConfig::new(mbit, ms), 1);
            bench.source = half(mbit, every);
            bench.run(10 * SECOND);
            let most = bench.marks.capacity_max * 8e-6 / mbit as f64;
            assert!(most < 1.1, "{mbit}/{ms} every {every} ms: {most:.3}");
            let Stats {
                dropped_queue_full,
                sent,
                ..
            } = *bench.link.stats();
            println!(
                "{mbit}/{ms} every {every} ms: most {most:.3}, {dropped_queue_full} of {sent} dropped"
            );
        }
    }
}

#[test]
fn bytes_in_flight_are_bounded_when_the_path_dies() {
    let mut bench = Bench::new(LinkConfig::new(50, 20), 1);
    bench.run(3 * SECOND);
    bench
        .link
        .apply(bench.now, whalescale_netem::Change::BlackHole(true));
    bench.run(5 * SECOND);
    let product = 50e6 / 8.0 * 0.040;
    let flight = bench.model.in_flight() as f64;
    assert!(flight < 4.0 * product, "{flight} bytes in flight");
}

#[test]
fn a_sender_that_wakes_once_in_a_millisecond_fills_the_link() {
    for (mbit, ms) in [(20, 60), (50, 10), (300, 10)] {
        let mut bench = Bench::new(LinkConfig::new(mbit, ms), 1);
        bench.tick = MS;
        bench.run(3 * SECOND);
        bench.mark();
        bench.run(5 * SECOND);
        let goodput = bench.goodput() * 8e-6 / mbit as f64;
        let queue = bench.marks.mean_queue_ms();
        println!("{mbit}/{ms}: goodput {goodput:.3}, queue {queue:.2} ms");
        assert!(
            goodput > 0.96 && queue < 8.0,
            "{mbit}/{ms}: {goodput:.3}, {queue:.2} ms"
        );
    }
}
