//! Links that fall silent under a stream that the others can carry: nothing is lost, and little time.

use std::time::Duration;

use whalescale_core::bond::schedule::Policy;
use whalescale_netem::LinkConfig;

use crate::bonding::{numbers, stream};
use crate::node::Setup;
use crate::pair::{ms, secs};
use crate::paths::{A, Grid};

/// 1200 bytes each: 12 Mbit/s.
const SPACING: Duration = Duration::from_micros(800);

/// What a stream met from some time on.
struct Outcome {
    /// Numbers that never arrived.
    lost: Vec<u32>,
    /// Longest pause in the deliveries.
    gap: Duration,
}

fn outcome(grid: &Grid, from: u32, to: u32) -> Outcome {
    let got: std::collections::BTreeSet<u32> = numbers(grid).into_iter().collect();
    let ats = &grid.pair.b.delivered_at;
    let gaps = ats.windows(2).map(|pair| pair[1] - pair[0]);
    let gap = gaps.max().expect("deliveries");
    let lost: Vec<u32> = (from..to).filter(|number| !got.contains(number)).collect();
    println!(
        "{} of {} lost, longest gap {gap:?}, drops {:?}",
        lost.len(),
        to - from,
        grid.pair.a.drop_report()
    );
    Outcome { lost, gap }
}

fn near() -> [LinkConfig; 2] {
    [LinkConfig::new(50, 10), LinkConfig::new(20, 30)]
}

/// A stream over two links, to which `cut` does something after two seconds and some milliseconds.
fn failover(seed: u64, policy: Policy, cut: impl FnOnce(&mut Grid)) -> Outcome {
    let setup = Setup {
        policy,
        ..Setup::default()
    };
    let mut grid = Grid::over(seed, &near(), setup);
    grid.connect();
    grid.pair.b.forget();
    let next = stream(&mut grid, 0, SPACING, secs(2) + ms(3 * seed));
    cut(&mut grid);
    let next = stream(&mut grid, next, SPACING, secs(3));
    grid.pair.run_for(secs(1));
    outcome(&grid, 0, next)
}

/// The cut comes at different points of the feedback's rhythm.
fn cut_at_every_moment(policy: Policy, limit: Duration, cut: impl Fn(&mut Grid)) {
    for seed in 1..=8 {
        let outcome = failover(seed, policy, &cut);
        assert_eq!(outcome.lost, []);
        assert!(outcome.gap <= limit, "{:?}", outcome.gap);
    }
}

#[test]
fn the_fast_link_dies_and_nothing_is_lost() {
    cut_at_every_moment(Policy::Edpf, ms(120), |grid| grid.cut(A[0].0, true));
}

#[test]
fn the_slow_link_dies_and_nothing_is_lost() {
    cut_at_every_moment(Policy::Edpf, ms(120), |grid| grid.cut(A[1].0, true));
}

#[test]
fn a_link_that_dies_in_the_direction_of_the_data_costs_nothing() {
    cut_at_every_moment(Policy::Edpf, ms(120), |grid| {
        grid.silence(A[0].0, true, true);
    });
}

#[test]
fn a_link_that_no_longer_carries_feedback_costs_nothing() {
    cut_at_every_moment(Policy::Edpf, ms(120), |grid| {
        grid.silence(A[0].0, false, true);
    });
}

#[test]
fn a_link_that_flaps_costs_nothing() {
    for seed in 1..=8 {
        let mut grid = Grid::over(seed, &near(), Setup::default());
        grid.connect();
        grid.pair.b.forget();
        let mut next = stream(&mut grid, 0, SPACING, secs(2));
        for _ in 0..5 {
            grid.cut(A[0].0, true);
            next = stream(&mut grid, next, SPACING, ms(100 + 20 * seed));
            grid.cut(A[0].0, false);
            next = stream(&mut grid, next, SPACING, ms(300 - 20 * seed));
        }
        grid.pair.run_for(secs(1));
        let outcome = outcome(&grid, 0, next);
        assert_eq!(outcome.lost, []);
        assert!(outcome.gap <= ms(150), "{:?}", outcome.gap);
    }
}

#[test]
fn what_goes_on_both_links_survives_either() {
    for victim in [A[0].0, A[1].0] {
        // The links differ by 20 ms.
        cut_at_every_moment(Policy::Redundant, ms(30), |grid| grid.cut(victim, true));
    }
}

/// A flow with a window of so many packets, acknowledged in order, as TCP would send it; gives how long
/// nothing new came in order at most.
fn window(grid: &mut Grid, packets: u32, span: Duration, state: &mut (u32, u32, u32)) -> Duration {
    let end = grid.pair.nanos + u64::try_from(span.as_nanos()).expect("span");
    let (sent, acked, in_order) = state;
    let mut here = std::collections::BTreeSet::new();
    let mut progress = grid.pair.nanos;
    let mut longest = 0;
    while grid.pair.nanos < end {
        // No faster than it can grow: a burst would only fill the queue.
        let room = packets.min(10 + *acked / 8);
        while *sent < *acked + room {
            let mut payload = vec![0; 1340];
            payload[..4].copy_from_slice(&sent.to_be_bytes());
            grid.pair.a_sends(&payload);
            *sent += 1;
        }
        grid.pair.run_for(Duration::from_micros(500));
        here.extend(numbers(grid));
        grid.pair.b.forget();
        let before = *in_order;
        while here.remove(in_order) {
            *in_order += 1;
        }
        if *in_order > before {
            longest = longest.max(grid.pair.nanos - progress);
            progress = grid.pair.nanos;
            let payload = in_order.to_be_bytes();
            grid.pair.b_sends(&payload);
        }
        for payload in crate::pair::payloads(&grid.pair.a) {
            let number = payload
                .first_chunk()
                .map(|bytes| u32::from_be_bytes(*bytes));
            *acked = number.unwrap_or(0).max(*acked);
        }
        grid.pair.a.forget();
    }
    Duration::from_nanos(longest.max(grid.pair.nanos - progress))
}

#[test]
fn a_full_window_goes_on_soon_after_a_link_dies() {
    for seed in 1..=4 {
        for victim in [A[0].0, A[1].0] {
            let mut grid = Grid::over(seed, &near(), Setup::default());
            grid.connect();
            grid.pair.b.forget();
            let mut state = (0, 0, 0);
            window(&mut grid, 380, secs(3) + ms(7 * seed), &mut state);
            let before = state.2;
            let steady = window(&mut grid, 380, secs(1), &mut state);
            let rate = state.2 - before;
            grid.cut(victim, true);
            // Later, the queue of a window too large for the other link is cut short.
            let gap = window(&mut grid, 380, ms(190), &mut state);
            println!(
                "{rate} packets a second, steady {steady:?}, {victim} cut: {gap:?}, drops {:?}",
                grid.pair.a.drop_report()
            );
            assert!(gap <= ms(150), "{gap:?}");
        }
    }
}
