//! TAI64N, the timestamp of a handshake initiation (WireGuard whitepaper, section 5.1).
//!
//! A responder accepts only a timestamp greater than the greatest it has accepted from that peer;
//! that, not the date, is the point, so the order of the bytes is the order of the type.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;

/// TAI64's label of 1970-01-01 00:00:00 TAI, plus the ten seconds that TAI was ahead of UTC then.
const UNIX_EPOCH: u64 = (1 << 62) + 10;

const LAST_NANOSECOND: u32 = 999_999_999;

/// Seconds (8 bytes) and nanoseconds (4 bytes), both big-endian. The default precedes every time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tai64n([u8; 12]);

impl Tai64n {
    /// The timestamp of a span since the Unix epoch. Saturates after some 10^11 years.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let seconds = UNIX_EPOCH.saturating_add(since_epoch.as_secs());
        Self::from_parts(seconds, since_epoch.subsec_nanos())
    }

    /// The next timestamp, one nanosecond later; the last of all is its own successor.
    pub fn next(self) -> Self {
        let (seconds, nanoseconds) = self.parts();
        if nanoseconds < LAST_NANOSECOND {
            return Self::from_parts(seconds, nanoseconds + 1);
        }
        seconds
            .checked_add(1)
            .map_or(Self([0xff; 12]), |seconds| Self::from_parts(seconds, 0))
    }

    /// Takes the bytes of a message as they are, whatever they say.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// The bytes of a message.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    fn from_parts(seconds: u64, nanoseconds: u32) -> Self {
        let mut bytes = [0; 12];
        let (high, low) = bytes.split_at_mut(8);
        high.copy_from_slice(&seconds.to_be_bytes());
        low.copy_from_slice(&nanoseconds.to_be_bytes());
        Self(bytes)
    }

    fn parts(self) -> (u64, u32) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        (
            u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            u32::from_be_bytes([i, j, k, l]),
        )
    }
}

impl fmt::Display for Tai64n {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The text is not 24 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTai64n;

impl fmt::Display for NotTai64n {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not 24 lower-case hexadecimal digits")
    }
}

impl std::error::Error for NotTai64n {}

impl FromStr for Tai64n {
    type Err = NotTai64n;

    fn from_str(text: &str) -> Result<Self, NotTai64n> {
        let mut bytes = [0; 12];
        if text.len() != 2 * bytes.len() {
            return Err(NotTai64n);
        }
        HEXLOWER
            .decode_mut(text.as_bytes(), &mut bytes)
            .map_err(|_| NotTai64n)?;
        Ok(Self(bytes))
    }
}
