//! Longest-prefix match against a naive twin that looks at every route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use whalescale_core::routes::{IpPrefix, Overlap, Routes};

fn prefix(text: &str) -> IpPrefix {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn table(routes: &[(&str, u16)]) -> Routes<u16> {
    Routes::build(routes.iter().map(|(text, target)| (prefix(text), *target))).unwrap()
}

/// What a table means, bit by bit.
fn naive(routes: &[(IpPrefix, u16)], address: IpAddr) -> Option<u16> {
    fn bits(address: IpAddr) -> Vec<bool> {
        let octets = match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let bits = |octet: u8| (0..8).map(move |bit| octet & (0x80 >> bit) != 0);
        octets.into_iter().flat_map(bits).collect()
    }
    let wanted = bits(address);
    routes
        .iter()
        .filter(|(prefix, _)| prefix.address().is_ipv4() == address.is_ipv4())
        .filter(|(prefix, _)| {
            let length = usize::from(prefix.length());
            bits(prefix.address())[..length] == wanted[..length]
        })
        .max_by_key(|(prefix, _)| prefix.length())
        .map(|(_, target)| *target)
}

#[test]
fn an_empty_table_routes_nothing() {
    let routes = table(&[]);
    assert_eq!(routes.lookup(ip("10.0.0.1")), None);
    assert_eq!(routes.lookup(ip("fd00::1")), None);
}

#[test]
fn the_longest_prefix_wins_whatever_the_order() {
    let mut list = [("10.0.0.0/8", 8), ("10.1.0.0/16", 16), ("10.1.2.3/32", 32)];
    for _ in 0..3 {
        list.rotate_left(1);
        let routes = table(&list);
        assert_eq!(routes.lookup(ip("10.1.2.3")), Some(32));
        assert_eq!(routes.lookup(ip("10.1.2.4")), Some(16));
        assert_eq!(routes.lookup(ip("10.2.0.0")), Some(8));
        assert_eq!(routes.lookup(ip("11.0.0.0")), None);
        assert_eq!(routes.lookup(ip("9.255.255.255")), None);
    }
}

#[test]
fn default_routes_cover_their_own_family_up_to_the_last_address() {
    let routes = table(&[("0.0.0.0/0", 4), ("::/0", 6), ("255.255.255.255/32", 5)]);
    assert_eq!(routes.lookup(ip("0.0.0.0")), Some(4));
    assert_eq!(routes.lookup(ip("255.255.255.254")), Some(4));
    assert_eq!(routes.lookup(ip("255.255.255.255")), Some(5));
    assert_eq!(routes.lookup(ip("::")), Some(6));
    assert_eq!(
        routes.lookup(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
        Some(6)
    );
}

#[test]
fn neighbouring_blocks_do_not_touch() {
    let routes = table(&[("10.0.0.0/25", 1), ("10.0.0.128/25", 2)]);
    assert_eq!(routes.lookup(ip("10.0.0.127")), Some(1));
    assert_eq!(routes.lookup(ip("10.0.0.128")), Some(2));
    assert_eq!(routes.lookup(ip("10.0.1.0")), None);
}

#[test]
fn one_prefix_given_twice_is_refused_even_with_other_host_bits() {
    let routes = [(prefix("10.0.0.1/24"), 1), (prefix("10.0.0.2/24"), 1)];
    let refusal = Routes::build(routes).err();
    assert_eq!(refusal, Some(Overlap(prefix("10.0.0.0/24"))));
}

#[test]
fn a_prefix_is_written_without_its_host_bits_and_read_without_a_length() {
    assert_eq!(prefix("10.88.0.1/24").to_string(), "10.88.0.0/24");
    assert_eq!(prefix("10.88.0.1").to_string(), "10.88.0.1/32");
    assert_eq!(prefix("FD00::1").to_string(), "fd00::1/128");
    assert_eq!(prefix("fd00::1/0").to_string(), "::/0");
}

#[test]
fn text_that_is_no_prefix_is_refused() {
    for text in [
        "",
        "/",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "10.0.0.0 /8",
        "::/ 8",
        "host/8",
    ] {
        assert!(text.parse::<IpPrefix>().is_err(), "{text}");
    }
}

#[test]
fn five_hundred_peers_are_each_found() {
    let address = |n: u16| IpAddr::from(Ipv4Addr::from(0x0a58_0000 + u32::from(n)));
    let routes = (0..500).map(|n| (IpPrefix::new(address(n), 32).unwrap(), n));
    let routes = Routes::build(routes).unwrap();
    for n in 0..500 {
        assert_eq!(routes.lookup(address(n)), Some(n));
    }
    assert_eq!(routes.lookup(address(500)), None);
}

/// Addresses that share bits often: few values in few places.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = prop::array::uniform4(prop::sample::select(vec![0_u8, 1, 127, 128, 255]))
        .prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    let v6 = prop::array::uniform8(prop::sample::select(vec![0_u16, 1, 0x8000, 0xffff]))
        .prop_map(|segments| IpAddr::from(Ipv6Addr::from(segments)));
    prop_oneof![v4, v6]
}

fn any_prefix() -> impl Strategy<Value = IpPrefix> {
    (address(), 0..=128_u8).prop_map(|(address, length)| {
        let length = if address.is_ipv4() {
            length / 4
        } else {
            length
        };
        IpPrefix::new(address, length).unwrap()
    })
}

proptest! {
    #[test]
    fn any_table_gives_the_naive_answers(
        prefixes in prop::collection::btree_set(any_prefix(), 0..60),
        extra in prop::collection::vec(address(), 20),
    ) {
        let routes: Vec<_> = prefixes.into_iter().zip(0..).collect();
        let table = Routes::build(routes.iter().copied().rev()).unwrap();
        let bases = routes.iter().map(|(prefix, _)| prefix.address());
        for address in bases.chain(extra) {
            prop_assert_eq!(table.lookup(address), naive(&routes, address), "{}", address);
        }
    }

    #[test]
    fn any_prefix_reads_back(block in any_prefix()) {
        prop_assert_eq!(block.to_string().parse(), Ok(block));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-f:./+ -]{0,24}") {
        let _ = text.parse::<IpPrefix>();
    }
}
