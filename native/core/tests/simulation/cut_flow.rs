//! A bulk TCP flow whose window is that of two links, when only one of them is left: it goes on at that one's rate, and
//! what brings its window down costs its reader no long pause.

use std::time::Duration;

use whalescale_core::drops::DropReason;

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, secs};
use crate::uplinks::{Uplinks, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;
/// Mbit/s.
const RATES: [u64; 2] = [50, 20];

/// What one moment of ten may miss: a cut that comes while the flow repairs a drop waits for that repair behind all that
/// the dead path had in flight, and one reduction too many leaves a dip.
const PAUSE: Duration = ms(200);
const SHARE: f64 = 0.95;
/// What none may.
const PAUSE_MAX: Duration = ms(250);
const SHARE_MIN: f64 = 0.9;

/// The longest pause of the flow's reader after the cut, and its share of what the other link carries.
fn cut_at(seed: u64, victim: usize, cut: impl FnOnce(&mut Uplinks)) -> (Duration, f64) {
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
    assert!(gap <= PAUSE_MAX, "{gap:?}");
    assert!(share >= SHARE_MIN, "{share:.3}");
    assert!(u64::from(again) <= dropped, "{again} for {dropped}");
    (gap, share)
}

fn goes_on_without_a_long_pause(victim: usize, cut: impl Fn(&mut Uplinks)) {
    let runs: Vec<_> = (1..=10).map(|seed| cut_at(seed, victim, &cut)).collect();
    assert!(runs.iter().filter(|(gap, _)| *gap > PAUSE).count() <= 1);
    assert!(runs.iter().filter(|(_, share)| *share < SHARE).count() <= 1);
}

#[test]
fn a_flow_goes_on_at_the_rate_of_the_slower_link_without_a_long_pause() {
    goes_on_without_a_long_pause(0, |links| links.cut(0, true));
}

#[test]
fn a_flow_goes_on_at_the_rate_of_the_faster_link_without_a_long_pause() {
    goes_on_without_a_long_pause(1, |links| links.cut(1, true));
}

#[test]
fn a_link_that_no_longer_brings_anything_back_is_left_without_a_long_pause() {
    goes_on_without_a_long_pause(0, |links| links.deafen(0));
}
