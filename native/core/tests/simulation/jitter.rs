//! One bulk TCP flow over links whose delay varies: never less than the best of them carries alone, and near the sum.

use std::time::Duration;

use whalescale_netem::{Jitter, LinkConfig};

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, secs};
use crate::uplinks::{Uplinks, queued, uplink};

/// Share of the best link, alone in the same tunnel, that no run may miss.
const GUARD: f64 = 0.93;

/// A link whose packets are late by up to `by`, in order.
fn varying(link: LinkConfig, by: Duration) -> LinkConfig {
    LinkConfig {
        jitter: Jitter::Ordered(by),
        ..link
    }
}

/// Goodput of a flow from `from` to `to` seconds, Mbit/s.
fn goodput(seed: u64, configs: &[LinkConfig], (from, to): (u64, u64)) -> f64 {
    let mut links = Uplinks::new(seed, configs);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    flow.run(&mut links, secs(to));
    flow.print(&links, to);
    flow.goodput(secs(from), secs(to))
}

/// In each of three runs, the flow has the guard's share of the best link alone and `share` of the sum of all alone.
fn reaches(configs: &[LinkConfig], share: f64, span: (u64, u64)) {
    for seed in 1..=3 {
        let all = goodput(seed, configs, span);
        let alone = configs.chunks(1).map(|link| goodput(seed, link, span));
        let alone: Vec<f64> = alone.collect();
        let best = alone.iter().copied().fold(0.0, f64::max);
        let (of_best, of_sum) = (all / best, all / alone.iter().sum::<f64>());
        println!("seed {seed}: {of_best:.3} of the best, {of_sum:.3} of the sum");
        assert!(of_best >= GUARD, "seed {seed}: {of_best:.3} of the best");
        assert!(of_sum >= share, "seed {seed}: {of_sum:.3} of the sum");
    }
}

#[test]
fn equal_links_that_vary_are_filled() {
    for by in [2, 5] {
        let link = varying(uplink(30, 10), ms(by));
        reaches(&[link.clone(), link], 0.9, (2, 6));
    }
}

#[test]
fn equal_links_that_vary_by_most_of_their_delay_are_nearly_filled() {
    let link = varying(uplink(30, 10), ms(8));
    reaches(&[link.clone(), link], 0.8, (2, 6));
}

#[test]
fn a_link_that_varies_is_filled_beside_one_that_does_not() {
    reaches(
        &[varying(uplink(30, 10), ms(5)), uplink(30, 10)],
        0.9,
        (2, 6),
    );
}

#[test]
fn a_far_link_that_varies_is_filled_beside_a_near_one() {
    let links = [uplink(50, 10), uplink(20, 60)].map(|link| varying(link, ms(5)));
    reaches(&links, 0.9, (3, 7));
}

#[test]
fn links_with_short_buffers_that_hardly_vary_are_filled_soon() {
    let links = [queued(50, 10, ms(10)), queued(20, 30, ms(10))];
    let links = links.map(|link| varying(link, Duration::from_micros(200)));
    for seed in 1..=4 {
        let share = goodput(seed, &links, (1, 4)) / (70.0 * 1372.0 / 1476.0);
        assert!(share >= 0.9, "seed {seed}: {share:.3} of the sum");
    }
}
