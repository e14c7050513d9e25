//! Randomness as a parameter: the addon hands in the operating system's, tests a seeded one.

/// A source of random bytes. The shipped one must be cryptographically secure.
pub trait Entropy {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);

    /// A uniformly random 32-bit number.
    fn u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}
