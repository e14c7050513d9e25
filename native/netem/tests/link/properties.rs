//! Properties of one direction of one link.

use crate::drive::{MS, Numbered, Outcome, SECOND, drive, random_load, steady};
use std::time::Duration;
use whalescale_netem::{
    Change, DropReason, Jitter, Link, LinkConfig, Loss, QueueLimit, Reorder, Schedule, Verdict,
};

const SEEDS: std::ops::Range<u64> = 1..11;

/// A link with every impairment at once.
fn rough() -> LinkConfig {
    LinkConfig {
        jitter: Jitter::Unordered(Duration::from_millis(5)),
        loss: Loss::bursts(0.03, 4.0),
        duplicate: 0.02,
        reorder: Reorder {
            probability: 0.05,
            by: Duration::from_millis(3),
        },
        corrupt: 0.02,
        queue: QueueLimit::Time(Duration::from_millis(20)),
        ecn: Some(Duration::from_millis(5)),
        max_packet: Some(1428),
        schedule: Schedule::default()
            .at(Duration::from_millis(50), Change::BlackHole(true))
            .at(Duration::from_millis(60), Change::BlackHole(false))
            .at(Duration::from_millis(70), Change::Rate(Some(2_000_000)))
            .at(Duration::from_millis(120), Change::Rate(Some(20_000_000)))
            .every(Duration::from_millis(200)),
        ..LinkConfig::new(20, 10)
    }
}

#[test]
fn no_packet_arrives_before_its_delay() {
    for seed in SEEDS {
        let load = random_load(seed, 2000, MS);
        for (at, packet) in drive(rough(), seed, &load, None).arrivals {
            let sent = load[packet.number as usize];
            assert!(
                at >= sent.at + 10 * MS,
                "seed {seed}, packet {}",
                packet.number
            );
        }
    }
}

#[test]
fn packets_leave_exactly_when_a_naive_fifo_server_lets_them() {
    for seed in SEEDS {
        let load = random_load(seed, 2000, MS);
        let config = LinkConfig {
            overhead: 28,
            queue: QueueLimit::Bytes(usize::MAX),
            ..LinkConfig::new(7, 10)
        };
        let outcome = drive(config, seed, &load, None);
        let mut free = 0;
        for ((number, sent), (at, packet)) in (0..).zip(&load).zip(outcome.arrivals) {
            let service = ((sent.len as u64 + 28) * 8 * SECOND).div_ceil(7_000_000);
            free = sent.at.max(free) + service;
            assert_eq!((packet.number, at), (number, free + 10 * MS), "seed {seed}");
        }
    }
}

#[test]
fn in_no_window_do_more_bytes_arrive_than_the_rate_allows_and_one_packet() {
    for seed in SEEDS {
        let load = random_load(seed, 3000, MS / 4);
        let arrivals = drive(LinkConfig::new(20, 10), seed, &load, None).arrivals;
        let len = |packet: &Numbered| load[packet.number as usize].len as u64;
        for (start, (from, _)) in arrivals.iter().enumerate().step_by(50) {
            let mut bytes = 0;
            for (to, packet) in &arrivals[start..] {
                bytes += len(packet);
                let allowed = (to - from) as f64 * 20e6 / 8e9 + 1500.0;
                assert!(bytes as f64 <= allowed, "seed {seed}, {from}..{to}");
            }
        }
    }
}

#[test]
fn a_saturated_link_carries_its_full_rate() {
    // 2 s at 12 Mbit/s offered to 10 Mbit/s.
    let outcome = drive(
        LinkConfig::new(10, 10),
        1,
        &steady(2000, MS, 1500),
        Some(2 * SECOND),
    );
    let expected = 10_000_000 / 8 * (2 * SECOND - 10 * MS) / SECOND;
    assert!(
        outcome.stats.delivered_bytes.abs_diff(expected) <= 1500,
        "{:?}",
        outcome.stats
    );
}

#[test]
fn packets_arrive_in_order_with_ordered_jitter_and_falling_delay() {
    for seed in SEEDS {
        let config = LinkConfig {
            jitter: Jitter::Ordered(Duration::from_millis(5)),
            schedule: Schedule::default().at(
                Duration::from_millis(100),
                Change::Delay(Duration::from_millis(1)),
            ),
            ..LinkConfig::new(20, 30)
        };
        let outcome = drive(config, seed, &random_load(seed, 500, MS), None);
        assert!(outcome.numbers().is_sorted(), "seed {seed}");
    }
}

