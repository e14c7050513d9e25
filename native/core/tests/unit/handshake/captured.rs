//! What the handshake tests share: fixed keys, repeatable entropy, and the file of captured bytes.

use std::collections::BTreeMap;

use blake2::{Blake2s256, Digest};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use data_encoding::HEXLOWER;
use whalescale_core::entropy::Entropy;
use whalescale_core::identity::{PresharedKey, Secret};

/// Repeatable random bytes: BLAKE2s-256 of a name and a block number.
pub struct NamedEntropy {
    name: &'static str,
    block: u64,
}

impl NamedEntropy {
    pub fn new(name: &'static str) -> Self {
        Self { name, block: 0 }
    }
}

impl Entropy for NamedEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let digest = Blake2s256::new()
                .chain_update(self.name)
                .chain_update(self.block.to_le_bytes())
                .finalize();
            self.block += 1;
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
    }
}

/// A node whose seed is one byte, 32 times.
pub fn node(byte: u8) -> Secret {
    Secret::from_seed(&[byte; 32])
}

/// The node whose conversation with wireguard-go was captured.
pub fn captured_node() -> Secret {
    node(0x11)
}

/// wireguard-go's private key in the capture.
pub const WIREGUARD_GO_PRIVATE: [u8; 32] = [0x22; 32];

pub const CAPTURED_PSK: [u8; 32] = [0x33; 32];

pub fn captured_psk() -> PresharedKey {
    PresharedKey::from_bytes(&CAPTURED_PSK)
}

/// Our indices in the capture.
pub const RESPONDER_INDEX: u32 = 0xaabb_ccdd;
pub const INITIATOR_INDEX: u32 = 0x0102_0304;

/// The time that the captured initiations of ours claim, in seconds since the Unix epoch.
pub const INITIATION_TIME: u64 = 2_000_000_000;

/// Opens transport data with the plain library; `None` if it is not authentic.
pub fn open(key: &[u8; 32], datagram: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&datagram[8..16]);
    ChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt(Nonce::from_slice(&nonce), &datagram[16..])
        .ok()
}

/// Seals transport data with the plain library: the part after the header.
pub fn seal(key: &[u8; 32], counter: u64, plaintext: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    ChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt(Nonce::from_slice(&nonce), plaintext)
        .expect("sealing has no failure")
}

/// The captured bytes by name: lines of `name = hex`, comments with `#`.
pub fn captured() -> BTreeMap<&'static str, Vec<u8>> {
    include_str!("../../vectors/handshake_wireguard_go.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, hex)| {
            let bytes = HEXLOWER.decode(hex.as_bytes()).expect("vectors are hex");
            (name, bytes)
        })
        .collect()
}

/// Captured bytes of one length.
pub fn captured_message<const N: usize>(name: &str) -> [u8; N] {
    captured()[name].as_slice().try_into().expect(name)
}
