//! `wire::frame::parse`: what is inside a session.

use std::net::{Ipv6Addr, SocketAddr};

use whalescale_core::wire::frame::{Announced, Announcement, Frame, Malformed, Plaintext, parse};

use super::{Verdict, equal, little};

pub fn check(input: &[u8]) -> Verdict {
    check_parser(parse, input)
}

pub fn check_parser(
    parse: impl for<'a> Fn(&'a [u8]) -> Result<Plaintext<'a>, Malformed>,
    input: &[u8],
) -> Verdict {
    let found = parse(input).ok();
    equal("plaintext", found.clone(), twin(input))?;
    if let Some(Plaintext::Frame(frame)) = &found {
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        equal("read again", parse(&encoded).ok(), found.clone())?;
    }
    Ok(())
}

fn twin(bytes: &[u8]) -> Option<Plaintext<'_>> {
    let Some(first) = bytes.first() else {
        return Some(Plaintext::Keepalive);
    };
    match first {
        0x40..=0x4f | 0x60..=0x6f => return Some(Plaintext::Ip(bytes)),
        0x80..=0x8f => return Some(Plaintext::Unknown(*first)),
        0x01..=0x3f if bytes.len() >= 4 => {}
        _ => return None,
    }
    let length = usize::try_from(little(bytes, 2, 2)).ok()?;
    if bytes.len() < 4 + length {
        return None;
    }
    let flag = bytes[1] & 1 == 1;
    let frame = match first {
        1 if length >= 42 => Frame::Hello {
            version: little(bytes, 4, 2) as u16,
            node_id: bytes[6..38].try_into().ok()?,
            instance: little(bytes, 38, 8),
            reply: flag,
        },
        2 if length >= 8 => Frame::PathProbe {
            token: little(bytes, 4, 8),
            size: u16::try_from(4 + length).ok()?,
        },
        3 if length >= if flag { 28 } else { 10 } => Frame::PathProbeReply {
            token: little(bytes, 4, 8),
            received: little(bytes, 12, 2) as u16,
            observed: flag.then(|| observed(&bytes[14..32])),
        },
        8 if length >= 5 && length >= 5 + 22 * usize::from(bytes[8]).min(8) => {
            Frame::PathAnnounce {
                number: little(bytes, 4, 4) as u32,
                addresses: announced(&bytes[9..], usize::from(bytes[8]).min(8)),
                reply: flag,
            }
        }
        9 if length >= 13 => Frame::PathBind {
            path: bytes[4],
            token: little(bytes, 5, 8),
            link: little(bytes, 13, 4) as u32,
            reply: flag,
        },
        0x10..=0x3f if length <= 1120 => Frame::Message {
            kind: *first,
            body: bytes[4..4 + length].to_vec(),
        },
        1..=3 | 8 | 9 | 0x10..=0x3f => return None,
        unknown => return Some(Plaintext::Unknown(*unknown)),
    };
    Some(Plaintext::Frame(frame))
}

fn announced(bytes: &[u8], count: usize) -> Announcement {
    let one = |bytes: &[u8]| Announced {
        address: observed(bytes),
        link: little(bytes, 18, 4) as u32,
    };
    bytes.chunks(22).take(count).map(one).collect()
}

fn observed(bytes: &[u8]) -> SocketAddr {
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[..16]);
    let ip = Ipv6Addr::from(ip).to_canonical();
    SocketAddr::new(ip, little(bytes, 16, 2) as u16)
}
