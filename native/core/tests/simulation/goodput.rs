//! One bulk TCP flow over several links: as much as they carry together, soon; and never less than
//! the best of them carries alone.

use whalescale_core::bond::schedule::Policy;
use whalescale_core::drops::DropReason;
use whalescale_netem::{Jitter, LinkConfig, Loss};

use crate::inner_tcp::InnerTcp;
use crate::node::Setup;
use crate::pair::{ms, secs};
use crate::uplinks::{Uplinks, queued, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;

/// Seconds of each flow.
const SPAN: u64 = 5;

/// Goodput of a flow, Mbit/s, without the first milliseconds.
fn goodput(configs: &[LinkConfig], skip: u64) -> f64 {
    goodput_by(Policy::default(), 1, configs, skip)
}

fn goodput_by(policy: Policy, seed: u64, configs: &[LinkConfig], skip: u64) -> f64 {
    let setup = Setup {
        policy,
        ..Setup::default()
    };
    let mut links = Uplinks::with(seed, configs, setup);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    flow.run(&mut links, secs(SPAN));
    flow.print(&links, SPAN);
    flow.goodput(ms(skip), secs(SPAN))
}

/// After `skip` milliseconds, the flow has at least 95 % of what the links carry together.
fn fills(configs: &[LinkConfig], skip: u64) {
    let sum: u64 = configs.iter().filter_map(|config| config.rate).sum();
    let share = goodput(configs, skip) / (sum as f64 * 1e-6 * PAYLOAD_SHARE);
    println!("{share:.3} of the sum");
    assert!(share >= 0.95, "{share:.3} of the sum");
}

/// The flow has at least 98 % of what the best link, the first one, carries alone.
fn is_no_worse_than_the_first(configs: &[LinkConfig]) {
    let share = goodput(configs, 1500) / goodput(&configs[..1], 1500);
    println!("{share:.3} of the best");
    assert!(share >= 0.98, "{share:.3} of the best");
}

#[test]
fn two_links_of_like_delay_are_filled() {
    fills(&[uplink(50, 10), uplink(20, 30)], 1000);
}

#[test]
fn a_far_link_is_filled_beside_a_near_one() {
    fills(&[uplink(50, 10), uplink(20, 60)], 1500);
}

#[test]
fn a_slow_link_is_filled_beside_a_ten_times_faster_one() {
    fills(&[uplink(300, 10), uplink(30, 30)], 1500);
}

#[test]
fn two_equal_links_are_filled() {
    fills(&[queued(100, 5, ms(50)), queued(100, 5, ms(50))], 1000);
}

#[test]
fn three_links_are_filled() {
    fills(&[uplink(40, 15), uplink(25, 25), uplink(10, 50)], 1500);
}

#[test]
fn a_link_of_a_thirtieth_of_the_rate_and_fifteen_times_the_delay_does_no_harm() {
    is_no_worse_than_the_first(&[uplink(150, 5), uplink(5, 75)]);
}

#[test]
fn a_link_of_thirty_times_the_delay_does_no_harm() {
    is_no_worse_than_the_first(&[uplink(50, 5), uplink(20, 150)]);
}

#[test]
fn links_with_short_buffers_do_no_harm() {
    is_no_worse_than_the_first(&[queued(50, 10, ms(10)), queued(20, 30, ms(10))]);
}

#[test]
fn links_with_long_buffers_do_no_harm() {
    is_no_worse_than_the_first(&[queued(50, 10, ms(400)), queued(20, 30, ms(400))]);
}

fn jittery(mbit: u64, delay: u64, by: u64) -> LinkConfig {
    LinkConfig {
        jitter: Jitter::Ordered(ms(by)),
        ..uplink(mbit, delay)
    }
}

#[test]
fn links_with_jitter_do_no_harm() {
    is_no_worse_than_the_first(&[jittery(30, 25, 8), jittery(20, 30, 10)]);
}

#[test]
fn the_default_scheduler_is_as_good_as_the_others_where_they_are_best() {
    let equal = [uplink(50, 10), uplink(50, 10)];
    let alike = [jittery(30, 25, 8), jittery(20, 30, 10)];
    for configs in [equal, alike] {
        // Without the first seconds: jitter ends the slow start (HyStart), sooner or later.
        let mean = |policy| {
            let runs = (1..=5).map(|seed| goodput_by(policy, seed, &configs, 3000));
            runs.sum::<f64>() / 5.0
        };
        let [ours, wrr, minrtt] = [Policy::default(), Policy::Wrr, Policy::MinRtt].map(mean);
        let best = wrr.max(minrtt);
        assert!(ours >= 0.97 * best, "{ours:.1} against {best:.1} Mbit/s");
    }
}

#[test]
fn a_lossy_link_does_no_harm_beside_a_clean_one() {
    let lossy = LinkConfig {
        loss: Loss::Independent(0.03),
        ..uplink(20, 30)
    };
    is_no_worse_than_the_first(&[uplink(50, 10), lossy]);
}

/// Seconds from the return of a link until every second of the next three has 0.9 of what both carry.
fn return_time(victim: usize, silent: u64) -> f64 {
    let mut links = Uplinks::new(1, &[uplink(50, 10), uplink(20, 30)]);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    flow.run(&mut links, secs(2));
    links.cut(victim, true);
    flow.run(&mut links, secs(silent));
    links.cut(victim, false);
    let back = secs(2 + silent);
    flow.run(&mut links, secs(13));
    let second = |at: u64| flow.goodput(back + ms(at * 100), back + ms(at * 100 + 1000));
    let full = |at: u64| second(at) >= 0.9 * 70.0 * PAYLOAD_SHARE;
    let held = (0..=100).find(|at| (0..=20).all(|more| full(at + more)));
    let seconds: Vec<String> = (0..13)
        .map(|at| format!("{:.1}", second(at * 10)))
        .collect();
    println!("{}, back after {held:?} tenths", seconds.join(" "));
    held.map_or(f64::INFINITY, |tenths| tenths as f64 / 10.0)
}

#[test]
fn either_link_that_returns_is_full_within_ten_seconds() {
    for (victim, silent) in [(0, 3), (1, 3), (0, 10), (1, 10)] {
        let after = return_time(victim, silent);
        assert!(after <= 10.0, "link {victim} after {silent} s: {after} s");
    }
}

/// When CoDel drops the first packet of a flow over two links, milliseconds after its start.
fn first_drop() -> u64 {
    let mut links = Uplinks::new(1, &[uplink(50, 10), uplink(20, 30)]);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    let dropped = |links: &Uplinks| links.pair.a.dropped(DropReason::QueueDelay) > 0;
    let at = (1..3000).find(|_| {
        flow.run(&mut links, ms(1));
        dropped(&links)
    });
    at.expect("a drop")
}

#[test]
fn a_packet_dropped_just_before_or_after_a_link_dies_holds_up_nothing() {
    let drop = first_drop();
    for victim in [0, 1] {
        for cut in [drop - 60, drop - 30, drop, drop + 5, drop + 10] {
            let mut links = Uplinks::new(1, &[uplink(50, 10), uplink(20, 30)]);
            let mut flow = InnerTcp::new(links.pair.now().instant);
            flow.run(&mut links, ms(cut));
            links.cut(victim, true);
            let from = links.pair.now().instant;
            flow.run(&mut links, ms(600));
            let gap = flow.longest_gap(from, links.pair.now().instant);
            println!("link {victim} cut at {cut}, drop at {drop}: {gap:?}");
            assert!(gap <= ms(200), "{gap:?}");
        }
    }
}
