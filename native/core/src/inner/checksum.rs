//! The internet checksum (RFC 1071), alone and fused with a copy.
//!
//! A *partial* sum is a `u64` congruent, modulo 2^16 - 1, to the sum of the big-endian 16-bit words
//! of some bytes (an odd last byte is the high half of a word). Partial sums and plain field values
//! add up freely; [`fold`] and [`complete`] reduce them at the end. The functions are `inline` so
//! that a caller compiled for wider vectors gets them wider too.

/// A sum of 64-bit little-endian words, in a form whose loops compilers turn into vectors.
///
/// `all` wraps modulo 2^64, while `high` holds the exact sum of the upper halves; the exact sum of
/// the lower halves is then `all - (high << 32)`, for fewer than 2^30 words. That takes three
/// operations per vector where adding each half by itself takes four.
#[derive(Default)]
struct Words {
    all: u64,
    high: u64,
}

impl Words {
    #[inline(always)]
    fn add(&mut self, word: u64) {
        self.all = self.all.wrapping_add(word);
        self.high += word >> 32;
    }

    /// The partial sum of the words and the less than eight bytes after them.
    #[inline(always)]
    fn finish(self, rest: &[u8]) -> u64 {
        let last = rest
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u64::from(*byte));
        let low = self.all.wrapping_sub(self.high << 32);
        // The words were little-endian: RFC 1071 section 2 (B) lets one swap at the end make up.
        u64::from(fold(low + self.high + halves(last)).swap_bytes())
    }
}

/// The sum of both halves: below 2^33, and congruent to `sum` modulo 2^16 - 1.
#[inline]
fn halves(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// The partial sum of `bytes`.
#[inline]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = Words::default();
    for word in words {
        sum.add(u64::from_le_bytes(*word));
    }
    sum.finish(rest)
}

/// Copies `from` to `to` and returns its partial sum, in one pass.
///
/// # Panics
/// When the lengths differ, as `copy_from_slice` does.
#[inline]
pub fn copy_and_sum(to: &mut [u8], from: &[u8]) -> u64 {
    assert_eq!(to.len(), from.len(), "a copy needs equal lengths");
    let (words, rest) = from.as_chunks::<8>();
    let (to_words, to_rest) = to.as_chunks_mut::<8>();
    let mut sum = Words::default();
    for (to_word, word) in to_words.iter_mut().zip(words) {
        *to_word = *word;
        sum.add(u64::from_le_bytes(*word));
    }
    to_rest.copy_from_slice(rest);
    sum.finish(rest)
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
    let sum = halves(partial);
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
