//! Every parser against its naive twin: on the corpus, and with deliberate mistakes built in.
//!
//! `checks` says for one parser and one input whether they agree; the fuzz targets in `fuzz/` use the
//! same files. `corpus` replays what fuzzing starts from; `mutants` shows that this catches errors.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod checks;
mod corpus;
mod mutants;
