//! Path-MTU discovery: what the path carries is found, kept, lost at once and won back slowly.

use whalescale_core::control::Event;
use whalescale_core::drops::DropReason;
use whalescale_core::sender::Handled;
use whalescale_netem::Change;

use crate::node::{Node, Setup};
use crate::pair::{Pair, link, ms, secs};

/// IPv4, UDP, WireGuard, and the shim of bonded data, for which there is always room.
const OUTER: usize = 28 + 32 + 8;

fn auto(seed: u64, largest: Option<usize>) -> Pair {
    let setup = Setup {
        inner_mtu: None,
        ..Setup::default()
    };
    let config = whalescale_netem::LinkConfig {
        max_packet: largest,
        ..link()
    };
    Pair::with(seed, config, setup, |_, _| {})
}

fn fixed(seed: u64, largest: usize) -> Pair {
    let config = whalescale_netem::LinkConfig {
        max_packet: Some(largest),
        ..link()
    };
    Pair::new(seed, config)
}

fn inner_mtu(node: &Node, pair: &Pair) -> u16 {
    let status = node.status(pair.now());
    let path = status.primary().expect("a path");
    assert_eq!(
        node.control.inner_mtu(),
        path.inner_mtu,
        "the device differs"
    );
    path.inner_mtu
}

fn warnings(node: &Node) -> usize {
    let is_warning = |event: &&Event| matches!(event, Event::PathTooSmall { .. });
    node.events.iter().filter(is_warning).count()
}

/// A sends, so that the path is worth confirming, for this many seconds.
fn busy(pair: &mut Pair, seconds: u64) {
    for _ in 0..seconds {
        pair.a_sends(b"busy");
        pair.run_for(secs(1));
    }
}

#[test]
fn a_wide_path_is_used_in_full_after_one_round_trip() {
    let mut pair = auto(1, None);
    pair.a_sends(b"first");
    pair.run_for(ms(60));
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
    assert!(pair.a.events.contains(&Event::InnerMtu(1400)));
}

#[test]
fn a_narrow_path_is_found_to_within_sixteen_bytes() {
    for largest in [1428, 1348, 1372, 1400, 1459] {
        let mut pair = auto(2, Some(largest));
        pair.a_sends(b"first");
        busy(&mut pair, 40);
        let found = usize::from(inner_mtu(&pair.a, &pair));
        let best = largest - OUTER;
        assert!(found <= best && found + 16 >= best, "{found} of {best}");
        let full = vec![7; found - 28];
        assert_eq!(pair.a_sends(&full), Handled::Taken);
        pair.run_for(secs(1));
        assert_eq!(pair.b.delivered.last().expect("delivered").len(), found);
    }
}

#[test]
fn the_search_ends_on_a_path_below_the_minimum() {
    let mut pair = auto(3, Some(1280));
    pair.a_sends(b"first");
    busy(&mut pair, 60);
    assert_eq!(inner_mtu(&pair.a, &pair), 1280);
    pair.a.forget();
    busy(&mut pair, 25);
    let probes = pair.a.sent_of_type(4).len() - 25;
    assert!(probes < 5, "still probing: {probes}");
    // Small packets pass all the while.
    assert_eq!(pair.b.delivered.len(), 86);
}

#[test]
fn a_packet_that_is_too_long_is_answered_with_the_size_that_fits() {
    let mut pair = auto(4, Some(1428));
    pair.a_sends(b"first");
    busy(&mut pair, 40);
    let fits = inner_mtu(&pair.a, &pair);
    let handled = pair.a_sends(&vec![7; usize::from(fits) - 27]);
    assert!(matches!(handled, Handled::TooLong(_)));
    let answer = pair.a.answers.last().expect("an answer");
    assert_eq!(answer[20..22], [3, 4], "not fragmentation needed");
    assert_eq!(answer[26..28], fits.to_be_bytes());
    assert_eq!(pair.a.dropped(DropReason::TooLong), 1);
}

