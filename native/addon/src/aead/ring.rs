//! ChaCha20-Poly1305 by ring: works everywhere, one datagram at a time.
//!
//! aws-lc-rs was measured within 3 % of it at every size, and needs a C toolchain for much more code.

use std::mem::{MaybeUninit, needs_drop};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use whalescale_core::aead::{AeadBackend, AeadKey, HEADER_LEN, TAG_LEN};
use zeroize::Zeroize;

/// The backend of last resort and the reference for the faster ones.
pub(super) struct Ring;

impl AeadBackend for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
        Box::new(RingKey::new(key))
    }
}

// Overwriting a key instead of dropping it leaks nothing as long as it owns nothing.
const _: () = assert!(!needs_drop::<LessSafeKey>());

/// ring does not zeroise its keys, so the memory is kept as raw bytes and overwritten here.
///
/// `None` is unreachable, since ring refuses keys by their length only: such a key would seal to
/// zeros and open nothing.
pub(super) struct RingKey(Option<Box<MaybeUninit<LessSafeKey>>>);

impl RingKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, key).ok();
        Self(unbound.map(|unbound| Box::new(MaybeUninit::new(LessSafeKey::new(unbound)))))
    }

    fn cipher(&self) -> Option<&LessSafeKey> {
        // SAFETY: `new` is the only constructor and initialises the box; only `drop` overwrites it.
        self.0.as_ref().map(|key| unsafe { key.assume_init_ref() })
    }

    fn seal(&self, counter: u64, datagram: &mut [u8]) -> Option<()> {
        let (payload, tag) = datagram
            .get_mut(HEADER_LEN..)?
            .split_last_chunk_mut::<TAG_LEN>()?;
        let cipher = self.cipher()?;
        let sealed = cipher
            .seal_in_place_separate_tag(nonce(counter), Aad::empty(), payload)
            .ok()?;
        tag.copy_from_slice(sealed.as_ref());
        Some(())
    }

    fn open(&self, counter: u64, datagram: &mut [u8]) -> Option<()> {
        let sealed = datagram.get_mut(HEADER_LEN..)?;
        self.cipher()?
            .open_in_place(nonce(counter), Aad::empty(), sealed)
            .ok()?;
        Some(())
    }
}

impl Drop for RingKey {
    fn drop(&mut self) {
        if let Some(key) = &mut self.0 {
            key.as_mut().zeroize();
        }
    }
}

impl AeadKey for RingKey {
    fn seal_run(&self, first_counter: u64, run: &mut [u8], stride: usize) {
        debug_assert!(stride >= HEADER_LEN + TAG_LEN);
        let counters = (0..).map(|n| first_counter.wrapping_add(n));
        for (datagram, counter) in run.chunks_mut(stride.max(1)).zip(counters) {
            if self.seal(counter, datagram).is_none() {
                // A failure must not let plaintext out: zeros are refused by the receiver.
                datagram
                    .iter_mut()
                    .skip(HEADER_LEN)
                    .for_each(|byte| *byte = 0);
            }
        }
    }

    fn open_run(&self, counters: &[u64], run: &mut [u8], stride: usize, verdicts: &mut [bool]) {
        let datagrams = run.chunks_mut(stride.max(1));
        for ((datagram, &counter), verdict) in datagrams.zip(counters).zip(verdicts) {
            *verdict = self.open(counter, datagram).is_some();
        }
    }
}

/// Four zero bytes and the little-endian counter (WireGuard whitepaper, section 5.4.6).
fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    if let Some(tail) = bytes.last_chunk_mut::<8>() {
        *tail = counter.to_le_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}
