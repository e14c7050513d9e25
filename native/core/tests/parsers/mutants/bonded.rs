//! The same for what bonding sends.

use crate::checks::{self, bonded::Bonded};
use crate::corpus::inputs;

use super::{altered, killed};

/// The shipped reader of bonding's plaintexts, with what it read changed.
fn misreading(change: impl Fn(&mut Bonded)) -> impl Fn(&[u8]) -> Option<Bonded> {
    move |bytes| {
        let mut read = checks::bonded::shipped(bytes);
        read.iter_mut().for_each(&change);
        read
    }
}

#[test]
fn a_shim_parser_that_swaps_path_and_bucket_is_noticed() {
    let mutant = misreading(|read| {
        if let Bonded::Packet(shim, _) = read {
            std::mem::swap(&mut shim.path, &mut shim.bucket);
        }
    });
    assert!(killed("bonded", |input| checks::bonded::check_parser(
        &mutant, input
    )));
}

#[test]
fn a_shim_parser_that_takes_unknown_flags_is_noticed() {
    let mutant = |bytes: &[u8]| {
        checks::bonded::shipped(altered(bytes, |bytes| match bytes.first_mut() {
            Some(first) if *first & 0xf0 == 0x80 => *first &= 0x83,
            _ => {}
        }))
    };
    assert!(killed("bonded", |input| checks::bonded::check_parser(
        mutant, input
    )));
}

#[test]
fn a_feedback_parser_that_overlooks_a_gap_is_noticed() {
    let mutant = misreading(|read| {
        if let Bonded::Feedback(feedback) = read {
            feedback.paths.iter_mut().for_each(|path| {
                path.gaps.pop();
            });
        }
    });
    assert!(killed("bonded", |input| checks::bonded::check_parser(
        &mutant, input
    )));
}

#[test]
fn a_feedback_parser_that_reads_beyond_the_frame_is_noticed() {
    let mutant = |bytes: &[u8]| {
        checks::bonded::shipped(bytes)
            .or_else(|| checks::bonded::shipped(altered(bytes, |bytes| bytes.extend([1; 64]))))
    };
    let check = |input: &[u8]| checks::bonded::check_parser(mutant, input);
    let inputs = inputs("bonded").into_iter();
    let mut feedback = inputs.filter(|(_, input)| input.first() == Some(&0x0a));
    assert!(feedback.any(|(_, input)| check(&input).is_err()));
}

#[test]
fn a_reader_of_loss_that_swaps_its_numbers_is_noticed() {
    let mutant = misreading(|read| {
        if let Bonded::Loss(report) = read {
            std::mem::swap(&mut report.passed, &mut report.received);
        }
    });
    assert!(killed("bonded", |input| checks::bonded::check_parser(
        &mutant, input
    )));
}
