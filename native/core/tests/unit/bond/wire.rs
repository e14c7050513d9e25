//! The shim and the feedback frame: each reads back, whatever is not one is refused, and cut counters
//! come back whole.

use arrayvec::ArrayVec;
use proptest::prelude::*;
use whalescale_core::bond::feedback::{Feedback, GAPS, Gap, NotFeedback, PATHS, PathReport};
use whalescale_core::bond::shim::{SEQUENCE_BITS, SHIM_LEN, Shim, extend};

const CYCLE: u64 = 1 << SEQUENCE_BITS;

fn any_shim() -> impl Strategy<Value = Shim> {
    let number = 0..CYCLE as u32;
    (
        any::<(bool, bool)>(),
        0..16_u8,
        0..16_u8,
        number.clone(),
        number,
    )
        .prop_map(
            |((ordered, latency), path, bucket, path_sequence, bucket_sequence)| Shim {
                ordered,
                latency,
                path,
                bucket,
                path_sequence,
                bucket_sequence,
            },
        )
}

fn any_gap() -> impl Strategy<Value = Gap> {
    (0..CYCLE as u32, 1..=u8::MAX).prop_map(|(start, count)| Gap { start, count })
}

fn any_report() -> impl Strategy<Value = PathReport> {
    let gaps = prop::collection::vec(any_gap(), 0..=GAPS);
    (
        any::<(u8, u32, u32, u16)>(),
        0..CYCLE as u32,
        0..1_u64 << 48,
        gaps,
    )
        .prop_map(
            |((path, received, arrived, held), highest, bytes, gaps)| PathReport {
                path,
                highest,
                received,
                bytes,
                arrived,
                held,
                gaps: gaps.into_iter().collect(),
            },
        )
}

fn any_feedback() -> impl Strategy<Value = Feedback> {
    (any::<u32>(), prop::collection::vec(any_report(), 0..=PATHS)).prop_map(|(number, paths)| {
        Feedback {
            number,
            paths: paths.into_iter().collect(),
        }
    })
}

fn encoded(feedback: &Feedback) -> Vec<u8> {
    let mut bytes = Vec::new();
    feedback.encode(&mut bytes);
    bytes
}

/// What [`extend`] means: of the counters that end in `low`, the one nearest to `near`, the lower one
/// of two.
fn naive_extend(near: u64, low: u32) -> u64 {
    let cycle = near / CYCLE;
    let candidates = cycle.saturating_sub(1)..=cycle + 1;
    candidates
        .map(|cycle| cycle * CYCLE + u64::from(low) % CYCLE)
        .min_by_key(|candidate| candidate.abs_diff(near))
        .unwrap_or(near)
}

#[test]
fn a_shim_has_the_bytes_of_the_specification() {
    let shim = Shim {
        ordered: true,
        latency: false,
        path: 3,
        bucket: 5,
        path_sequence: 0x01_0203,
        bucket_sequence: 0x04_0506,
    };
    assert_eq!(shim.encode(), [0x81, 0x35, 3, 2, 1, 6, 5, 4]);
}

#[test]
fn a_shim_of_another_kind_or_with_unknown_flags_is_refused() {
    for kind in (0..=u8::MAX).filter(|kind| !(0x80..=0x83).contains(kind)) {
        assert_eq!(Shim::parse(&[kind, 0, 0, 0, 0, 0, 0, 0]), None, "{kind:#x}");
    }
}

#[test]
fn a_feedback_has_the_bytes_of_the_specification() {
    let report = PathReport {
        path: 2,
        highest: 0x03_0201,
        received: 0x0706_0504,
        bytes: 0x0d0c_0b0a_0908,
        arrived: 0x1110_0f0e,
        held: 0x1312,
        gaps: ArrayVec::from_iter([Gap {
            start: 0x16_1514,
            count: 0x17,
        }]),
    };
    let feedback = Feedback {
        number: 9,
        paths: ArrayVec::from_iter([report]),
    };
    let expected: Vec<u8> = [9, 0, 0, 0, 1, 2, 1].into_iter().chain(1..=0x17).collect();
    assert_eq!(encoded(&feedback), expected);
}

#[test]
fn a_feedback_with_an_empty_gap_is_refused() {
    let mut bytes = [9, 0, 0, 0, 1, 2, 1].to_vec();
    bytes.extend(1..=0x16);
    bytes.push(0);
    assert_eq!(Feedback::parse(&bytes), Err(NotFeedback));
}

#[test]
fn a_feedback_of_more_paths_than_a_peer_has_is_refused() {
    let mut bytes = vec![0, 0, 0, 0, PATHS as u8 + 1];
    bytes.resize(1000, 0);
    assert_eq!(Feedback::parse(&bytes), Err(NotFeedback));
    bytes[4] = PATHS as u8;
    assert!(Feedback::parse(&bytes).is_ok());
}

proptest! {
    #[test]
    fn any_shim_reads_back_with_its_packet(shim in any_shim(), packet: Vec<u8>) {
        let bytes = [&shim.encode()[..], &packet].concat();
        prop_assert_eq!(Shim::parse(&bytes), Some((shim, &packet[..])));
    }

    #[test]
    fn any_bytes_are_a_shim_that_encodes_to_them_or_refused(
        kind in prop_oneof![0x80..0x84_u8, any::<u8>()],
        rest in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let bytes = [&[kind][..], &rest].concat();
        if let Some((shim, packet)) = Shim::parse(&bytes) {
            prop_assert_eq!(&shim.encode()[..], &bytes[..SHIM_LEN]);
            prop_assert_eq!(packet, &bytes[SHIM_LEN..]);
        }
    }

    #[test]
    fn any_feedback_reads_back_with_any_padding(feedback in any_feedback(), padding in 0..16_usize) {
        let mut bytes = encoded(&feedback);
        bytes.resize(bytes.len() + padding, 0);
        prop_assert_eq!(Feedback::parse(&bytes), Ok(feedback));
    }

    #[test]
    fn a_feedback_cut_anywhere_is_refused(feedback in any_feedback(), cut: prop::sample::Index) {
        let bytes = encoded(&feedback);
        prop_assert_eq!(Feedback::parse(&bytes[..cut.index(bytes.len())]), Err(NotFeedback));
    }

    #[test]
    fn any_bytes_are_a_feedback_that_encodes_to_them_or_refused(
        number: [u8; 4],
        paths in 0..12_u8,
        rest in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..400),
    ) {
        let bytes = [&number[..], &[paths], &rest].concat();
        if let Ok(feedback) = Feedback::parse(&bytes) {
            prop_assert!(bytes.starts_with(&encoded(&feedback)));
        }
    }

    #[test]
    fn a_cut_counter_is_the_nearest_one_with_its_low_bits(
        near in prop_oneof![0..4 * CYCLE, 0..u64::MAX - 2 * CYCLE],
        low: u32,
    ) {
        prop_assert_eq!(extend(near, low), naive_extend(near, low));
    }

    #[test]
    fn a_counter_within_half_a_cycle_comes_back_whole(
        near in 0..1_u64 << 40,
        distance in -(CYCLE as i64 / 2)..CYCLE as i64 / 2,
    ) {
        if let Some(counter) = near.checked_add_signed(distance) {
            prop_assert_eq!(extend(near, (counter % CYCLE) as u32), counter);
        }
    }
}