#[test]
fn unordered_jitter_lets_packets_overtake() {
    let config = LinkConfig {
        jitter: Jitter::Unordered(Duration::from_millis(5)),
        ..LinkConfig::new(20, 10)
    };
    assert!(
        !drive(config, 1, &steady(100, MS, 1000), None)
            .numbers()
            .is_sorted()
    );
}

#[test]
fn reordering_holds_back_the_asked_share_and_passes_the_rest_in_order() {
    let by = Duration::from_micros(2500);
    let config = LinkConfig {
        reorder: Reorder {
            probability: 0.1,
            by,
        },
        ..LinkConfig::new(20, 10)
    };
    let outcome = drive(config, 1, &steady(5000, MS, 100), None);
    let is_held = |(at, packet): &&(u64, Numbered)| *at > packet.number * MS + 12 * MS;
    let held = outcome.arrivals.iter().filter(is_held).count() as u64;
    assert_eq!(held, outcome.stats.reordered);
    assert!((420..=580).contains(&held), "seed 1: {held} of 5000");
    let rest = outcome.arrivals.iter().filter(|arrival| !is_held(arrival));
    assert!(rest.map(|(_, packet)| packet.number).is_sorted());
}

#[test]
fn independent_loss_is_within_four_standard_deviations() {
    for seed in SEEDS {
        let config = LinkConfig {
            loss: Loss::Independent(0.01),
            ..LinkConfig::default()
        };
        let lost = drive(config, seed, &steady(100_000, 1, 100), None)
            .stats
            .dropped_loss as f64;
        let deviation = (100_000.0 * 0.01 * 0.99_f64).sqrt();
        assert!(
            (lost - 1000.0).abs() < 4.0 * deviation,
            "seed {seed}: {lost} of 100000"
        );
    }
}

#[test]
fn bursts_have_the_asked_mean_loss_and_mean_length() {
    for seed in SEEDS {
        let config = LinkConfig {
            loss: Loss::bursts(0.02, 5.0),
            ..LinkConfig::default()
        };
        let numbers = drive(config, seed, &steady(200_000, 1, 100), None).numbers();
        let gaps = numbers
            .windows(2)
            .map(|pair| pair[1] - pair[0] - 1)
            .filter(|gap| *gap > 0);
        let (bursts, lost) = gaps.fold((0.0, 0.0), |(bursts, lost), gap| {
            (bursts + 1.0, lost + gap as f64)
        });
        assert!(
            (3500.0..4500.0).contains(&lost),
            "seed {seed}: {lost} of 200000 lost"
        );
        assert!(
            (4.5..5.5).contains(&(lost / bursts)),
            "seed {seed}: bursts of {}",
            lost / bursts
        );
    }
}

#[test]
fn duplication_and_corruption_touch_the_asked_share() {
    let config = LinkConfig {
        duplicate: 0.05,
        corrupt: 0.1,
        ..LinkConfig::new(100, 10)
    };
    let outcome = drive(config, 3, &steady(10_000, MS, 100), None);
    let twice = outcome
        .numbers()
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .count() as u64;
    assert_eq!(twice, outcome.stats.duplicated);
    assert!((400..600).contains(&twice), "seed 3: {twice} of 10000");
    assert!(
        (850..1150).contains(&outcome.stats.corrupted),
        "seed 3: {:?}",
        outcome.stats
    );
    assert!(
        outcome
            .arrivals
            .iter()
            .filter(|(_, packet)| packet.corrupted)
            .count() as u64
            >= outcome.stats.corrupted
    );
}

#[test]
fn every_packet_is_delivered_dropped_or_in_flight() {
    for seed in SEEDS {
        let load = random_load(seed, 2000, MS / 2);
        for until in [Some(load[1999].at), None] {
            let Outcome {
                stats, in_flight, ..
            } = drive(rough(), seed, &load, until);
            let outcomes = stats.delivered + stats.dropped() + in_flight as u64;
            assert_eq!(
                stats.sent + stats.duplicated,
                outcomes,
                "seed {seed}: {stats:?}"
            );
            assert_eq!(until.is_none(), in_flight == 0, "seed {seed}");
        }
    }
}

#[test]
fn the_rough_link_of_these_tests_shows_every_effect() {
    let stats = drive(rough(), 1, &random_load(1, 2000, MS / 2), None).stats;
    let effects = [
        stats.dropped_queue_full,
        stats.dropped_too_big,
        stats.dropped_loss,
        stats.dropped_black_hole,
        stats.duplicated,
        stats.reordered,
        stats.corrupted,
        stats.marked,
    ];
    assert!(effects.iter().all(|count| *count > 0), "{stats:?}");
}