#[test]
fn a_refusal_by_the_local_link_counts_at_once() {
    let mut pair = auto(5, None);
    pair.a_sends(b"first");
    pair.run_for(secs(1));
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
    pair.a.link_mtu = 1350 + 32;
    pair.a_sends(&[7; 1372]);
    assert_eq!(pair.a.dropped(DropReason::PathTooSmall), 1);
    assert_eq!(inner_mtu(&pair.a, &pair), 1280);
    pair.run_for(ms(200));
    let found = inner_mtu(&pair.a, &pair);
    assert!((1326..=1342).contains(&found), "{found}");
}

#[test]
fn a_path_that_swallows_long_packets_is_found_out_under_traffic() {
    let mut pair = auto(6, None);
    pair.a_sends(b"first");
    busy(&mut pair, 10);
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
    pair.change(Change::MaxPacket(Some(1428)));
    busy(&mut pair, 45);
    let found = inner_mtu(&pair.a, &pair);
    assert!((1344..=1360).contains(&found), "{found}");
}

/// Full packets from A at this size and spacing, each answered by B as soon as it arrives.
fn exchange(pair: &mut Pair, inner: usize, spacing: u64, count: usize) {
    for _ in 0..count {
        let before = pair.b.delivered.len();
        // What is longer than the path is known to carry is answered, as a stack would see.
        let _ = pair.a_sends(&vec![7; inner - 28]);
        pair.run_for(ms(spacing));
        if pair.b.delivered.len() > before {
            pair.b_sends(b"answer");
        }
    }
}

#[test]
fn a_path_that_shrinks_in_silence_is_left_for_the_smallest_size_within_six_seconds() {
    let mut pair = auto(20, None);
    pair.a_sends(b"first");
    exchange(&mut pair, 1400, 50, 40);
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
    pair.change(Change::MaxPacket(Some(1428)));
    exchange(&mut pair, 1400, 50, 120);
    assert!(inner_mtu(&pair.a, &pair) <= 1360);
    busy(&mut pair, 12);
    let found = inner_mtu(&pair.a, &pair);
    assert!((1344..=1360).contains(&found), "{found}");
}

#[test]
fn a_flow_that_nobody_answers_costs_a_few_probes_of_the_size_and_no_size() {
    let mut pair = auto(21, None);
    pair.a_sends(b"first");
    pair.run_for(secs(2));
    pair.a.forget();
    for _ in 0..600 {
        pair.a_sends(&[7; 1372]);
        pair.run_for(ms(100));
    }
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
    let long = pair.a.sent.iter().filter(|sent| sent.bytes.len() == 1440);
    let probes = long.count();
    assert!((4..=9).contains(&probes), "{probes}");
}

#[test]
fn a_path_that_is_cut_is_no_shrunk_one() {
    let mut pair = auto(22, None);
    pair.a_sends(b"first");
    exchange(&mut pair, 1400, 50, 40);
    pair.cut(true);
    exchange(&mut pair, 1400, 50, 200);
    pair.cut(false);
    exchange(&mut pair, 1400, 50, 20);
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
}

#[test]
fn a_path_that_grows_is_used_again_after_ten_minutes_of_traffic() {
    let mut pair = auto(7, Some(1428));
    pair.a_sends(b"first");
    busy(&mut pair, 40);
    pair.change(Change::MaxPacket(None));
    busy(&mut pair, 540);
    assert!(inner_mtu(&pair.a, &pair) < 1400);
    busy(&mut pair, 70);
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
}

#[test]
fn loss_alone_does_not_shrink_the_path() {
    let mut pair = auto(8, None);
    pair.change(Change::Loss(whalescale_netem::Loss::Independent(0.05)));
    pair.a_sends(b"first");
    for _ in 0..900 {
        pair.a_sends(b"busy");
        pair.b_sends(b"busy");
        pair.run_for(secs(1));
    }
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
}

#[test]
fn a_dead_path_does_not_shrink_it_either() {
    let mut pair = auto(9, None);
    pair.connect();
    pair.cut(true);
    busy(&mut pair, 100);
    pair.cut(false);
    busy(&mut pair, 20);
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
}

