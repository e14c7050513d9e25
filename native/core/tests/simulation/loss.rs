//! A session over networks that lose, repeat, corrupt and reorder.

use std::collections::BTreeSet;

use whalescale_core::drops::DropReason;
use whalescale_netem::{Change, Jitter, LinkConfig, Loss, Reorder, Stats};

use crate::pair::{Pair, link, ms, payload, secs};

/// Sends numbered packets from A to B under `change`, and gives the link's own account of it.
fn numbered(seed: u64, change: LinkConfig, count: u32) -> (Pair, Vec<u32>, Stats) {
    let mut pair = Pair::with(
        seed,
        link(),
        crate::node::Setup::default(),
        |b_for_a, a_for_b| {
            b_for_a.node_id = None;
            a_for_b.node_id = None;
        },
    );
    pair.connect();
    let before = *pair
        .network
        .stats(pair.a.address, pair.b.address)
        .expect("link");
    for change in [
        Change::Loss(change.loss),
        Change::Duplicate(change.duplicate),
        Change::Corrupt(change.corrupt),
        Change::Reorder(change.reorder),
        Change::Jitter(change.jitter),
    ] {
        pair.change_from_a(change);
    }
    for n in 0..count {
        pair.a_sends(&n.to_be_bytes());
        pair.run_for(ms(2));
    }
    pair.run_for(secs(1));
    let after = *pair
        .network
        .stats(pair.a.address, pair.b.address)
        .expect("link");
    let numbers = pair.b.delivered.iter();
    let numbers = numbers
        .map(|packet| u32::from_be_bytes(payload(packet).try_into().expect("number")))
        .collect();
    let stats = Stats {
        sent: after.sent - before.sent,
        dropped_loss: after.dropped_loss - before.dropped_loss,
        duplicated: after.duplicated - before.duplicated,
        corrupted: after.corrupted - before.corrupted,
        reordered: after.reordered - before.reordered,
        ..after
    };
    (pair, numbers, stats)
}

#[test]
fn second_copies_are_dropped_as_replays_and_nothing_else_is() {
    let config = LinkConfig {
        duplicate: 0.3,
        ..link()
    };
    let (pair, numbers, stats) = numbered(1, config, 3000);
    assert!(numbers.into_iter().eq(0..3000));
    assert!(stats.duplicated > 500);
    assert_eq!(pair.b.drop_report(), [("inReplayed", stats.duplicated)]);
}

#[test]
fn what_is_lost_is_lost_once() {
    let config = LinkConfig {
        loss: Loss::bursts(0.1, 8.0),
        ..link()
    };
    let (pair, numbers, stats) = numbered(2, config, 3000);
    assert!(stats.dropped_loss > 100);
    assert!(numbers.windows(2).all(|two| two[0] < two[1]));
    assert_eq!(numbers.len() as u64 + stats.dropped_loss, stats.sent);
    assert!(pair.b.drop_report().is_empty());
}

#[test]
fn what_is_corrupted_is_never_delivered() {
    let config = LinkConfig {
        corrupt: 0.3,
        ..link()
    };
    let (pair, numbers, stats) = numbered(3, config, 3000);
    assert!(stats.corrupted > 500);
    assert_eq!(numbers.len() as u64 + stats.corrupted, 3000);
    let dropped: u64 = pair.b.drop_report().iter().map(|(_, count)| count).sum();
    assert_eq!(dropped, stats.corrupted);
    assert!(pair.b.dropped(DropReason::Forged) > 400);
    assert!(pair.b.dropped(DropReason::UnknownIndex) > 10);
    assert!(pair.b.dropped(DropReason::Malformed) > 10);
}

#[test]
fn what_is_reordered_arrives_all_the_same() {
    let config = LinkConfig {
        reorder: Reorder {
            probability: 0.3,
            by: ms(50),
        },
        jitter: Jitter::Unordered(ms(20)),
        ..link()
    };
    let (pair, numbers, stats) = numbered(4, config, 3000);
    assert!(stats.reordered > 500);
    assert!(numbers.windows(2).any(|two| two[0] > two[1]));
    let set: BTreeSet<u32> = numbers.iter().copied().collect();
    assert_eq!((set.len(), numbers.len()), (3000, 3000));
    assert!(pair.b.drop_report().is_empty());
}
