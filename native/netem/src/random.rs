//! The random numbers of the emulator: SplitMix64 (Steele, Lea, Flood 2014), written out here because a
//! scenario's seed must give the same packets for ever, which a library's generator does not promise.

/// A stream of random numbers. Equal seeds give equal streams, on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream for `seed` and one `purpose`. Each impairment owns a stream, so switching one on
    /// does not change what the others draw.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut mixer = Self(seed);
        let start = mixer.next();
        Self(start ^ Self(purpose).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True with the given probability; 0 or less is never, 1 or more is always.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        ((self.next() >> 11) as f64) * UNIT < probability
    }

    /// Uniform in `0..=max`.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        let scaled = u128::from(self.next()) * (u128::from(max) + 1);
        (scaled >> 64) as u64
    }
}

/// A seed for each of many links out of one: links of one seed, and those of neighbouring seeds, are independent.
///
/// ```
/// use whalescale_netem::derive_seed;
/// assert_ne!(derive_seed(7, 1), derive_seed(8, 0));
/// ```
pub fn derive_seed(seed: u64, index: u64) -> u64 {
    Random::new(seed, index).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_matches_the_published_sequence_for_seed_1234567() {
        let mut random = Random(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            drawn,
            [
                6457827717110365317,
                3203168211198807973,
                9817491932198370423
            ]
        );
    }

    #[test]
    fn up_to_reaches_both_ends_and_never_passes_them() {
        let mut random = Random::new(7, 0);
        let drawn: Vec<u64> = (0..200).map(|_| random.up_to(3)).collect();
        assert!(drawn.contains(&0) && drawn.contains(&3));
        assert!(drawn.iter().all(|&value| value <= 3));
    }

    #[test]
    fn chance_is_never_at_zero_and_always_at_one() {
        let mut random = Random::new(7, 0);
        assert!((0..1000).all(|_| !random.chance(0.0) && random.chance(1.0)));
    }
}
