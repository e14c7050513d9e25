//! How a bond shares packets among its paths, and what it sends twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use whalescale_core::bond::reorder::Depth;
use whalescale_core::bond::schedule::Policy;
use whalescale_netem::{LinkConfig, Loss};

use crate::inner_tcp::InnerTcp;
use crate::node::Setup;
use crate::pair::{A_INNER, B_INNER, Pair, ms, secs, udp_packet};
use crate::uplinks::{Uplinks, uplink};

/// The share of A's bytes that each uplink carried of a TCP flow, from its third second on.
fn shares(policy: Policy, rates: &[u64]) -> Vec<f64> {
    let configs: Vec<_> = rates.iter().map(|mbit| uplink(*mbit, 10)).collect();
    let setup = Setup {
        policy,
        ..Setup::default()
    };
    let mut links = Uplinks::with(7, &configs, setup);
    let mut flow = InnerTcp::new(links.pair.now().instant);
    let sent = |links: &Uplinks| -> Vec<f64> {
        let paths = links.pair.a.status(links.pair.now()).paths;
        let sockets = links.pair.a.sockets.iter();
        let on = |local: SocketAddr| {
            let mut here = paths.iter().filter(|path| path.local == Some(local));
            here.next().map_or(0.0, |path| path.sent_bytes as f64)
        };
        sockets.map(|socket| on(socket.local)).collect()
    };
    flow.run(&mut links, secs(2));
    let before = sent(&links);
    flow.run(&mut links, secs(6));
    let grown = sent(&links).into_iter().zip(before);
    let grown: Vec<f64> = grown.map(|(after, before)| after - before).collect();
    let total: f64 = grown.iter().sum();
    grown.into_iter().map(|bytes| bytes / total).collect()
}

#[test]
fn wrr_shares_a_flow_in_proportion_to_the_rates_of_the_links() {
    for rates in [&[30, 10][..], &[20, 20], &[25, 10, 5]] {
        let shares = shares(Policy::Wrr, rates);
        println!("{rates:?}: {shares:.3?}");
        let total: u64 = rates.iter().sum();
        for (share, rate) in shares.iter().zip(rates) {
            let fair = *rate as f64 / total as f64;
            assert!((share / fair - 1.0).abs() < 0.1, "{rates:?}: {shares:.3?}");
        }
    }
}

/// A packet of another flow than those of [`Pair::a_sends`].
fn of_another_flow(payload: &[u8]) -> Vec<u8> {
    let mut packet = udp_packet(A_INNER, B_INNER, payload);
    packet[20] ^= 1;
    packet[26..28].fill(0);
    packet
}

#[test]
fn what_is_sent_twice_stays_within_three_percent() {
    let mut links = Uplinks::new(3, &[uplink(50, 10), uplink(20, 30)]);
    let pair = &mut links.pair;
    // 10 Mbit/s of bulk, and a flow of the latency class that is 4 % of it.
    let both = |pair: &mut Pair, count| {
        for n in 0..count {
            pair.a_sends(&[1; 1200]);
            if n % 5 == 0 {
                let now = pair.now();
                pair.a.tun(&of_another_flow(&[2; 200]), now);
                pair.flush();
            }
            pair.run_for(ms(1));
        }
    };
    both(pair, 2000);
    pair.a.forget();
    both(pair, 10_000);
    assert_eq!(pair.a.status(pair.now()).bond.repaired, 0);
    let mut copies = BTreeMap::<&[u8], usize>::new();
    for sent in &pair.a.sent {
        *copies.entry(&sent.bytes).or_default() += 1;
    }
    let total: usize = pair.a.sent.iter().map(|sent| sent.bytes.len()).sum();
    let second = copies.iter().filter(|(_, count)| **count > 1);
    let twice: usize = second.map(|(bytes, _)| bytes.len()).sum();
    println!("{twice} of {total} bytes");
    // The budget may have been saved up before: 24 kB.
    assert!(twice as f64 <= 0.03 * total as f64 + 24_000.0);
    assert!(twice as f64 > 0.02 * total as f64, "the budget is used");
}

/// Packets which B delivered after the gap that they belong in was given up, of three seconds of a
/// TCP flow over two links of which each loses a packet in a hundred.
fn late(depth: Depth) -> u64 {
    let lossy = LinkConfig {
        loss: Loss::Independent(0.01),
        ..uplink(30, 20)
    };
    let setup = Setup {
        depth,
        ..Setup::default()
    };
    let mut links = Uplinks::with(3, &[lossy.clone(), lossy], setup);
    InnerTcp::new(links.pair.now().instant).run(&mut links, secs(3));
    links.pair.b.status(links.pair.now()).bond.late
}

#[test]
fn a_buffer_of_fixed_depth_goes_on_when_more_would_wait_than_that() {
    let (shallow, original, auto) = (
        late(Depth::Fixed(4)),
        late(Depth::Fixed(128)),
        late(Depth::Auto),
    );
    println!("late: {shallow} with 4 packets, {original} with 128, {auto} by itself");
    assert!(shallow > original && original > auto);
}
