//! Parsers with a mistake each: replaying the corpus must notice every one.
//!
//! A mutant is the shipped parser behind a wrapper that makes it err in one way.

mod bonded;

use whalescale_core::inner::coalesce::Offload;
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::inner::{ip, segment};
use whalescale_core::wire::datagram::{self, Datagram};
use whalescale_core::wire::frame::{self, Frame, Plaintext};

use crate::checks::{self, Verdict, little};
use crate::corpus::inputs;

/// Whether any input of the target's corpus shows the mistake.
fn killed(target: &str, check: impl Fn(&[u8]) -> Verdict) -> bool {
    inputs(target)
        .iter()
        .any(|(_, input)| check(input).is_err())
}

/// A changed copy that lives as long as a borrowed input; tests are short.
fn altered(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> &'static [u8] {
    let mut copy = bytes.to_vec();
    change(&mut copy);
    copy.leak()
}

/// Fills a message that is too short for its type.
fn lengthened(bytes: &[u8]) -> Result<Datagram<'_>, datagram::Malformed> {
    datagram::parse(altered(bytes, |bytes| {
        let whole = [0, 148, 92, 64, 32];
        let kind = bytes.first().map_or(0, |kind| usize::from(*kind));
        let length = whole.get(kind).copied().unwrap_or(0);
        bytes.resize(bytes.len().max(length), 0);
    }))
}

#[test]
fn a_datagram_parser_that_takes_short_messages_is_noticed() {
    let check = |input: &[u8]| checks::datagram::check_parser(lengthened, input);
    assert!(killed("datagram", check));
}

/// Looks at the first byte alone.
fn unreserved(bytes: &[u8]) -> Result<Datagram<'_>, datagram::Malformed> {
    datagram::parse(altered(bytes, |bytes| {
        if let Some(reserved) = bytes.get_mut(2..4) {
            reserved.fill(0);
        }
    }))
}

#[test]
fn a_datagram_parser_that_ignores_reserved_bytes_is_noticed() {
    let check = |input: &[u8]| checks::datagram::check_parser(unreserved, input);
    assert!(killed("datagram", check));
}

/// Reads the counter one byte too late.
fn late_counter(bytes: &[u8]) -> Result<Datagram<'_>, datagram::Malformed> {
    datagram::parse(bytes).map(|parsed| match parsed {
        Datagram::Transport { receiver, .. } => Datagram::Transport {
            receiver,
            counter: little(bytes, 9, 8),
        },
        other => other,
    })
}

#[test]
fn a_datagram_parser_that_reads_at_a_wrong_offset_is_noticed() {
    let check = |input: &[u8]| checks::datagram::check_parser(late_counter, input);
    assert!(killed("datagram", check));
}

/// Takes what is missing of a body for zeros.
fn overreading(bytes: &[u8]) -> Result<Plaintext<'_>, frame::Malformed> {
    frame::parse(bytes).or_else(|_| frame::parse(altered(bytes, |bytes| bytes.extend([0; 64]))))
}

#[test]
fn a_frame_parser_that_reads_beyond_the_body_is_noticed() {
    let check = |input: &[u8]| checks::frame::check_parser(overreading, input);
    assert!(killed("frame", check));
}

fn every_hello_a_reply(bytes: &[u8]) -> Result<Plaintext<'_>, frame::Malformed> {
    frame::parse(bytes).map(|parsed| match parsed {
        Plaintext::Frame(Frame::Hello {
            version,
            node_id,
            instance,
            ..
        }) => Plaintext::Frame(Frame::Hello {
            version,
            node_id,
            instance,
            reply: true,
        }),
        other => other,
    })
}

#[test]
fn a_frame_parser_that_misreads_a_flag_is_noticed() {
    let check = |input: &[u8]| checks::frame::check_parser(every_hello_a_reply, input);
    assert!(killed("frame", check));
}

fn any_version_is_ip(bytes: &[u8]) -> Result<Plaintext<'_>, frame::Malformed> {
    match bytes.first() {
        Some(0x40..=0x7f) => Ok(Plaintext::Ip(bytes)),
        _ => frame::parse(bytes),
    }
}

#[test]
fn a_frame_parser_that_takes_any_version_for_ip_is_noticed() {
    let check = |input: &[u8]| checks::frame::check_parser(any_version_is_ip, input);
    assert!(killed("frame", check));
}

#[test]
fn an_ip_parser_that_takes_padding_for_the_packet_is_noticed() {
    let mutant = |bytes: &[u8]| {
        ip::parse(bytes).map(|header| ip::IpHeader {
            total_len: bytes.len(),
            ..header
        })
    };
    assert!(killed("ip", |input| checks::ip::check_parser(
        mutant, input
    )));
}

