//! The receiving end's account of each path, and the feedback made from it, on virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use whalescale_core::bond::arrivals::{Arrival, Arrivals, HORIZON, INTERVAL, SPACING};
use whalescale_core::bond::feedback::{Feedback, Gap, PathReport};
use whalescale_core::bond::shim::Shim;
use whalescale_core::time::Instant;
use whalescale_netem::derive_seed;

const START: Instant = Instant::from_nanos(1_000_000_000);
const BYTES: usize = 1460;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn shim(path: u8, path_sequence: u64, bucket_sequence: u64) -> Shim {
    Shim {
        ordered: true,
        latency: false,
        path,
        bucket: 0,
        path_sequence: path_sequence as u32 & 0xff_ffff,
        bucket_sequence: bucket_sequence as u32 & 0xff_ffff,
    }
}

/// Packets of path 3 arrive by it.
fn arrive(arrivals: &mut Arrivals, now: Instant, sequences: impl IntoIterator<Item = u64>) {
    for sequence in sequences {
        arrivals.note(now, &shim(3, sequence, sequence), BYTES, true);
    }
}

/// A packet of path 3 arrives by another one.
fn repair(arrivals: &mut Arrivals, now: Instant, sequence: u64) -> Arrival {
    arrivals.note(now, &shim(3, sequence, sequence), BYTES, false)
}

/// Feedback whenever it is due, until `end`.
fn feedback_until(arrivals: &mut Arrivals, end: Instant) -> Vec<(Instant, Feedback)> {
    let mut made = Vec::new();
    while let Some(due) = arrivals.next_feedback().filter(|due| *due < end) {
        made.push((due, arrivals.feedback(due)));
    }
    made
}

fn only_path(feedback: &Feedback) -> &PathReport {
    assert_eq!(feedback.paths.len(), 1);
    &feedback.paths[0]
}

fn missing(report: &PathReport) -> Vec<u32> {
    let each = |gap: &Gap| gap.start..gap.start + u32::from(gap.count);
    report.gaps.iter().flat_map(each).collect()
}

#[test]
fn a_feedback_counts_what_came_by_the_path() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, 110..115);
    arrive(&mut arrivals, START + Duration::from_micros(700), [115]);
    let feedback = arrivals.feedback(START + ms(1));
    let report = only_path(&feedback);
    assert_eq!((feedback.number, report.path), (1, 3));
    assert_eq!((report.highest, report.received), (115, 6));
    assert_eq!(report.bytes, 6 * BYTES as u64);
    assert_eq!((report.arrived, report.held), (1_000_700, 300));
    assert!(
        report.gaps.is_empty(),
        "what was before the first is unknown"
    );
}

#[test]
fn a_repair_fills_the_gap_but_is_no_delivery_of_the_path() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 1, 3, 4, 5]);
    assert!(arrivals.has_gaps());
    let arrival = repair(&mut arrivals, START + ms(1), 2);
    assert!(arrival.repaired && arrival.new_to_path);
    assert!(!arrivals.has_gaps());
    let feedback = arrivals.feedback(START + ms(2));
    let report = only_path(&feedback);
    assert_eq!((report.received, missing(report)), (5, vec![]));
    assert_eq!(arrivals.stats().repaired, 1);
}

#[test]
fn a_duplicate_ahead_of_its_original_leaves_no_gap_when_the_path_passes_it() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0]);
    for sequence in [2, 4, 5] {
        assert!(!repair(&mut arrivals, START, sequence).repaired);
    }
    arrive(&mut arrivals, START, [8, 9, 10]);
    let feedback = arrivals.feedback(START + ms(2));
    assert_eq!(missing(only_path(&feedback)), [1, 3, 6, 7]);
}

#[test]
fn a_second_copy_by_its_own_path_counts_as_delivered_by_it_once() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0]);
    repair(&mut arrivals, START, 1);
    arrivals.note_copy(START + ms(1), &shim(3, 1, 1), BYTES);
    arrivals.note_copy(START + ms(1), &shim(3, 1, 1), BYTES);
    let feedback = arrivals.feedback(START + ms(1));
    let report = only_path(&feedback);
    assert_eq!((report.received, report.highest), (2, 1));
    assert_eq!(arrivals.stats().duplicates, 2);
}

#[test]
fn a_gap_is_lost_after_three_later_packets_and_a_millisecond() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 2, 3]);
    assert!(!arrivals.is_lost(START + ms(2), 3, 1));
    arrive(&mut arrivals, START, [4]);
    assert!(!arrivals.is_lost(START, 3, 1));
    assert!(arrivals.is_lost(START + ms(1), 3, 1));
    assert!(!arrivals.is_lost(START + ms(1), 3, 2), "that one is here");
    assert!(!arrivals.is_lost(START + ms(1), 4, 1), "no such path");
}

#[test]
fn a_gap_at_the_end_of_a_burst_is_lost_after_some_milliseconds() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 2]);
    assert!(!arrivals.is_lost(START + ms(10), 3, 1));
    assert!(arrivals.is_lost(START + ms(11), 3, 1));
    let made = feedback_until(&mut arrivals, START + ms(12));
    assert_eq!(missing(only_path(&made.last().unwrap().1)), [1]);
}

