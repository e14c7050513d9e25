//! `inner::ip::parse`: the header of an inner packet.

use std::net::IpAddr;

use whalescale_core::inner::ip::{Fragment, IpHeader, Malformed, parse};

use super::{Verdict, big16, equal};

pub fn check(input: &[u8]) -> Verdict {
    check_parser(parse, input)
}

pub fn check_parser(parse: impl Fn(&[u8]) -> Result<IpHeader, Malformed>, input: &[u8]) -> Verdict {
    equal("header", parse(input).ok(), twin(input))
}

fn twin(bytes: &[u8]) -> Option<IpHeader> {
    match bytes.first()? >> 4 {
        4 if bytes.len() >= 20 => twin_v4(bytes),
        6 if bytes.len() >= 40 => twin_v6(bytes),
        _ => None,
    }
}

fn twin_v4(bytes: &[u8]) -> Option<IpHeader> {
    let header_len = usize::from(bytes[0] & 15) * 4;
    let total_len = big16(bytes, 2);
    if header_len < 20 || total_len < header_len || bytes.len() < total_len {
        return None;
    }
    let (more, offset) = (bytes[6] & 0x20 != 0, big16(bytes, 6) & 0x1fff);
    Some(IpHeader {
        version: 4,
        header_len,
        total_len,
        protocol: bytes[9],
        source: address(&bytes[12..16])?,
        destination: address(&bytes[16..20])?,
        fragment: kind(offset != 0, more),
    })
}

fn twin_v6(bytes: &[u8]) -> Option<IpHeader> {
    let total_len = 40 + big16(bytes, 4);
    let packet = bytes.get(..total_len)?;
    let (mut protocol, mut at, mut fragment) = (packet[6], 40, Fragment::Whole);
    let mut extensions = 0;
    while matches!(protocol, 0 | 43 | 44 | 60) && fragment != Fragment::Later {
        extensions += 1;
        let header = packet.get(at..at + 8)?;
        let length = match protocol {
            44 => 8,
            _ => 8 * (1 + usize::from(header[1])),
        };
        if protocol == 44 && big16(header, 2) & 0xfff9 != 0 {
            fragment = kind(big16(header, 2) & 0xfff8 != 0, true);
        }
        packet.get(at..at + length)?;
        (protocol, at) = (header[0], at + length);
        // Eight are the limit, unless the eighth makes an end itself.
        if extensions == 8 && fragment != Fragment::Later {
            return None;
        }
    }
    Some(IpHeader {
        version: 6,
        header_len: at,
        total_len,
        protocol,
        source: address(&packet[8..24])?,
        destination: address(&packet[24..40])?,
        fragment,
    })
}

fn kind(later: bool, first: bool) -> Fragment {
    match (later, first) {
        (true, _) => Fragment::Later,
        (false, true) => Fragment::First,
        (false, false) => Fragment::Whole,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    }
}
