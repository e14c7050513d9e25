//! The two messages of the handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, through `snow`.
//!
//! This module frames the Noise messages as WireGuard does (whitepaper, sections 5.4.2 and 5.4.3)
//! and leaves both macs zero for [`super::mac::MacSigner`]. `snow` itself would accept low-order
//! public keys and would draw its own randomness, so it gets its curve and its random bytes from
//! here: a Diffie-Hellman result of zeros ends the handshake, as in WireGuard, and an ephemeral key
//! is 32 bytes of the caller's [`Entropy`].

use std::fmt;
use std::ops::Range;

use curve25519_dalek::MontgomeryPoint;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use super::tai64n::Tai64n;
use crate::entropy::Entropy;
use crate::identity::{PresharedKey, PublicKey, Secret};
use crate::wire::datagram::{
    INITIATION, INITIATION_LEN, RESPONSE, RESPONSE_LEN, initiation_sender, response_receiver,
};

const PROTOCOL: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
const PSK_POSITION: u8 = 2;

/// Where the Noise message lies in an initiation: after type and sender, before the macs.
const INITIATION_NOISE: Range<usize> = 8..INITIATION_LEN - 32;
/// Where it lies in a response: after type, sender and receiver, before the macs.
const RESPONSE_NOISE: Range<usize> = 12..RESPONSE_LEN - 32;

/// Why a handshake message leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// Not made for this key, this handshake or this preshared key, or altered on the way.
    NotAuthentic,
    /// A public key of low order, with which the shared secret would be no secret (RFC 7748, 6.1).
    WeakKey,
    /// The handshake has already produced its keys.
    Finished,
    /// The Noise library refused its own suite; no input causes this.
    Library,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAuthentic => "handshake message is not authentic",
            Self::WeakKey => "public key of low order",
            Self::Finished => "handshake is already finished",
            Self::Library => "Noise library refused the suite",
        })
    }
}

impl std::error::Error for HandshakeError {}

impl From<snow::Error> for HandshakeError {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Decrypt => Self::NotAuthentic,
            snow::Error::Dh => Self::WeakKey,
            _ => Self::Library,
        }
    }
}

/// The two keys of a session, one for each direction.
pub struct TransportKeys {
    /// Seals what this side sends.
    pub send: Zeroizing<[u8; 32]>,
    /// Opens what the other side sends.
    pub receive: Zeroizing<[u8; 32]>,
}

/// The side that sent an initiation and waits for the response.
pub struct Initiator {
    state: HandshakeState,
    sender_index: u32,
}

impl Initiator {
    /// Begins a handshake: the state to keep, and the initiation to sign and send.
    ///
    /// Fails with [`HandshakeError::WeakKey`] if `remote` is of low order.
    pub fn start(
        local: &Secret,
        remote: &PublicKey,
        psk: &PresharedKey,
        sender_index: u32,
        timestamp: Tai64n,
        entropy: &mut dyn Entropy,
    ) -> Result<(Self, [u8; INITIATION_LEN]), HandshakeError> {
        let mut state = builder(&local.x25519(), entropy)?
            .remote_public_key(remote.as_bytes())?
            .psk(PSK_POSITION, psk.as_bytes())?
            .build_initiator()?;

        let mut message = [0; INITIATION_LEN];
        message[0] = INITIATION;
        message[4..8].copy_from_slice(&sender_index.to_le_bytes());
        state.write_message(timestamp.as_bytes(), &mut message[INITIATION_NOISE])?;
        let initiator = Self {
            state,
            sender_index,
        };
        Ok((initiator, message))
    }

    /// Reads the response. Its macs are the caller's to check.
    ///
    /// A response that fails changes nothing: whoever saw the initiation can forge one with the
    /// right receiver index, and the true one may still come. It works because `snow` restores hash
    /// and chaining key after a failure, and all else that a response sets is set before it is used.
    pub fn finish(
        &mut self,
        message: &[u8; RESPONSE_LEN],
    ) -> Result<TransportKeys, HandshakeError> {
        if self.state.is_handshake_finished() {
            return Err(HandshakeError::Finished);
        }
        if !has_type(message, RESPONSE) || response_receiver(message) != self.sender_index {
            return Err(HandshakeError::NotAuthentic);
        }
        self.state.read_message(&message[RESPONSE_NOISE], &mut [])?;
        let (send, receive) = split(&mut self.state);
        Ok(TransportKeys { send, receive })
    }
}

/// The side that has read an initiation and may answer it.
pub struct Responder {
    state: HandshakeState,
    remote: PublicKey,
    timestamp: Tai64n,
    remote_index: u32,
}

