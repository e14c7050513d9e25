//! One check for each parser: the parser as a parameter, an input, and whether the outcome is right.
//!
//! Each compares with a twin that reads the format as its document words it, byte by byte.

pub mod bonded;
pub mod coalesce;
pub mod datagram;
pub mod frame;
pub mod ip;
pub mod receiver;
pub mod segment;

/// What a check says: what is wrong, if anything.
pub type Verdict = Result<(), String>;

/// Fails unless both are equal.
pub fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Verdict {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}

/// The little-endian number of `count` bytes at `at`.
pub fn little(bytes: &[u8], at: usize, count: usize) -> u64 {
    let digits = bytes[at..at + count].iter().rev();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The big-endian number of two bytes at `at`.
pub fn big16(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])
}

/// The Internet checksum over all of `bytes` (RFC 1071): zero if a right checksum is within.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum = words.fold(0_u64, |sum, word| sum + u64::from(word));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
