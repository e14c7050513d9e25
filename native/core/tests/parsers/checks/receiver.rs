//! `receiver::Receiver::handle_message`: against one datagram at a time, as the whitepaper has it.
//!
//! An input is the stride in two bytes, little-endian, and the message. The cipher is a stand-in
//! that leaves the plaintext as it is and takes a tag of zeros for right, so that mutated inputs get
//! past it.

use std::collections::BTreeSet;
use std::sync::Arc;

use whalescale_core::activity::Activity;
use whalescale_core::aead::AeadKey;
use whalescale_core::bond::feedback::Feedback;
use whalescale_core::bond::reorder::Depth;
use whalescale_core::bond::shim::Shim;
use whalescale_core::drops::{DropCounters, DropReason};
use whalescale_core::handoff::{
    Endpoint, FromReceiver, PeerIndex, ReceiveKey, SocketId, ToReceiver,
};
use whalescale_core::handshake::mac::MacVerifier;
use whalescale_core::identity::Secret;
use whalescale_core::inner::coalesce::Offload;
use whalescale_core::inner::ip;
use whalescale_core::peek::PeekKey;
use whalescale_core::receiver::Receiver;
use whalescale_core::routes::Routes;
use whalescale_core::time::Instant;
use whalescale_core::wire::datagram::{self, Datagram};
use whalescale_core::wire::frame::{self, Plaintext};

use super::{Verdict, equal};

/// The only receiver index that is known.
pub const INDEX: u32 = 1;

struct Transparent;

impl AeadKey for Transparent {
    fn seal_run(&self, _: u64, run: &mut [u8], stride: usize) {
        for datagram in run.chunks_mut(stride) {
            let tag = datagram.len() - 16;
            datagram[tag..].fill(0);
        }
    }

    fn open_run(&self, _: &[u64], run: &mut [u8], stride: usize, verdicts: &mut [bool]) {
        for (datagram, verdict) in run.chunks(stride).zip(verdicts) {
            *verdict = authentic(datagram);
        }
    }
}

fn authentic(datagram: &[u8]) -> bool {
    datagram.ends_with(&[0; 16])
}

/// What became of a message.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    delivered: Vec<Vec<u8>>,
    frames: Vec<Vec<u8>>,
    replayed: u64,
    forged: u64,
    unknown: u64,
    malformed: u64,
    bad_plaintext: u64,
    wrong_source: u64,
}

pub fn check(input: &[u8]) -> Verdict {
    check_parser(shipped, input)
}

pub fn check_parser(handle: impl Fn(&[u8], usize) -> Outcome, input: &[u8]) -> Verdict {
    let Some((stride, message)) = input.split_first_chunk::<2>() else {
        return Ok(());
    };
    let stride = usize::from(u16::from_le_bytes(*stride));
    equal("outcome", handle(message, stride), twin(message, stride))
}

fn routes() -> Routes<PeerIndex> {
    let prefix = "10.88.0.0/24".parse().expect("prefix");
    Routes::build([(prefix, PeerIndex(0))]).expect("routes")
}

/// The shipped machine with one key and one peer, whose inner addresses are 10.88.0.0/24.
pub fn shipped(message: &[u8], stride: usize) -> Outcome {
    let drops = Arc::new(DropCounters::default());
    let ours = Secret::from_seed(&[1; 32]).public_key();
    let mut receiver = Receiver::new(MacVerifier::new(&ours), Depth::Auto, Arc::clone(&drops));
    let now = Instant::from_nanos(1);
    receiver.handle_update(ToReceiver::Routes(Arc::new(routes())));
    receiver.handle_update(ToReceiver::Keypair(ReceiveKey {
        key: Box::new(Transparent),
        peek: PeekKey::new(&[0; 32]),
        index: INDEX,
        peer: PeerIndex(0),
        activity: Arc::new(Activity::default()),
        bond: Arc::default(),
        created: now,
        initiator: true,
        frames: true,
    }));
    let from = Endpoint {
        socket: SocketId(0),
        remote: ([192, 0, 2, 1], 51820).into(),
    };
    let mut arena = message.to_vec();
    let mut outcome = Outcome::default();
    receiver.handle_message(&mut arena, 0..message.len(), stride, from, now);
    receiver.deliver(&mut arena, Offload::default(), now, |_, pieces| {
        let packet = pieces.iter().flat_map(|piece| piece.to_vec());
        outcome.delivered.push(packet.collect());
    });
    for report in receiver.take_reports() {
        if let FromReceiver::Frame { plaintext, .. } = report {
            outcome.frames.push(plaintext);
        }
    }
    outcome.replayed = drops.get(DropReason::Replayed) + drops.get(DropReason::TooOld);
    outcome.forged = drops.get(DropReason::Forged);
    outcome.unknown = drops.get(DropReason::UnknownIndex);
    outcome.malformed = drops.get(DropReason::Malformed);
    outcome.bad_plaintext = drops.get(DropReason::BadPlaintext);
    outcome.wrong_source = drops.get(DropReason::WrongSource);
    outcome
}

fn twin(message: &[u8], stride: usize) -> Outcome {
    let mut outcome = Outcome::default();
    if stride == 0 {
        return outcome;
    }
    let mut seen = BTreeSet::new();
    for datagram in message.chunks(stride) {
        match datagram::parse(datagram) {
            Ok(Datagram::Transport { receiver, .. }) if receiver != INDEX => outcome.unknown += 1,
            Ok(Datagram::Transport { .. }) if !authentic(datagram) => outcome.forged += 1,
            Ok(Datagram::Transport { counter, .. }) => {
                if fresh(&mut seen, counter) {
                    open(&datagram[16..datagram.len() - 16], &mut outcome);
                } else {
                    outcome.replayed += 1;
                }
            }
            Ok(Datagram::Initiation(_) | Datagram::Response(_) | Datagram::CookieReply(_)) => {}
            _ => outcome.malformed += 1,
        }
    }
    outcome
}

fn fresh(seen: &mut BTreeSet<u64>, counter: u64) -> bool {
    let highest = seen.last().copied().unwrap_or(0);
    let behind = highest.saturating_sub(counter) >= 131_072;
    counter < u64::MAX - (1 << 13) && !behind && seen.insert(counter)
}

fn open(plaintext: &[u8], outcome: &mut Outcome) {
    // What belongs to bonding is compared with its own twin; here only its inner packet counts.
    if plaintext.first().is_some_and(|first| first >> 4 == 8) {
        match Shim::parse(plaintext) {
            Some((_, packet))
                if packet
                    .first()
                    .is_some_and(|first| matches!(first >> 4, 4 | 6)) =>
            {
                return open(packet, outcome);
            }
            _ => return outcome.bad_plaintext += 1,
        }
    }
    if let Some(feedback) = Feedback::in_frame(plaintext) {
        return outcome.bad_plaintext += u64::from(feedback.is_err());
    }
    match frame::parse(plaintext) {
        Ok(Plaintext::Ip(packet)) => match (ip::total_len(packet), ip::source(packet)) {
            (Some(length), Some(source)) if routes().lookup(source).is_some() => {
                outcome.delivered.push(packet[..length].to_vec());
            }
            (Some(_), Some(_)) => outcome.wrong_source += 1,
            _ => outcome.bad_plaintext += 1,
        },
        Ok(Plaintext::Frame(_)) => outcome.frames.push(plaintext.to_vec()),
        Ok(Plaintext::Keepalive | Plaintext::Unknown(_)) => {}
        Err(_) => outcome.bad_plaintext += 1,
    }
}
