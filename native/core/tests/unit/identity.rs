//! Keys and what follows from them: RFC 8032 vectors, with images, addresses and signatures computed
//! independently (noble-curves, noble-hashes), and every kind of key that must be refused.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use proptest::prelude::*;
use whalescale_core::identity::{
    IdentityError, NodeId, OVERLAY_PREFIX, PresharedKey, PublicKey, Secret,
};

use blake2::{Blake2s256, Digest};
use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};

const DOMAIN: &str = "whalescale test v1";

struct Vector {
    seed: [u8; 32],
    ed25519: [u8; 32],
    node_id: String,
    x25519: String,
    overlay: [u8; 16],
    /// Of "hello" in the domain above.
    signature: [u8; 64],
}

fn vectors() -> Vec<Vector> {
    fn hex<const N: usize>(text: &str) -> [u8; N] {
        HEXLOWER
            .decode(text.as_bytes())
            .unwrap()
            .try_into()
            .unwrap()
    }
    include_str!("../vectors/identity.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            Vector {
                seed: hex(fields[0]),
                ed25519: hex(fields[1]),
                node_id: fields[2].into(),
                x25519: fields[3].into(),
                overlay: hex(fields[4]),
                signature: hex(fields[5]),
            }
        })
        .collect()
}

#[test]
fn a_seed_gives_the_node_id_image_address_and_signature_of_its_vector() {
    assert_eq!(vectors().len(), 4);
    for vector in vectors() {
        let secret = Secret::from_seed(&vector.seed);
        let id = secret.node_id();
        assert_eq!(id.as_bytes(), &vector.ed25519);
        assert_eq!(id.to_string(), vector.node_id);
        assert_eq!(secret.public_key().to_string(), vector.x25519);
        assert_eq!(id.overlay_address().octets(), vector.overlay);
        assert_eq!(secret.sign(DOMAIN, b"hello"), vector.signature);
    }
}

#[test]
fn a_node_id_read_from_text_has_the_same_image_and_address_as_its_secret() {
    for vector in vectors() {
        let id: NodeId = vector.node_id.parse().unwrap();
        assert_eq!(id, Secret::from_seed(&vector.seed).node_id());
        assert_eq!(id.public_key().to_string(), vector.x25519);
        assert_eq!(id.overlay_address().octets(), vector.overlay);
    }
}

#[test]
fn the_overlay_prefix_is_a_unique_local_one_hashed_from_the_product_name() {
    let digest = Blake2s256::digest("whalescale overlay prefix v1");
    assert_eq!(OVERLAY_PREFIX[0], 0xfd);
    assert_eq!(OVERLAY_PREFIX[1..], digest[..5]);
}

#[test]
fn points_of_small_order_are_refused() {
    for point in EIGHT_TORSION {
        let result = NodeId::from_bytes(&point.compress().to_bytes());
        assert_eq!(result, Err(IdentityError::WeakPoint));
    }
}

#[test]
fn points_of_mixed_order_are_refused() {
    let good = CompressedEdwardsY(vectors()[0].ed25519)
        .decompress()
        .unwrap();
    for torsion in &EIGHT_TORSION[1..] {
        let result = NodeId::from_bytes(&(good + torsion).compress().to_bytes());
        assert_eq!(result, Err(IdentityError::WeakPoint));
    }
}

#[test]
fn encodings_that_are_not_canonical_are_refused() {
    // y = p + 1, which is the identity's 1 again.
    let mut unreduced = [0xff; 32];
    unreduced[0] = 0xee;
    unreduced[31] = 0x7f;
    // The identity, whose x is zero, with a sign.
    let mut signed_zero = [0; 32];
    signed_zero[0] = 1;
    signed_zero[31] = 0x80;
    // No point has this y: (y^2 - 1) / (d y^2 + 1) is no square for y = 2.
    let mut no_point = [0; 32];
    no_point[0] = 2;
    for bytes in [unreduced, signed_zero, no_point] {
        assert_eq!(NodeId::from_bytes(&bytes), Err(IdentityError::NotAPoint));
    }
}

