//! What an authentic datagram holds, and whether its peer may send it.

use std::net::IpAddr;
use std::ops::Range;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::bond::bare::LossReport;
use crate::bond::feedback::Feedback;
use crate::bond::shim::{SHIM_LEN, Shim};
use crate::drops::DropReason;
use crate::handoff::{Endpoint, PeerIndex, PeerRoutes};
use crate::inner::ip;
use crate::time::Instant;
use crate::wire::frame::{self, Plaintext};

/// Whose run it is, and how it came.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub peer: PeerIndex,
    /// Whether the peer speaks Whalescale's frames.
    pub frames: bool,
    pub index: u32,
    pub from: Endpoint,
    pub now: Instant,
}

pub(super) enum Accepted {
    Bonded(Shim, Range<usize>),
    Feedback(Box<Feedback>),
    Loss(LossReport),
    Packet(Range<usize>),
    Frame(Vec<u8>),
    Keepalive,
}

/// Decides what an authentic datagram holds, and whether the peer may send it.
pub(super) fn accept(
    arena: &[u8],
    datagram: &Range<usize>,
    origin: Origin,
    routes: Option<&PeerRoutes>,
    allowed: &mut Option<IpAddr>,
) -> Result<Accepted, DropReason> {
    let at = payload_of(datagram);
    let plaintext = arena.get(at.clone()).ok_or(DropReason::BadPlaintext)?;
    match plaintext.first() {
        None => Ok(Accepted::Keepalive),
        Some(first) if is_ip(*first) => {
            let len = inner_len(plaintext, origin.peer, routes, allowed)?;
            Ok(Accepted::Packet(at.start..at.start + len))
        }
        Some(first) if origin.frames && is_bonded(*first) => {
            let (shim, inner) = Shim::parse(plaintext).ok_or(DropReason::BadPlaintext)?;
            let len = inner_len(inner, origin.peer, routes, allowed)?;
            let start = at.start + SHIM_LEN;
            Ok(Accepted::Bonded(shim, start..start + len))
        }
        Some(_) if origin.frames && Feedback::in_frame(plaintext).is_some() => {
            let feedback = Feedback::in_frame(plaintext).and_then(Result::ok);
            feedback
                .map(|feedback| Accepted::Feedback(Box::new(feedback)))
                .ok_or(DropReason::BadPlaintext)
        }
        Some(_) if origin.frames && LossReport::in_frame(plaintext).is_some() => {
            let report = LossReport::in_frame(plaintext).and_then(Result::ok);
            report.map(Accepted::Loss).ok_or(DropReason::BadPlaintext)
        }
        Some(_) if origin.frames => match frame::parse(plaintext) {
            Ok(Plaintext::Frame(_)) => Ok(Accepted::Frame(plaintext.to_vec())),
            Ok(_) => Ok(Accepted::Keepalive),
            Err(_) => Err(DropReason::BadPlaintext),
        },
        Some(_) => Err(DropReason::BadPlaintext),
    }
}

/// Length of the inner packet, without padding, if its source is one of the peer's.
pub(super) fn inner_len(
    packet: &[u8],
    peer: PeerIndex,
    routes: Option<&PeerRoutes>,
    allowed: &mut Option<IpAddr>,
) -> Result<usize, DropReason> {
    let len = ip::total_len(packet).ok_or(DropReason::BadPlaintext)?;
    let source = ip::source(packet).ok_or(DropReason::BadPlaintext)?;
    if *allowed != Some(source) {
        let owner = routes.and_then(|routes| routes.lookup(source));
        if owner != Some(peer) {
            return Err(DropReason::WrongSource);
        }
        *allowed = Some(source);
    }
    Ok(len)
}

pub(super) fn is_ip(first: u8) -> bool {
    matches!(first >> 4, 4 | 6)
}

pub(super) fn is_bonded(first: u8) -> bool {
    first >> 4 == 8
}

/// Data, as opposed to keepalives and control frames, by its first byte.
pub(super) fn is_data(first: u8) -> bool {
    is_ip(first) || is_bonded(first)
}

/// A frame that is for those above this library.
pub(super) fn is_message(plaintext: &[u8]) -> bool {
    plaintext
        .first()
        .is_some_and(|first| frame::MESSAGE_TYPES.contains(first))
}

/// Where the plaintext of an authentic datagram is.
pub(super) fn payload_of(datagram: &Range<usize>) -> Range<usize> {
    datagram.start + HEADER_LEN..datagram.end - TAG_LEN
}
