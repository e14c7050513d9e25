//! Inner flows that leave no queue, BBR above all, over links of unlike delay.

use whalescale_netem::LinkConfig;

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, payload, secs};
use crate::uplinks::{Uplinks, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;

/// Share of the links' sum that a BBR flow gets in the seconds from `from` to `to`, at worst of three flows that
/// look for more at different times.
fn share(configs: &[LinkConfig], from: u64, to: u64) -> f64 {
    let sum: u64 = configs.iter().filter_map(|config| config.rate).sum();
    let shares = (1..=3).map(|seed| {
        let mut links = Uplinks::new(seed, configs);
        links.pair.run_for(ms(seed));
        let mut flow = InnerTcp::bbr(links.pair.now().instant, seed as usize);
        for second in 0..to {
            flow.run(&mut links, secs(1));
            let bbr = flow.bbr.as_ref().expect("BBR");
            let goodput = flow.goodput(secs(second), secs(second + 1));
            println!("{goodput:.1} Mbit/s, {bbr}");
        }
        let share = flow.goodput(secs(from), secs(to)) / (sum as f64 * 1e-6 * PAYLOAD_SHARE);
        println!("{share:.3} of the sum, {} sent again", flow.retransmits);
        share
    });
    shares.fold(f64::MAX, f64::min)
}

#[test]
fn bbr_fills_a_far_link_beside_a_near_one() {
    let share = share(&[uplink(50, 10), uplink(20, 60)], 2, 5);
    assert!(share >= 0.92, "{share:.3}");
}

#[test]
fn bbr_uses_a_far_link_within_a_second() {
    // The near link is 0.71 of the sum.
    let share = share(&[uplink(50, 10), uplink(20, 60)], 1, 2);
    assert!(share >= 0.75, "{share:.3}");
}

#[test]
fn bbr_that_looks_for_its_least_round_trip_finds_that_of_the_far_link() {
    let share = share(&[uplink(50, 10), uplink(20, 60)], 12, 14);
    assert!(share >= 0.97, "{share:.3}");
}

#[test]
fn bbr_fills_links_of_like_delay() {
    let share = share(&[uplink(50, 10), uplink(20, 30)], 2, 5);
    assert!(share >= 0.97, "{share:.3}");
}

#[test]
fn bbr_fills_a_slow_link_beside_a_six_times_faster_one() {
    let share = share(&[uplink(300, 10), uplink(30, 30)], 1, 3);
    assert!(share >= 0.97, "{share:.3}");
}

#[test]
fn bbr_fills_three_links() {
    let share = share(&[uplink(40, 15), uplink(25, 25), uplink(10, 50)], 1, 5);
    assert!(share >= 0.92, "{share:.3}");
}

#[test]
fn the_farthest_links_are_left_alone_where_equal_delays_would_cost_more_than_they_bring() {
    let near = [uplink(30, 5), uplink(30, 20)];
    let all = [&near[..], &[uplink(20, 40), uplink(20, 60)]].concat();
    let share = share(&all, 2, 5) * 100.0 / 60.0;
    assert!(share >= 0.9, "{share:.3} of the two near links");
}

#[test]
fn a_stream_that_the_near_link_carries_is_not_delayed_by_a_far_one() {
    let mut links = Uplinks::new(1, &[uplink(50, 10), uplink(20, 60)]);
    let mut latest = ms(0);
    // 44 Mbit/s on the link.
    let spacing = std::time::Duration::from_micros(268);
    for number in 0..15_000_u32 {
        let mut bytes = vec![0; 1372];
        bytes[..8].copy_from_slice(&links.pair.nanos.to_be_bytes());
        links.pair.a_sends(&bytes);
        links.pair.run_for(spacing);
        let now = links.pair.nanos;
        for packet in &links.pair.b.delivered {
            let sent = payload(packet).first_chunk().expect("a time");
            let delay = std::time::Duration::from_nanos(now - u64::from_be_bytes(*sent));
            // What finding the rate takes is past after a second.
            if number > 4000 {
                latest = latest.max(delay);
            }
        }
        links.pair.b.forget();
        links.pair.b.sent.clear();
    }
    assert!(latest <= ms(20), "{latest:?}");
}
