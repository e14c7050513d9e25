//! One bulk TCP flow over several links: as much as they carry together, soon; and never less than
//! the best of them carries alone.

use whalescale_netem::{Jitter, LinkConfig, Loss};

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, secs};
use crate::uplinks::{Uplinks, queued, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;

/// Seconds of each flow.
const SPAN: u64 = 5;

/// Goodput of a flow, Mbit/s, without the first milliseconds.
fn goodput(configs: &[LinkConfig], skip: u64) -> f64 {
    let mut links = Uplinks::new(1, configs);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    flow.run(&mut links, secs(SPAN));
    let seconds: Vec<String> = (0..SPAN)
        .map(|at| format!("{:.1}", flow.goodput(secs(at), secs(at + 1))))
        .collect();
    println!(
        "{} Mbit/s, {} sent again, drops {:?}",
        seconds.join(" "),
        flow.retransmits,
        links.pair.a.drop_report()
    );
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

#[test]
fn links_with_jitter_do_no_harm() {
    let jittery = |mbit, delay, by| LinkConfig {
        jitter: Jitter::Ordered(ms(by)),
        ..uplink(mbit, delay)
    };
    is_no_worse_than_the_first(&[jittery(30, 25, 8), jittery(20, 30, 10)]);
}

#[test]
fn a_lossy_link_does_no_harm_beside_a_clean_one() {
    let lossy = LinkConfig {
        loss: Loss::Independent(0.03),
        ..uplink(20, 30)
    };
    is_no_worse_than_the_first(&[uplink(50, 10), lossy]);
}

#[test]
fn a_link_that_returns_is_in_use_again_within_ten_seconds() {
    let configs = [uplink(50, 10), uplink(20, 30)];
    let mut links = Uplinks::new(1, &configs);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    flow.run(&mut links, secs(2));
    links.cut(0, true);
    flow.run(&mut links, secs(3));
    links.cut(0, false);
    flow.run(&mut links, secs(10));
    let seconds: Vec<String> = (0..15)
        .map(|at| format!("{:.1}", flow.goodput(secs(at), secs(at + 1))))
        .collect();
    println!("{}", seconds.join(" "));
    let back = flow.goodput(secs(14), secs(15));
    assert!(back >= 0.9 * 70.0 * PAYLOAD_SHARE, "{back:.1} Mbit/s");
}
