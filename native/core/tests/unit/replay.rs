//! The replay window against a naive twin that remembers every counter.

use std::collections::BTreeSet;

use proptest::prelude::*;
use whalescale_core::replay::{REJECT_AFTER_MESSAGES, ReplayWindow, Verdict, WINDOW};

/// What the window means, without a ring.
#[derive(Default)]
struct Naive {
    seen: BTreeSet<u64>,
}

impl Naive {
    fn commit(&mut self, counter: u64) -> Verdict {
        if counter >= REJECT_AFTER_MESSAGES {
            return Verdict::TooOld;
        }
        let highest = self.seen.last().copied().unwrap_or(0);
        if highest.saturating_sub(counter) >= WINDOW {
            Verdict::TooOld
        } else if self.seen.insert(counter) {
            Verdict::Fresh
        } else {
            Verdict::Duplicate
        }
    }
}

/// Runs both over the same counters, and asks `check` before each.
fn compare(counters: impl IntoIterator<Item = u64>) {
    let mut window = ReplayWindow::new();
    let mut naive = Naive::default();
    for counter in counters {
        let expected = naive.commit(counter);
        assert_eq!(
            window.check(counter),
            expected == Verdict::Fresh,
            "{counter}"
        );
        assert_eq!(window.commit(counter), expected, "{counter}");
    }
}

#[test]
fn counter_zero_is_fresh_once() {
    let mut window = ReplayWindow::new();
    assert!(window.check(0));
    assert_eq!(window.commit(0), Verdict::Fresh);
    assert_eq!(window.commit(0), Verdict::Duplicate);
}

#[test]
fn checking_changes_nothing() {
    let window = ReplayWindow::new();
    assert!(window.check(5));
    assert!(window.check(5));
}

#[test]
fn the_window_reaches_131071_counters_behind_the_highest() {
    assert_eq!(WINDOW, 131_072);
    let mut window = ReplayWindow::new();
    window.commit(1_000_000);
    assert_eq!(window.commit(1_000_000 - 131_071), Verdict::Fresh);
    assert_eq!(window.commit(1_000_000 - 131_072), Verdict::TooOld);
}

#[test]
fn a_key_is_not_used_past_its_last_message() {
    let mut window = ReplayWindow::new();
    assert_eq!(REJECT_AFTER_MESSAGES, 0xffff_ffff_ffff_dfff);
    for counter in [REJECT_AFTER_MESSAGES, u64::MAX] {
        assert!(!window.check(counter));
        assert_eq!(window.commit(counter), Verdict::TooOld);
    }
    assert_eq!(window.commit(REJECT_AFTER_MESSAGES - 1), Verdict::Fresh);
    assert_eq!(window.commit(0), Verdict::TooOld);
}

#[test]
fn each_counter_passes_once_in_order_and_in_reverse() {
    compare((0..300).chain(0..300));
    compare((0..300).rev().chain(0..300));
}

#[test]
fn jumps_around_the_length_of_the_ring_leave_no_old_bits_behind() {
    for jump in (WINDOW - 130..WINDOW + 260).chain([2 * WINDOW, 1 << 40]) {
        let behind = (jump.saturating_sub(WINDOW)..).take(140);
        compare((0..140).chain([jump]).chain(behind));
    }
}

/// Steps of every size that matters, forwards and back.
fn walk() -> impl Strategy<Value = Vec<u64>> {
    let window = i64::try_from(WINDOW).unwrap();
    let step = prop_oneof![
        8 => -100..120_i64,
        3 => -window..window + 200,
        1 => -3 * window..5 * window,
    ];
    let start = prop_oneof![Just(0), 0..1_000_000_i64];
    (start, prop::collection::vec(step, 1..400)).prop_map(|(start, steps)| {
        steps
            .iter()
            .scan(start, |place, step| {
                *place = (*place + step).max(0);
                Some(place.unsigned_abs())
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn any_walk_gets_the_naive_verdicts(counters in walk()) {
        compare(counters);
    }

    #[test]
    fn any_counters_near_the_end_get_the_naive_verdicts(
        counters in prop::collection::vec(REJECT_AFTER_MESSAGES - 200_000..=u64::MAX, 1..100),
    ) {
        compare(counters);
    }
}
