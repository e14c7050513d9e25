//! How a link changes over time.

use crate::drive::{MS, SECOND, Sent, drive, steady};
use std::time::Duration;
use whalescale_netem::{Change, Link, LinkConfig, QueueLimit, Schedule};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn scheduled(schedule: Schedule) -> LinkConfig {
    LinkConfig {
        schedule,
        queue: QueueLimit::Bytes(1 << 20),
        ..LinkConfig::new(8, 10)
    }
}

/// Times of arrival in microseconds.
fn arrivals(config: LinkConfig, load: &[Sent]) -> Vec<u64> {
    let outcome = drive(config, 1, load, Some(10 * SECOND));
    outcome.arrivals.iter().map(|(at, _)| at / 1000).collect()
}

#[test]
fn a_packet_half_sent_when_the_rate_changes_goes_on_at_the_new_rate() {
    // 1 ms at 8 Mbit/s: half of it, then the other half at 4 Mbit/s in 1 ms.
    let config = scheduled(
        Schedule::default().at(Duration::from_micros(500), Change::Rate(Some(4_000_000))),
    );
    assert_eq!(arrivals(config, &steady(2, 0, 1000)), [11_500, 13_500]);
}

#[test]
fn a_stalled_link_keeps_its_packets_until_the_rate_returns() {
    let outage = Schedule::default()
        .at(ms(1), Change::Rate(Some(0)))
        .at(ms(100), Change::Rate(Some(8_000_000)));
    assert_eq!(
        arrivals(scheduled(outage), &steady(3, 0, 1000)),
        [11_000, 111_000, 112_000]
    );
}

#[test]
fn a_link_stalled_for_good_has_no_next_event() {
    let mut link = Link::new(
        LinkConfig {
            rate: Some(0),
            ..LinkConfig::default()
        },
        1,
    );
    let _ = link.send(0, vec![0; 100], 100);
    assert_eq!((link.next_event(), link.in_flight()), (None, 1));
}

#[test]
fn a_stalled_link_keeps_the_buffer_that_it_had() {
    let outage = Schedule::default()
        .at(ms(0), Change::Rate(Some(0)))
        .at(ms(1000), Change::Rate(Some(8_000_000)));
    let config = LinkConfig {
        schedule: outage,
        ..LinkConfig::new(8, 10)
    };
    // 60 ms at 8 Mbit/s are 60 packets of 1000 bytes.
    assert_eq!(arrivals(config, &steady(100, 0, 1000)).len(), 60);
}

#[test]
fn a_black_hole_swallows_what_reaches_the_wire_and_not_what_has_left() {
    let outage = Schedule::default()
        .at(ms(20), Change::BlackHole(true))
        .at(ms(40), Change::BlackHole(false));
    let load: Vec<Sent> = [0, 15, 25, 35, 45]
        .map(|at| Sent {
            at: at * MS,
            len: 1000,
        })
        .into();
    let outcome = drive(scheduled(outage), 1, &load, None);
    assert_eq!(outcome.numbers(), [0, 1, 4]);
    assert_eq!(outcome.stats.dropped_black_hole, 2);
}

#[test]
fn a_change_at_the_time_of_a_departure_comes_first() {
    let outage = Schedule::default().at(ms(1), Change::BlackHole(true));
    assert_eq!(arrivals(scheduled(outage), &steady(1, 0, 1000)), []);
}

#[test]
fn a_repeated_schedule_plays_in_every_period() {
    let outage = Schedule::default()
        .at(ms(20), Change::BlackHole(true))
        .at(ms(50), Change::BlackHole(false))
        .every(ms(100));
    let load = steady(40, 10 * MS + 1, 100);
    let outcome = drive(scheduled(outage), 1, &load, None);
    let expected: Vec<u64> = (0..40)
        .filter(|number| !(2..5).contains(&(number % 10)))
        .collect();
    assert_eq!(outcome.numbers(), expected);
}

#[test]
fn changes_at_or_after_the_period_are_never_reached() {
    let schedule = Schedule::default()
        .at(ms(100), Change::BlackHole(true))
        .every(ms(100));
    assert_eq!(
        arrivals(scheduled(schedule), &steady(50, 10 * MS, 100)).len(),
        50
    );
}

#[test]
fn changes_written_in_any_order_happen_in_the_order_of_time() {
    let schedule = Schedule::default()
        .at(ms(30), Change::Delay(ms(40)))
        .at(ms(10), Change::Delay(ms(20)));
    let load: Vec<Sent> = [0, 20, 60]
        .map(|at| Sent {
            at: at * MS,
            len: 1000,
        })
        .into();
    assert_eq!(
        arrivals(scheduled(schedule), &load),
        [11_000, 41_000, 101_000]
    );
}

#[test]
fn a_trace_of_rates_carries_its_mean_rate() {
    let trace = Schedule::rates(ms(100), &[2_000_000, 10_000_000, 0, 4_000_000]);
    let load = steady(8000, MS / 2, 1000);
    let stats = drive(scheduled(trace), 1, &load, Some(4 * SECOND)).stats;
    let expected = 4_000_000 / 8 * 4;
    assert!(
        stats.delivered_bytes.abs_diff(expected) < expected / 50,
        "{stats:?}"
    );
}

#[test]
fn a_live_change_counts_from_its_time_on() {
    let mut link = Link::new(LinkConfig::new(8, 10), 1);
    let _ = link.send(0, vec![1; 1000], 1000);
    link.apply(2 * MS, Change::Delay(ms(50)));
    let _ = link.send(2 * MS, vec![2; 1000], 1000);
    assert_eq!(link.next_event(), Some(11 * MS));
    assert!(link.poll_deliver(11 * MS).is_some());
    assert_eq!(link.next_event(), Some(53 * MS));
}
