//! The vectors of `docs/PROTOCOL.md`: what the code computes, what `vectors/protocol.txt` holds and
//! what the document quotes are one and the same.
//!
//! Every vector is computed with the shipped code from inputs that the document names. All three sets
//! must be equal, so a vector that is added, changed or left out anywhere fails.

mod bonded;
mod computed;
mod session;

use std::collections::BTreeSet;

use self::computed::{REFUSED_KEYS, Vectors, computed};
use whalescale_core::identity::{NodeId, PublicKey};

const FILE: &str = include_str!("../../vectors/protocol.txt");
const DOCUMENT: &str = include_str!("../../../../../docs/PROTOCOL.md");

/// Lines of `name = value`; everything else is prose.
fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The vectors that the document quotes: the lines of its code blocks marked `vectors`.
fn quoted() -> Vec<(String, String)> {
    let mut inside = false;
    read(DOCUMENT.lines().filter(|line| {
        if line.starts_with("```") {
            inside = *line == "```vectors";
        }
        inside
    }))
}

fn only_once(vectors: Vec<(String, String)>) -> Vectors {
    let count = vectors.len();
    let unique: Vectors = vectors.into_iter().collect();
    assert_eq!(unique.len(), count, "a vector is given twice");
    unique
}

/// Names that only one of the two has, or that have another value there.
fn differences(left: &Vectors, right: &Vectors) -> Vec<String> {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| format!("{name}: {:?}, {:?}", left.get(name), right.get(name)))
        .collect()
}

#[test]
fn the_file_of_vectors_holds_what_the_code_computes() {
    let file = only_once(read(FILE.lines()));
    assert_eq!(differences(&file, &computed()), Vec::<String>::new());
}

#[test]
fn the_document_quotes_every_vector_of_the_file_and_no_other() {
    let file = only_once(read(FILE.lines()));
    assert_eq!(
        differences(&only_once(quoted()), &file),
        Vec::<String>::new()
    );
}

#[test]
fn the_keys_that_the_document_calls_refused_are_refused() {
    for (name, key) in REFUSED_KEYS {
        assert!(NodeId::from_bytes(&key).is_err(), "{name}");
    }
    assert!(PublicKey::from_bytes(&[0; 32]).is_err());
}
