//! Who a node is: one Ed25519 key, and everything that follows from it.
//!
//! The node id is the public key itself, the Noise static key is its X25519 image, and the overlay
//! IPv6 address is a hash of it; none of the three needs coordination. Invariants: a [`NodeId`] is a
//! canonical encoding of a non-identity point of the prime-order subgroup, a [`PublicKey`] is never
//! all-zero, and secrets are zeroised on drop and never printed.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use blake2::{Blake2s256, Digest};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::clamp_integer;
use curve25519_dalek::traits::IsIdentity;
use data_encoding::{BASE32_NOPAD, BASE64};
use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

/// The /48 that every overlay address is in, a unique local prefix (RFC 4193, section 3.1).
///
/// `fd`, then as its 40-bit global id the first 40 bits of BLAKE2s-256 of
/// `"whalescale overlay prefix v1"`: the same for all, and unlikely to be anybody else's.
pub const OVERLAY_PREFIX: [u8; 6] = [0xfd, 0x1a, 0xaf, 0xe7, 0x55, 0x4f];

const OVERLAY_ADDRESS_LABEL: &str = "whalescale overlay address v1";

/// Characters of a node id: 256 bits at 5 bits each.
const NODE_ID_CHARS: usize = 52;

/// Why a text or a byte string is not the key it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// Not 52 characters of lower-case unpadded base32 (RFC 4648, section 6).
    NotBase32,
    /// Not 44 characters of base64 (RFC 4648, section 4), which 32 bytes are.
    NotBase64,
    /// No canonical encoding of a point on the curve.
    NotAPoint,
    /// A point outside the prime-order subgroup, or its identity.
    WeakPoint,
    /// An X25519 public key of nothing but zeros.
    ZeroKey,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBase32 => "not 52 characters of lower-case base32",
            Self::NotBase64 => "not 44 characters of base64",
            Self::NotAPoint => "not a canonical Ed25519 public key",
            Self::WeakPoint => "an Ed25519 public key of unsafe order",
            Self::ZeroKey => "an all-zero public key",
        })
    }
}

impl std::error::Error for IdentityError {}

/// A node: its Ed25519 public key, validated, beside its X25519 image.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    ed25519: [u8; 32],
    x25519: PublicKey,
}

impl NodeId {
    /// Validates an Ed25519 public key (RFC 8032, section 5.1.3, and beyond it the subgroup).
    ///
    /// Costs a scalar multiplication: for configuration and new sessions, not for every packet.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, IdentityError> {
        let point = CompressedEdwardsY(*bytes)
            .decompress()
            .ok_or(IdentityError::NotAPoint)?;
        // Decompression reduces y and ignores the sign of x = 0; only re-encoding tells.
        if point.compress().to_bytes() != *bytes {
            return Err(IdentityError::NotAPoint);
        }
        if point.is_identity() || !point.is_torsion_free() {
            return Err(IdentityError::WeakPoint);
        }
        Ok(Self {
            ed25519: *bytes,
            x25519: PublicKey(point.to_montgomery().to_bytes()),
        })
    }

    /// The raw Ed25519 public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.ed25519
    }

    /// The key that a WireGuard peer configures: A and -A share it, so peers are unique by it.
    pub fn public_key(&self) -> PublicKey {
        self.x25519
    }

    /// The node's own IPv6 address inside the overlay: [`OVERLAY_PREFIX`] and 80 bits of a hash.
    pub fn overlay_address(&self) -> Ipv6Addr {
        let digest = Blake2s256::new()
            .chain_update(OVERLAY_ADDRESS_LABEL)
            .chain_update(self.ed25519)
            .finalize();
        let mut octets = [0; 16];
        let (prefix, host) = octets.split_at_mut(OVERLAY_PREFIX.len());
        prefix.copy_from_slice(&OVERLAY_PREFIX);
        for (octet, byte) in host.iter_mut().zip(digest) {
            *octet = byte;
        }
        Ipv6Addr::from(octets)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.ed25519).to_ascii_lowercase())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        // One node, one spelling: upper case is refused, and so are stray bits in the last character.
        if text.len() != NODE_ID_CHARS || text.bytes().any(|c| c.is_ascii_uppercase()) {
            return Err(IdentityError::NotBase32);
        }
        let bytes = BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| IdentityError::NotBase32)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| IdentityError::NotBase32)?;
        Self::from_bytes(&bytes)
    }
}

/// An X25519 public key, a node's image or a stock WireGuard peer's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes a raw key; all-zero is refused. Other low-order points fail in the handshake.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, IdentityError> {
        if *bytes == [0; 32] {
            return Err(IdentityError::ZeroKey);
        }
        Ok(Self(*bytes))
    }

    /// The raw key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::from_bytes(&*decode_key(text)?)
    }
}

/// A node's private key: the 32-byte Ed25519 seed (RFC 8032, section 5.1.5).
pub struct Secret {
    signing: SigningKey,
    node_id: NodeId,
}

impl Secret {
    /// The key that a seed stands for. Any 32 bytes are a seed; they should be random.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = signing.verifying_key();
        let node_id = NodeId {
            ed25519: public.to_bytes(),
            x25519: PublicKey(public.to_montgomery().to_bytes()),
        };
        Self { signing, node_id }
    }

    /// Reads the content of a key file: base64 of the seed, and at most one line end.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        Ok(Self::from_seed(&*decode_key(without_line_end(text))?))
    }

    /// What a key file holds: 44 characters, no line end.
    pub fn encode(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(self.signing.as_bytes()))
    }

    /// The public half.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The X25519 image of the public half.
    pub fn public_key(&self) -> PublicKey {
        self.node_id.x25519
    }

    /// The clamped scalar behind [`Secret::public_key`] (RFC 7748, section 5).
    pub(crate) fn x25519(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(clamp_integer(self.signing.to_scalar_bytes()))
    }

    /// Signs the length of `domain` (8 bytes, little-endian), `domain`, and `bytes`.
    ///
    /// The length keeps two domains, one a prefix of the other, from ever signing the same message.
    pub fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        let length = (domain.len() as u64).to_le_bytes();
        let message = [&length, domain.as_bytes(), bytes].concat();
        self.signing.sign(&message).to_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret of {}", self.node_id)
    }
}

/// A key that two peers share beside their own (WireGuard whitepaper, section 5.2); zeros are none.
#[derive(Clone, Default)]
pub struct PresharedKey(Zeroizing<[u8; 32]>);

impl PresharedKey {
    /// Takes a raw key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Reads what `wg genpsk` writes: base64, and at most one line end.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        Ok(Self(decode_key(without_line_end(text))?))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey")
    }
}

fn without_line_end(text: &str) -> &str {
    text.strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// Decodes base64 of exactly 32 bytes; what is decoded on the way is zeroised.
fn decode_key(text: &str) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    // 44 characters decode to at most 33 bytes, and padding makes them 32.
    let mut buffer = Zeroizing::new([0; 33]);
    if BASE64.decode_len(text.len()) != Ok(buffer.len()) {
        return Err(IdentityError::NotBase64);
    }
    let length = BASE64
        .decode_mut(text.as_bytes(), &mut *buffer)
        .map_err(|_| IdentityError::NotBase64)?;
    let (key, _) = buffer
        .split_first_chunk::<32>()
        .filter(|_| length == 32)
        .ok_or(IdentityError::NotBase64)?;
    Ok(Zeroizing::new(*key))
}
