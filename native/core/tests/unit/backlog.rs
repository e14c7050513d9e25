//! The control law for queues that are emptied in batches, on virtual time.

use std::time::Duration;

use whalescale_core::backlog::Backlog;
use whalescale_core::time::Instant;

/// Bytes of a super-packet.
const SUPER: usize = 64 << 10;

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// Works off batches of `bytes`, each of which takes `took`, with `rest` between them, for `span`.
/// One message per 50 us asks whether it should pay. Returns when drops fell, from the start.
fn drops(bytes: usize, took: Duration, rest: Duration, span: Duration) -> Vec<Duration> {
    let mut backlog = Backlog::default();
    let start = Instant::from_nanos(1_000_000_000);
    let (mut now, mut drops) = (start, Vec::new());
    while now - start < span {
        let taken = now;
        while now - taken < took {
            if backlog.drop_due(now) {
                drops.push(now - start);
            }
            now = now + us(50).min(took);
        }
        backlog.note(bytes, taken, now);
        now = now + rest;
    }
    drops
}

#[test]
fn short_batches_lose_nothing() {
    assert_eq!(drops(4 * SUPER, us(750), us(0), us(500_000)), []);
}

#[test]
fn two_super_packets_are_no_queue_however_slow_the_machine() {
    assert_eq!(drops(2 * SUPER - 1, us(5_000), us(0), us(500_000)), []);
}

#[test]
fn bursts_with_longer_rests_lose_nothing() {
    assert_eq!(drops(8 * SUPER, us(800), us(900), us(500_000)), []);
}

#[test]
fn one_stall_loses_nothing() {
    let mut backlog = Backlog::default();
    let start = Instant::from_nanos(0);
    backlog.note(SUPER, start, start + us(60));
    let resumed = start + us(20_000);
    backlog.note(8 * SUPER, start + us(60), resumed);
    assert!(!backlog.drop_due(resumed));
    backlog.note(SUPER, resumed, resumed + us(60));
    assert!(!backlog.drop_due(resumed + us(10_000)));
}

#[test]
fn a_queue_that_stands_loses_its_first_packet_after_an_interval() {
    let drops = drops(8 * SUPER, us(800), us(0), us(50_000));
    let first = drops.first().unwrap();
    assert!((us(5_000)..us(7_000)).contains(first), "{drops:?}");
}

#[test]
fn drops_come_closer_as_long_as_the_queue_stands() {
    let drops = drops(8 * SUPER, us(800), us(0), us(100_000));
    let gaps: Vec<_> = drops.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 20, "{drops:?}");
    // Messages look every 50 us, and a gap is rounded up to that.
    assert!(
        gaps.windows(2).all(|pair| pair[1] <= pair[0] + us(50)),
        "{gaps:?}"
    );
}

#[test]
fn what_does_not_answer_loses_two_thousand_packets_a_second_at_most() {
    let drops = drops(8 * SUPER, us(800), us(0), us(10_000_000));
    let last = drops.last().unwrap();
    let in_last_second = drops.iter().filter(|at| **at + us(1_000_000) > *last);
    assert!((1_500..=2_000).contains(&in_last_second.count()));
}

#[test]
fn a_queue_that_grew_short_is_left_alone_again() {
    let mut backlog = Backlog::default();
    let mut now = Instant::from_nanos(0);
    for _ in 0..100 {
        backlog.note(8 * SUPER, now, now + us(800));
        now = now + us(800);
    }
    assert!(backlog.drop_due(now));
    backlog.note(8 * SUPER, now, now + us(300));
    assert!(!backlog.drop_due(now + us(1_000_000)));
}

/// A flow that doubles its window each round trip and halves it on a loss, through a machine that
/// needs 80 us for each super-packet and adds 200 us: the standing queue must come to an end, and
/// the machine must not starve.
#[test]
fn a_flow_that_answers_keeps_the_machine_busy_with_a_short_queue() {
    let (work, path) = (us(80), us(200));
    let mut backlog = Backlog::default();
    let mut now = Instant::from_nanos(0);
    let (mut window, mut slow_start) = (1.0_f64, true);
    let (mut busy, mut waited, mut rounds) = (Duration::ZERO, Duration::ZERO, 0);
    while now < Instant::from_nanos(2_000_000_000) {
        let count = window as u32;
        let taken = now;
        let mut lost = false;
        for _ in 0..count {
            lost |= backlog.drop_due(now);
            now = now + work;
        }
        backlog.note(count as usize * SUPER, taken, now);
        if lost {
            (window, slow_start) = ((window * 0.7).max(1.0), false);
        } else {
            window = if slow_start {
                window * 2.0
            } else {
                window + 0.05
            };
        }
        window = window.min(64.0);
        if now > Instant::from_nanos(500_000_000) {
            (busy, waited, rounds) = (busy + work * count, waited + (now - taken), rounds + 1);
        }
        now = now + path;
    }
    let mean = waited / rounds;
    assert!(mean < us(700), "{mean:?}");
    let share = busy.as_secs_f64() / (busy + path * rounds).as_secs_f64();
    assert!(share > 0.6, "{share}");
}
