//! The cipher of the packet path, ChaCha20-Poly1305 (RFC 8439), one run of datagrams at a time.
//!
//! A run is a slice of consecutive WireGuard transport datagrams of `stride` bytes each, the last
//! one possibly shorter. Every datagram is [`HEADER_LEN`] bytes of header, the payload, and
//! [`TAG_LEN`] bytes of tag. The nonce is four zero bytes and the little-endian counter; there is no
//! associated data (WireGuard whitepaper, section 5.4.6). Handing over whole runs is what lets a
//! backend work on several datagrams at once.

/// Bytes of a transport header: type, three reserved, receiver index, counter.
pub const HEADER_LEN: usize = 16;
/// Bytes of a Poly1305 tag.
pub const TAG_LEN: usize = 16;

/// One direction of one keypair, expanded as the backend likes it. Zeroised on drop.
pub trait AeadKey: Send + Sync {
    /// Seals in place each datagram of `run`: encrypts its payload and fills its tag.
    ///
    /// The n-th datagram uses the nonce `first_counter + n`. Headers are neither read nor written.
    /// Every datagram, the last too, is at least `HEADER_LEN + TAG_LEN` bytes.
    fn seal_run(&self, first_counter: u64, run: &mut [u8], stride: usize);

    /// Opens in place each datagram of `run`, `counters[n]` being the nonce of the n-th.
    ///
    /// `verdicts[n]` says whether the n-th is authentic; the payload of one that is not is
    /// unspecified and must not be used. A datagram shorter than header and tag is not authentic.
    /// `counters` and `verdicts` have one entry for each datagram.
    fn open_run(&self, counters: &[u64], run: &mut [u8], stride: usize, verdicts: &mut [bool]);
}

/// An implementation of the cipher, chosen once at start.
pub trait AeadBackend: Send + Sync {
    /// The name that `status` shows.
    fn name(&self) -> &'static str;

    /// Expands a raw 256-bit key.
    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey>;
}
