//! The 16-bit big-endian fields of which packet headers are made.

/// The field at byte `at`, which must lie within `bytes`.
#[inline(always)]
pub fn read(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Stores the field at byte `at`, which must lie within `bytes`.
#[inline(always)]
pub fn write(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
