//! The TUN device's desired state: MTU, addresses, routes. Brought about by netlink, difference only.
//!
//! Everything hangs on the device, which the kernel removes with its last descriptor: a killed agent
//! leaves nothing behind.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;

use whalescale_core::aead::{HEADER_LEN, TAG_LEN};
use whalescale_core::routes::IpPrefix;

use crate::netlink::{LinkSettings, Netlink, NetlinkError, gso_max_segments};

/// Packets that the device queues for the transmit thread. The kernel's 500 are gone in a
/// millisecond of small packets; each of these may be a super-packet, so not much more either.
const QUEUE_LEN: u32 = 1000;

/// An address with the length of its network, such as `10.88.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InterfaceAddress {
    ip: IpAddr,
    prefix: u8,
}

/// Why the device cannot be as wished.
#[derive(Debug)]
pub enum DeviceError {
    /// Not an address with a prefix length.
    NotAnAddress(String),
    /// Not a network prefix.
    NotAPrefix(String),
    /// The kernel refused.
    Netlink(NetlinkError),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAddress(text) => write!(f, "{text} is not an address with a prefix length"),
            Self::NotAPrefix(text) => write!(f, "{text} is not a network prefix"),
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DeviceError {}

impl From<NetlinkError> for DeviceError {
    fn from(error: NetlinkError) -> Self {
        Self::Netlink(error)
    }
}

/// The device and what it has.
pub(super) struct Device {
    netlink: Netlink,
    index: u32,
    up: bool,
    addresses: BTreeSet<InterfaceAddress>,
    routes: BTreeSet<IpPrefix>,
}

impl Device {
    /// Finds the device called `name`.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let link = netlink.link(name).map_err(io::Error::other)?;
        let link = link.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no interface {name}"))
        })?;
        Ok(Self {
            netlink,
            index: link.index,
            up: link.up,
            addresses: BTreeSet::new(),
            routes: BTreeSet::new(),
        })
    }

    /// Its index.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Gives the device exactly these addresses and routes, and brings it up.
    pub(super) fn apply(
        &mut self,
        addresses: &[String],
        routes: &[String],
        mtu: u16,
    ) -> Result<(), DeviceError> {
        let addresses = addresses
            .iter()
            .map(|text| parse_address(text))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let routes = routes
            .iter()
            .map(|text| parse_route(text))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if !self.up {
            self.bring_up(mtu)?;
        }
        self.apply_addresses(addresses)?;
        self.apply_routes(routes)
    }

    fn bring_up(&mut self, mtu: u16) -> Result<(), DeviceError> {
        self.netlink.disable_autoconfiguration(self.index)?;
        let settings = LinkSettings {
            up: Some(true),
            tx_queue_len: Some(QUEUE_LEN),
            ..sizes(mtu)
        };
        self.netlink.set_link(self.index, &settings)?;
        self.up = true;
        Ok(())
    }

    fn apply_addresses(&mut self, wished: BTreeSet<InterfaceAddress>) -> Result<(), DeviceError> {
        for address in wished.difference(&self.addresses) {
            self.netlink
                .replace_address(self.index, address.ip, address.prefix)?;
        }
        for address in self.addresses.difference(&wished) {
            self.netlink
                .remove_address(self.index, address.ip, address.prefix)?;
        }
        self.addresses = wished;
        Ok(())
    }

    fn apply_routes(&mut self, wished: BTreeSet<IpPrefix>) -> Result<(), DeviceError> {
        for route in wished.difference(&self.routes) {
            self.netlink
                .replace_route(route.address(), route.length(), self.index, None)?;
        }
        for route in self.routes.difference(&wished) {
            self.netlink
                .remove_route(route.address(), route.length(), self.index)?;
        }
        self.routes = wished;
        Ok(())
    }

    /// Sets the MTU, and with it how long super-packets may be.
    pub(super) fn set_mtu(&mut self, mtu: u16) -> Result<(), NetlinkError> {
        self.netlink.set_link(self.index, &sizes(mtu))
    }
}

/// The MTU, and the super-packet limits that make one read one send.
fn sizes(mtu: u16) -> LinkSettings {
    let sealed = usize::from(mtu) + HEADER_LEN + TAG_LEN;
    LinkSettings {
        mtu: Some(mtu.into()),
        gso_max_segments: Some(gso_max_segments(sealed)),
        ..LinkSettings::default()
    }
}

fn parse_address(text: &str) -> Result<InterfaceAddress, DeviceError> {
    let parse = || {
        let (ip, prefix) = text.split_once('/')?;
        let ip: IpAddr = ip.parse().ok()?;
        let prefix = prefix
            .parse()
            .ok()
            .filter(|prefix| *prefix <= if ip.is_ipv4() { 32 } else { 128 })?;
        Some(InterfaceAddress { ip, prefix })
    };
    parse().ok_or_else(|| DeviceError::NotAnAddress(text.to_owned()))
}

fn parse_route(text: &str) -> Result<IpPrefix, DeviceError> {
    text.parse()
        .map_err(|_| DeviceError::NotAPrefix(text.to_owned()))
}
