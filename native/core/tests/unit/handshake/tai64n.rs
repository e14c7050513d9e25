//! TAI64N timestamps.

use std::time::Duration;

use proptest::prelude::*;
use whalescale_core::handshake::tai64n::Tai64n;

#[test]
fn the_unix_epoch_is_ten_seconds_after_tais() {
    let epoch = Tai64n::from_unix(Duration::ZERO);
    assert_eq!(epoch.to_string(), "400000000000000a00000000");
}

#[test]
fn the_default_precedes_every_time() {
    assert!(Tai64n::default() < Tai64n::from_unix(Duration::ZERO));
}

#[test]
fn the_next_after_the_last_nanosecond_of_a_second_begins_a_second() {
    let last = Tai64n::from_unix(Duration::new(1, 999_999_999));
    assert_eq!(last.next(), Tai64n::from_unix(Duration::from_secs(2)));
}

#[test]
fn text_that_is_not_24_lower_case_digits_is_refused() {
    for text in [
        "",
        "400000000000000a0000000",
        "400000000000000A00000000",
        "400000000000000a0000000000",
        "400000000000000g00000000",
    ] {
        assert!(text.parse::<Tai64n>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn later_times_are_greater(a in 0..u64::MAX / 2, b in 0..u64::MAX / 2) {
        let time = |nanos| Tai64n::from_unix(Duration::from_nanos(nanos));
        prop_assert_eq!(time(a).cmp(&time(b)), a.cmp(&b));
    }

    #[test]
    fn the_next_is_one_nanosecond_later(nanos in 0..u64::MAX - 1) {
        let time = |nanos| Tai64n::from_unix(Duration::from_nanos(nanos));
        prop_assert_eq!(time(nanos).next(), time(nanos + 1));
    }

    #[test]
    fn the_next_of_any_bytes_but_the_last_second_is_greater(bytes: [u8; 12]) {
        prop_assume!(bytes[..8] != [0xff; 8]);
        let time = Tai64n::from_bytes(bytes);
        prop_assert!(time.next() > time);
    }

    #[test]
    fn text_reads_back(bytes: [u8; 12]) {
        let time = Tai64n::from_bytes(bytes);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
        prop_assert_eq!(time.as_bytes(), &bytes);
    }
}
