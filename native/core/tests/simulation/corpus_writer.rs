//! Writes the corpus that fuzzing starts from and `tests/parsers` replays, out of real runs.
//!
//! `cargo test -p whalescale-core --test simulation -- --ignored write_corpus`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use whalescale_core::control::Command;
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::wire::datagram::ProbeKey;
use whalescale_netem::{LinkConfig, Loss};

use crate::cipher::counter;
use crate::node::{Node, Setup};
use crate::offload::{super_packet, super_packet_v6, udp_super_packet};
use crate::pair::{A_INNER, B_INNER, Pair, address, link, ms, secs, udp_packet};
use crate::uplinks::{Uplinks, uplink};

/// Inputs by name.
type Corpus = BTreeMap<String, Vec<u8>>;

/// Inputs of other names, such as what fuzzing found, stay.
fn write(target: &str, corpus: &Corpus) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).expect("folder");
    for (name, input) in corpus {
        std::fs::write(folder.join(name), input).expect("input");
    }
}

/// A session with everything in it: PMTU search, pings, a move, a renewal, a cookie.
fn eventful() -> Pair {
    let setup = Setup {
        inner_mtu: None,
        ..Setup::default()
    };
    let mut pair = Pair::with(1, link(), setup, |_, _| {});
    pair.a_sends(b"first");
    pair.run_for(secs(1));
    let (peer, now) = (pair.b.key(), pair.now());
    pair.a.command(Command::Ping { peer, token: 1 }, now);
    for (kind, length) in [(0x10, 0), (0x11, 40), (0x3f, 1120)] {
        let body = vec![kind; length];
        pair.a.command(Command::Message { peer, kind, body }, now);
    }
    pair.flush();
    for n in 0..130_u8 {
        pair.a_sends(&vec![n; 3 * usize::from(n)]);
        pair.b_sends(&[n]);
        pair.run_for(secs(1));
    }
    let shown = address("198.51.100.9:4000");
    pair.network.rebind(pair.a.address, shown);
    pair.a_sends(b"moved");
    pair.run_for(secs(15));
    let initiation = pair.a.sent_of_type(1)[0].bytes.clone();
    let now = pair.now();
    for _ in 0..120 {
        pair.b.receive(shown, &initiation, now);
    }
    pair
}

/// The first of each kind and length, at most `count`.
fn distinct(all: impl Iterator<Item = Vec<u8>>, count: usize) -> Vec<Vec<u8>> {
    let mut by_shape = BTreeMap::new();
    for bytes in all {
        let shape = (bytes.first().copied(), bytes.len());
        by_shape.entry(shape).or_insert(bytes);
    }
    let every = by_shape.len().div_ceil(count).max(1);
    let small = by_shape.into_iter().enumerate();
    small
        .filter(|(n, ((kind, _), _))| n % every == 0 || *kind < Some(4))
        .map(|(_, (_, bytes))| bytes)
        .collect()
}

/// Each input, cut short by one, and with one bit wrong near its start.
fn with_errors(inputs: Vec<Vec<u8>>) -> Corpus {
    let mut corpus = Corpus::new();
    for (n, input) in inputs.into_iter().enumerate() {
        if let Some((_, short)) = input.split_last() {
            corpus.insert(format!("{n:02}-short"), short.to_vec());
            let mut flipped = input.clone();
            let at = n % flipped.len().min(8);
            flipped[at] ^= 1 << (n % 8);
            corpus.insert(format!("{n:02}-flipped"), flipped);
        }
        corpus.insert(format!("{n:02}"), input);
    }
    corpus
}

fn datagrams(pair: &Pair) -> Vec<Vec<u8>> {
    let sent = pair.a.sent.iter().chain(&pair.b.sent);
    let mut datagrams = distinct(sent.map(|sent| sent.bytes.clone()), 8);
    let key = ProbeKey::new(&pair.b.key());
    datagrams.push(key.request(&[7; 16]).to_vec());
    datagrams.push(key.reply(&[7; 16], pair.a.address).to_vec());
    let relayed = [&[5, 0, 0, 0, 9, 9, 9, 9][..], &datagrams[0]].concat();
    datagrams.push([&[5, 0, 0, 0, 1, 2, 3, 4][..], &relayed].concat());
    datagrams.push(relayed);
    datagrams
}

fn plaintexts(node: &Node) -> impl Iterator<Item = Vec<u8>> {
    let plaintexts = node.sent_plaintexts().into_iter();
    plaintexts.map(|(_, plaintext)| plaintext)
}

/// What bonding sends: over two lossy links, and beside sparse bare data on one.
fn bonded() -> Vec<Vec<u8>> {
    let lossy = |mbit, delay| LinkConfig {
        loss: Loss::Independent(0.03),
        ..uplink(mbit, delay)
    };
    let mut two = Uplinks::new(5, &[lossy(50, 10), lossy(20, 30)]);
    let mut one = Uplinks::new(6, &[lossy(50, 10)]);
    let send = |uplinks: &mut Uplinks, spacing| {
        for n in 0..1000_usize {
            uplinks.pair.a_sends(&vec![7; n % 97]);
            uplinks.pair.run_for(spacing);
        }
        uplinks.pair.run_for(secs(1));
    };
    send(&mut two, ms(1));
    send(&mut two, Duration::from_micros(100));
    send(&mut one, ms(20));
    let nodes = [&two.pair.a, &two.pair.b, &one.pair.a, &one.pair.b];
    let all: Vec<Vec<u8>> = nodes.into_iter().flat_map(plaintexts).collect();
    let of_kind = |kinds: std::ops::RangeInclusive<u8>, count| {
        let kind = all.iter().filter(move |bytes| {
            let first = bytes.first();
            first.is_some_and(|first| kinds.contains(first))
        });
        distinct(kind.cloned(), count)
    };
    let shims = [of_kind(0x80..=0x81, 6), of_kind(0x82..=0x83, 3)].concat();
    let mut frames = [of_kind(0x0a..=0x0a, 8), of_kind(0x0b..=0x0b, 1)].concat();
    for frame in &mut frames {
        // Without the padding, so that one byte less is too few.
        frame.truncate(4 + usize::from(u16::from_le_bytes([frame[2], frame[3]])));
    }
    [shims, frames, vec![vec![0x84; 20]]].concat()
}

