//! Which sequences of a counter have been seen: a ring of bits that follows the highest one.
//!
//! The ring is one word longer than its span, so that moving it on clears whole words and shifts
//! none; its words are a power of two, so that finding one takes no division. Invariant: a bit is
//! set only for a sequence within `next - span - 64 .. next` that was inserted. Every operation is bounded by the words of the ring, whatever the sequence.

const WORD_BITS: u64 = u64::BITS as u64;

/// The sequences seen among the latest ones.
pub(crate) struct Seen {
    /// One more than the highest sequence inserted.
    next: u64,
    words: Box<[u64]>,
}

impl Seen {
    /// Nothing seen; remembers `capacity` sequences, a power of two, less at most 64.
    pub(crate) fn new(capacity: u64) -> Self {
        let words = (capacity / WORD_BITS).next_power_of_two();
        Self {
            next: 0,
            words: (0..words).map(|_| 0).collect(),
        }
    }

    /// Records `sequence`. False: it was seen before, or is too far behind to tell.
    pub(crate) fn insert(&mut self, sequence: u64) -> bool {
        if sequence < self.floor() {
            return false;
        }
        if sequence >= self.next {
            self.advance(sequence);
        }
        let slot = self.slot(sequence / WORD_BITS);
        let bit = 1 << (sequence % WORD_BITS);
        let Some(word) = self.words.get_mut(slot) else {
            return false;
        };
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// The first sequence in `from..to` that was seen.
    pub(crate) fn first_seen(&self, from: u64, to: u64) -> Option<u64> {
        let to = to.min(self.next);
        let mut at = from.max(self.floor());
        while at < to {
            let bits = self.bits(at);
            if bits != 0 {
                let found = at + u64::from(bits.trailing_zeros());
                return (found < to).then_some(found);
            }
            at = next_word(at);
        }
        None
    }

    /// The first sequence in `from..to` that is remembered as not seen, or `to`.
    pub(crate) fn first_missing(&self, from: u64, to: u64) -> u64 {
        let mut at = from.max(self.floor());
        while at < to && at < self.next {
            let ones = u64::from(self.bits(at).trailing_ones());
            if ones < WORD_BITS - at % WORD_BITS {
                return (at + ones).min(to);
            }
            at = next_word(at);
        }
        at.min(to)
    }

    /// The earliest sequence that is remembered.
    fn floor(&self) -> u64 {
        let span = (self.words.len() as u64 - 1) * WORD_BITS;
        self.next.saturating_sub(span)
    }

    /// The bits of the word of `sequence`, its own as the lowest.
    fn bits(&self, sequence: u64) -> u64 {
        let slot = self.slot(sequence / WORD_BITS);
        self.words.get(slot).copied().unwrap_or(0) >> (sequence % WORD_BITS)
    }

    /// Makes `sequence` the highest: clears the words between the old highest and it.
    fn advance(&mut self, sequence: u64) {
        // The word that `next` falls in is in use already, unless `next` is its first sequence.
        let first = self.next.div_ceil(WORD_BITS);
        let last = sequence / WORD_BITS;
        if last.saturating_sub(first) >= self.words.len() as u64 {
            self.words.fill(0);
        } else {
            for word in first..=last {
                let slot = self.slot(word);
                if let Some(word) = self.words.get_mut(slot) {
                    *word = 0;
                }
            }
        }
        self.next = sequence.saturating_add(1);
    }

    /// The place in the ring of the n-th word of sequences.
    fn slot(&self, word: u64) -> usize {
        word as usize & (self.words.len() - 1)
    }
}

/// The first sequence of the word after that of `sequence`.
fn next_word(sequence: u64) -> u64 {
    (sequence / WORD_BITS + 1).saturating_mul(WORD_BITS)
}
