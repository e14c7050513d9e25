//! Two endpoints on virtual time: the shipped machines, a seeded network, no threads, no sleeping.

#![allow(dead_code)] // Each test file uses its part.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use whalescale_core::aead::{AeadBackend, AeadKey, HEADER_LEN, TAG_LEN};
use whalescale_core::control::{
    Command, Control, Event, LocalSocket, Output, PeerConfig, Settings,
};
use whalescale_core::drops::{DropCounters, DropReason};
use whalescale_core::entropy::Entropy;
use whalescale_core::handoff::{Endpoint, SocketId, ToReceiver, ToSender};
use whalescale_core::handshake::mac::MacVerifier;
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::{PresharedKey, PublicKey, Secret};
use whalescale_core::inner::coalesce::Offload;
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::receiver::Receiver;
use whalescale_core::sender::{Handled, Sender};
use whalescale_core::time::{Instant, Now};
use whalescale_netem::{LinkConfig, Network};

/// The cipher as RFC 8439 has it, one datagram at a time.
pub struct NaiveAead;

struct NaiveKey(ChaCha20Poly1305);

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    bytes.into()
}

impl AeadKey for NaiveKey {
    fn seal_run(&self, first_counter: u64, run: &mut [u8], stride: usize) {
        for (counter, datagram) in (first_counter..).zip(run.chunks_mut(stride)) {
            let (_, rest) = datagram.split_at_mut(HEADER_LEN);
            let (payload, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
            let sealed = self
                .0
                .encrypt_in_place_detached(&nonce(counter), &[], payload);
            tag.copy_from_slice(&sealed.expect("sealing"));
        }
    }

    fn open_run(&self, counters: &[u64], run: &mut [u8], stride: usize, verdicts: &mut [bool]) {
        for ((counter, datagram), verdict) in
            counters.iter().zip(run.chunks_mut(stride)).zip(verdicts)
        {
            let (_, rest) = datagram.split_at_mut(HEADER_LEN);
            let (payload, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
            let tag = Tag::clone_from_slice(tag);
            *verdict = self
                .0
                .decrypt_in_place_detached(&nonce(*counter), &[], payload, &tag)
                .is_ok();
        }
    }
}

impl AeadBackend for NaiveAead {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
        Box::new(NaiveKey(ChaCha20Poly1305::new(key.into())))
    }
}

/// SplitMix64: enough for tests, and the same everywhere.
pub struct SeededEntropy(pub u64);

impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

const SOCKET: SocketId = SocketId(0);

/// One endpoint: the three machines as the addon would drive them, with one socket.
pub struct Node {
    pub secret: Secret,
    pub address: SocketAddr,
    pub control: Control,
    pub sender: Sender,
    pub receiver: Receiver,
    pub drops: Arc<DropCounters>,
    pub events: Vec<Event>,
    /// Inner packets as the TUN device got them.
    pub delivered: Vec<Vec<u8>>,
    /// ICMP answers given to the local stack.
    pub answers: Vec<Vec<u8>>,
    /// Every datagram sent, with its time.
    pub sent: Vec<(Instant, Vec<u8>)>,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Datagrams longer than this are refused by the local link.
    pub link_mtu: usize,
}

/// How a node is set up.
#[derive(Clone, Copy)]
pub struct Setup {
    pub inner_mtu: Option<u16>,
    pub timestamp_floor: Tai64n,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            inner_mtu: Some(1420),
            timestamp_floor: Tai64n::default(),
        }
    }
}

impl Node {
    pub fn new(name: u8, address: &str, seed: u64, setup: Setup) -> Self {
        let secret = Secret::from_seed(&[name; 32]);
        let drops = Arc::new(DropCounters::default());
        let settings = Settings {
            secret: Secret::from_seed(&[name; 32]),
            backend: Arc::new(NaiveAead),
            entropy: Box::new(SeededEntropy(seed ^ u64::from(name) << 32)),
            timestamp_floor: setup.timestamp_floor,
            inner_mtu: setup.inner_mtu,
            drops: Arc::clone(&drops),
        };
        let mut node = Self {
            control: Control::new(settings),
            sender: Sender::new(Arc::clone(&drops)),
            receiver: Receiver::new(MacVerifier::new(&secret.public_key()), Arc::clone(&drops)),
            address: address.parse().expect("address"),
            secret,
            drops,
            events: Vec::new(),
            delivered: Vec::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            outbox: VecDeque::new(),
            link_mtu: usize::MAX,
        };
        let sockets = vec![LocalSocket {
            id: SOCKET,
            local: node.address,
        }];
        node.command(Command::Sockets(sockets), now_at(0));
        node
    }

