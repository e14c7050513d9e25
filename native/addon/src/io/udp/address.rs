//! Socket addresses between the kernel's form and Rust's, without allocation.

use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::io::socklen;

/// Room for an IPv4 or IPv6 address in the kernel's form, aligned for either.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
pub(super) struct RawAddress([u8; size_of::<libc::sockaddr_in6>()]);

impl Default for RawAddress {
    fn default() -> Self {
        Self([0; size_of::<libc::sockaddr_in6>()])
    }
}

impl RawAddress {
    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        self.0.as_ptr().cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        self.0.as_mut_ptr().cast()
    }

    /// Bytes that the kernel may write.
    pub(super) fn capacity(&self) -> libc::socklen_t {
        socklen::<Self>()
    }

    /// Bytes that the address takes by its family.
    pub(super) fn len(&self) -> libc::socklen_t {
        if self.family() == libc::AF_INET {
            socklen::<libc::sockaddr_in>()
        } else {
            self.capacity()
        }
    }

    fn family(&self) -> i32 {
        i32::from(libc::sa_family_t::from_ne_bytes(self.field(0)))
    }

    /// The `N` bytes at `offset`, zeros if they are not all within the address.
    fn field<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0
            .get(offset..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .unwrap_or([0; N])
    }

    fn set_field<const N: usize>(&mut self, offset: usize, value: [u8; N]) {
        if let Some(field) = self
            .0
            .get_mut(offset..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            *field = value;
        }
    }

    /// The address, if it is one of IPv4 or IPv6 and the kernel wrote all of it (`len` bytes).
    pub(super) fn parse(&self, len: libc::socklen_t) -> Option<SocketAddr> {
        use libc::{sockaddr_in, sockaddr_in6};
        match self.family() {
            libc::AF_INET if len >= socklen::<sockaddr_in>() => {
                let address = Ipv4Addr::from(self.field::<4>(offset_of!(sockaddr_in, sin_addr)));
                let port = u16::from_be_bytes(self.field(offset_of!(sockaddr_in, sin_port)));
                Some(SocketAddr::new(IpAddr::V4(address), port))
            }
            libc::AF_INET6 if len >= socklen::<sockaddr_in6>() => {
                let address = Ipv6Addr::from(self.field::<16>(offset_of!(sockaddr_in6, sin6_addr)));
                let port = u16::from_be_bytes(self.field(offset_of!(sockaddr_in6, sin6_port)));
                let scope = u32::from_ne_bytes(self.field(offset_of!(sockaddr_in6, sin6_scope_id)));
                // The flow label is the sender's and not part of where to answer.
                Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)))
            }
            _ => None,
        }
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        use libc::{sockaddr_in, sockaddr_in6};
        let mut raw = Self::default();
        match address {
            SocketAddr::V4(address) => {
                raw.set_field(0, (libc::AF_INET as libc::sa_family_t).to_ne_bytes());
                raw.set_field(
                    offset_of!(sockaddr_in, sin_port),
                    address.port().to_be_bytes(),
                );
                raw.set_field(offset_of!(sockaddr_in, sin_addr), address.ip().octets());
            }
            SocketAddr::V6(address) => {
                raw.set_field(0, (libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
                raw.set_field(
                    offset_of!(sockaddr_in6, sin6_port),
                    address.port().to_be_bytes(),
                );
                raw.set_field(offset_of!(sockaddr_in6, sin6_addr), address.ip().octets());
                raw.set_field(
                    offset_of!(sockaddr_in6, sin6_scope_id),
                    address.scope_id().to_ne_bytes(),
                );
            }
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_through_the_kernels_form() {
        for text in [
            "203.0.113.7:51820",
            "[2001:db8::7]:1",
            "[fe80::1%3]:65535",
            "0.0.0.0:0",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let raw = RawAddress::from(address);
            assert_eq!(raw.parse(raw.len()), Some(address));
        }
    }

    #[test]
    fn a_short_or_foreign_address_is_none() {
        let raw = RawAddress::from("[2001:db8::7]:1".parse::<SocketAddr>().unwrap());
        assert_eq!(raw.parse(socklen::<libc::sockaddr_in>()), None);
        assert_eq!(RawAddress::default().parse(28), None);
    }
}
