//! What bonding puts in a session: the shim before an inner packet, feedback, and reports of loss.

use whalescale_core::bond::bare::LossReport;
use whalescale_core::bond::feedback::{Feedback, GAPS, Gap, PATHS, PathReport};
use whalescale_core::bond::shim::{SHIM_LEN, Shim};

use super::{Verdict, equal, little};

/// A plaintext of bonding's.
#[derive(Clone, Debug, PartialEq)]
pub enum Bonded {
    /// The shim, and the bytes of the packet after it.
    Packet(Shim, Vec<u8>),
    Feedback(Box<Feedback>),
    Loss(LossReport),
}

pub fn check(input: &[u8]) -> Verdict {
    check_parser(shipped, input)
}

/// Reads it as the two machines do.
pub fn shipped(plaintext: &[u8]) -> Option<Bonded> {
    if let Some((shim, packet)) = Shim::parse(plaintext) {
        return Some(Bonded::Packet(shim, packet.to_vec()));
    }
    if let Some(read) = Feedback::in_frame(plaintext) {
        return read
            .ok()
            .map(|feedback| Bonded::Feedback(Box::new(feedback)));
    }
    LossReport::in_frame(plaintext)?.ok().map(Bonded::Loss)
}

pub fn check_parser(parse: impl Fn(&[u8]) -> Option<Bonded>, input: &[u8]) -> Verdict {
    let found = parse(input);
    equal("plaintext", found.clone(), twin(input))?;
    let again = match &found {
        Some(Bonded::Packet(shim, packet)) => [&shim.encode()[..], packet].concat(),
        Some(Bonded::Feedback(feedback)) => feedback.frame(),
        Some(Bonded::Loss(report)) => report.frame(),
        None => return Ok(()),
    };
    equal("read again", parse(&again), found)
}

fn twin(bytes: &[u8]) -> Option<Bonded> {
    match *bytes.first()? {
        first @ 0x80..=0x83 if bytes.len() >= SHIM_LEN => {
            let shim = Shim {
                ordered: first % 2 == 1,
                latency: first >= 0x82,
                path: bytes[1] / 16,
                bucket: bytes[1] % 16,
                path_sequence: little(bytes, 2, 3) as u32,
                bucket_sequence: little(bytes, 5, 3) as u32,
            };
            Some(Bonded::Packet(shim, bytes[SHIM_LEN..].to_vec()))
        }
        0x0a => feedback(body(bytes)?).map(|feedback| Bonded::Feedback(Box::new(feedback))),
        0x0b => {
            let body = body(bytes).filter(|body| body.len() >= 8)?;
            Some(Bonded::Loss(LossReport {
                passed: little(body, 0, 4) as u32,
                received: little(body, 4, 4) as u32,
            }))
        }
        _ => None,
    }
}

fn body(frame: &[u8]) -> Option<&[u8]> {
    let length = (frame.len() >= 4).then(|| little(frame, 2, 2) as usize)?;
    (frame.len() >= 4 + length).then(|| &frame[4..4 + length])
}

fn feedback(body: &[u8]) -> Option<Feedback> {
    const REPORT: usize = 21;
    const GAP: usize = 4;
    if body.len() < 5 || usize::from(body[4]) > PATHS {
        return None;
    }
    let mut feedback = Feedback {
        number: little(body, 0, 4) as u32,
        ..Feedback::default()
    };
    let mut at = 5;
    for _ in 0..body[4] {
        if body.len() < at + REPORT || usize::from(body[at + 1]) > GAPS {
            return None;
        }
        let gaps = at + REPORT..at + REPORT + GAP * usize::from(body[at + 1]);
        let gap = |gap: &[u8]| Gap {
            start: little(gap, 0, 3) as u32,
            count: gap[3],
        };
        let report = PathReport {
            path: body[at],
            highest: little(body, at + 2, 3) as u32,
            received: little(body, at + 5, 4) as u32,
            bytes: little(body, at + 9, 6),
            arrived: little(body, at + 15, 4) as u32,
            held: little(body, at + 19, 2) as u16,
            gaps: body.get(gaps.clone())?.chunks(GAP).map(gap).collect(),
        };
        if report.gaps.iter().any(|gap| gap.count == 0) {
            return None;
        }
        feedback.paths.push(report);
        at = gaps.end;
    }
    Some(feedback)
}
