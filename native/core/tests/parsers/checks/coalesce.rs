//! `inner::coalesce`: joining and then cutting again gives back what was joined.
//!
//! An input is a list of packets, each after its length in two bytes, little-endian.

use std::io::IoSlice;
use std::ops::Range;

use whalescale_core::inner::coalesce::{Offload, coalesce};
use whalescale_core::inner::segment::plan;
use whalescale_core::inner::vnet::VnetHeader;

use super::{Verdict, equal, little};

/// What [`coalesce`] is, with its callback as a trait object.
pub type Write<'a> = &'a mut dyn FnMut(&VnetHeader, &[IoSlice<'_>]);

pub fn check(input: &[u8]) -> Verdict {
    check_parser(shipped, input)
}

pub fn shipped(arena: &mut [u8], packets: &[Range<usize>], offload: Offload, write: Write<'_>) {
    coalesce(arena, packets, offload, write);
}

pub fn check_parser(
    join: impl Fn(&mut [u8], &[Range<usize>], Offload, Write<'_>),
    input: &[u8],
) -> Verdict {
    for offload in [(true, true), (true, false), (false, true), (false, false)] {
        let (tcp, udp) = offload;
        check_offload(&join, input, Offload { tcp, udp })?;
    }
    Ok(())
}

fn check_offload(
    join: &impl Fn(&mut [u8], &[Range<usize>], Offload, Write<'_>),
    input: &[u8],
    offload: Offload,
) -> Verdict {
    let packets = packets(input);
    let mut arena = input.to_vec();
    let mut again: Vec<Vec<u8>> = Vec::new();
    let mut verdict = Ok(());
    join(&mut arena, &packets, offload, &mut |vnet, pieces| {
        let written: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        match cut(vnet, &written, offload) {
            Ok(segments) => again.extend(segments),
            Err(error) => verdict = Err(error),
        }
    });
    verdict?;
    equal("number of packets", again.len(), packets.len())?;
    for (found, range) in again.iter().zip(packets) {
        let expected = &input[range];
        equal("packet", comparable(found), comparable(expected))?;
    }
    Ok(())
}

fn cut(vnet: &VnetHeader, packet: &[u8], offload: Offload) -> Result<Vec<Vec<u8>>, String> {
    match vnet.gso_type {
        0 => {
            equal(
                "header of a packet left alone",
                *vnet,
                VnetHeader::default(),
            )?;
            return Ok(vec![packet.to_vec()]);
        }
        1 | 4 => equal("TCP was offered", offload.tcp, true)?,
        5 => equal("UDP was offered", offload.udp, true)?,
        unknown => return Err(format!("super-packet of kind {unknown}")),
    }
    let segmenter = plan(vnet, packet).map_err(|error| error.to_string())?;
    let segments = (0..segmenter.count()).map(|n| {
        let last = n + 1 == segmenter.count();
        let length = if last {
            segmenter.last_len()
        } else {
            segmenter.segment_len()
        };
        let mut out = vec![0; length];
        segmenter.write(packet, n, &mut out);
        out
    });
    Ok(segments.collect())
}

/// A packet without what joining may change: the identification of an unfragmentable IPv4 packet and
/// its header's checksum; a TCP urgent pointer, which means nothing without URG, and with it the
/// checksum, of which there are two zeros anyway. That the new checksums are right is for the
/// segmenter's check.
fn comparable(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (protocol, transport) = match packet.first() {
        Some(0x45) if packet.len() >= 20 => (packet[9], 20),
        Some(0x60..=0x6f) if packet.len() >= 40 => (packet[6], 40),
        _ => return packet,
    };
    if transport == 20 {
        if packet[6] & 0x40 != 0 {
            packet[4..6].fill(0);
        }
        packet[10..12].fill(0);
    }
    if let Some(checksum_and_urgent) = packet.get_mut(transport + 16..transport + 20)
        && protocol == 6
    {
        checksum_and_urgent.fill(0);
    }
    packet
}

pub fn packets(input: &[u8]) -> Vec<Range<usize>> {
    let mut packets = Vec::new();
    let mut at = 0;
    while input.len() >= at + 2 {
        let start = at + 2;
        let length = usize::try_from(little(input, at, 2)).unwrap_or(0);
        at = (start + length).min(input.len());
        packets.push(start..at);
    }
    packets
}
