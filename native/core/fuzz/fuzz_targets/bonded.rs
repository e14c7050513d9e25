//! Fuzzes what `checks::bonded` checks: the parsers must agree with their twin on any bytes.
#[allow(dead_code)] // Each target uses its part.
#[path = "../../tests/parsers/checks/mod.rs"]
mod checks;

fn main() {
    afl::fuzz!(|input: &[u8]| {
        if let Err(error) = checks::bonded::check(input) {
            panic!("{error}");
        }
    });
}
