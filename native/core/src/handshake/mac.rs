//! The two macs at the end of a handshake message (WireGuard whitepaper, sections 5.4.4 and 5.4.7).
//!
//! mac1 proves that the sender knows our public key: without it there is no answer at all. mac2
//! proves, when we are under load, that the sender receives at the address it sends from: it is made
//! with a cookie which we gave to that address, encrypted so that only who knows our public key and
//! saw the message can read it.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use chacha20poly1305::{AeadInPlace, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::identity::PublicKey;
use crate::time::Instant;
use crate::wire::datagram::{COOKIE_REPLY, COOKIE_REPLY_LEN, INITIATION_LEN, RESPONSE_LEN};

type Mac16 = Blake2sMac<U16>;

const MAC_LEN: usize = 16;
const MAC1_LABEL: &[u8] = b"mac1----";
const COOKIE_LABEL: &[u8] = b"cookie--";

/// How long a cookie is good, and the secret behind it in use (whitepaper, section 5.3).
const COOKIE_LIFETIME: Duration = Duration::from_secs(120);

/// The parts of a cookie reply after type and receiver index (whitepaper, section 5.4.7).
const NONCE: Range<usize> = 8..32;
const COOKIE: Range<usize> = 32..48;
const TAG: Range<usize> = 48..COOKIE_REPLY_LEN;

/// A handshake message taken apart for its macs.
struct Signed<'a> {
    /// What mac1 covers.
    body: &'a [u8],
    mac1: &'a [u8; MAC_LEN],
    /// What mac2 covers: body and mac1.
    body_and_mac1: &'a [u8],
    mac2: &'a [u8; MAC_LEN],
}

impl<'a> Signed<'a> {
    /// `None` if the length is that of no handshake message.
    fn parse(message: &'a [u8]) -> Option<Self> {
        if !matches!(message.len(), INITIATION_LEN | RESPONSE_LEN) {
            return None;
        }
        let (body_and_mac1, mac2) = message.split_last_chunk()?;
        let (body, mac1) = body_and_mac1.split_last_chunk()?;
        Some(Self {
            body,
            mac1,
            body_and_mac1,
            mac2,
        })
    }
}

/// Checks mac1 of what is sent to one public key, ours. Cheap to clone, for the receive thread.
#[derive(Clone)]
pub struct MacVerifier {
    keyed: Mac16,
}

impl MacVerifier {
    /// A verifier for messages to `local`.
    pub fn new(local: &PublicKey) -> Self {
        Self {
            keyed: mac1_keyed(local),
        }
    }

    /// Whether `message` has a handshake message's length and a right mac1. Constant-time.
    pub fn mac1_valid(&self, message: &[u8]) -> bool {
        Signed::parse(message).is_some_and(|signed| {
            let mac = self.keyed.clone().chain_update(signed.body);
            mac.verify_slice(signed.mac1).is_ok()
        })
    }
}

/// Gives out cookies and checks the mac2 made with them.
pub struct CookieChecker {
    encryption: XChaCha20Poly1305,
    secret: Zeroizing<[u8; 32]>,
    secret_born: Option<Instant>,
}

impl CookieChecker {
    /// A checker for messages to `local`.
    pub fn new(local: &PublicKey) -> Self {
        Self {
            encryption: cookie_encryption(local),
            secret: Zeroizing::default(),
            secret_born: None,
        }
    }

