//! `inner::segment`: a packet from the TUN device becomes complete inner packets.
//!
//! An input is the virtio-net header's ten bytes, in this machine's order, and the packet.

use whalescale_core::inner::ip::{self, Fragment, IpHeader};
use whalescale_core::inner::segment::{SegmentError, Segmenter, plan};
use whalescale_core::inner::vnet::{NEEDS_CSUM, VNET_LEN, VnetHeader};

use super::{Verdict, big16, equal, internet_checksum};

pub fn check(input: &[u8]) -> Verdict {
    check_parser(plan, input)
}

pub fn check_parser(
    plan: impl Fn(&VnetHeader, &[u8]) -> Result<Segmenter, SegmentError>,
    input: &[u8],
) -> Verdict {
    let Some((vnet, packet)) = input.split_first_chunk::<VNET_LEN>() else {
        return Ok(());
    };
    let vnet = VnetHeader::parse(vnet);
    let planned = plan(&vnet, packet).ok();
    let lengths = planned.map(|segmenter| {
        let full = vec![segmenter.segment_len(); segmenter.count() - 1];
        [full, vec![segmenter.last_len()]].concat()
    });
    equal("lengths", lengths.clone(), twin(&vnet, packet))?;
    let (Some(segmenter), Some(lengths)) = (planned, lengths) else {
        return Ok(());
    };
    let segments: Vec<Vec<u8>> = lengths
        .iter()
        .enumerate()
        .map(|(n, length)| {
            let mut out = vec![0xa5; *length];
            segmenter.write(packet, n, &mut out);
            out
        })
        .collect();
    match vnet.gso_type & 0x7f {
        0 => check_single(&vnet, packet, &segments[0]),
        _ => check_segments(packet, &segments),
    }
}

/// Bytes before the payload of a super-packet that may be cut.
fn headers(kind: u8, packet: &[u8]) -> Option<(IpHeader, usize)> {
    let header = ip::parse(packet).ok()?;
    let allowed = match kind {
        1 => header.version == 4 && header.protocol == 6,
        4 => header.version == 6 && header.protocol == 6,
        5 => header.protocol == 17,
        _ => false,
    };
    let transport = &packet[header.header_len..header.total_len];
    let transport_len = match header.protocol {
        6 if transport.len() >= 20 => usize::from(transport[12] >> 4) * 4,
        17 if transport.len() >= 8 => 8,
        _ => return None,
    };
    let sound = transport_len <= transport.len() && (header.protocol == 17 || transport_len >= 20);
    let whole = header.fragment == Fragment::Whole;
    (allowed && sound && whole).then_some((header, header.header_len + transport_len))
}

/// The lengths of the packets to come.
fn twin(vnet: &VnetHeader, packet: &[u8]) -> Option<Vec<usize>> {
    let kind = vnet.gso_type & 0x7f;
    if kind == 0 {
        let field = usize::from(vnet.csum_start) + usize::from(vnet.csum_offset);
        let inside = vnet.flags & NEEDS_CSUM == 0 || field + 2 <= packet.len();
        return inside.then(|| vec![packet.len()]);
    }
    let (header, headers) = headers(kind, packet)?;
    let size = usize::from(vnet.gso_size);
    if size == 0 {
        return None;
    }
    let payload = &packet[headers..header.total_len];
    let mut lengths: Vec<usize> = payload
        .chunks(size)
        .map(|part| headers + part.len())
        .collect();
    if lengths.is_empty() {
        lengths.push(headers);
    }
    Some(lengths)
}

fn check_single(vnet: &VnetHeader, packet: &[u8], out: &[u8]) -> Verdict {
    let mut expected = packet.to_vec();
    if vnet.flags & NEEDS_CSUM != 0 {
        let start = usize::from(vnet.csum_start);
        let field = start + usize::from(vnet.csum_offset);
        let checksum = internet_checksum(&packet[start..]).to_be_bytes();
        expected[field..field + 2].copy_from_slice(&checksum);
        // Zero and its complement are the same number, and UDP says zero for "none".
        if out[field..field + 2] == [0xff, 0xff] && checksum == [0, 0] {
            expected[field..field + 2].fill(0xff);
        }
    }
    equal("single packet", out, &expected)
}

fn check_segments(packet: &[u8], segments: &[Vec<u8>]) -> Verdict {
    let mut payload = Vec::new();
    for (n, segment) in segments.iter().enumerate() {
        let header = ip::parse(segment).map_err(|_| format!("segment {n} is no IP packet"))?;
        equal("total length", header.total_len, segment.len())?;
        let (transport_len, sequence) = check_transport(segment, &header)?;
        let original = ip::parse(packet).map_err(|_| "no IP packet was cut")?;
        let first = &packet[original.header_len..];
        if let Some(sequence) = sequence {
            let offset = u32::try_from(payload.len()).map_err(|_| "too long")?;
            let start = u32::from_be_bytes(first[4..8].try_into().map_err(|_| "short")?);
            equal("sequence", sequence, start.wrapping_add(offset))?;
        }
        payload.extend(&segment[header.header_len + transport_len..]);
    }
    let header = ip::parse(packet).map_err(|_| "no IP packet was cut")?;
    equal(
        "payload",
        packet[..header.total_len].ends_with(&payload),
        true,
    )
}

/// Checks all checksums; gives the transport header's length and a TCP segment's sequence.
fn check_transport(segment: &[u8], header: &IpHeader) -> Result<(usize, Option<u32>), String> {
    let transport = &segment[header.header_len..];
    let mut summed = match header.version {
        4 => {
            let checksum = internet_checksum(&segment[..header.header_len]);
            equal("IP checksum", checksum, 0)?;
            segment[12..20].to_vec()
        }
        _ => segment[8..40].to_vec(),
    };
    summed.extend([0, header.protocol]);
    summed.extend(
        u16::try_from(transport.len())
            .map_err(|_| "too long")?
            .to_be_bytes(),
    );
    summed.extend(transport);
    equal("checksum", internet_checksum(&summed), 0)?;
    if header.protocol == 17 {
        equal("UDP length", big16(transport, 4), transport.len())?;
        return Ok((8, None));
    }
    let sequence = u32::from_be_bytes(transport[4..8].try_into().map_err(|_| "short")?);
    Ok((usize::from(transport[12] >> 4) * 4, Some(sequence)))
}
