//! Addresses of links.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Netlink, NetlinkError};

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The index of the link.
    pub link: u32,
    /// The address itself.
    pub ip: IpAddr,
    /// Bits of its prefix.
    pub prefix: u8,
    /// Fit to send from: global scope, and neither tentative, nor a duplicate, nor deprecated.
    pub usable: bool,
}

impl Address {
    pub(super) fn parse(message: &AddressMessage) -> Option<Self> {
        let (mut local, mut peer) = (None, None);
        let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Address(ip) => peer = Some(*ip),
                AddressAttribute::Flags(all) => flags = *all,
                _ => {}
            }
        }
        let unfit = AddressFlags::Tentative | AddressFlags::Dadfailed | AddressFlags::Deprecated;
        Some(Self {
            link: message.header.index,
            // On a point-to-point link IFA_ADDRESS is the other end's.
            ip: local.or(peer)?,
            prefix: message.header.prefix_len,
            usable: message.header.scope == AddressScope::Universe && !flags.intersects(unfit),
        })
    }
}

impl Netlink {
    /// Gives the link `index` the address `ip/prefix`. IPv6 skips duplicate address detection, which a
    /// TUN device has nobody to do with, so the address serves at once.
    pub fn replace_address(
        &mut self,
        index: u32,
        ip: IpAddr,
        prefix: u8,
    ) -> Result<(), NetlinkError> {
        let request = RouteNetlinkMessage::NewAddress(request(index, ip, prefix));
        self.change(request, NLM_F_CREATE | NLM_F_REPLACE, || {
            format!("adding the address {ip}/{prefix} to link {index}")
        })
    }

    /// Takes the address `ip/prefix` from the link `index`, if it has it.
    pub fn remove_address(
        &mut self,
        index: u32,
        ip: IpAddr,
        prefix: u8,
    ) -> Result<(), NetlinkError> {
        let request = RouteNetlinkMessage::DelAddress(request(index, ip, prefix));
        let removed = self.change(request, 0, || {
            format!("removing the address {ip}/{prefix} from link {index}")
        });
        match removed {
            Err(error) if matches!(error.errno, libc::EADDRNOTAVAIL | libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// The addresses of the link `index`.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<Address>, NetlinkError> {
        let mut list = self.all_addresses()?;
        list.retain(|address| address.link == index);
        Ok(list)
    }

    pub(super) fn all_addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let visit = |part| match part {
            RouteNetlinkMessage::NewAddress(message) => Address::parse(&message),
            _ => None,
        };
        self.dump(&request, visit, "listing addresses")
    }
}

fn request(index: u32, ip: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.attributes.push(AddressAttribute::Local(ip));
    message.attributes.push(AddressAttribute::Address(ip));
    match ip {
        IpAddr::V4(_) => message.header.family = AddressFamily::Inet,
        IpAddr::V6(_) => {
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
        }
    }
    message
}