fn tun_reads() -> Vec<(VnetHeader, Vec<u8>)> {
    let plain = |packet| (VnetHeader::default(), packet);
    let mut fragment = udp_packet(A_INNER, B_INNER, b"fragment");
    fragment[6] = 0x20;
    let mut later = fragment.clone();
    later[7] = 9;
    let mut padded = udp_packet(A_INNER, B_INNER, b"padded");
    padded.extend([0; 9]);
    let (vnet, packet) = super_packet(100, 950);
    let mut of_fragment = packet.clone();
    of_fragment[6] = 0x20;
    vec![
        plain(udp_packet(A_INNER, B_INNER, b"plain")),
        plain(fragment),
        plain(later),
        plain(padded),
        (vnet, packet.clone()),
        (vnet, of_fragment),
        (
            VnetHeader {
                gso_size: 0,
                ..vnet
            },
            packet,
        ),
        super_packet(1380, 3000),
        super_packet(500, 500),
        super_packet(100, 0),
        super_packet_v6(300, 1000),
        udp_super_packet(200, 700),
        (
            VnetHeader {
                gso_type: 0,
                ..vnet
            },
            super_packet(100, 301).1,
        ),
    ]
}

fn segment_inputs() -> Vec<Vec<u8>> {
    let reads = tun_reads().into_iter();
    reads
        .map(|(vnet, packet)| [&vnet.encode()[..], &packet].concat())
        .collect()
}

/// What B's TUN device gets when A's kernel hands over each super-packet, as lists of packets.
fn packet_lists() -> Vec<Vec<u8>> {
    let mut lists = Vec::new();
    for (n, read) in tun_reads().into_iter().enumerate() {
        let mut pair = Pair::with(2, link(), Setup::default(), |b_for_a, a_for_b| {
            b_for_a
                .allowed_ips
                .push("fe00::/8".parse().expect("prefix"));
            a_for_b
                .allowed_ips
                .push("fd00::/8".parse().expect("prefix"));
        });
        pair.connect();
        let plain = (
            VnetHeader::default(),
            udp_packet(A_INNER, B_INNER, b"before"),
        );
        let now = pair.now();
        pair.a.tun_batch(&[plain, read], now);
        pair.flush();
        pair.run_for(secs(1));
        let mut packets = pair.b.delivered.clone();
        if n % 2 == 1 && packets.len() > 3 {
            packets.swap(2, 3);
        }
        let prefixed = packets.iter().flat_map(|packet| {
            let length = u16::try_from(packet.len()).expect("length");
            [&length.to_le_bytes()[..], packet].concat()
        });
        lists.push(prefixed.collect());
    }
    lists
}

/// Runs of datagrams as B got them, with the stand-in cipher of the receiver's check.
fn messages(pair: &Pair) -> Vec<Vec<u8>> {
    let clear: Vec<Vec<u8>> = pair
        .a
        .sent
        .iter()
        .map(|sent| match pair.a.keys.open(&sent.bytes) {
            Some(plaintext) => {
                let header = [4, 0, 0, 0, 1, 0, 0, 0];
                let counter = counter(&sent.bytes).to_le_bytes();
                [&header[..], &counter, &plaintext, &[0; 16]].concat()
            }
            None => sent.bytes.clone(),
        })
        .collect();
    let mut messages: Vec<Vec<u8>> = distinct(clear.iter().cloned(), 10)
        .into_iter()
        .map(|datagram| message(&[datagram]))
        .collect();
    for run in clear.windows(4).step_by(9) {
        let longest = run.iter().map(Vec::len).max().unwrap_or(0);
        let mut run: Vec<Vec<u8>> = run
            .iter()
            .filter(|one| one.len() == longest)
            .cloned()
            .collect();
        run.push(run[0].clone());
        if let Some(shorter) = clear.iter().find(|one| one.len() < longest) {
            run.push(shorter.clone());
        }
        messages.push(message(&run));
    }
    messages.truncate(20);
    messages
}

fn message(run: &[Vec<u8>]) -> Vec<u8> {
    let stride = u16::try_from(run[0].len()).expect("stride");
    [&stride.to_le_bytes()[..], &run.concat()].concat()
}

#[test]
#[ignore = "rewrites the committed corpus"]
fn write_corpus() {
    let pair = eventful();
    write("datagram", &with_errors(datagrams(&pair)));
    let both = plaintexts(&pair.a).chain(plaintexts(&pair.b));
    let mut frames = distinct(both, 8);
    frames.push(vec![0x50; 20]);
    frames.push(vec![0x80; 20]);
    write("frame", &with_errors(frames));
    let packets = tun_reads().into_iter().map(|(_, packet)| packet);
    write("ip", &with_errors(packets.collect()));
    write("segment", &with_errors(segment_inputs()));
    write("coalesce", &with_errors(packet_lists()));
    write("receiver", &with_errors(messages(&pair)));
    write("bonded", &with_errors(bonded()));
}
