//! An inner flow whose window follows its least round trip, as BBR's does, over links of unlike delay.

use whalescale_netem::LinkConfig;

use crate::inner_tcp::InnerTcp;
use crate::pair::{ms, secs};
use crate::uplinks::{Uplinks, uplink};

/// Payload of what a full packet takes on the link, over IPv4.
const PAYLOAD_SHARE: f64 = 1372.0 / 1476.0;

fn share(configs: &[LinkConfig], span: u64, skip: u64) -> f64 {
    let mut links = Uplinks::new(1, configs);
    let mut flow = InnerTcp::bbr(links.pair.now().instant);
    for second in 0..span {
        for _ in 0..5 {
            flow.run(&mut links, ms(200));
            let bbr = flow.bbr.as_ref().expect("bbr");
            println!("{second}: window {:.0}, {:?}", bbr.window, bbr.estimates(),);
        }
        println!("   {:.1}", flow.goodput(secs(second), secs(second + 1)));
    }
    let sum: u64 = configs.iter().filter_map(|config| config.rate).sum();
    println!(
        "{} sent again, {:?}",
        flow.retransmits,
        links.pair.a.drop_report()
    );
    flow.goodput(ms(skip), secs(span)) / (sum as f64 * 1e-6 * PAYLOAD_SHARE)
}

#[test]
fn a_far_link_is_filled_beside_a_near_one() {
    let share = share(&[uplink(50, 10), uplink(20, 60)], 5, 1500);
    println!("{share:.3}");
    assert!(share >= 0.9, "{share:.3}");
}
