//! What a report says of single packets, and counters that wrap.

use arrayvec::ArrayVec;
use whalescale_core::bond::feedback::{GAPS, Gap, PathReport};
use whalescale_core::bond::model::PathModel;
use whalescale_core::time::Instant;
use whalescale_netem::{LinkConfig, Loss};

use super::bench::*;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * MS)
}

fn report(highest: u32, received: u32, gaps: &[(u32, u8)]) -> PathReport {
    let gaps = gaps.iter().map(|&(start, count)| Gap { start, count });
    PathReport {
        path: 0,
        highest,
        received,
        bytes: u64::from(received) * 1000,
        arrived: 10_000,
        held: 0,
        gaps: gaps.collect::<ArrayVec<_, GAPS>>(),
    }
}

fn model_that_sent(packets: u64) -> PathModel {
    let mut model = PathModel::new(at(0));
    for sequence in 0..packets {
        model.sent(at(1), sequence, 1000, true);
    }
    model
}

#[test]
fn gaps_are_what_is_missing() {
    let mut model = model_that_sent(20);
    let digest = model.feedback(at(30), &report(9, 7, &[(3, 2), (7, 1)]));
    assert_eq!(digest.missing().collect::<Vec<_>>(), [3, 4, 7]);
    assert_eq!(digest.delivered_through, 3);
    assert_eq!(digest.highest, Some(9));
    let arrived: Vec<u64> = (0..20).filter(|&n| digest.has_arrived(n)).collect();
    assert_eq!(arrived, [0, 1, 2, 5, 6, 8, 9]);
}

#[test]
fn a_gap_that_fills_is_no_longer_missing() {
    let mut model = model_that_sent(20);
    model.feedback(at(30), &report(9, 8, &[(3, 2)]));
    let digest = model.feedback(at(35), &report(9, 10, &[]));
    assert_eq!(digest.missing().count(), 0);
    assert_eq!(digest.delivered_through, 10);
}

#[test]
fn an_older_report_and_one_of_packets_never_sent_say_nothing() {
    let mut model = model_that_sent(20);
    model.feedback(at(30), &report(9, 10, &[]));
    let older = model.feedback(at(31), &report(5, 5, &[(2, 1)]));
    assert_eq!((older.missing().count(), older.highest), (0, None));
    let absurd = model.feedback(at(32), &report(20, 21, &[]));
    assert_eq!((absurd.missing().count(), absurd.highest), (0, None));
    assert_eq!(absurd.delivered_through, 10);
}

#[test]
fn a_report_full_of_gaps_leaves_older_packets_unknown() {
    let mut model = model_that_sent(200);
    let gaps: Vec<(u32, u8)> = (0..GAPS as u32).map(|n| (100 + 2 * n, 1)).collect();
    let digest = model.feedback(at(30), &report(190, 100, &gaps));
    assert_eq!((digest.delivered_through, digest.known_from), (0, 100));
    assert!(!digest.has_arrived(50) && digest.has_arrived(101) && !digest.has_arrived(102));
}

#[test]
fn flight_counts_what_no_report_has_passed() {
    let mut model = model_that_sent(10);
    assert_eq!(model.in_flight(), 10_000);
    model.feedback(at(30), &report(6, 6, &[(2, 1)]));
    assert_eq!(model.in_flight(), 3_000);
}

#[test]
fn nothing_is_known_before_the_first_report() {
    let model = model_that_sent(3);
    assert!(model.capacity().is_none() && model.rtt().is_none() && model.delay().is_none());
    assert!(model.arrival_after(at(2), 1000).is_none() && model.loss().is_none());
}

#[test]
fn delays_of_two_paths_are_on_the_same_turn_of_the_clock() {
    // The clocks differ by half a turn, so that jitter alone decides on which side it falls.
    let offset = (1_u64 << 31) * 1000;
    let delay = |model: &mut PathModel, extra: u64| {
        model.sent(at(1000), 0, 1000, true);
        let arrived = (at(1000).as_nanos() + offset + extra) / 1000;
        let report = PathReport {
            arrived: arrived as u32,
            ..report(0, 1, &[])
        };
        model.feedback(at(1100), &report);
        model.delay().unwrap()
    };
    let first = delay(&mut PathModel::new(at(0)), 10 * MS);
    let second = delay(&mut PathModel::near(at(0), first), 0);
    assert_eq!(first - second, 10 * MS as i64);
}

#[test]
fn all_counters_wrap_unnoticed() {
    // 24 bits of sequence, 32 of packets, 48 of bytes, and the clock of the bench after 2 s.
    let config = LinkConfig {
        loss: Loss::Independent(0.01),
        ..LinkConfig::new(50, 10)
    };
    let mut bench = Bench::new(config, 5);
    bench.sequence = (1 << 24) - 10_000;
    bench.receiver.preset(
        bench.sequence,
        u64::from(u32::MAX) - 9_000,
        (1 << 48) - 10_000_000,
    );
    bench.run(2 * SECOND);
    bench.mark();
    bench.run(4 * SECOND);
    assert!(bench.sequence > (1 << 24));
    let goodput = bench.goodput() * 8e-6;
    assert!(goodput > 0.95 * 49.5, "{goodput}");
    assert!(bench.model.loss().unwrap() < 0.03);
}
