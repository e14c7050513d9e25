//! What the protocol's vectors are computed with: fixed randomness, a session on the shipped send
//! machine, and the path-MTU search on virtual time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use whalescale_core::aead::{AeadKey, HEADER_LEN, TAG_LEN};
use whalescale_core::bond::schedule::Policy;
use whalescale_core::entropy::Entropy;
use whalescale_core::handoff::{
    Endpoint, PathId, PathRole, PeerIndex, SendKey, SocketId, ToSender,
};
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::pmtu::{PathMtu, Sizing, Step};
use whalescale_core::routes::Routes;
use whalescale_core::sender::{Handled, Sender};
use whalescale_core::time::Instant;
use whalescale_core::wire::frame::Frame;

pub const INITIATOR_INDEX: u32 = 0x0102_0304;
pub const RESPONDER_INDEX: u32 = 0x0506_0708;
pub const NOW: Instant = Instant::from_nanos(1);

/// Randomness whose n-th draw is one byte, repeated.
pub struct Fixed(VecDeque<u8>);

impl Fixed {
    pub fn of<const N: usize>(bytes: [u8; N]) -> Self {
        Self(bytes.into())
    }
}

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(self.0.pop_front().unwrap());
    }
}

struct SealOnly(ChaCha20Poly1305);

impl AeadKey for SealOnly {
    fn seal_run(&self, first_counter: u64, run: &mut [u8], stride: usize) {
        for (counter, datagram) in (first_counter..).zip(run.chunks_mut(stride)) {
            let mut nonce = Nonce::default();
            nonce[4..].copy_from_slice(&counter.to_le_bytes());
            let (payload, tag) = datagram[HEADER_LEN..]
                .split_last_chunk_mut::<TAG_LEN>()
                .unwrap();
            let sealed = self.0.encrypt_in_place_detached(&nonce, &[], payload);
            tag.copy_from_slice(&sealed.unwrap());
        }
    }

    fn open_run(&self, _: &[u64], _: &mut [u8], _: usize, verdicts: &mut [bool]) {
        verdicts.fill(false);
    }
}

/// The sending end of a session with one peer, to which all of IPv4 is routed.
pub struct Session(Sender);

const PEER: PeerIndex = PeerIndex(0);

impl Session {
    pub fn open(key: &[u8; 32], inner_mtu: u16) -> Self {
        let mut session = Self(Sender::new(Arc::default(), Policy::default()));
        let everything = ("0.0.0.0/0".parse().unwrap(), PEER);
        let endpoint = Endpoint {
            socket: SocketId(0),
            remote: "192.0.2.2:51820".parse().unwrap(),
        };
        let key = SendKey {
            key: Box::new(SealOnly(ChaCha20Poly1305::new(key.into()))),
            receiver: RESPONDER_INDEX,
            created: NOW,
            initiator: true,
            confirm: false,
        };
        for update in [
            ToSender::Peer {
                peer: PEER,
                bond: Default::default(),
                activity: Arc::default(),
            },
            ToSender::Routes(Arc::new(Routes::build([everything]).unwrap())),
            ToSender::Endpoint {
                peer: PEER,
                endpoint,
                inner_mtu,
            },
            ToSender::Keypair { peer: PEER, key },
        ] {
            session.update(update);
        }
        session
    }

    /// The same with a second path, of which the first has this number.
    pub fn bonded(mut self, first: u8) -> Self {
        for (path, socket) in [(first, 0), (first + 1, 1)] {
            self.update(ToSender::Path {
                peer: PEER,
                path: PathId(path),
                endpoint: Endpoint {
                    socket: SocketId(socket),
                    remote: "192.0.2.2:51820".parse().unwrap(),
                },
                role: PathRole::Bulk,
                gauge: Arc::default(),
            });
        }
        self
    }

    fn update(&mut self, update: ToSender) {
        self.0.handle_update(update, NOW, |_| Ok(()));
    }

    fn sent(&mut self) -> Vec<u8> {
        let mut datagrams = Vec::new();
        self.0.flush(NOW, |transmit| {
            datagrams.extend_from_slice(transmit.datagrams);
            Ok(())
        });
        datagrams
    }

    fn plaintext(&mut self, plaintext: Vec<u8>) -> Vec<u8> {
        self.update(ToSender::Frame {
            peer: PEER,
            endpoint: None,
            plaintext,
        });
        self.sent()
    }

    /// The datagram of one frame.
    pub fn frame(&mut self, frame: &Frame) -> Vec<u8> {
        let mut plaintext = Vec::new();
        frame.encode(&mut plaintext);
        self.plaintext(plaintext)
    }

    /// The datagram of nothing.
    pub fn keepalive(&mut self) -> Vec<u8> {
        self.plaintext(Vec::new())
    }

    /// The datagram of one inner packet.
    pub fn packet(&mut self, packet: &[u8]) -> Vec<u8> {
        let handled = self
            .0
            .handle_packet(&VnetHeader::default(), packet, NOW, &mut [0; 1280]);
        assert_eq!(handled, Handled::Taken);
        self.sent()
    }
}

/// An IPv4 packet from 10.88.0.1 to 10.88.0.2 of a protocol for experiments, all payload zero.
pub fn ip_packet(len: u16) -> Vec<u8> {
    let mut packet = vec![0; len.into()];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[8] = 64;
    packet[9] = 253;
    packet[12..20].copy_from_slice(&[10, 88, 0, 1, 10, 88, 0, 2]);
    let sum: u32 = packet[..20]
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet
}

/// `packet:plaintext` lengths of inner packets under an inner MTU.
pub fn padded_lengths(key: &[u8; 32], inner_mtu: u16, lengths: &[u16]) -> String {
    let padded = lengths.iter().map(|len| {
        let datagram = Session::open(key, inner_mtu).packet(&ip_packet(*len));
        format!("{len}:{}", datagram.len() - HEADER_LEN - TAG_LEN)
    });
    padded.collect::<Vec<_>>().join(" ")
}

/// The sizes that the search probes on a path which carries inner packets of up to `carried` bytes,
/// each as often as it is probed, and what it settles on.
pub fn probed_sizes(carried: u16) -> String {
    let mut search = PathMtu::new(Sizing::Auto);
    let mut now = NOW;
    let mut probes = Vec::new();
    while let Some(Step::Probe(size)) = search.poll(now, Some(now), false) {
        probes.push(size.to_string());
        if size <= carried {
            search.confirmed(size, now);
        } else {
            now = now + Duration::from_secs(1);
        }
    }
    format!("{} -> {}", probes.join(" "), search.current())
}
