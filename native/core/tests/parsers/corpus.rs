//! The committed corpus, replayed.

use std::path::PathBuf;

use proptest::prelude::*;

use crate::checks::{self, Verdict};

/// A parser and the check of it.
type Target = (&'static str, fn(&[u8]) -> Verdict);

const TARGETS: [Target; 7] = [
    ("datagram", checks::datagram::check),
    ("frame", checks::frame::check),
    ("ip", checks::ip::check),
    ("segment", checks::segment::check),
    ("coalesce", checks::coalesce::check),
    ("receiver", checks::receiver::check),
    ("bonded", checks::bonded::check),
];

/// The inputs of one target, with their names.
pub fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs: Vec<(String, Vec<u8>)> = std::fs::read_dir(&folder)
        .expect("corpus")
        .map(|entry| {
            let path = entry.expect("entry").path();
            let name = path.display().to_string();
            (name, std::fs::read(path).expect("input"))
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 12, "the corpus of {target} is gone");
    inputs
}

fn replay(target: &str, check: impl Fn(&[u8]) -> Verdict) {
    for (name, input) in inputs(target) {
        if let Err(error) = check(&input) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn datagrams_are_told_apart_as_their_twin_does() {
    replay("datagram", checks::datagram::check);
}

#[test]
fn frames_are_read_as_their_twin_does() {
    replay("frame", checks::frame::check);
}

#[test]
fn inner_headers_are_read_as_their_twin_does() {
    replay("ip", checks::ip::check);
}

#[test]
fn super_packets_are_cut_into_right_packets() {
    replay("segment", checks::segment::check);
}

#[test]
fn what_was_joined_can_be_cut_again() {
    replay("coalesce", checks::coalesce::check);
}

#[test]
fn messages_are_taken_apart_as_their_twin_does() {
    replay("receiver", checks::receiver::check);
}

#[test]
fn what_bonding_sends_is_read_as_its_twin_does() {
    replay("bonded", checks::bonded::check);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn parsers_and_twins_agree_on_altered_inputs_too(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for (target, check) in TARGETS {
            let inputs = inputs(target);
            let mut input = which.get(&inputs).1.clone();
            if input.is_empty() {
                continue;
            }
            for (at, value) in &flips {
                // Headers decide; most of the payload is alike.
                let near = at.index(input.len().min(80));
                input[near] = *value;
            }
            if let Some(cut) = cut {
                input.truncate(cut.index(input.len()));
            }
            prop_assert_eq!(check(&input), Ok(()), "{}", target);
        }
    }
}
