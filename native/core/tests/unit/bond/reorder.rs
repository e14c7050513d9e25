//! The reordering buffer: properties on virtual time, a naive twin, and hostile sequences.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::striped::{
    Arrival, Path, Repair, deliver, holds, out_of_order, packet, sequence_of, sequences, striped,
};
use proptest::prelude::*;
use whalescale_core::bond::reorder::{Budget, Depth, MAX_WAIT, MIN_WAIT, Reorder, SPAN};
use whalescale_core::time::Instant;

const START: Instant = Instant::from_nanos(1_000_000_000);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Pushes packets at the start, by path 0, and returns what was delivered.
fn push_all(reorder: &mut Reorder, sequences: impl IntoIterator<Item = u64>) -> Vec<u64> {
    push_all_at(reorder, START, 0, sequences)
}

fn push_all_at(
    reorder: &mut Reorder,
    now: Instant,
    path: u8,
    sequences: impl IntoIterator<Item = u64>,
) -> Vec<u64> {
    let mut delivered = Vec::new();
    for sequence in sequences {
        reorder.push(
            now,
            sequence,
            true,
            &packet(sequence),
            Some(path),
            &mut |packet| delivered.push(sequence_of(packet)),
        );
    }
    delivered
}

fn expire(reorder: &mut Reorder, now: Instant) -> Vec<u64> {
    let mut delivered = Vec::new();
    reorder.expire(now, &mut |packet| delivered.push(sequence_of(packet)));
    delivered
}

/// What order with a bounded depth means, without a ring, and without deadlines.
struct Naive {
    depth: usize,
    next: u64,
    held: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
}

impl Naive {
    fn push(&mut self, sequence: u64) -> Vec<u64> {
        let mut out = Vec::new();
        if self.delivered.contains(&sequence) || !self.held.insert(sequence) {
            return out;
        }
        if sequence < self.next {
            self.held.remove(&sequence);
            out.push(sequence);
        }
        while let Some(first) = self.held.first().copied() {
            if first != self.next && self.held.len() <= self.depth {
                break;
            }
            self.held.remove(&first);
            self.next = first + 1;
            out.push(first);
        }
        self.delivered.extend(&out);
        out
    }
}

#[test]
fn packets_in_order_pass_through_at_once() {
    let mut reorder = Reorder::new(Depth::Auto);
    assert_eq!(
        push_all(&mut reorder, 0..1000),
        (0..1000).collect::<Vec<_>>()
    );
    assert_eq!(reorder.stats().held, 0);
    assert_eq!(reorder.next_deadline(), None);
}

#[test]
fn a_packet_waits_for_those_before_it() {
    let mut reorder = Reorder::new(Depth::Auto);
    assert_eq!(push_all(&mut reorder, [0, 3, 2]), [0]);
    assert_eq!(reorder.stats().held_now, 2);
    assert_eq!(push_all(&mut reorder, [1]), [1, 2, 3]);
    assert_eq!((reorder.stats().held, reorder.stats().held_now), (2, 0));
}

#[test]
fn an_unordered_packet_is_delivered_at_once_and_takes_no_sequence() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all(&mut reorder, [0, 2]);
    let mut delivered = 0;
    reorder.push(START, 1, false, &packet(1), Some(0), &mut |_| {
        delivered += 1
    });
    assert_eq!(delivered, 1);
    assert_eq!(push_all(&mut reorder, [1]), [1, 2]);
}

#[test]
fn a_gap_that_every_path_has_passed_is_given_up_after_the_least_wait() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all(&mut reorder, [0, 2]);
    assert_eq!(reorder.next_deadline(), Some(START + MIN_WAIT));
    assert_eq!(expire(&mut reorder, START + MIN_WAIT), [2]);
    assert_eq!(reorder.stats().released_timeout, 1);
    assert_eq!(reorder.next_deadline(), None);
}

#[test]
fn a_gap_that_one_path_has_not_passed_is_waited_for_longer() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all_at(&mut reorder, START, 1, [0]);
    push_all_at(&mut reorder, START, 0, [2]);
    assert!(reorder.next_deadline() >= Some(START + ms(50)));
    push_all_at(&mut reorder, START + ms(20), 1, [3]);
    assert_eq!(reorder.next_deadline(), Some(START + ms(20) + MIN_WAIT));
}

