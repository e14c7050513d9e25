//! The eight bytes in front of a bonded inner packet (design, section 4, Bonded data).
//!
//! ```text
//!  byte 0        1              2..5 (LE)      5..8 (LE)
//!  1000 | flags  path | bucket  path sequence  bucket sequence
//! ```
//! Path and bucket take four bits each, high and low. Both sequences are the low 24 bits of counters
//! that never wrap at either end; [`extend`] restores the rest.

/// Bytes of the shim.
pub const SHIM_LEN: usize = 8;
/// First nibble of the shim, distinct from an IP version and from control frames.
const KIND: u8 = 0x80;
/// The packet belongs to the order of its bucket.
const ORDERED: u8 = 1;
/// The packet is of the latency class: never held, perhaps duplicated.
const LATENCY: u8 = 2;
const KNOWN_FLAGS: u8 = ORDERED | LATENCY;
/// Sequences travel as this many bits: at 10 Gbit/s of full packets they repeat after 19 s.
pub const SEQUENCE_BITS: u32 = 24;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

/// What the shim says of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shim {
    /// Whether the packet waits for those before it in its bucket.
    pub ordered: bool,
    /// Whether the packet is of the latency class.
    pub latency: bool,
    /// The sender's number of the path that the packet was first sent on, 0 to 15.
    pub path: u8,
    /// The sequence space of the order, 0 to 15.
    pub bucket: u8,
    /// Low 24 bits of the packet's number on its path.
    pub path_sequence: u32,
    /// Low 24 bits of the packet's number in its bucket.
    pub bucket_sequence: u32,
}

impl Shim {
    /// The shim in bytes; numbers are cut to their bits.
    pub fn encode(&self) -> [u8; SHIM_LEN] {
        let flags = (u8::from(self.ordered) * ORDERED) | (u8::from(self.latency) * LATENCY);
        let [p0, p1, p2, _] = self.path_sequence.to_le_bytes();
        let [b0, b1, b2, _] = self.bucket_sequence.to_le_bytes();
        [
            KIND | flags,
            (self.path << 4) | (self.bucket & 0x0f),
            p0,
            p1,
            p2,
            b0,
            b1,
            b2,
        ]
    }

    /// The shim at the start of `plaintext`, and the inner packet after it.
    pub fn parse(plaintext: &[u8]) -> Option<(Self, &[u8])> {
        let ([kind, place, p0, p1, p2, b0, b1, b2], packet) =
            plaintext.split_first_chunk::<SHIM_LEN>()?;
        if kind & !KNOWN_FLAGS != KIND {
            return None;
        }
        let shim = Self {
            ordered: kind & ORDERED != 0,
            latency: kind & LATENCY != 0,
            path: place >> 4,
            bucket: place & 0x0f,
            path_sequence: u32::from_le_bytes([*p0, *p1, *p2, 0]),
            bucket_sequence: u32::from_le_bytes([*b0, *b1, *b2, 0]),
        };
        Some((shim, packet))
    }
}

/// The counter nearest to `near` whose low 24 bits are `low`.
pub fn extend(near: u64, low: u32) -> u64 {
    let half = 1 << (SEQUENCE_BITS - 1);
    let ahead = u64::from(low).wrapping_sub(near) & SEQUENCE_MASK;
    if ahead < half {
        near.saturating_add(ahead)
    } else {
        // Behind, unless that would be before the first number.
        near.checked_sub(SEQUENCE_MASK + 1 - ahead)
            .unwrap_or(near.saturating_add(ahead))
    }
}
