//! `wire::datagram::parse`: what a datagram is, by type and length.

use whalescale_core::wire::datagram::{Datagram, Malformed, parse};

use super::{Verdict, equal, little};

pub fn check(input: &[u8]) -> Verdict {
    check_parser(parse, input)
}

pub fn check_parser(
    parse: impl for<'a> Fn(&'a [u8]) -> Result<Datagram<'a>, Malformed>,
    input: &[u8],
) -> Verdict {
    let found = parse(input).ok().map(|datagram| flat(&datagram));
    equal("datagram", found, twin(input, true))
}

/// Name, numbers and content of a datagram.
type Flat = (&'static str, u64, u64, Vec<u8>);

fn flat(datagram: &Datagram<'_>) -> Flat {
    match datagram {
        Datagram::Initiation(bytes) => ("initiation", 0, 0, bytes.to_vec()),
        Datagram::Response(bytes) => ("response", 0, 0, bytes.to_vec()),
        Datagram::CookieReply(bytes) => ("cookie", 0, 0, bytes.to_vec()),
        Datagram::Transport { receiver, counter } => {
            ("transport", u64::from(*receiver), *counter, Vec::new())
        }
        Datagram::Relay { channel, inner } => ("relay", u64::from(*channel), 0, inner.to_vec()),
        Datagram::Probe(bytes) => ("probe", 0, 0, bytes.to_vec()),
        Datagram::ProbeReply(bytes) => ("reply", 0, 0, bytes.to_vec()),
    }
}

fn twin(bytes: &[u8], outermost: bool) -> Option<Flat> {
    if bytes.len() < 4 || bytes[2] != 0 || bytes[3] != 0 {
        return None;
    }
    let whole = |name, length: usize| (bytes.len() == length).then(|| (name, 0, 0, bytes.to_vec()));
    match (bytes[0], bytes[1]) {
        (1, 0) => whole("initiation", 148),
        (2, 0) => whole("response", 92),
        (3, 0) => whole("cookie", 64),
        (4, 0) if bytes.len() >= 32 => Some((
            "transport",
            little(bytes, 4, 4),
            little(bytes, 8, 8),
            Vec::new(),
        )),
        (5, 0) if outermost && bytes.len() >= 9 && (1..=4).contains(&bytes[8]) => {
            twin(&bytes[8..], false)?;
            Some(("relay", little(bytes, 4, 4), 0, bytes[8..].to_vec()))
        }
        (6, 0) if outermost => whole("probe", 56),
        (6, 1) if outermost => whole("reply", 56),
        _ => None,
    }
}