#[test]
fn a_path_that_may_carry_packets_is_waited_for_before_its_first_one() {
    let mut reorder = Reorder::new(Depth::Auto);
    reorder.path_came(START, 1);
    push_all_at(&mut reorder, START, 0, [0, 2]);
    assert!(reorder.next_deadline() >= Some(START + ms(50)));
}

#[test]
fn a_path_unused_for_seconds_is_not_waited_for() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all_at(&mut reorder, START, 1, [0]);
    let later = START + ms(2001);
    push_all_at(&mut reorder, later, 0, [2]);
    assert_eq!(reorder.next_deadline(), Some(later + MIN_WAIT));
}

#[test]
fn a_path_that_is_gone_is_not_waited_for() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all_at(&mut reorder, START, 1, [0]);
    push_all_at(&mut reorder, START, 0, [2]);
    reorder.path_gone(1);
    push_all_at(&mut reorder, START + ms(10), 0, [3]);
    assert_eq!(reorder.next_deadline(), Some(START + ms(10) + MIN_WAIT));
}

#[test]
fn a_gap_under_repair_is_waited_for_three_times_the_repair_time() {
    let mut reorder = Reorder::new(Depth::Auto);
    reorder.set_repair_time(ms(30));
    push_all(&mut reorder, [0, 2]);
    assert_eq!(reorder.next_deadline(), Some(START + ms(90)));
}

#[test]
fn a_late_packet_is_delivered_at_once_and_makes_later_gaps_wait_longer() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all(&mut reorder, [0, 2]);
    expire(&mut reorder, START + MIN_WAIT);
    let late = START + ms(20);
    assert_eq!(push_all_at(&mut reorder, late, 0, [1, 1]), [1]);
    assert_eq!((reorder.stats().late, reorder.stats().duplicates), (1, 1));
    push_all_at(&mut reorder, late, 0, [4]);
    assert_eq!(reorder.next_deadline(), Some(late + ms(25)));
}

#[test]
fn a_fixed_depth_gives_up_the_oldest_gap_for_one_packet_more() {
    let mut reorder = Reorder::new(Depth::Fixed(3));
    assert_eq!(push_all(&mut reorder, [1, 3, 4]), []);
    assert_eq!(push_all(&mut reorder, [6]), [1]);
    assert_eq!(reorder.stats().held_now, 3);
    assert_eq!(reorder.stats().released_full, 1);
}

#[test]
fn a_packet_beyond_the_span_releases_what_is_held_and_the_order_goes_on_behind_it() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all(&mut reorder, [0, 2, 4]);
    let far = 1 << 40;
    assert_eq!(push_all(&mut reorder, [far]), [2, 4, far]);
    assert_eq!(
        push_all(&mut reorder, [far + 2, far + 1]),
        [far + 1, far + 2]
    );
    assert_eq!(push_all(&mut reorder, [far - 5]), [far - 5]);
    assert_eq!(push_all(&mut reorder, [3]), [], "too far behind to tell");
}

#[test]
fn a_reset_drops_what_is_held_and_starts_at_zero() {
    let mut reorder = Reorder::new(Depth::Auto);
    push_all(&mut reorder, [0, 1, 7, 9]);
    reorder.reset();
    assert_eq!(reorder.stats().dropped, 2);
    assert_eq!(reorder.next_deadline(), None);
    assert_eq!(push_all(&mut reorder, 0..10), (0..10).collect::<Vec<_>>());
}

#[test]
fn buckets_that_share_a_budget_stay_within_it_together_and_give_it_back() {
    let budget = Budget::new(100_000);
    let mut buckets: Vec<Reorder> = (0..4)
        .map(|_| Reorder::sharing(Depth::Auto, budget.clone()))
        .collect();
    for sequence in 1..200 {
        for reorder in &mut buckets {
            push_all(reorder, [2 * sequence]);
            assert!(budget.owned() <= 100_000);
        }
    }
    assert!(
        buckets
            .iter()
            .all(|bucket| bucket.stats().released_full > 0)
    );
    drop(buckets);
    assert_eq!(budget.owned(), 0);
}