#[test]
fn a_key_and_its_negative_share_one_image_but_not_one_address() {
    let id = Secret::from_seed(&[9; 32]).node_id();
    let mut negative = *id.as_bytes();
    negative[31] ^= 0x80;
    let negative = NodeId::from_bytes(&negative).unwrap();
    assert_eq!(negative.public_key(), id.public_key());
    assert_ne!(negative.overlay_address(), id.overlay_address());
}

#[test]
fn a_node_id_has_one_spelling() {
    let text = vectors()[0].node_id.clone();
    let (rest, _) = text.split_at(51);
    for wrong in [
        text.to_ascii_uppercase(),
        format!("{text}="),
        format!("{text}\n"),
        rest.to_owned(),
        // Only the first bit of the last character belongs to the key.
        format!("{rest}b"),
        format!("{rest}1"),
        "é".repeat(26),
    ] {
        let result = wrong.parse::<NodeId>();
        assert_eq!(result, Err(IdentityError::NotBase32), "{wrong}");
    }
}

#[test]
fn an_all_zero_public_key_is_refused() {
    let result = PublicKey::from_bytes(&[0; 32]);
    assert_eq!(result, Err(IdentityError::ZeroKey));
    let text = BASE64.encode(&[0; 32]);
    assert_eq!(text.parse::<PublicKey>(), Err(IdentityError::ZeroKey));
}

#[test]
fn a_key_file_may_end_with_one_line_end_and_nothing_else() {
    let secret = Secret::from_seed(&[7; 32]);
    let text = secret.encode();
    for end in ["", "\n", "\r\n"] {
        let read = Secret::parse(&format!("{}{end}", *text)).unwrap();
        assert_eq!(read.node_id(), secret.node_id());
    }
    for wrong in ["\n\n", " ", "A", "="] {
        let result = Secret::parse(&format!("{}{wrong}", *text));
        assert_eq!(result.err(), Some(IdentityError::NotBase64));
    }
}

#[test]
fn keys_of_31_or_33_bytes_are_refused() {
    for length in [0, 31, 33] {
        let text = BASE64.encode(&vec![1; length]);
        assert!(Secret::parse(&text).is_err());
        assert!(PresharedKey::parse(&text).is_err());
        assert!(text.parse::<PublicKey>().is_err());
    }
}

#[test]
fn secrets_do_not_show_themselves_when_printed_for_debugging() {
    let secret = Secret::from_seed(&[7; 32]);
    let shown = format!("{secret:?} {:?}", PresharedKey::from_bytes(&[7; 32]));
    assert_eq!(
        shown,
        format!("Secret of {} PresharedKey", secret.node_id())
    );
}

#[test]
fn a_signature_depends_on_where_the_domain_ends() {
    let secret = Secret::from_seed(&[1; 32]);
    assert_ne!(secret.sign("a", b"bc"), secret.sign("ab", b"c"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_seed_gives_a_node_id_that_validates_and_reads_back(seed: [u8; 32]) {
        let secret = Secret::from_seed(&seed);
        let id = secret.node_id();
        prop_assert_eq!(NodeId::from_bytes(id.as_bytes()), Ok(id));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(NodeId::from_bytes(id.as_bytes()).unwrap().public_key(), secret.public_key());
        prop_assert_eq!(secret.public_key().to_string().parse(), Ok(secret.public_key()));
        prop_assert_eq!(Secret::parse(&secret.encode()).unwrap().node_id(), id);
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        if let Ok(id) = text.parse::<NodeId>() {
            prop_assert_eq!(id.to_string(), text.clone());
        }
        if let Ok(key) = text.parse::<PublicKey>() {
            prop_assert_eq!(key.to_string(), text.clone());
        }
        if let Ok(secret) = Secret::parse(&text) {
            prop_assert_eq!(&*secret.encode(), text.trim_end());
        }
    }

    #[test]
    fn any_32_bytes_are_a_node_id_with_one_spelling_or_refused(bytes: [u8; 32]) {
        let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        prop_assert_eq!(text.parse::<NodeId>(), NodeId::from_bytes(&bytes));
    }
}
