//! Silence with something outstanding is suspicious; silence alone is not.

use whalescale_core::bond::model::Health;
use whalescale_netem::{Change, LinkConfig};

use super::bench::*;

#[test]
fn a_busy_path_stays_healthy_though_feedback_is_lost() {
    for (mbit, ms, seed) in [(5, 30, 1), (50, 10, 2), (20, 60, 3), (300, 5, 4)] {
        let mut bench = Bench::with_bad_feedback(LinkConfig::new(mbit, ms), seed);
        bench.run(2 * SECOND);
        let mut suspected = 0;
        for _ in 0..10_000 {
            bench.run(MS);
            suspected += u32::from(bench.model.health(bench.instant()) != Health::Healthy);
        }
        assert!(
            suspected < 50,
            "{mbit}/{ms}, seed {seed}: suspected for {suspected} ms of 10,000"
        );
    }
}

#[test]
fn an_idle_path_is_not_suspected() {
    let mut bench = Bench::new(LinkConfig::new(50, 10), 1);
    bench.run(2 * SECOND);
    bench.paused = true;
    bench.run(SECOND);
    assert_eq!(bench.model.in_flight(), 0);
    assert_eq!(bench.model.suspicion_deadline(), None);
    bench.run(60 * SECOND);
    assert_eq!(bench.model.health(bench.instant()), Health::Healthy);
}

#[test]
fn a_black_hole_is_suspected_at_the_deadline_and_failed_later() {
    for ms in [5, 20, 60] {
        let mut bench = Bench::new(LinkConfig::new(50, ms), 1);
        bench.run(3 * SECOND);
        bench.link.apply(bench.now, Change::BlackHole(true));
        let died = bench.now;
        while bench.model.health(bench.instant()) == Health::Healthy {
            bench.run(MS);
        }
        // The first packet lost waits for 1.25 round trips and one interval of feedback.
        // The last report comes a round trip after the end, and three intervals must pass then.
        let round = 2.0 * ms as f64 + 5.0;
        let patience = (1.25 * round + 15.0).max(round + 40.0);
        let taken = (bench.now - died) as f64 / MS as f64;
        println!("{ms} ms: suspected after {taken} ms");
        assert!(taken <= patience, "{ms} ms: {taken} ms");
        bench.run(2 * SECOND);
        assert_eq!(bench.model.health(bench.instant()), Health::Failed);
    }
}

#[test]
fn the_deadline_is_when_suspicion_comes() {
    let mut bench = Bench::new(LinkConfig::new(50, 20), 1);
    bench.run(3 * SECOND);
    bench.back.apply(bench.now, Change::BlackHole(true));
    // The last reports are still on their way.
    bench.run(25 * MS);
    let deadline = bench.model.suspicion_deadline().unwrap().as_nanos();
    bench.run(deadline - 1 - bench.now);
    assert_eq!(bench.model.health(bench.instant()), Health::Healthy);
    bench.run(1);
    assert_eq!(bench.model.health(bench.instant()), Health::Suspect);
}

/// The capacity at the moment of the return.
fn run_until_back(bench: &mut Bench) -> Option<f64> {
    while bench.model.health(bench.instant()) == Health::Failed {
        bench.run(MS);
    }
    bench.model.capacity()
}

#[test]
fn a_failed_path_returns_after_several_proofs_and_starts_anew() {
    let mut bench = Bench::new(LinkConfig::new(50, 10), 1);
    bench.run(3 * SECOND);
    bench.back.apply(bench.now, Change::BlackHole(true));
    bench.run(3 * SECOND);
    assert_eq!(bench.model.health(bench.instant()), Health::Failed);
    bench.back.apply(bench.now, Change::BlackHole(false));
    let began = bench.now;
    assert_eq!(run_until_back(&mut bench), None);
    assert!(bench.now - began >= 100 * MS, "at the first proof");
    bench.run(SECOND);
    bench.mark();
    bench.run(2 * SECOND);
    assert!(bench.goodput() * 8e-6 > 48.0, "{}", bench.goodput() * 8e-6);
}

#[test]
fn a_flapping_path_must_prove_itself_for_longer_each_time() {
    let mut bench = Bench::new(LinkConfig::new(50, 10), 1);
    let mut trials = Vec::new();
    for _ in 0..4 {
        bench.run(SECOND);
        bench.back.apply(bench.now, Change::BlackHole(true));
        bench.run(3 * SECOND);
        bench.back.apply(bench.now, Change::BlackHole(false));
        let began = bench.now;
        run_until_back(&mut bench);
        trials.push((bench.now - began) / MS);
    }
    // A short trial takes as long as the probes of a failed path are apart, give or take a feedback.
    assert!(trials.is_sorted_by(|a, b| *a < b + 10), "{trials:?}");
    assert!(trials[3] > trials[0] + 400, "{trials:?}");
}
