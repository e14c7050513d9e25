//! The internet checksum (RFC 1071), alone and together with a copy.
//!
//! A *partial* sum is a `u64` congruent, modulo 2^16 - 1, to the sum of the big-endian 16-bit words
//! of some bytes (an odd last byte is the high half of a word). Partial sums and plain field values
//! add up freely; [`fold`] and [`complete`] reduce them at the end. The functions are `inline` so
//! that a caller compiled for wider vectors gets them wider too.

/// Bytes per step of the hot loops: four 64-bit words fill two SSE2 or one AVX2 register.
const STEP: usize = 32;
const WORDS: usize = STEP / 8;

/// Sums of 64-bit little-endian words, in independent lanes.
///
/// `all` wraps modulo 2^64, while `high` holds the exact sum of the upper halves; the exact sum of
/// the lower halves is `all - (high << 32)`. That takes three vector operations per register where
/// widening each half takes four. Exact for fewer than 2^32 words.
#[derive(Clone, Copy, Default)]
struct Lanes {
    all: [u64; WORDS],
    high: [u64; WORDS],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, step: &[u8; STEP]) {
        let (words, _) = step.as_chunks::<8>();
        for (lane, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            self.all[lane] = self.all[lane].wrapping_add(word);
            self.high[lane] += word >> 32;
        }
    }

    /// The lanes' sum plus that of at most [`STEP`] - 1 following bytes, as a partial sum.
    #[inline(always)]
    fn finish(self, tail: &[u8]) -> u64 {
        let mut sum = 0;
        for (all, high) in self.all.into_iter().zip(self.high) {
            sum += fold32(high) + fold32(all.wrapping_sub(high << 32));
        }
        let (words, rest) = tail.as_chunks::<8>();
        for word in words {
            sum += fold32(u64::from_le_bytes(*word));
        }
        let last = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        sum += fold32(last);
        // The words were little-endian: RFC 1071 section 2 (B) lets one swap at the end make up.
        u64::from(fold(sum).swap_bytes())
    }
}

/// Below 2^33, and congruent to `sum` modulo 2^16 - 1.
#[inline(always)]
fn fold32(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// The partial sum of `bytes`.
#[inline]
pub fn sum(bytes: &[u8]) -> u64 {
    let (steps, tail) = bytes.as_chunks::<STEP>();
    let mut lanes = Lanes::default();
    for step in steps {
        lanes.add(step);
    }
    lanes.finish(tail)
}

/// Copies `from` to `to` and returns its partial sum.
///
/// The sum reads the copy back from the nearest cache. A single loop that stores what it sums takes
/// a quarter longer: it is bound to the baseline's 16-byte vectors, and the library's copy is not.
///
/// # Panics
/// When the lengths differ, as `copy_from_slice` does.
#[inline]
pub fn copy_and_sum(to: &mut [u8], from: &[u8]) -> u64 {
    to.copy_from_slice(from);
    sum(to)
}

/// The partial sum of the pseudo-header of TCP or UDP (RFC 9293 section 3.1, RFC 8200 section 8.1).
///
/// `addresses` are the source and destination as they stand in the IP header, 8 or 32 bytes;
/// `length` is that of the transport header and its payload.
#[inline]
pub fn pseudo_header(addresses: &[u8], protocol: u8, length: usize) -> u64 {
    sum(addresses) + u64::from(protocol) + length as u64
}

/// Reduces a partial sum to 16 bits. Over data with a correct checksum the result is 0xffff.
#[inline]
pub fn fold(partial: u64) -> u16 {
    let sum = fold32(partial);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The checksum field's value for data that sums up to `partial` with that field as zero.
///
/// Never zero, which in UDP says "no checksum" (RFC 768); 0xffff is equally valid for every protocol.
#[inline]
pub fn complete(partial: u64) -> u16 {
    match !fold(partial) {
        0 => 0xffff,
        checksum => checksum,
    }
}
