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

/// A stream over two links, the `victim` of which does what `cut` makes it do after two seconds.
fn failover(seed: u64, policy: Policy, cut: impl FnOnce(&mut Grid)) -> Outcome {
    let setup = Setup {
        policy,
        ..Setup::default()
    };
    let mut grid = Grid::over(seed, &near(), setup);
    grid.connect();
    grid.pair.b.forget();
    let next = stream(&mut grid, 0, SPACING, secs(2));
    cut(&mut grid);
    let next = stream(&mut grid, next, SPACING, secs(3));
    grid.pair.run_for(secs(1));
    let outcome = outcome(&grid, 0, next);
    tmp_trace(&grid, &outcome.lost);
    outcome
}

#[test]
fn the_fast_link_dies_and_nothing_is_lost() {
    let outcome = failover(1, Policy::Auto, |grid| grid.cut(A[0].0, true));
    assert_eq!(outcome.lost, []);
    assert!(outcome.gap <= ms(200));
}

#[test]
fn tmp_scan() {
    for seed in 0..40 {
        println!("offset {seed}");
        failover(seed, Policy::Auto, |grid| {
            grid.pair.run_for(Duration::from_micros(seed * 1700));
            grid.cut(A[0].0, true);
        });
    }
}

pub fn tmp_trace(grid: &Grid, lost: &[u32]) {
    let mut out = 0;
    for number in lost {
        let needle = number.to_be_bytes();
        for sent in grid.pair.a.sent_of_type(4) {
            let Some(plain) = grid.pair.a.keys.open(&sent.bytes) else { continue };
            if plain.len() > 1000 && (plain[36..40] == needle || plain[28..32] == needle) {
                println!("{number}: at {:?} from {} shim {:02x?}", sent.at, sent.from, &plain[..8]);
                out += 1;
            }
        }
        if out > 60 { return; }
    }
}
