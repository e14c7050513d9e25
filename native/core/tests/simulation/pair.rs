//! Two nodes that are configured as each other's peer, and the network between.

use std::net::SocketAddr;
use std::time::Duration;

use whalescale_core::control::{Command, PeerConfig};
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::sender::Handled;
use whalescale_core::time::{Instant, Now};
use whalescale_netem::{Change, LinkConfig, LinkId, Network};

use crate::node::{Node, Setup};

/// The wall clock of all tests starts here, in 2026.
const EPOCH: Duration = Duration::from_secs(1_790_000_000);

pub fn now_at(nanos: u64) -> Now {
    Now {
        instant: Instant::from_nanos(nanos),
        unix: EPOCH + Duration::from_nanos(nanos),
    }
}

pub fn link() -> LinkConfig {
    LinkConfig::new(100, 10)
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub struct Pair {
    pub a: Node,
    pub b: Node,
    pub network: Network,
    pub nanos: u64,
    /// Instants at which anything happened; a machine that spins makes it explode.
    pub steps: u64,
    link: LinkId,
}

pub const A_INNER: [u8; 4] = [10, 88, 0, 1];
pub const B_INNER: [u8; 4] = [10, 88, 0, 2];

impl Pair {
    /// A knows where B is; B learns A's address.
    pub fn new(seed: u64, link: LinkConfig) -> Self {
        Self::with(seed, link, Setup::default(), |_, _| {})
    }

    /// `adjust` gets what A is told of B, and what B is told of A.
    pub fn with(
        seed: u64,
        link: LinkConfig,
        setup: Setup,
        adjust: impl FnOnce(&mut PeerConfig, &mut PeerConfig),
    ) -> Self {
        println!("seed {seed}");
        let start = now_at(0);
        let a = Node::new(1, address("192.0.2.1:51820"), seed, setup, start);
        let b = Node::new(2, address("192.0.2.2:51820"), seed, setup, start);
        let mut network = Network::new(seed);
        let link = network.link(a.address, b.address, link);
        let mut pair = Self {
            a,
            b,
            network,
            nanos: 0,
            steps: 0,
            link,
        };
        let mut b_for_a = pair.b.as_peer();
        b_for_a.allowed_ips = vec!["10.88.0.2/32".parse().expect("prefix")];
        b_for_a.endpoints = vec![pair.b.address];
        let mut a_for_b = pair.a.as_peer();
        a_for_b.allowed_ips = vec!["10.88.0.1/32".parse().expect("prefix")];
        adjust(&mut b_for_a, &mut a_for_b);
        pair.a.command(Command::Peer(Box::new(b_for_a)), start);
        pair.b.command(Command::Peer(Box::new(a_for_b)), start);
        pair.flush();
        pair
    }

    /// Both know where the other is.
    pub fn mutual(seed: u64, link: LinkConfig) -> Self {
        Self::with(seed, link, Setup::default(), |_, a_for_b| {
            a_for_b.endpoints = vec![address("192.0.2.1:51820")];
        })
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
            for sent in node.take_outbox() {
                // What the network drops is its business, and in its statistics.
                let _ = self
                    .network
                    .send(self.nanos, sent.from, sent.to, &sent.bytes);
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

    /// As [`Self::run_for`], to this much time after the start.
    pub fn run_until(&mut self, at: Duration) {
        let at = u64::try_from(at.as_nanos()).expect("span");
        self.run_for(Duration::from_nanos(at.saturating_sub(self.nanos)));
    }

    fn next_event(&self) -> Option<u64> {
        let now = self.now().instant;
        let timeouts = [&self.a, &self.b]
            .into_iter()
            .filter_map(|node| node.next_timeout(now));
        timeouts
            .map(Instant::as_nanos)
            .chain(self.network.next_event())
            .min()
    }

    fn step(&mut self) {
        self.steps += 1;
        let now = self.now();
        while let Some(delivery) = self.network.poll(self.nanos) {
            let (to, from, bytes) = (delivery.to, delivery.from, &delivery.bytes);
            // What is on the way to a socket that was closed is lost.
            let _ =
                self.a.receive_at(to, from, bytes, now) || self.b.receive_at(to, from, bytes, now);
        }
        for node in [&mut self.a, &mut self.b] {
            // What a timeout sends may be refused at once and give the search its next step.
            let rounds = (0..16).take_while(|_| node.handle_timeout(now)).count();
            assert!(rounds < 16, "a timeout was handled and is still due");
        }
        self.flush();
    }

    /// Opens the session with one packet each way and forgets what that took.
    pub fn connect(&mut self) {
        self.a_sends(b"first");
        self.run_for(secs(1));
        self.b_sends(b"answer");
        self.run_for(secs(1));
        for node in [&mut self.a, &mut self.b] {
            assert_eq!(node.delivered.len(), 1, "the session did not open");
            node.forget();
        }
    }

    pub fn cut(&mut self, is_cut: bool) {
        self.network.cut(self.nanos, self.link, is_cut);
    }

    /// Changes the link in both directions.
    pub fn change(&mut self, change: Change) {
        let (a, b) = (self.a.address, self.b.address);
        assert!(self.network.apply(self.nanos, a, b, change));
        assert!(self.network.apply(self.nanos, b, a, change));
    }

    /// Changes the direction from A to B alone.
    pub fn change_from_a(&mut self, change: Change) {
        let (a, b) = (self.a.address, self.b.address);
        assert!(self.network.apply(self.nanos, a, b, change));
    }

    /// B dies and starts anew, with what it keeps on disk: its configuration and its timestamp.
    pub fn restart_b(&mut self, seed: u64) {
        restart(&mut self.b, seed, now_at(self.nanos));
        self.flush();
    }
}

fn restart(node: &mut Node, seed: u64, now: Now) {
    let timestamps = node.events.iter().filter_map(|event| match event {
        whalescale_core::control::Event::Timestamp(timestamp) => Some(*timestamp),
        _ => None,
    });
    let floor: Tai64n = timestamps.max().unwrap_or(node.setup.timestamp_floor);
    let setup = Setup {
        timestamp_floor: floor.max(node.setup.timestamp_floor),
        ..node.setup
    };
    let peer = node.peer.clone().expect("a peer");
    let mut fresh = Node::new(node.name, node.address, seed, setup, now);
    fresh.set_sockets(node.sockets.clone(), now);
    fresh.command(Command::Peer(Box::new(peer)), now);
    std::mem::swap(&mut fresh.delivered, &mut node.delivered);
    std::mem::swap(&mut fresh.delivered_at, &mut node.delivered_at);
    *node = fresh;
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("address")
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

/// The payloads of what a node delivered.
pub fn payloads(node: &Node) -> Vec<&[u8]> {
    node.delivered
        .iter()
        .map(|packet| payload(packet))
        .collect()
}
