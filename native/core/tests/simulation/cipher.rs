//! The cipher as RFC 8439 has it, one datagram at a time, which remembers every key it was given.

use std::sync::{Arc, Mutex};

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use whalescale_core::aead::{AeadBackend, AeadKey, HEADER_LEN, TAG_LEN};
use whalescale_core::wire::datagram::write_transport_header;

/// The keys that a node expanded, in order: for each session one to receive, then one to send.
#[derive(Clone, Default)]
pub struct KeyLog(Arc<Mutex<Vec<[u8; 32]>>>);

impl AeadBackend for KeyLog {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
        self.0.lock().expect("key log").push(*key);
        Box::new(NaiveKey(ChaCha20Poly1305::new(key.into())))
    }
}

impl KeyLog {
    pub fn keys(&self) -> Vec<[u8; 32]> {
        self.0.lock().expect("key log").clone()
    }

    /// The plaintext of a transport datagram under any of the keys.
    pub fn open(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        if datagram.first() != Some(&4) {
            return None;
        }
        let counter = counter(datagram);
        self.keys().iter().find_map(|key| {
            let mut copy = datagram.to_vec();
            let length = copy.len();
            let mut verdict = [false];
            let key = NaiveKey(ChaCha20Poly1305::new(key.into()));
            key.open_run(&[counter], &mut copy, length, &mut verdict);
            verdict[0].then(|| copy[HEADER_LEN..length - TAG_LEN].to_vec())
        })
    }
}

pub fn counter(datagram: &[u8]) -> u64 {
    u64::from_le_bytes(datagram[8..16].try_into().expect("eight bytes"))
}

pub fn receiver_index(datagram: &[u8]) -> u32 {
    u32::from_le_bytes(datagram[4..8].try_into().expect("four bytes"))
}

/// A transport datagram that only who holds `key` can make.
pub fn seal(key: &[u8; 32], receiver: u32, counter: u64, plaintext: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; HEADER_LEN];
    let header = datagram.first_chunk_mut().expect("header");
    write_transport_header(header, receiver, counter);
    datagram.extend_from_slice(plaintext);
    datagram.resize(datagram.len() + TAG_LEN, 0);
    let length = datagram.len();
    NaiveKey(ChaCha20Poly1305::new(key.into())).seal_run(counter, &mut datagram, length);
    datagram
}

struct NaiveKey(ChaCha20Poly1305);

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    bytes.into()
}

impl AeadKey for NaiveKey {
    fn seal_run(&self, first_counter: u64, run: &mut [u8], stride: usize) {
        for (n, datagram) in run.chunks_mut(stride).enumerate() {
            let counter = first_counter + n as u64;
            let (_, rest) = datagram.split_at_mut(HEADER_LEN);
            let (payload, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
            let sealed = self
                .0
                .encrypt_in_place_detached(&nonce(counter), &[], payload);
            tag.copy_from_slice(&sealed.expect("sealing"));
        }
    }

    fn open_run(&self, counters: &[u64], run: &mut [u8], stride: usize, verdicts: &mut [bool]) {
        for ((counter, datagram), verdict) in
            counters.iter().zip(run.chunks_mut(stride)).zip(verdicts)
        {
            let (_, rest) = datagram.split_at_mut(HEADER_LEN);
            let (payload, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
            let tag = Tag::clone_from_slice(tag);
            *verdict = self
                .0
                .decrypt_in_place_detached(&nonce(*counter), &[], payload, &tag)
                .is_ok();
        }
    }
}
