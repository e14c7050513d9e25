//! A receiver that lies harms nobody but itself.

use arrayvec::ArrayVec;
use proptest::prelude::*;
use whalescale_core::bond::feedback::{GAPS, Gap, PathReport};
use whalescale_core::bond::model::PathModel;
use whalescale_core::time::Instant;

use super::bench::MS;

#[derive(Clone, Debug)]
enum Act {
    Send(u16, bool),
    Wait(u32),
    Report(PathReport),
    /// A report whose highest sequence was sent.
    Near(u8, PathReport),
    Revive,
}

prop_compose! {
    fn any_report()(
        highest in any::<u32>(), received in any::<u32>(), bytes in any::<u64>(),
        arrived in any::<u32>(), held in any::<u16>(),
        gaps in prop::collection::vec((any::<u32>(), any::<u8>()), 0..=GAPS),
    ) -> PathReport {
        let gaps = gaps.into_iter().map(|(start, count)| Gap { start, count });
        PathReport { path: 0, highest, received, bytes, arrived, held, gaps: gaps.collect::<ArrayVec<_, GAPS>>() }
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<u16>(), any::<bool>()).prop_map(|(bytes, more)| Act::Send(bytes, more)),
        3 => (0..50_000_000_u32).prop_map(Act::Wait),
        1 => any_report().prop_map(Act::Report),
        4 => (any::<u8>(), any_report()).prop_map(|(back, report)| Act::Near(back, report)),
        1 => Just(Act::Revive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_reports_leave_every_reading_sane(acts in prop::collection::vec(any_act(), 1..300)) {
        let (mut now, mut next) = (Instant::from_nanos(0), 0_u64);
        let mut model = PathModel::new(now);
        for act in acts {
            match act {
                Act::Send(bytes, more) => {
                    model.sent(now, next, usize::from(bytes), more);
                    next += 1;
                }
                Act::Wait(nanos) => now = Instant::from_nanos(now.as_nanos() + u64::from(nanos)),
                Act::Report(report) => drop(model.feedback(now, &report)),
                Act::Near(back, mut report) => {
                    report.highest = next.saturating_sub(1 + u64::from(back) % 8) as u32 & 0xff_ffff;
                    let digest = model.feedback(now, &report);
                    prop_assert!(digest.missing().all(|sequence| sequence < next));
                }
                Act::Revive => model.revive(now),
            }
            prop_assert!((8_000.0..=1.25e9).contains(&model.rate()), "rate {}", model.rate());
            prop_assert!(model.capacity().is_none_or(|rate| (8_000.0..=1.25e9).contains(&rate)));
            prop_assert!(model.loss().is_none_or(|loss| (0.0..=1.0).contains(&loss)));
            let _ = (model.can_send(now), model.next_send(now), model.arrival_after(now, 1500));
            let _ = (model.health(now), model.suspicion_deadline(), model.queue_delay(), model.jitter());
            let _ = (model.rtt(), model.min_rtt(), model.in_flight(), model.is_limited());
        }
    }
}

#[test]
fn a_path_without_reports_stops_taking_packets() {
    let mut now = Instant::from_nanos(0);
    let mut model = PathModel::new(now);
    let mut sent = 0;
    for step in 0..100_000_u64 {
        now = Instant::from_nanos(step * MS);
        if model.can_send(now) {
            model.sent(now, sent, 1500, true);
            sent += 1;
        }
    }
    assert!(sent < 200, "{sent} packets into silence");
}

#[test]
fn claimed_bytes_do_not_raise_the_rate_above_what_was_sent() {
    let mut model = PathModel::new(Instant::from_nanos(0));
    for n in 0..2_000_u64 {
        let now = Instant::from_nanos(n * 10 * MS);
        model.sent(now, n, 1000, true);
        let report = PathReport {
            path: 0,
            highest: n as u32,
            received: n as u32 + 1,
            bytes: n * 1_000_000_000,
            arrived: (n * 10_000) as u32,
            held: 0,
            gaps: ArrayVec::new(),
        };
        model.feedback(Instant::from_nanos(n * 10 * MS + 5 * MS), &report);
    }
    // 100 packets of 1000 bytes in a second.
    let capacity = model.capacity().unwrap();
    assert!(capacity < 1_000_000.0, "{capacity} bytes/s");
}
