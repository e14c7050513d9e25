//! Fuzzes what `checks::frame` checks: the parser must agree with its twin on any bytes.
#![no_main]

#[allow(dead_code)] // Each target uses its part.
#[path = "../../tests/parsers/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Err(error) = checks::frame::check(input) {
        panic!("{error}");
    }
});