    /// Whether `message` carries a mac2 made with a cookie that `source` got from us lately.
    pub fn mac2_valid(
        &mut self,
        message: &[u8],
        source: SocketAddr,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> bool {
        let cookie = self.cookie(source, now, entropy);
        Signed::parse(message).is_some_and(|signed| {
            mac2_keyed(&cookie).is_some_and(|keyed| {
                let mac = keyed.chain_update(signed.body_and_mac1);
                mac.verify_slice(signed.mac2).is_ok()
            })
        })
    }

    /// A cookie reply to `message`, whose mac1 must be valid, for `source`.
    ///
    /// The answer to bytes that are no handshake message can be read by nobody.
    pub fn reply(
        &mut self,
        message: &[u8],
        source: SocketAddr,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> [u8; COOKIE_REPLY_LEN] {
        let mut cookie = self.cookie(source, now, entropy);
        let mut nonce = [0; 24];
        entropy.fill(&mut nonce);

        let mut reply = [0; COOKIE_REPLY_LEN];
        let sealed = Signed::parse(message).and_then(|signed| {
            let tag = self
                .encryption
                .encrypt_in_place_detached(&nonce.into(), signed.mac1, &mut cookie)
                .ok()?;
            Some((signed.body.get(4..8)?, tag))
        });
        reply[0] = COOKIE_REPLY;
        if let Some((sender_index, tag)) = sealed {
            reply[4..8].copy_from_slice(sender_index);
            reply[NONCE].copy_from_slice(&nonce);
            reply[COOKIE].copy_from_slice(&cookie);
            reply[TAG].copy_from_slice(&tag);
        }
        reply
    }

    /// The cookie of `source` under the present secret, which is renewed when it is too old.
    fn cookie(
        &mut self,
        source: SocketAddr,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> [u8; MAC_LEN] {
        let fresh = self
            .secret_born
            .is_some_and(|born| now - born < COOKIE_LIFETIME);
        if !fresh {
            entropy.fill(&mut *self.secret);
            self.secret_born = Some(now);
        }
        let mac = <Mac16 as Mac>::new((&*self.secret).into());
        // An IPv4 address is 4 bytes here and an IPv6 one 16: neither passes for the other.
        let mac = match source.ip() {
            IpAddr::V4(ip) => mac.chain_update(ip.octets()),
            IpAddr::V6(ip) => mac.chain_update(ip.octets()),
        };
        let mac = mac.chain_update(source.port().to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// Signs what we send to one peer, and keeps the cookie that the peer gave us.
///
/// A cookie is bound to our address as the peer sees it, so each path has a signer of its own.
pub struct MacSigner {
    keyed: Mac16,
    encryption: XChaCha20Poly1305,
    last_mac1: Option<[u8; MAC_LEN]>,
    cookie: Option<([u8; MAC_LEN], Instant)>,
}

impl MacSigner {
    /// A signer for messages to `remote`.
    pub fn new(remote: &PublicKey) -> Self {
        Self {
            keyed: mac1_keyed(remote),
            encryption: cookie_encryption(remote),
            last_mac1: None,
            cookie: None,
        }
    }

    /// Fills mac1, and mac2 if we hold a cookie not older than its lifetime; else mac2 is zero.
    ///
    /// Bytes that are no handshake message are left alone.
    pub fn sign(&mut self, message: &mut [u8], now: Instant) {
        let Some(signed) = Signed::parse(message) else {
            return;
        };
        let mac1 = self.keyed.clone().chain_update(signed.body).finalize();
        let mac1: [u8; MAC_LEN] = mac1.into_bytes().into();
        self.last_mac1 = Some(mac1);

        let mac2 = self
            .cookie
            .filter(|(_, received)| now - *received < COOKIE_LIFETIME)
            .and_then(|(cookie, _)| mac2_keyed(&cookie))
            .map_or([0; MAC_LEN], |keyed| {
                let mac = keyed.chain_update(signed.body).chain_update(mac1);
                mac.finalize().into_bytes().into()
            });
        if let Some((rest, out)) = message.split_last_chunk_mut::<MAC_LEN>() {
            *out = mac2;
            if let Some((_, out)) = rest.split_last_chunk_mut() {
                *out = mac1;
            }
        }
    }

    /// Takes the cookie out of a reply to the message signed last; false if it is none of ours.
    ///
    /// One message earns one cookie: a second reply to it is refused.
    pub fn take_cookie(&mut self, reply: &[u8; COOKIE_REPLY_LEN], now: Instant) -> bool {
        let Some(mac1) = self.last_mac1 else {
            return false;
        };
        let mut cookie = [0; MAC_LEN];
        cookie.copy_from_slice(&reply[COOKIE]);
        let opened = self
            .encryption
            .decrypt_in_place_detached(
                XNonce::from_slice(&reply[NONCE]),
                &mac1,
                &mut cookie,
                Tag::from_slice(&reply[TAG]),
            )
            .is_ok();
        if opened {
            self.last_mac1 = None;
            self.cookie = Some((cookie, now));
        }
        opened
    }
}

fn mac1_keyed(receiver: &PublicKey) -> Mac16 {
    <Mac16 as Mac>::new(&labelled_key(MAC1_LABEL, receiver).into())
}

/// `None` never happens: a cookie is shorter than the longest key.
fn mac2_keyed(cookie: &[u8; MAC_LEN]) -> Option<Mac16> {
    <Mac16 as Mac>::new_from_slice(cookie).ok()
}

fn cookie_encryption(receiver: &PublicKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&labelled_key(COOKIE_LABEL, receiver).into())
}

fn labelled_key(label: &[u8], receiver: &PublicKey) -> [u8; 32] {
    Blake2s256::new()
        .chain_update(label)
        .chain_update(receiver.as_bytes())
        .finalize()
        .into()
}
