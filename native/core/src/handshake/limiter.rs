//! How many handshake messages one source may have answered: a token bucket for each.
//!
//! A source is an IPv4 address or an IPv6 /64, the least that one host or site commands. Invariant:
//! at most 4096 buckets exist, whoever sends.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Instant;

/// 20 messages per second, as other WireGuard implementations allow.
const COST: Duration = Duration::from_millis(50);
/// A burst of 5 messages.
const CAPACITY: Duration = Duration::from_millis(250);

/// Buckets kept: some 250 KiB, and far more sources than one node has peers behind.
///
/// Beyond that the oldest bucket makes room. Losing a bucket only gives its source a new burst, and
/// to push one out takes as many sources as would each have had a burst anyway.
const MAX_SOURCES: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

struct Bucket {
    /// The time that the source has saved up; each message costs [`COST`] of it.
    credit: Duration,
    updated: Instant,
}

/// The buckets of all sources heard lately.
#[derive(Default)]
pub struct RateLimiter {
    buckets: BTreeMap<Source, Bucket>,
    by_age: VecDeque<Source>,
}

impl RateLimiter {
    /// Whether a message from `source` may be worked on now; if so, it is counted.
    pub fn allow(&mut self, source: IpAddr, now: Instant) -> bool {
        let source = Source::from(source);
        let Some(bucket) = self.buckets.get_mut(&source) else {
            self.insert(source, now);
            return true;
        };
        bucket.credit = (bucket.credit + (now - bucket.updated)).min(CAPACITY);
        bucket.updated = now;
        let rest = bucket.credit.checked_sub(COST);
        bucket.credit = rest.unwrap_or(bucket.credit);
        rest.is_some()
    }

    /// Begins a bucket, full but for the message that it is begun for.
    fn insert(&mut self, source: Source, now: Instant) {
        if self.by_age.len() >= MAX_SOURCES
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.buckets.remove(&oldest);
        }
        self.by_age.push_back(source);
        let bucket = Bucket {
            credit: CAPACITY - COST,
            updated: now,
        };
        self.buckets.insert(source, bucket);
    }
}
