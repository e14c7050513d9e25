//! The head of a packet that is still sealed.
//!
//! ChaCha20 is a stream cipher, so the first bytes of a plaintext can be had for the price of one block
//! (RFC 8439, section 2.4; block 0 makes the Poly1305 key, the plaintext begins with block 1). Nothing
//! says that they are authentic: they may decide what waits for what, and nothing else.

use arrayvec::ArrayVec;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a head: one ChaCha20 block.
pub const HEAD_LEN: usize = 64;

/// The raw key of what one peer sends.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PeekKey([u8; 32]);

impl PeekKey {
    /// For packets that this key seals.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(*key)
    }

    /// The first bytes of the plaintext of `sealed`, as many as there are up to [`HEAD_LEN`]; `counter`
    /// is its nonce.
    pub fn head(&self, counter: u64, sealed: &[u8]) -> ArrayVec<u8, HEAD_LEN> {
        let mut head: ArrayVec<u8, HEAD_LEN> = sealed.iter().copied().take(HEAD_LEN).collect();
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_le_bytes());
        let mut cipher = ChaCha20::new(&self.0.into(), &nonce.into());
        cipher.seek(HEAD_LEN);
        cipher.apply_keystream(&mut head);
        head
    }
}