#[test]
fn the_same_seed_gives_the_same_packets_and_another_seed_others() {
    let load = random_load(5, 1000, MS);
    assert_eq!(
        drive(rough(), 9, &load, None),
        drive(rough(), 9, &load, None)
    );
    assert_ne!(
        drive(rough(), 9, &load, None).numbers(),
        drive(rough(), 10, &load, None).numbers()
    );
}

#[test]
fn switching_on_one_impairment_leaves_the_losses_of_another_where_they_were() {
    let load = steady(2000, MS, 100);
    let lossy = LinkConfig {
        loss: Loss::Independent(0.05),
        ..LinkConfig::new(20, 10)
    };
    let jittery = LinkConfig {
        jitter: Jitter::Ordered(Duration::from_millis(3)),
        corrupt: 0.1,
        ..lossy.clone()
    };
    assert_eq!(
        drive(lossy, 4, &load, None).numbers(),
        drive(jittery, 4, &load, None).numbers()
    );
}

#[test]
fn a_caller_that_polls_late_gets_the_same_packets() {
    for seed in SEEDS {
        let load = random_load(seed, 500, MS);
        let mut link = Link::new(rough(), seed);
        for (number, sent) in (0..).zip(&load) {
            let _ = link.send(
                sent.at,
                Numbered {
                    number,
                    corrupted: false,
                    marked: false,
                },
                sent.len,
            );
        }
        let late: Vec<u64> = std::iter::from_fn(|| link.poll_deliver(60 * SECOND))
            .map(|packet| packet.number)
            .collect();
        assert_eq!(
            late,
            drive(rough(), seed, &load, None).numbers(),
            "seed {seed}"
        );
    }
}

#[test]
fn the_queue_drops_the_tail_beyond_its_bytes() {
    let config = LinkConfig {
        queue: QueueLimit::Bytes(3000),
        ..LinkConfig::new(8, 0)
    };
    let outcome = drive(config, 1, &steady(5, 0, 1000), None);
    let full = Verdict::Dropped(DropReason::QueueFull);
    assert_eq!(
        outcome.verdicts,
        [
            Verdict::Queued,
            Verdict::Queued,
            Verdict::Queued,
            full,
            full
        ]
    );
    assert_eq!(outcome.stats.max_queue_bytes, 3000);
}

#[test]
fn a_queue_in_time_bounds_the_wait_and_follows_the_rate() {
    for (mbit, expected) in [(8, 60), (16, 120)] {
        // 1000 bytes at 8 Mbit/s take 1 ms.
        let outcome = drive(LinkConfig::new(mbit, 0), 1, &steady(500, 0, 1000), None);
        assert_eq!(outcome.arrivals.len(), expected);
        assert_eq!(outcome.arrivals.last().map(|(at, _)| *at), Some(60 * MS));
    }
}

#[test]
fn an_empty_queue_takes_a_packet_larger_than_its_limit() {
    let config = LinkConfig {
        queue: QueueLimit::Bytes(10),
        ..LinkConfig::new(8, 0)
    };
    assert_eq!(
        drive(config, 1, &steady(1, 0, 1000), None).arrivals.len(),
        1
    );
}

#[test]
fn packets_above_the_largest_size_vanish_and_others_pass() {
    let config = LinkConfig {
        max_packet: Some(1280),
        overhead: 38,
        ..LinkConfig::new(8, 0)
    };
    let mut link = Link::new(config, 1);
    assert_eq!(
        link.send(0, vec![0; 1281], 1281),
        Verdict::Dropped(DropReason::TooBig)
    );
    assert_eq!(link.send(0, vec![0; 1280], 1280), Verdict::Queued);
    assert_eq!(link.stats().dropped_too_big, 1);
}

#[test]
fn packets_that_find_the_queue_above_the_threshold_are_marked() {
    let config = LinkConfig {
        ecn: Some(Duration::from_millis(5)),
        ..LinkConfig::new(8, 0)
    };
    let outcome = drive(config, 1, &steady(10, 0, 1000), None);
    let marked: Vec<u64> = outcome
        .arrivals
        .iter()
        .filter(|(_, packet)| packet.marked)
        .map(|(_, packet)| packet.number)
        .collect();
    assert_eq!(marked, [6, 7, 8, 9]);
    assert_eq!(outcome.stats.marked, 4);
}

#[test]
fn time_that_goes_back_counts_as_the_latest_time_seen() {
    let mut link = Link::new(LinkConfig::new(8, 10), 1);
    assert!(link.poll_deliver(5 * MS).is_none());
    assert_eq!(link.send(MS, vec![0; 1000], 1000), Verdict::Queued);
    assert_eq!(link.next_event(), Some(16 * MS));
}
