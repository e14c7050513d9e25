//! Inner flows that leave no queue, BBR above all, over links of unlike delay.

use whalescale_netem::LinkConfig;

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, payload, secs};
use crate::uplinks::{Uplinks, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;

/// Share of the links' sum that a BBR flow gets in the seconds from `from` to `to`.
fn share(configs: &[LinkConfig], from: u64, to: u64) -> f64 {
    let mut links = Uplinks::new(1, configs);
    let mut flow = InnerTcp::bbr(links.pair.now().instant);
    for second in 0..to {
        flow.run(&mut links, secs(1));
        let bbr = flow.bbr.as_ref().expect("BBR");
        let goodput = flow.goodput(secs(second), secs(second + 1));
        println!("{goodput:.1} Mbit/s, {bbr}");
    }
    let sum: u64 = configs.iter().filter_map(|config| config.rate).sum();
    let share = flow.goodput(secs(from), secs(to)) / (sum as f64 * 1e-6 * PAYLOAD_SHARE);
    println!("{share:.3} of the sum, {} sent again", flow.retransmits);
    share
}

#[test]
fn bbr_fills_a_far_link_beside_a_near_one() {
    let share = share(&[uplink(50, 10), uplink(20, 60)], 2, 5);
    assert!(share >= 0.9, "{share:.3}");
}

#[test]
fn bbr_goes_on_so_three_seconds_after_it_looked_for_its_least_round_trip() {
    let share = share(&[uplink(50, 10), uplink(20, 60)], 14, 16);
    assert!(share >= 0.9, "{share:.3}");
}

#[test]
fn bbr_fills_links_of_like_delay() {
    let share = share(&[uplink(50, 10), uplink(20, 30)], 2, 5);
    assert!(share >= 0.9, "{share:.3}");
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