/// 50 Mbit/s of 1428-byte packets at 10 ms, and 20 Mbit/s at 60 ms.
fn two_paths(loss: f64, jitter: Duration) -> [Path; 2] {
    [(228, 10), (571, 60)].map(|(micros, delay)| Path {
        delay: ms(delay),
        spacing: Duration::from_micros(micros),
        jitter,
        loss,
    })
}

/// A buffer that knows of both paths.
fn bonded(depth: Depth) -> Reorder {
    let mut reorder = Reorder::new(depth);
    reorder.path_came(Instant::from_nanos(0), 0);
    reorder.path_came(Instant::from_nanos(0), 1);
    reorder
}

fn print_figures(name: &str, depth: u64, reorder: &Reorder, holds: &[Duration]) {
    let stats = reorder.stats();
    let p99 = holds[holds.len() * 99 / 100];
    println!("{name}: most held {depth}, hold p99 {p99:?}, {stats:?}");
}

/// The most packets held at once: by bisection, the least depth that gives up no gap for room.
fn depth_needed(arrivals: &[Arrival], repair_time: Duration) -> u64 {
    let enough = |depth: u64| {
        let mut reorder = bonded(Depth::Fixed(depth as usize));
        reorder.set_repair_time(repair_time);
        deliver(&mut reorder, arrivals);
        reorder.stats().released_full == 0
    };
    let mut low = 0;
    let mut high = SPAN;
    while low < high {
        let middle = (low + high) / 2;
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[test]
fn two_unequal_paths_without_loss_come_out_in_order() {
    for (name, jitter) in [("round robin", 0), ("round robin, 2 ms of jitter", 2)] {
        let arrivals = striped(&two_paths(0.0, ms(jitter)), 20_000, None, 1);
        let mut reorder = bonded(Depth::Auto);
        let delivered = deliver(&mut reorder, &arrivals);
        print_figures(
            name,
            depth_needed(&arrivals, ms(0)),
            &reorder,
            &holds(&arrivals, &delivered),
        );
        assert_eq!(out_of_order(&delivered), 0);
        assert_eq!(delivered.len(), 20_000);
        assert!(reorder.stats().max_hold <= ms(55 + jitter));
    }
}

#[test]
fn one_percent_of_loss_repaired_after_a_round_trip_leaves_hardly_a_gap() {
    let repair = Repair {
        after: ms(23),
        loss: 0.01,
        attempts: 3,
    };
    let mut given_up = 0;
    for seed in 1..=10 {
        let arrivals = striped(&two_paths(0.01, ms(0)), 20_000, Some(repair), seed);
        let mut reorder = bonded(Depth::Auto);
        reorder.set_repair_time(ms(25));
        let delivered = deliver(&mut reorder, &arrivals);
        print_figures(
            &format!("1 % loss, seed {seed}"),
            depth_needed(&arrivals, ms(25)),
            &reorder,
            &holds(&arrivals, &delivered),
        );
        given_up += reorder.stats().released_timeout;
    }
    println!("gaps given up in 200,000 packets: {given_up}");
    assert!(given_up <= 5, "2,000 losses, of which 20 lose a repair too");
}

#[test]
fn loss_that_nobody_repairs_holds_packets_little_longer_than_the_delay_spread() {
    let arrivals = striped(&two_paths(0.01, ms(0)), 20_000, None, 1);
    let mut reorder = bonded(Depth::Auto);
    let delivered = deliver(&mut reorder, &arrivals);
    print_figures(
        "1 % loss, no repair",
        depth_needed(&arrivals, ms(0)),
        &reorder,
        &holds(&arrivals, &delivered),
    );
    assert_eq!(out_of_order(&delivered), 0);
    assert!(reorder.stats().max_hold <= ms(50) + 2 * MIN_WAIT);
}

fn any_path() -> impl Strategy<Value = Path> {
    (0..200_u64, 1..5000_u64, 0..20_u64, 0.0..0.3).prop_map(|(delay, spacing, jitter, loss)| Path {
        delay: ms(delay),
        spacing: Duration::from_micros(spacing),
        jitter: ms(jitter),
        loss,
    })
}

fn any_repair() -> impl Strategy<Value = Repair> {
    (0..100_u64, 0.0..0.3, 1..4_u32).prop_map(|(after, loss, attempts)| Repair {
        after: ms(after),
        loss,
        attempts,
    })
}

fn any_depth() -> impl Strategy<Value = Depth> {
    prop_oneof![Just(Depth::Auto), (0..300_usize).prop_map(Depth::Fixed)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_the_paths_do_each_packet_comes_out_once_in_time_and_in_order_unless_late(
        paths in prop::collection::vec(any_path(), 1..5),
        repair in prop::option::of(any_repair()),
        depth in any_depth(),
        repair_time in 0..300_u64,
        seed: u64,
    ) {
        let arrivals = striped(&paths, 2000, repair, seed);
        let mut reorder = Reorder::new(depth);
        reorder.set_repair_time(ms(repair_time));
        let delivered = deliver(&mut reorder, &arrivals);
        let arrived: BTreeSet<u64> = arrivals.iter().map(|arrival| arrival.sequence).collect();
        let stats = reorder.stats();
        prop_assert_eq!(delivered.len(), arrived.len());
        prop_assert_eq!(sequences(&delivered), arrived);
        prop_assert_eq!(out_of_order(&delivered), stats.late);
        prop_assert_eq!((stats.held_now, stats.dropped, stats.duplicates), (0, 0, 0));
        let longest = holds(&arrivals, &delivered).last().copied().unwrap_or_default();
        prop_assert!(longest <= MAX_WAIT, "{:?}", longest);
        prop_assert_eq!(longest, stats.max_hold);
    }

    #[test]
    fn without_deadlines_it_does_what_its_naive_twin_does(
        depth in 0..40_usize,
        pushed in prop::collection::vec(0..300_u64, 0..400),
        base in 0..200_u64,
    ) {
        let mut reorder = Reorder::new(Depth::Fixed(depth));
        let mut naive = Naive {
            depth,
            next: 0,
            held: BTreeSet::new(),
            delivered: BTreeSet::new(),
        };
        for sequence in (0..base).chain(pushed) {
            prop_assert_eq!(push_all(&mut reorder, [sequence]), naive.push(sequence));
            prop_assert_eq!(reorder.stats().held_now, naive.held.len() as u64);
        }
    }

    #[test]
    fn hostile_sequences_are_delivered_at_most_once_within_the_memory_allowed(
        pushed in prop::collection::vec(
            (
                prop_oneof![
                    0..5 * SPAN,
                    any::<u64>(),
                    u64::MAX - 3..=u64::MAX,
                    (0..64_u32).prop_map(|bits| 1 << bits),
                ],
                any::<u8>(),
                prop_oneof![8..1500_usize, 8..65_536_usize],
                0..3000_u64,
            ),
            0..300,
        ),
    ) {
        let budget = Budget::new(1 << 20);
        let mut reorder = Reorder::sharing(Depth::Auto, budget.clone());
        let mut now = START;
        let mut delivered: BTreeMap<u64, u32> = BTreeMap::new();
        let count = pushed.len() as u64;
        for (sequence, path, size, micros) in pushed {
            now = now + Duration::from_micros(micros);
            let mut bytes = vec![0; size];
            bytes[..8].copy_from_slice(&sequence.to_le_bytes());
            let mut note = |packet: &[u8]| *delivered.entry(sequence_of(packet)).or_default() += 1;
            reorder.push(now, sequence, true, &bytes, Some(path), &mut note);
            reorder.expire(now, &mut note);
            prop_assert!(budget.owned() <= 1 << 20);
        }
        reorder.flush(now, &mut |packet| *delivered.entry(sequence_of(packet)).or_default() += 1);
        prop_assert!(delivered.values().all(|times| *times == 1));
        prop_assert_eq!(delivered.len() as u64 + reorder.stats().duplicates, count);
        prop_assert_eq!(reorder.next_deadline(), None);
    }
}