#[test]
fn a_path_that_reorders_is_given_the_time_that_it_takes() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 2, 3, 4]);
    arrive(&mut arrivals, START + ms(8), [1]);
    arrive(&mut arrivals, START + ms(8), [6, 7, 8]);
    assert!(!arrivals.is_lost(START + ms(17), 3, 5));
    assert!(arrivals.is_lost(START + ms(18), 3, 5));
}

#[test]
fn a_new_gap_is_reported_as_soon_as_it_is_lost_but_never_closer_than_the_spacing() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0]);
    arrivals.feedback(START);
    arrive(&mut arrivals, START + ms(5), [2, 3, 4]);
    assert_eq!(arrivals.next_feedback(), Some(START + ms(6)));
    let feedback = arrivals.feedback(START + ms(6));
    assert_eq!(missing(only_path(&feedback)), [1]);
    arrive(&mut arrivals, START + ms(6), [6, 7, 8]);
    assert_eq!(arrivals.next_feedback(), Some(START + ms(6) + SPACING));
}

#[test]
fn a_gap_is_in_every_feedback_until_it_is_filled() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 2, 3, 4, 6, 7, 8]);
    let made = feedback_until(&mut arrivals, START + ms(60));
    assert!(made.len() > 2);
    for (_, feedback) in &made {
        assert_eq!(missing(only_path(feedback)), [1, 5]);
    }
    repair(&mut arrivals, START + ms(60), 1);
    let feedback = arrivals.feedback(START + ms(61));
    assert_eq!(missing(only_path(&feedback)), [5]);
}

#[test]
fn feedback_falls_silent_soon_after_the_last_arrival() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, 0..10);
    let made = feedback_until(&mut arrivals, START + ms(60_000));
    let times: Vec<Duration> = made.iter().map(|(at, _)| *at - START).collect();
    assert_eq!(times, [1, 11, 31, 71].map(ms));
}

#[test]
fn feedback_with_an_open_gap_goes_on_more_slowly_until_the_gap_is_given_up() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 2, 3, 4]);
    let made = feedback_until(&mut arrivals, START + ms(60_000));
    assert!(made.len() <= 8, "{}", made.len());
    assert!(made.last().unwrap().0 >= START + HORIZON);
    assert!(!arrivals.has_gaps());
}

#[test]
fn the_interval_is_a_quarter_of_the_round_trip_within_bounds() {
    for (rtt, interval) in [(1, SPACING), (20, ms(5)), (400, INTERVAL)] {
        let mut arrivals = Arrivals::new();
        arrivals.set_rtt(ms(rtt));
        arrive(&mut arrivals, START, [0]);
        arrivals.feedback(START);
        arrive(&mut arrivals, START, [1]);
        assert_eq!(arrivals.next_feedback(), Some(START + interval));
    }
}

/// A second of one packet a millisecond, every tenth lost; the outer bytes of feedback.
fn feedback_bytes(reverse_rate: Option<u64>) -> usize {
    let mut arrivals = Arrivals::new();
    arrivals.set_rtt(ms(8));
    arrivals.set_reverse_rate(reverse_rate);
    let mut bytes = 0;
    for sequence in 0..1000 {
        let now = START + ms(sequence);
        for (_, feedback) in feedback_until(&mut arrivals, now) {
            let mut body = Vec::new();
            feedback.encode(&mut body);
            bytes += (body.len() + 4).next_multiple_of(16) + 32 + 48;
        }
        if sequence % 10 != 5 {
            arrive(&mut arrivals, now, [sequence]);
        }
    }
    bytes
}

#[test]
fn feedback_takes_one_percent_of_the_reverse_rate_down_to_one_in_ten_milliseconds() {
    assert!(
        feedback_bytes(None) > 50_000,
        "else the limit limits nothing"
    );
    for rate in [3_000_000, 4_000_000, 5_000_000] {
        let bytes = feedback_bytes(Some(rate));
        // The first one is due before its size is known.
        assert!(bytes as u64 <= rate / 100 + 250, "{bytes} of {rate}");
        assert!(bytes as u64 >= rate / 200, "{bytes} of {rate}");
    }
    // The sender suspects a path whose feedback comes less often.
    assert_eq!(feedback_bytes(Some(300_000)), feedback_bytes(Some(100_000)));
}

#[test]
fn a_path_without_arrivals_for_a_second_is_left_out() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0]);
    arrivals.note(START + ms(900), &shim(5, 0, 1), BYTES, true);
    let numbers = |feedback: Feedback| -> Vec<u8> {
        feedback.paths.iter().map(|report| report.path).collect()
    };
    assert_eq!(numbers(arrivals.feedback(START + ms(999))), [3, 5]);
    assert_eq!(numbers(arrivals.feedback(START + ms(1000))), [5]);
}

#[test]
fn what_a_path_lost_of_its_first_packets_is_missing() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [3, 4, 5]);
    let feedback = arrivals.feedback(START + ms(1));
    assert_eq!(missing(only_path(&feedback)), [0, 1, 2]);
}

