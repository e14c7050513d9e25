//! Routes through the TUN device, in the main table.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol,
    RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Netlink, NetlinkError};

/// A route of the main table, as far as it tells which interface leads where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The network's first address.
    pub destination: IpAddr,
    /// Bits of its prefix.
    pub prefix: u8,
    /// The index of the link.
    pub link: u32,
    /// The less, the better.
    pub metric: u32,
}

impl Route {
    /// One for each next hop.
    fn parse(message: &RouteMessage) -> Vec<Self> {
        let header = &message.header;
        let (mut to, mut links, mut metric) = (None, Vec::new(), 0);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(ip)) => to = Some((*ip).into()),
                RouteAttribute::Destination(RouteAddress::Inet6(ip)) => to = Some((*ip).into()),
                RouteAttribute::Oif(index) => links.push(*index),
                RouteAttribute::MultiPath(hops) => {
                    links.extend(hops.iter().map(|hop| hop.interface_index));
                }
                RouteAttribute::Priority(priority) => metric = *priority,
                _ => {}
            }
        }
        let any = match header.address_family {
            AddressFamily::Inet => IpAddr::from([0; 4]),
            _ => IpAddr::from([0; 16]),
        };
        let relevant = header.table == RouteHeader::RT_TABLE_MAIN
            && header.kind == RouteType::Unicast
            && matches!(
                header.address_family,
                AddressFamily::Inet | AddressFamily::Inet6
            );
        if !relevant {
            return Vec::new();
        }
        let route = |link| Self {
            destination: to.unwrap_or(any),
            prefix: header.destination_prefix_length,
            link,
            metric,
        };
        links.into_iter().map(route).collect()
    }
}

impl Netlink {
    /// The unicast routes of the main table, of both families.
    pub fn routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let request = RouteNetlinkMessage::GetRoute(message);
            let visit = |part| match part {
                RouteNetlinkMessage::NewRoute(found) => Some(Route::parse(&found)),
                _ => None,
            };
            let routes = self.dump(&request, visit, "listing routes")?;
            all.extend(routes.into_iter().flatten());
        }
        Ok(all)
    }

    /// Routes `destination/prefix` through the link `index`, with the path MTU `mtu` if given.
    ///
    /// Replaces such a route of the same link only: one that leads elsewhere is somebody else's, could
    /// not be restored later, and is refused with EEXIST.
    pub fn replace_route(
        &mut self,
        destination: IpAddr,
        prefix: u8,
        index: u32,
        mtu: Option<u32>,
    ) -> Result<(), NetlinkError> {
        let mut message = route(destination, prefix, index);
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        if destination.is_ipv4() {
            message.header.scope = RouteScope::Link;
        }
        if let Some(mtu) = mtu {
            message
                .attributes
                .push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
        }
        let request = RouteNetlinkMessage::NewRoute(message);
        let tried = || format!("routing {destination}/{prefix} through link {index}");
        match self.change(request.clone(), NLM_F_CREATE | NLM_F_EXCL, tried) {
            Err(error)
                if error.errno == libc::EEXIST && self.is_routed(destination, prefix, index)? =>
            {
                self.change(request, NLM_F_CREATE | NLM_F_REPLACE, tried)
            }
            result => result,
        }
    }

    /// Removes the route of `destination/prefix` through the link `index`, if there is one.
    pub fn remove_route(
        &mut self,
        destination: IpAddr,
        prefix: u8,
        index: u32,
    ) -> Result<(), NetlinkError> {
        let mut message = route(destination, prefix, index);
        // The kernel takes this for "any scope"; the default, universe, would miss our IPv4 routes.
        message.header.scope = RouteScope::NoWhere;
        let request = RouteNetlinkMessage::DelRoute(message);
        let tried = || format!("removing the route of {destination}/{prefix} through link {index}");
        match self.change(request, 0, tried) {
            Err(error) if matches!(error.errno, libc::ESRCH | libc::ENODEV) => Ok(()),
            result => result,
        }
    }

    /// Whether the main table leads `destination/prefix` through the link `index`.
    pub fn is_routed(
        &mut self,
        destination: IpAddr,
        prefix: u8,
        index: u32,
    ) -> Result<bool, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        let request = RouteNetlinkMessage::GetRoute(message);
        let visit = |part| match part {
            RouteNetlinkMessage::NewRoute(found) => {
                leads(&found, destination, prefix, index).then_some(())
            }
            _ => None,
        };
        Ok(!self.dump(&request, visit, "listing routes")?.is_empty())
    }
}

fn family(destination: IpAddr) -> AddressFamily {
    if destination.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn route(destination: IpAddr, prefix: u8, index: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message
        .attributes
        .push(RouteAttribute::Destination(RouteAddress::from(destination)));
    message.attributes.push(RouteAttribute::Oif(index));
    message
}

fn leads(found: &RouteMessage, destination: IpAddr, prefix: u8, index: u32) -> bool {
    let header = &found.header;
    let to = found
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(to) => Some(to.clone()),
            _ => None,
        });
    // The default route has no destination attribute.
    let same = to.map_or(prefix == 0, |to| to == RouteAddress::from(destination));
    header.table == RouteHeader::RT_TABLE_MAIN
        && header.destination_prefix_length == prefix
        && same
        && found.attributes.contains(&RouteAttribute::Oif(index))
}