#[test]
fn an_ip_parser_that_takes_a_packet_cut_short_is_noticed() {
    let mutant = |bytes: &[u8]| ip::parse(altered(bytes, |bytes| bytes.extend([0; 8])));
    assert!(killed("ip", |input| checks::ip::check_parser(
        mutant, input
    )));
}

#[test]
fn an_ip_parser_that_overlooks_fragments_is_noticed() {
    let mutant = |bytes: &[u8]| {
        ip::parse(bytes).map(|header| ip::IpHeader {
            fragment: ip::Fragment::Whole,
            ..header
        })
    };
    assert!(killed("ip", |input| checks::ip::check_parser(
        mutant, input
    )));
}

#[test]
fn a_segmenter_that_cuts_one_byte_late_is_noticed() {
    let mutant = |vnet: &VnetHeader, packet: &[u8]| {
        let gso_size = vnet.gso_size.saturating_add(1);
        segment::plan(&VnetHeader { gso_size, ..*vnet }, packet)
    };
    let check = |input: &[u8]| checks::segment::check_parser(mutant, input);
    assert!(killed("segment", check));
}

#[test]
fn a_segmenter_that_forgets_the_checksum_is_noticed() {
    let mutant =
        |vnet: &VnetHeader, packet: &[u8]| segment::plan(&VnetHeader { flags: 0, ..*vnet }, packet);
    let check = |input: &[u8]| checks::segment::check_parser(mutant, input);
    assert!(killed("segment", check));
}

#[test]
fn a_segmenter_that_takes_a_size_of_zero_is_noticed() {
    let mutant = |vnet: &VnetHeader, packet: &[u8]| {
        let gso_size = vnet.gso_size.max(1);
        segment::plan(&VnetHeader { gso_size, ..*vnet }, packet)
    };
    let check = |input: &[u8]| checks::segment::check_parser(mutant, input);
    assert!(killed("segment", check));
}

#[test]
fn a_joiner_that_loses_the_last_piece_is_noticed() {
    let check = |input: &[u8]| {
        checks::coalesce::check_parser(
            |arena, packets, offload, write| {
                checks::coalesce::shipped(arena, packets, offload, &mut |vnet, pieces| {
                    write(vnet, &pieces[..pieces.len().max(2) - 1]);
                });
            },
            input,
        )
    };
    assert!(killed("coalesce", check));
}

#[test]
fn a_joiner_that_joins_what_the_device_does_not_take_is_noticed() {
    let check = |input: &[u8]| {
        checks::coalesce::check_parser(
            |arena, packets, _, write| {
                let all = Offload {
                    tcp: true,
                    udp: true,
                };
                checks::coalesce::shipped(arena, packets, all, write);
            },
            input,
        )
    };
    assert!(killed("coalesce", check));
}

#[test]
fn a_joiner_that_swaps_neighbours_is_noticed() {
    let check = |input: &[u8]| {
        checks::coalesce::check_parser(
            |arena, packets, offload, write| {
                let mut packets = packets.to_vec();
                packets.reverse();
                checks::coalesce::shipped(arena, &packets, offload, write);
            },
            input,
        )
    };
    assert!(killed("coalesce", check));
}

#[test]
fn a_receiver_that_misses_a_short_last_datagram_is_noticed() {
    let mutant = |message: &[u8], stride: usize| {
        let whole = message.len() - message.len() % stride.max(1);
        checks::receiver::shipped(&message[..whole], stride)
    };
    let check = |input: &[u8]| checks::receiver::check_parser(mutant, input);
    assert!(killed("receiver", check));
}

#[test]
fn a_receiver_that_ignores_reserved_bytes_is_noticed() {
    let mutant = |message: &[u8], stride: usize| {
        let message = altered(message, |message| {
            for datagram in message.chunks_mut(stride.max(1)) {
                if datagram.len() > 4 {
                    datagram[1..4].fill(0);
                }
            }
        });
        checks::receiver::shipped(message, stride)
    };
    let check = |input: &[u8]| checks::receiver::check_parser(mutant, input);
    assert!(killed("receiver", check));
}

#[test]
fn a_receiver_that_takes_replays_is_noticed() {
    // A counter never seen twice: the n-th datagram's own place.
    let mutant = |message: &[u8], stride: usize| {
        let message = altered(message, |message| {
            for (n, datagram) in message.chunks_mut(stride.max(1)).enumerate() {
                if let Some(counter) = datagram.get_mut(8..16) {
                    counter.copy_from_slice(&(n as u64).to_le_bytes());
                }
            }
        });
        checks::receiver::shipped(message, stride)
    };
    let check = |input: &[u8]| checks::receiver::check_parser(mutant, input);
    assert!(killed("receiver", check));
}