    pub fn command(&mut self, command: Command, now: Now) {
        self.control.handle_command(command, now).expect("command");
        self.pump(now);
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason)
    }

    /// Gives one plain packet to the TUN device's reader.
    pub fn tun(&mut self, packet: &[u8], now: Now) -> Handled {
        self.tun_super(&VnetHeader::default(), packet, now)
    }

    pub fn tun_super(&mut self, vnet: &VnetHeader, packet: &[u8], now: Now) -> Handled {
        let mut answer = [0; 1280];
        let handled = self
            .sender
            .handle_packet(vnet, packet, now.instant, &mut answer);
        if let Handled::TooLong(len) = handled {
            self.answers.push(answer[..len].to_vec());
        }
        self.flush(now);
        self.pump(now);
        handled
    }

    fn flush(&mut self, now: Now) {
        let Self {
            sender,
            outbox,
            sent,
            link_mtu,
            ..
        } = self;
        sender.flush(now.instant, emit(outbox, sent, *link_mtu, now.instant));
    }

    /// Takes one datagram from the network, as a message of its own.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Now) {
        let mut arena = datagram.to_vec();
        let from = Endpoint {
            socket: SOCKET,
            remote: from,
        };
        let all = 0..arena.len();
        self.receiver
            .handle_message(&mut arena, all, datagram.len(), from, now.instant);
        let delivered = &mut self.delivered;
        self.receiver
            .deliver(&mut arena, Offload::default(), |_, pieces| {
                delivered.push(pieces.concat_bytes());
            });
        self.pump(now);
    }

    /// Carries values between the machines until all is quiet.
    pub fn pump(&mut self, now: Now) {
        loop {
            let mut quiet = true;
            while let Some(report) = self.sender.poll_report() {
                self.control.handle_sender(report, now);
                quiet = false;
            }
            let reports: Vec<_> = self.receiver.take_reports().collect();
            for report in reports {
                self.control.handle_receiver(report, now);
                quiet = false;
            }
            while let Some(output) = self.control.poll_output() {
                self.carry_out(output, now);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn carry_out(&mut self, output: Output, now: Now) {
        match output {
            Output::Send { to, message } => {
                self.sent.push((now.instant, message.to_vec()));
                self.outbox.push_back((to.remote, message.to_vec()));
            }
            Output::Sender(update) => self.update_sender(update, now),
            Output::Receiver(update) => self.update_receiver(update),
            Output::Event(event) => self.events.push(event),
        }
    }

    fn update_sender(&mut self, update: ToSender, now: Now) {
        let Self {
            sender,
            outbox,
            sent,
            link_mtu,
            ..
        } = self;
        sender.handle_update(
            update,
            now.instant,
            emit(outbox, sent, *link_mtu, now.instant),
        );
        self.flush(now);
    }

    fn update_receiver(&mut self, update: ToReceiver) {
        self.receiver.handle_update(update);
    }

    pub fn peer_config(&self) -> PeerConfig {
        PeerConfig {
            public_key: self.secret.public_key(),
            node_id: Some(self.secret.node_id()),
            preshared_key: PresharedKey::default(),
            allowed_ips: Vec::new(),
            endpoints: Vec::new(),
            persistent_keepalive: None,
        }
    }

    pub fn key(&self) -> PublicKey {
        self.secret.public_key()
    }
}

use whalescale_core::sender::{SendError, Transmit};

fn emit<'a>(
    outbox: &'a mut VecDeque<(SocketAddr, Vec<u8>)>,
    sent: &'a mut Vec<(Instant, Vec<u8>)>,
    link_mtu: usize,
    now: Instant,
) -> impl FnMut(Transmit<'_>) -> Result<(), SendError> + 'a {
    move |transmit| {
        if transmit.stride > link_mtu {
            return Err(SendError::TooBig);
        }
        for datagram in transmit.datagrams.chunks(transmit.stride) {
            sent.push((now, datagram.to_vec()));
            outbox.push_back((transmit.endpoint.remote, datagram.to_vec()));
        }
        Ok(())
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [std::io::IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }
}

/// The wall clock of all tests starts here, in 2026.
const EPOCH: Duration = Duration::from_secs(1_790_000_000);

pub fn now_at(nanos: u64) -> Now {
    Now {
        instant: Instant::from_nanos(nanos),
        unix: EPOCH + Duration::from_nanos(nanos),
    }
}

/// Two nodes that are configured as each other's peer, and the network between.
pub struct Pair {
    pub a: Node,
    pub b: Node,
    pub network: Network,
    pub nanos: u64,
}

pub const A_INNER: [u8; 4] = [10, 88, 0, 1];
pub const B_INNER: [u8; 4] = [10, 88, 0, 2];

impl Pair {
    /// A knows where B is; B learns A's address.
    pub fn new(seed: u64, link: LinkConfig) -> Self {
        Self::with(seed, link, Setup::default(), |_, _| {})
    }

    pub fn with(
        seed: u64,
        link: LinkConfig,
        setup: Setup,
        adjust: impl Fn(&mut PeerConfig, &mut PeerConfig),
    ) -> Self {
        println!("seed {seed}");
        let a = Node::new(1, "192.0.2.1:51820", seed, setup);
        let b = Node::new(2, "192.0.2.2:51820", seed, setup);
        let mut network = Network::new(seed);
        network.link(a.address, b.address, link);
        let mut pair = Self {
            a,
            b,
            network,
            nanos: 0,
        };
        let mut b_for_a = pair.b.peer_config();
        b_for_a.allowed_ips = vec!["10.88.0.2/32".parse().expect("prefix")];
        b_for_a.endpoints = vec![pair.b.address];
        let mut a_for_b = pair.a.peer_config();
        a_for_b.allowed_ips = vec!["10.88.0.1/32".parse().expect("prefix")];
        adjust(&mut b_for_a, &mut a_for_b);
        let now = pair.now();
        pair.a.command(Command::Peer(Box::new(b_for_a)), now);
        pair.b.command(Command::Peer(Box::new(a_for_b)), now);
        pair.flush();
        pair
    }

    pub fn now(&self) -> Now {
        now_at(self.nanos)
    }

    /// Gives a packet from A to B to A's TUN device.
    pub fn a_sends(&mut self, payload: &[u8]) -> Handled {
        let now = self.now();
        let handled = self.a.tun(&udp_packet(A_INNER, B_INNER, payload), now);
        self.flush();
        handled
    }

    pub fn b_sends(&mut self, payload: &[u8]) -> Handled {
        let now = self.now();
        let handled = self.b.tun(&udp_packet(B_INNER, A_INNER, payload), now);
        self.flush();
        handled
    }

    /// Puts what the nodes sent on the network.
    pub fn flush(&mut self) {
        for node in [&mut self.a, &mut self.b] {
            let from = node.address;
            for (to, bytes) in node.outbox.drain(..) {
                // What the network drops is its business, and in its statistics.
                let _ = self.network.send(self.nanos, from, to, &bytes);
            }
        }
    }

    /// Lets time pass: deliveries and timeouts in order, each at its own instant.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.nanos + u64::try_from(span.as_nanos()).expect("span");
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.nanos = next.max(self.nanos);
            self.step();
        }
        self.nanos = end;
    }

    fn next_event(&self) -> Option<u64> {
        let now = self.now().instant;
        let timeouts = [&self.a, &self.b]
            .into_iter()
            .filter_map(|node| node.control.next_timeout(now));
        timeouts
            .map(Instant::as_nanos)
            .chain(self.network.next_event())
            .min()
    }

    fn step(&mut self) {
        let now = self.now();
        while let Some(delivery) = self.network.poll(self.nanos) {
            let node = if delivery.to == self.a.address {
                &mut self.a
            } else {
                &mut self.b
            };
            node.receive(delivery.from, &delivery.bytes, now);
        }
        for node in [&mut self.a, &mut self.b] {
            if node
                .control
                .next_timeout(now.instant)
                .is_some_and(|at| at <= now.instant)
            {
                node.control.handle_timeout(now);
                node.pump(now);
            }
        }
        self.flush();
    }

    /// Opens the session with one packet each way and forgets what that took.
    pub fn connect(&mut self) {
        self.a_sends(b"first");
        self.run_for(Duration::from_secs(1));
        self.b_sends(b"answer");
        self.run_for(Duration::from_secs(1));
        for node in [&mut self.a, &mut self.b] {
            assert_eq!(node.delivered.len(), 1, "the session did not open");
            node.delivered.clear();
            node.sent.clear();
            node.events.clear();
        }
    }
}

/// An IPv4 UDP packet without checksums, which the tunnel does not look at.
pub fn udp_packet(source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(28 + payload.len()).expect("length");
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend([0x30, 0x39, 0x30, 0x39]);
    packet.extend((total - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

pub fn payload(packet: &[u8]) -> &[u8] {
    &packet[28..]
}
