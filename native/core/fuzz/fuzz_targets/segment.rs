//! Fuzzes what `checks::segment` checks: the parser must agree with its twin on any bytes.
#[allow(dead_code)] // Each target uses its part.
#[path = "../../tests/parsers/checks/mod.rs"]
mod checks;

fn main() {
    afl::fuzz!(|input: &[u8]| {
        if let Err(error) = checks::segment::check(input) {
            panic!("{error}");
        }
    });
}
