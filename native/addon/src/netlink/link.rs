//! Links: settings of the TUN device, and the list of all links with their addresses.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};

use super::{Address, Netlink, NetlinkError};
use crate::io::udp::{MAX_SEGMENTS, MAX_SEND_LEN};

/// A link as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, unique in the namespace while it lives.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Set up by the administrator (IFF_UP).
    pub up: bool,
    /// Has a carrier (IFF_LOWER_UP): a cable, an association, an open TUN descriptor.
    pub carrier: bool,
    /// Is the loopback.
    pub loopback: bool,
    /// Bytes of its largest packet.
    pub mtu: u32,
    /// Packets that its transmit queue holds.
    pub tx_queue_len: u32,
    /// Segments of the largest super-packet that it is given.
    pub gso_max_segments: u32,
    /// Bytes of the largest super-packet that it is given.
    pub gso_max_size: u32,
    /// Its addresses; empty where a link is reported alone.
    pub addresses: Vec<Address>,
}

impl Link {
    pub(super) fn parse(message: &LinkMessage) -> Option<Self> {
        let has = |flag| message.header.flags.contains(flag);
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            up: has(LinkFlags::Up),
            carrier: has(LinkFlags::LowerUp),
            loopback: has(LinkFlags::Loopback),
            mtu: 0,
            tx_queue_len: 0,
            gso_max_segments: 0,
            gso_max_size: 0,
            addresses: Vec::new(),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::TxQueueLen(len) => link.tx_queue_len = *len,
                LinkAttribute::GsoMaxSegs(segments) => link.gso_max_segments = *segments,
                LinkAttribute::GsoMaxSize(size) => link.gso_max_size = *size,
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }
}

/// What to change of a link; `None` leaves a setting alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Up or down.
    pub up: Option<bool>,
    /// Bytes of its largest packet.
    pub mtu: Option<u32>,
    /// Packets that its transmit queue holds.
    pub tx_queue_len: Option<u32>,
    /// Segments of the largest super-packet: see [`gso_max_segments`].
    pub gso_max_segments: Option<u32>,
    /// Bytes of the largest super-packet.
    pub gso_max_size: Option<u32>,
}

/// Segments of a super-packet that one UDP send carries when each is at most `sealed_len` bytes after
/// sealing: the inner MTU and the transport's header and tag.
///
/// With this limit on the TUN device, whatever the segment size of a flow, one read is one send.
pub fn gso_max_segments(sealed_len: usize) -> u32 {
    let segments = (MAX_SEND_LEN / sealed_len.max(1)).clamp(1, MAX_SEGMENTS);
    u32::try_from(segments).unwrap_or(1)
}

impl Netlink {
    /// Changes the link `index` as `settings` say, all or nothing being up to the kernel.
    pub fn set_link(&mut self, index: u32, settings: &LinkSettings) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        if let Some(up) = settings.up {
            message.header.change_mask = LinkFlags::Up;
            message.header.flags = if up {
                LinkFlags::Up
            } else {
                LinkFlags::empty()
            };
        }
        message
            .attributes
            .extend(settings.mtu.map(LinkAttribute::Mtu));
        message
            .attributes
            .extend(settings.tx_queue_len.map(LinkAttribute::TxQueueLen));
        message
            .attributes
            .extend(settings.gso_max_segments.map(LinkAttribute::GsoMaxSegs));
        message
            .attributes
            .extend(settings.gso_max_size.map(LinkAttribute::GsoMaxSize));
        let request = RouteNetlinkMessage::SetLink(message);
        self.change(request, 0, || {
            format!("setting {settings:?} on link {index}")
        })
    }

    /// Keeps the kernel from talking on the link by itself, as on a WireGuard device: no IPv6 link-local
    /// address, and without IFF_MULTICAST no router solicitation and no multicast report.
    ///
    /// To be called before the link is set up. EAFNOSUPPORT where IPv6 is turned off.
    pub fn disable_autoconfiguration(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.change_mask = LinkFlags::Multicast;
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        message
            .attributes
            .push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(
                vec![mode],
            )]));
        let request = RouteNetlinkMessage::SetLink(message);
        self.change(request, 0, || {
            format!("turning off autoconfiguration on link {index}")
        })
    }

    /// All links, each with its addresses.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let visit = |part| match part {
            RouteNetlinkMessage::NewLink(message) => Link::parse(&message),
            _ => None,
        };
        let mut links = self.dump(&request, visit, "listing links")?;
        let addresses = self.all_addresses()?;
        for link in &mut links {
            link.addresses.extend(
                addresses
                    .iter()
                    .filter(|address| address.link == link.index),
            );
        }
        Ok(links)
    }

    /// The link called `name`, if there is one.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segments_of_a_super_packet_fit_one_send() {
        assert_eq!(gso_max_segments(1420 + 32), 45);
        assert_eq!(gso_max_segments(1280 + 32), 49);
        assert_eq!(gso_max_segments(576 + 32), 64);
        assert_eq!(gso_max_segments(65_535 + 32), 1);
        assert_eq!(gso_max_segments(0), 64);
    }
}
