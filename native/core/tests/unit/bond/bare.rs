//! Loss of bare data: what is counted, what is reported, and what that decides.

use std::time::Duration;

use proptest::prelude::*;
use whalescale_core::bond::bare::{HOLD, LossReport, NotLossReport, SPACING, Switch, Tally};
use whalescale_core::time::Instant;

const START: Instant = Instant::from_nanos(5_000_000_000);
const MS: Duration = Duration::from_millis(1);

/// Reports of `lost` packets among each `passed`, a tenth of a second apart.
fn reported(passed: u32, lost: u32, times: u32) -> (Switch, Instant) {
    let mut switch = Switch::default();
    let mut now = START;
    for n in 0..times {
        let report = LossReport {
            passed: n * passed,
            received: n * (passed - lost),
        };
        switch.report(now, report);
        now = now + SPACING;
    }
    (switch, now)
}

#[test]
fn a_path_without_loss_is_not_reported() {
    let mut tally = Tally::default();
    for n in 0..1000 {
        tally.note(START + n * MS, 5, 5);
    }
    assert_eq!(tally.next_report(), None);
}

#[test]
fn what_was_only_late_is_not_reported() {
    let mut tally = Tally::default();
    tally.note(START, 6, 5);
    tally.note(START + MS, 0, 1);
    let due = tally.next_report().expect("a look");
    assert_eq!(tally.report(due), None);
}

#[test]
fn loss_is_reported_once_and_reports_keep_their_distance() {
    let mut tally = Tally::default();
    tally.note(START, 100, 99);
    let first = tally.next_report().expect("due");
    let report = LossReport {
        passed: 100,
        received: 99,
    };
    assert_eq!(tally.report(first), Some(report));
    tally.note(first, 100, 100);
    assert_eq!(tally.next_report(), None);
    tally.note(first, 100, 90);
    assert_eq!(tally.next_report(), Some(first + SPACING));
}

#[test]
fn bonded_data_is_left_to_feedback() {
    let mut tally = Tally::default();
    tally.note_bonded(START);
    tally.note(START, 100, 50);
    assert_eq!(tally.next_report(), None);
}

#[test]
fn lasting_loss_turns_repair_on_and_a_queue_that_overflowed_once_does_not() {
    let (mut lossy, now) = reported(200, 2, 6);
    assert!(lossy.wants(now, 1400, false));
    let (mut once, now) = reported(200, 2, 4);
    assert!(!once.wants(now, 1400, false));
    let (mut little, now) = reported(20_000, 2, 6);
    assert!(!little.wants(now, 1400, false));
}

#[test]
fn repair_lasts_while_there_is_something_to_repair() {
    let (mut switch, mut now) = reported(200, 2, 6);
    for _ in 0..3 {
        assert!(switch.wants(now, 1400, false));
        for n in 0..1000 {
            switch.sent();
            if n % 100 == 0 {
                switch.repaired();
            }
        }
        now = now + HOLD;
    }
    assert!(switch.wants(now, 1400, false));
    (0..1000).for_each(|_| switch.sent());
    now = now + HOLD;
    assert!(!switch.wants(now, 1400, false));
}

proptest! {
    #[test]
    fn any_bytes_are_a_report_or_none(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
        match LossReport::in_frame(&bytes) {
            None | Some(Err(NotLossReport)) => {}
            Some(Ok(report)) => prop_assert_eq!(&report.frame()[4..], &bytes[4..12]),
        }
    }

    #[test]
    fn no_report_makes_the_switch_fail(reports in prop::collection::vec(any::<(u32, u32, u16)>(), 0..64)) {
        let mut switch = Switch::default();
        let mut now = START;
        for (passed, received, millis) in reports {
            now = now + u32::from(millis) * MS;
            switch.report(now, LossReport { passed, received });
            switch.wants(now, 1400, false);
        }
    }
}
