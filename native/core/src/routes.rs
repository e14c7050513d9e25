//! Cryptokey routing: which peer an inner address belongs to, by longest prefix.
//!
//! The table is built once and never changes; whoever changes routes publishes a new one. Prefixes
//! are flattened into intervals at building, so that a look-up is one binary search without
//! allocation: ten steps for five hundred prefixes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses: those that agree with `address` in its first `length` bits.
///
/// Invariant: the bits after them are zero, so equal blocks are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpPrefix {
    address: IpAddr,
    length: u8,
}

impl IpPrefix {
    /// The block of `length` bits that `address` is in; bits after those are cleared, as `wg` does.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, NotAPrefix> {
        let address = match address {
            IpAddr::V4(ip) if length <= 32 => {
                IpAddr::V4((u32::from(ip) & !host_mask_v4(length)).into())
            }
            IpAddr::V6(ip) if length <= 128 => {
                IpAddr::V6((u128::from(ip) & !host_mask_v6(length)).into())
            }
            _ => return Err(NotAPrefix),
        };
        Ok(Self { address, length })
    }

    /// The first address of the block.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits all addresses of the block share.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether the network holds `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_family = self.address.is_ipv4() == address.is_ipv4();
        same_family && Self::new(address, self.length).is_ok_and(|prefix| prefix == *self)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The text is no address, or the length is more than the address has bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPrefix;

impl fmt::Display for NotAPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an IP prefix such as 10.88.0.0/24 or fd00::/8")
    }
}

impl std::error::Error for NotAPrefix {}

impl FromStr for IpPrefix {
    type Err = NotAPrefix;

    /// Reads `address/length`, or an address alone, which is the block of itself.
    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotAPrefix)?;
        let length = match length {
            // One spelling for each: `u8::from_str` would take "+8" and "08" too.
            Some(digits) if digits.starts_with('+') || is_zero_padded(digits) => {
                return Err(NotAPrefix);
            }
            Some(digits) => digits.parse().map_err(|_| NotAPrefix)?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Self::new(address, length)
    }
}

fn is_zero_padded(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0')
}

fn host_mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shr(length.into()).unwrap_or(0)
}

fn host_mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// One prefix was given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap(pub IpPrefix);

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is routed twice", self.0)
    }
}

impl std::error::Error for Overlap {}

/// An immutable routing table for IPv4 and IPv6.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    v4: Intervals<u32, T>,
    v6: Intervals<u128, T>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self {
            v4: Intervals::default(),
            v6: Intervals::default(),
        }
    }
}

impl<T: Copy> Routes<T> {
    /// Builds the table. Blocks may lie within each other, but none may be given twice.
    pub fn build(routes: impl IntoIterator<Item = (IpPrefix, T)>) -> Result<Self, Overlap> {
        let mut routes: Vec<_> = routes.into_iter().collect();
        // By first address, and of those that begin together the largest block first: an inner
        // block always comes after the one around it.
        routes.sort_by_key(|(prefix, _)| *prefix);
        let mut tables = Self::default();
        let mut previous = None;
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (prefix, target) in routes {
            if previous.replace(prefix) == Some(prefix) {
                return Err(Overlap(prefix));
            }
            match prefix.address {
                IpAddr::V4(ip) => {
                    let first = u32::from(ip);
                    v4.push((first, first | host_mask_v4(prefix.length), target));
                }
                IpAddr::V6(ip) => {
                    let first = u128::from(ip);
                    v6.push((first, first | host_mask_v6(prefix.length), target));
                }
            }
        }
        tables.v4 = Intervals::flatten(v4, |last| last.checked_add(1));
        tables.v6 = Intervals::flatten(v6, |last| last.checked_add(1));
        Ok(tables)
    }

    /// The target of the longest prefix that `address` is in.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> Option<T> {
        match address {
            IpAddr::V4(ip) => self.v4.lookup(u32::from(ip)),
            IpAddr::V6(ip) => self.v6.lookup(u128::from(ip)),
        }
    }
}

/// A map from every address to a target or none, constant from each start to the next.
#[derive(Clone, Debug)]
struct Intervals<A, T> {
    /// Ascending. Addresses before the first have no target.
    starts: Vec<A>,
    /// The target from the start of the same index on.
    targets: Vec<Option<T>>,
}

impl<A, T> Default for Intervals<A, T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            targets: Vec::new(),
        }
    }
}

impl<A: Copy + Ord, T: Copy> Intervals<A, T> {
    /// From blocks (first, last, target), outer ones before those within them.
    fn flatten(blocks: Vec<(A, A, T)>, successor: impl Fn(A) -> Option<A>) -> Self {
        let mut map = Self::default();
        // The blocks around the present place, the innermost last.
        let mut open: Vec<(A, T)> = Vec::new();
        for (first, last, target) in blocks {
            map.close(&mut open, |end| end < first, &successor);
            map.begin(first, Some(target));
            open.push((last, target));
        }
        map.close(&mut open, |_| true, &successor);
        map
    }

    /// Ends open blocks from the innermost on, as long as their last address is `over`.
    fn close(
        &mut self,
        open: &mut Vec<(A, T)>,
        over: impl Fn(A) -> bool,
        successor: &impl Fn(A) -> Option<A>,
    ) {
        while let Some((end, _)) = open.pop_if(|(end, _)| over(*end)) {
            if let Some(after) = successor(end) {
                self.begin(after, open.last().map(|(_, target)| *target));
            }
        }
    }

    /// Sets the target from `start` on; of several for one start, the last one holds.
    fn begin(&mut self, start: A, target: Option<T>) {
        if self.starts.last() == Some(&start) {
            self.targets.pop();
        } else {
            self.starts.push(start);
        }
        self.targets.push(target);
    }

    #[inline]
    fn lookup(&self, address: A) -> Option<T> {
        let after = self.starts.partition_point(|start| *start <= address);
        *self.targets.get(after.checked_sub(1)?)?
    }
}