#[test]
fn a_fixed_size_is_kept_and_a_path_too_small_for_it_reported_once() {
    let mut pair = fixed(10, 1428);
    pair.a_sends(b"first");
    busy(&mut pair, 5);
    assert_eq!(warnings(&pair.a), 1);
    busy(&mut pair, 200);
    assert_eq!(warnings(&pair.a), 1);
    assert_eq!(inner_mtu(&pair.a, &pair), 1420);
}

#[test]
fn a_fixed_size_that_the_local_link_refuses_is_reported_once() {
    let mut pair = Pair::new(11, link());
    pair.connect();
    pair.a.link_mtu = 1400;
    for _ in 0..100 {
        pair.a_sends(&[7; 1392]);
        pair.run_for(secs(1));
    }
    assert_eq!(warnings(&pair.a), 1);
    assert_eq!(pair.a.dropped(DropReason::PathTooSmall), 100);
}

#[test]
fn a_fixed_size_that_came_to_pass_again_is_reported_when_it_fails_again() {
    let mut pair = fixed(12, 1428);
    pair.a_sends(b"first");
    busy(&mut pair, 5);
    pair.change(Change::MaxPacket(None));
    busy(&mut pair, 60);
    pair.change(Change::MaxPacket(Some(1428)));
    busy(&mut pair, 60);
    assert_eq!(warnings(&pair.a), 2);
}

#[test]
fn a_fixed_size_holds_for_the_packet_that_opens_the_session() {
    let mut pair = Pair::new(13, link());
    assert_eq!(pair.a_sends(&[7; 1392]), Handled::Taken);
    pair.run_for(secs(1));
    assert_eq!(pair.b.delivered[0].len(), 1420);
}

#[test]
fn a_new_address_is_searched_anew() {
    let mut pair = auto(14, None);
    pair.connect();
    assert_eq!(inner_mtu(&pair.b, &pair), 1400);
    pair.change(Change::MaxPacket(Some(1428)));
    let elsewhere = crate::pair::address("198.51.100.9:4000");
    pair.network.rebind(pair.a.address, elsewhere);
    pair.a_sends(b"from elsewhere");
    pair.run_for(ms(60));
    assert_eq!(inner_mtu(&pair.b, &pair), 1280);
    pair.run_for(secs(20));
    let found = inner_mtu(&pair.b, &pair);
    assert!((1344..=1360).contains(&found), "{found}");
}

#[test]
fn a_stock_peer_on_a_link_that_refuses_long_packets_is_sent_shorter_ones() {
    let setup = Setup {
        inner_mtu: None,
        ..Setup::default()
    };
    let mut pair = Pair::with(15, link(), setup, |b_for_a, a_for_b| {
        b_for_a.node_id = None;
        a_for_b.node_id = None;
    });
    pair.connect();
    assert_eq!(inner_mtu(&pair.a, &pair), 1400);
    pair.a.link_mtu = 1350 + 32;
    pair.a_sends(&[7; 1372]);
    assert_eq!(pair.a.dropped(DropReason::PathTooSmall), 1);
    assert_eq!(inner_mtu(&pair.a, &pair), 1280);
    let handled = pair.a_sends(&[7; 1372]);
    assert!(matches!(handled, Handled::TooLong(_)));
    pair.run_for(secs(100));
    assert_eq!(pair.a_sends(&[7; 1252]), Handled::Taken);
    pair.run_for(ms(50));
    assert_eq!(pair.b.delivered.last().expect("delivered").len(), 1280);
}

#[test]
fn an_answer_to_a_probe_counts_only_from_the_path_probed() {
    let mut pair = auto(16, None);
    pair.a_sends(b"first");
    pair.run_for(ms(35));
    assert_eq!(inner_mtu(&pair.a, &pair), 1280);
    let answers: Vec<Vec<u8>> = pair
        .b
        .sent_of_type(4)
        .iter()
        .map(|sent| sent.bytes.clone())
        .collect();
    assert!(answers.len() >= 3, "HELLO and two probes");
    let now = pair.now();
    for answer in answers {
        pair.a
            .receive(crate::pair::address("198.51.100.9:4000"), &answer, now);
    }
    assert_eq!(inner_mtu(&pair.a, &pair), 1280);
}