impl Responder {
    /// Reads an initiation. Its macs are the caller's to check, and first: this costs three
    /// scalar multiplications.
    ///
    /// That it succeeds says only that the initiator holds [`Responder::remote`]'s private key;
    /// whether that is a peer, and the timestamp a new one, is for the caller to decide.
    pub fn read(
        local: &Secret,
        message: &[u8; INITIATION_LEN],
        entropy: &mut dyn Entropy,
    ) -> Result<Self, HandshakeError> {
        if !has_type(message, INITIATION) {
            return Err(HandshakeError::NotAuthentic);
        }
        let mut state = builder(&local.x25519(), entropy)?.build_responder()?;
        let mut timestamp = [0; 12];
        state.read_message(&message[INITIATION_NOISE], &mut timestamp)?;
        let remote = state
            .get_remote_static()
            .and_then(|key| <&[u8; 32]>::try_from(key).ok())
            .ok_or(HandshakeError::Library)?;
        let remote = PublicKey::from_bytes(remote).map_err(|_| HandshakeError::WeakKey)?;
        Ok(Self {
            state,
            remote,
            timestamp: Tai64n::from_bytes(timestamp),
            remote_index: initiation_sender(message),
        })
    }

    /// Who initiated.
    pub fn remote(&self) -> PublicKey {
        self.remote
    }

    /// The initiation's timestamp, to be compared with the greatest accepted from this peer.
    pub fn timestamp(&self) -> Tai64n {
        self.timestamp
    }

    /// The index by which the initiator wants to be addressed.
    pub fn remote_index(&self) -> u32 {
        self.remote_index
    }

    /// Answers: the response to sign and send, and the keys of the session.
    pub fn respond(
        mut self,
        psk: &PresharedKey,
        local_index: u32,
    ) -> Result<([u8; RESPONSE_LEN], TransportKeys), HandshakeError> {
        self.state.set_psk(PSK_POSITION.into(), psk.as_bytes())?;
        let mut message = [0; RESPONSE_LEN];
        message[0] = RESPONSE;
        message[4..8].copy_from_slice(&local_index.to_le_bytes());
        message[8..12].copy_from_slice(&self.remote_index.to_le_bytes());
        self.state
            .write_message(&[], &mut message[RESPONSE_NOISE])?;
        let (receive, send) = split(&mut self.state);
        Ok((message, TransportKeys { send, receive }))
    }
}

fn has_type(message: &[u8], kind: u8) -> bool {
    message.starts_with(&[kind, 0, 0, 0])
}

/// The key from initiator to responder, and the one back.
fn split(state: &mut HandshakeState) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let (forth, back) = state.dangerously_get_raw_split();
    (Zeroizing::new(forth), Zeroizing::new(back))
}

fn builder<'a>(
    private_key: &'a [u8; 32],
    entropy: &mut dyn Entropy,
) -> Result<Builder<'a>, HandshakeError> {
    let params: NoiseParams = PROTOCOL.parse()?;
    let mut ephemeral = Zeroizing::new([0; 32]);
    entropy.fill(&mut *ephemeral);
    let builder = Builder::with_resolver(params, Box::new(Suite { ephemeral }))
        .prologue(PROLOGUE)?
        .local_private_key(private_key)?;
    Ok(builder)
}

/// What `snow` computes with: our curve and randomness, its own hash and cipher.
struct Suite {
    ephemeral: Zeroizing<[u8; 32]>,
}

impl CryptoResolver for Suite {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneKey(Some(self.ephemeral.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Randomness for the one ephemeral key of a handshake, drawn beforehand; it is never given twice.
struct OneKey(Option<Zeroizing<[u8; 32]>>);

impl Random for OneKey {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        let out = <&mut [u8; 32]>::try_from(out).map_err(|_| snow::Error::Rng)?;
        *out = *self.0.take().ok_or(snow::Error::Rng)?;
        Ok(())
    }
}

/// X25519 (RFC 7748) that zeroises its private key and refuses a shared secret of zeros.
#[derive(Default)]
struct X25519 {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        for (byte, new) in self.private.iter_mut().zip(private) {
            *byte = *new;
        }
        self.public = MontgomeryPoint::mul_base_clamped(*self.private).to_bytes();
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        let mut private = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut *private)?;
        self.set(&*private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = public.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let shared = Zeroizing::new(
            MontgomeryPoint(*public)
                .mul_clamped(*self.private)
                .to_bytes(),
        );
        // Every bit is looked at before any decision: the secret must not leak by timing.
        if shared.iter().fold(0, |seen, byte| seen | byte) == 0 {
            return Err(snow::Error::Dh);
        }
        out.first_chunk_mut::<32>()
            .ok_or(snow::Error::Dh)?
            .copy_from_slice(&*shared);
        Ok(())
    }
}
