//! The fast checksum against its naive twin.

use super::packets::{naive_checksum, naive_sum, payload};
use proptest::prelude::*;
use whalescale_core::inner::checksum::{complete, copy_and_sum, fold, pseudo_header, sum};

/// Zero and 0xffff are one value in one's complement arithmetic.
fn same(a: u16, b: u16) -> bool {
    a % 0xffff == b % 0xffff
}

#[test]
fn every_short_length_at_every_alignment_sums_as_the_twin_does() {
    let bytes = payload(400, 0x5a);
    for start in 0..33 {
        for length in 0..=bytes.len() - start {
            let part = &bytes[start..start + length];
            assert!(
                same(fold(sum(part)), naive_sum(part)),
                "start {start}, length {length}"
            );
        }
    }
}

#[test]
fn the_longest_packet_of_ones_does_not_overflow_a_lane() {
    assert_eq!(fold(sum(&[0xff; 65_536])), 0xffff);
}

#[test]
fn zeros_sum_to_zero() {
    assert_eq!(fold(sum(&[0; 1420])), 0);
}

#[test]
fn folding_reduces_the_largest_partial_sum() {
    assert_eq!(fold(u64::MAX), 0xffff);
    assert_eq!(fold(0x1_0000_0000_0000), 1);
    assert_eq!(fold(0xffff_0001), 1);
}

#[test]
fn a_completed_checksum_is_never_zero() {
    assert_eq!(complete(0xffff), 0xffff);
    assert_eq!(complete(0), 0xffff);
    assert_eq!(complete(1), 0xfffe);
}

#[test]
fn the_example_of_rfc_1071_sums_to_ddf2() {
    assert_eq!(
        fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])),
        0xddf2
    );
}

#[test]
fn a_pseudo_header_counts_addresses_protocol_and_length() {
    let expected = naive_sum(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0xff, 0xf0]);
    assert_eq!(
        fold(pseudo_header(&[10, 0, 0, 1, 10, 0, 0, 2], 17, 0xfff0)),
        expected
    );
}

proptest! {
    #[test]
    fn random_bytes_sum_as_the_twin_does(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        prop_assert!(same(fold(sum(&bytes)), naive_sum(&bytes)));
    }

    #[test]
    fn copying_sums_what_it_copies(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut copy = vec![0; bytes.len()];
        prop_assert_eq!(copy_and_sum(&mut copy, &bytes), sum(&bytes));
        prop_assert_eq!(copy, bytes);
    }

    #[test]
    fn partial_sums_of_even_parts_add_up(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        at in 0usize..1000,
    ) {
        let (a, b) = bytes.split_at((at * 2).min(bytes.len() & !1));
        prop_assert!(same(fold(sum(a) + sum(b)), naive_sum(&bytes)));
    }

    #[test]
    fn data_with_its_checksum_folds_to_all_ones(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut bytes = bytes;
        bytes.truncate(bytes.len() & !1);
        bytes.extend(naive_checksum(&bytes).to_be_bytes());
        prop_assert_eq!(fold(sum(&bytes)), 0xffff);
    }
}