#[test]
fn a_gap_longer_than_a_count_is_reported_in_pieces() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, [0, 601, 602, 603]);
    let feedback = arrivals.feedback(START + ms(1));
    let expected: Vec<u32> = (1..601).collect();
    assert_eq!(missing(only_path(&feedback)), expected);
}

#[test]
fn of_more_gaps_than_a_feedback_takes_the_newest_are_reported_oldest_first() {
    let mut arrivals = Arrivals::new();
    arrive(&mut arrivals, START, (0..1001).filter(|n| n % 10 != 5));
    let feedback = arrivals.feedback(START + ms(1));
    let expected: Vec<u32> = (76..100).map(|n| 10 * n + 5).collect();
    assert_eq!(missing(only_path(&feedback)), expected);
}

#[test]
fn counters_come_back_whole_beyond_their_bits() {
    let mut arrivals = Arrivals::new();
    let mut last = 0;
    for step in 1..10 {
        let sequence = step * (3 << 20);
        let arrival = arrivals.note(START, &shim(3, sequence, 2 * sequence), BYTES, true);
        assert_eq!(arrival.path_sequence, sequence);
        assert_eq!(arrival.bucket_sequence, 2 * sequence);
        last = sequence;
    }
    let arrival = arrivals.note(START, &shim(3, last - 1, 2 * last - 1), BYTES, true);
    assert_eq!(arrival.bucket_sequence, 2 * last - 1);
}

/// What the account of one path means, without bitmaps: sets of sequences.
#[derive(Default)]
struct Naive {
    first: Option<u64>,
    delivered: BTreeSet<u64>,
    known: BTreeSet<u64>,
}

impl Naive {
    fn note(&mut self, sequence: u64, same_path: bool) {
        self.known.insert(sequence);
        if same_path {
            let first = if sequence < 32 { 0 } else { sequence };
            self.first.get_or_insert(first);
            self.delivered.insert(sequence);
        }
    }

    fn missing(&self) -> BTreeSet<u64> {
        let (Some(first), Some(highest)) = (self.first, self.delivered.last()) else {
            return BTreeSet::new();
        };
        (first..*highest)
            .filter(|sequence| !self.known.contains(sequence))
            .collect()
    }
}

proptest! {
    #[test]
    fn the_account_of_a_path_is_that_of_its_naive_twin(
        noted in prop::collection::vec((0..200_u64, prop::bool::weighted(0.8)), 1..300),
    ) {
        let mut arrivals = Arrivals::new();
        let mut naive = Naive::default();
        for (sequence, same_path) in noted {
            let arrival = arrivals.note(START, &shim(3, sequence, sequence), BYTES, same_path);
            prop_assert_eq!(arrival.new_to_path, !naive.known.contains(&sequence));
            prop_assert_eq!(arrival.repaired, !same_path && naive.missing().contains(&sequence));
            naive.note(sequence, same_path);
            let missing = naive.missing();
            prop_assert_eq!(arrivals.has_gaps(), !missing.is_empty());
            for sequence in 0..200 {
                let lost = arrivals.is_lost(START + ms(100), 3, sequence as u32);
                prop_assert_eq!(lost, missing.contains(&sequence));
            }
        }
        let feedback = arrivals.feedback(START + ms(100));
        if let Some(report) = feedback.paths.first() {
            prop_assert_eq!(report.received as usize, naive.delivered.len());
            prop_assert_eq!(Some(u64::from(report.highest)), naive.delivered.last().copied());
        }
    }

    #[test]
    fn hostile_shims_keep_feedback_sound_spaced_and_finite(
        seed: u64,
        packets in 1..400_u64,
        spread in 1..24_u32,
    ) {
        let mut arrivals = Arrivals::new();
        let mut last = None;
        for n in 0..packets {
            let random = derive_seed(seed, n);
            let now = START + Duration::from_micros(200 * n);
            let hostile = Shim {
                ordered: random & 1 != 0,
                latency: random & 2 != 0,
                path: (random >> 2) as u8 & if random & 4 == 0 { 3 } else { 0xff },
                bucket: (random >> 10) as u8,
                path_sequence: (random >> 20) as u32 & ((1 << spread) - 1),
                bucket_sequence: (random >> 30) as u32,
            };
            if random & 0x70_0000 == 0 {
                arrivals.note_copy(now, &hostile, BYTES);
            } else {
                arrivals.note(now, &hostile, BYTES, random & 0x80_0000 != 0);
            }
            if let Some(due) = arrivals.next_feedback().filter(|due| *due <= now) {
                prop_assert!(last.is_none_or(|last| now - last >= SPACING), "{due:?}");
                last = Some(now);
                let feedback = arrivals.feedback(now);
                let mut bytes = Vec::new();
                feedback.encode(&mut bytes);
                prop_assert_eq!(Feedback::parse(&bytes), Ok(feedback));
            }
        }
        let rest = feedback_until(&mut arrivals, START + ms(3_600_000));
        prop_assert!(rest.len() < 20, "{}", rest.len());
    }
}
