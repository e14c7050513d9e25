//! A bulk TCP flow whose window is that of two links, when only one of them is left: it goes on at that one's rate, and
//! what brings its window down costs its reader no long pause.

use whalescale_core::drops::DropReason;

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, secs};
use crate::uplinks::{Uplinks, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;
/// Mbit/s.
const RATES: [u64; 2] = [50, 20];

fn goes_on_without_a_long_pause(seed: u64, victim: usize, cut: impl FnOnce(&mut Uplinks)) {
    let mut links = Uplinks::new(seed, &[uplink(RATES[0], 10), uplink(RATES[1], 30)]);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    let before = secs(2) + ms(170 * seed);
    flow.run(&mut links, before);
    cut(&mut links);
    let from = links.pair.now().instant;
    flow.run(&mut links, secs(6));
    let gap = flow.longest_gap(from, links.pair.now().instant);
    let rate = RATES[1 - victim] as f64 * PAYLOAD_SHARE;
    let share = flow.read(before + secs(2), before + secs(6)) / rate;
    let (again, dropped) = (
        flow.retransmits,
        links.pair.a.dropped(DropReason::QueueDelay),
    );
    println!(
        "link {victim} cut: {gap:?}, {share:.3} of the other, {again} sent again for {dropped}"
    );
    assert!(gap <= ms(200), "{gap:?}");
    assert!(share >= 0.95, "{share:.3}");
    assert!(u64::from(again) <= dropped, "{again} for {dropped}");
}

#[test]
fn a_flow_goes_on_at_the_rate_of_the_slower_link_without_a_long_pause() {
    for seed in 1..=10 {
        goes_on_without_a_long_pause(seed, 0, |links| links.cut(0, true));
    }
}

#[test]
fn a_flow_goes_on_at_the_rate_of_the_faster_link_without_a_long_pause() {
    for seed in 1..=10 {
        goes_on_without_a_long_pause(seed, 1, |links| links.cut(1, true));
    }
}

#[test]
fn a_link_that_no_longer_brings_anything_back_is_left_without_a_long_pause() {
    for seed in 1..=10 {
        goes_on_without_a_long_pause(seed, 0, |links| links.deafen(0));
    }
}
