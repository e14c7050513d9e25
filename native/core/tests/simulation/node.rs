//! One endpoint: the three machines as the addon would drive them, with one socket or more.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use whalescale_core::bond::reorder::Depth;
use whalescale_core::bond::schedule::Policy;
use whalescale_core::control::{
    Command, CommandError, Control, Event, LocalSocket, Output, PeerConfig, PeerState, PeerStatus,
    Settings,
};
use whalescale_core::drops::{DROP_REASONS, DropCounters, DropReason};
use whalescale_core::entropy::Entropy;
use whalescale_core::handoff::{Endpoint, PathId, PathRole, SocketId, ToReceiver, ToSender};
use whalescale_core::handshake::mac::MacVerifier;
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::{PresharedKey, PublicKey, Secret};
use whalescale_core::inner::coalesce::Offload;
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::receiver::Receiver;
use whalescale_core::sender::{Handled, SendError, Sender, Transmit};
use whalescale_core::time::{Instant, Now};

use crate::cipher::KeyLog;

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

pub const SOCKET: SocketId = SocketId(0);

/// A datagram that a node sent.
#[derive(Clone)]
pub struct Sent {
    pub at: Instant,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// How a node is set up.
#[derive(Clone, Copy)]
pub struct Setup {
    pub inner_mtu: Option<u16>,
    pub timestamp_floor: Tai64n,
    pub policy: Policy,
    pub depth: Depth,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            inner_mtu: Some(1420),
            timestamp_floor: Tai64n::default(),
            policy: Policy::Edpf,
            depth: Depth::Auto,
        }
    }
}

pub struct Node {
    pub name: u8,
    pub setup: Setup,
    pub secret: Secret,
    pub address: SocketAddr,
    /// Its sockets, each on a link of its own unless a test says otherwise; `address` is the first.
    pub sockets: Vec<LocalSocket>,
    pub control: Control,
    pub sender: Sender,
    pub receiver: Receiver,
    pub drops: Arc<DropCounters>,
    pub keys: KeyLog,
    pub events: Vec<Event>,
    /// Inner packets as the TUN device got them, and when.
    pub delivered: Vec<Vec<u8>>,
    pub delivered_at: Vec<Instant>,
    /// ICMP answers given to the local stack.
    pub answers: Vec<Vec<u8>>,
    /// Every datagram sent.
    pub sent: Vec<Sent>,
    /// Datagrams longer than this are refused by the local link.
    pub link_mtu: usize,
    /// The peer that the node was last told of, for a restart.
    pub peer: Option<PeerConfig>,
    /// The paths as the send machine was told, and how often it was told of one.
    pub paths: BTreeMap<PathId, (Endpoint, PathRole)>,
    pub path_updates: usize,
    /// The other end's paths as the receive machine was told.
    pub bound: BTreeMap<PathId, Endpoint>,
    outbox: VecDeque<Sent>,
}

impl Node {
    pub fn new(name: u8, address: SocketAddr, seed: u64, setup: Setup, now: Now) -> Self {
        let secret = Secret::from_seed(&[name; 32]);
        let drops = Arc::new(DropCounters::default());
        let keys = KeyLog::default();
        let settings = Settings {
            secret: Secret::from_seed(&[name; 32]),
            backend: Arc::new(keys.clone()),
            entropy: Box::new(SeededEntropy(seed ^ (u64::from(name) << 32))),
            timestamp_floor: setup.timestamp_floor,
            inner_mtu: setup.inner_mtu,
            drops: Arc::clone(&drops),
        };
        let mut node = Self {
            name,
            setup,
            control: Control::new(settings),
            sender: Sender::new(Arc::clone(&drops), setup.policy),
            receiver: Receiver::new(
                MacVerifier::new(&secret.public_key()),
                setup.depth,
                Arc::clone(&drops),
            ),
            address,
            sockets: vec![socket(SOCKET, address, 1)],
            secret,
            drops,
            keys,
            events: Vec::new(),
            delivered: Vec::new(),
            delivered_at: Vec::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            link_mtu: usize::MAX,
            peer: None,
            paths: BTreeMap::new(),
            path_updates: 0,
            bound: BTreeMap::new(),
            outbox: VecDeque::new(),
        };
        node.command(Command::Sockets(node.sockets.clone()), now);
        node
    }

    /// Replaces the sockets.
    pub fn set_sockets(&mut self, sockets: Vec<LocalSocket>, now: Now) {
        self.sockets = sockets;
        self.command(Command::Sockets(self.sockets.clone()), now);
    }

    pub fn command(&mut self, command: Command, now: Now) {
        self.try_command(command, now).expect("command");
    }

    pub fn try_command(&mut self, command: Command, now: Now) -> Result<(), CommandError> {
        if let Command::Peer(config) = &command {
            self.peer = Some((**config).clone());
        }
        let result = self.control.handle_command(command, now);
        self.pump(now);
        result
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason)
    }

    /// The counters that are not zero.
    pub fn drop_report(&self) -> Vec<(&'static str, u64)> {
        let counters = DROP_REASONS
            .iter()
            .map(|(reason, name)| (*name, self.dropped(*reason)));
        counters.filter(|(_, count)| *count > 0).collect()
    }

    /// What is known of the only peer.
    pub fn status(&self, now: Now) -> PeerStatus {
        self.control.status(now.instant).remove(0)
    }

    pub fn states(&self) -> Vec<PeerState> {
        let states = self.events.iter().filter_map(|event| match event {
            Event::Peer { state, .. } => Some(*state),
            _ => None,
        });
        states.collect()
    }

    pub fn sent_of_type(&self, kind: u8) -> Vec<&Sent> {
        let of_type = |sent: &&Sent| sent.bytes.first() == Some(&kind);
        self.sent.iter().filter(of_type).collect()
    }

    /// The plaintexts of what was sent inside sessions, without padding being told apart.
    pub fn sent_plaintexts(&self) -> Vec<(Instant, Vec<u8>)> {
        let sent = self.sent_of_type(4).into_iter();
        sent.map(|sent| {
            let plaintext = self.keys.open(&sent.bytes).expect("sealed by this node");
            (sent.at, plaintext)
        })
        .collect()
    }

    /// Forgets what was observed so far.
    pub fn forget(&mut self) {
        self.delivered.clear();
        self.delivered_at.clear();
        self.answers.clear();
        self.sent.clear();
        self.events.clear();
    }

    /// Gives one plain packet to the TUN device's reader.
    pub fn tun(&mut self, packet: &[u8], now: Now) -> Handled {
        self.tun_batch(&[(VnetHeader::default(), packet.to_vec())], now)
            .remove(0)
    }

    /// Gives several packets to the TUN device's reader, which flushes only when it must.
    pub fn tun_batch(&mut self, packets: &[(VnetHeader, Vec<u8>)], now: Now) -> Vec<Handled> {
        let mut all = Vec::new();
        for (vnet, packet) in packets {
            if self.sender.is_full() {
                self.flush(now);
            }
            let mut answer = [0; 1280];
            let handled = self
                .sender
                .handle_packet(vnet, packet, now.instant, &mut answer);
            if let Handled::TooLong(len) = handled {
                self.answers.push(answer[..len].to_vec());
            }
            all.push(handled);
        }
        self.flush(now);
        self.pump(now);
        all
    }

    fn flush(&mut self, now: Now) {
        let emit = emit(
            &mut self.outbox,
            &mut self.sent,
            &self.sockets,
            self.link_mtu,
            now.instant,
        );
        self.sender.flush(now.instant, emit);
    }

    /// Takes one datagram from the network, as a message of its own.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Now) {
        self.receive_joined(from, datagram, datagram.len(), now);
    }

    /// Takes one message of several datagrams, each `stride` long but for the last.
    pub fn receive_joined(&mut self, from: SocketAddr, message: &[u8], stride: usize, now: Now) {
        let from = Endpoint {
            socket: SOCKET,
            remote: from,
        };
        self.receive_on(from, message, stride, now);
    }

    /// Takes one datagram that was sent to `to`; false if no socket is there.
    pub fn receive_at(
        &mut self,
        to: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
        now: Now,
    ) -> bool {
        let socket = self.sockets.iter().find(|socket| socket.local == to);
        let from = socket.map(|socket| Endpoint {
            socket: socket.id,
            remote: from,
        });
        if let Some(from) = from {
            self.receive_on(from, datagram, datagram.len(), now);
        }
        from.is_some()
    }

    fn receive_on(&mut self, from: Endpoint, message: &[u8], stride: usize, now: Now) {
        let mut arena = message.to_vec();
        let all = 0..arena.len();
        self.receiver
            .handle_message(&mut arena, all, stride, from, now.instant);
        self.deliver(&mut arena, now);
        self.pump(now);
    }

    /// Does what is due by now; false if nothing was.
    pub fn handle_timeout(&mut self, now: Now) -> bool {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        let control = is_due(self.control.next_timeout(now.instant));
        let receiver = is_due(self.receiver.next_timeout());
        let sender = is_due(self.sender.next_timeout());
        if control {
            self.control.handle_timeout(now);
        }
        if receiver {
            self.receiver.handle_timeout(now.instant);
            self.deliver(&mut [], now);
        }
        if sender {
            self.flush(now);
        }
        if control || receiver || sender {
            self.pump(now);
        }
        control || receiver || sender
    }

    /// When any of the machines has something to do.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let control = self.control.next_timeout(now);
        let timeouts = [
            control,
            self.receiver.next_timeout(),
            self.sender.next_timeout(),
        ];
        timeouts.into_iter().flatten().min()
    }

    /// Writes what waits to the TUN device.
    pub fn deliver(&mut self, arena: &mut [u8], now: Now) {
        let (delivered, delivered_at) = (&mut self.delivered, &mut self.delivered_at);
        self.receiver
            .deliver(arena, Offload::default(), now.instant, |_, pieces| {
                delivered.push(pieces.iter().flat_map(|piece| piece.to_vec()).collect());
                delivered_at.push(now.instant);
            });
    }

    /// Carries values between the machines until all is quiet.
    pub fn pump(&mut self, now: Now) {
        loop {
            let mut quiet = true;
            let crossings: Vec<_> = self.receiver.take_crossings().collect();
            if !crossings.is_empty() {
                for crossing in crossings {
                    self.sender.handle_crossing(crossing, now.instant);
                }
                self.flush(now);
                quiet = false;
            }
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
                let Some(from) = local_of(&self.sockets, to.socket) else {
                    return;
                };
                let sent = Sent {
                    at: now.instant,
                    from,
                    to: to.remote,
                    bytes: message.to_vec(),
                };
                self.sent.push(sent.clone());
                self.outbox.push_back(sent);
            }
            Output::Sender(update) => {
                self.note_path(&update);
                let emit = emit(
                    &mut self.outbox,
                    &mut self.sent,
                    &self.sockets,
                    self.link_mtu,
                    now.instant,
                );
                self.sender.handle_update(update, now.instant, emit);
                self.flush(now);
            }
            Output::Receiver(update) => {
                if let ToReceiver::Path { path, endpoint, .. } = update {
                    self.bound.insert(path, endpoint);
                }
                self.receiver.handle_update(update);
            }
            Output::Event(event) => self.events.push(event),
        }
    }

    fn note_path(&mut self, update: &ToSender) {
        match update {
            ToSender::Path {
                path,
                endpoint,
                role,
                ..
            } => {
                self.path_updates += 1;
                self.paths.insert(*path, (*endpoint, *role));
            }
            ToSender::RemovePath { path, .. } => {
                self.paths.remove(path);
            }
            _ => {}
        }
    }

    /// What was sent since the last call.
    pub fn take_outbox(&mut self) -> Vec<Sent> {
        self.outbox.drain(..).collect()
    }

    /// How others configure this node.
    pub fn as_peer(&self) -> PeerConfig {
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

/// A socket on the link of this number.
pub fn socket(id: SocketId, local: SocketAddr, link: u32) -> LocalSocket {
    LocalSocket {
        link,
        addresses: vec![local.ip()],
        ..LocalSocket::unbound(id, local)
    }
}

fn local_of(sockets: &[LocalSocket], id: SocketId) -> Option<SocketAddr> {
    let socket = sockets.iter().find(|socket| socket.id == id);
    socket.map(|socket| socket.local)
}

fn emit<'a>(
    outbox: &'a mut VecDeque<Sent>,
    sent: &'a mut Vec<Sent>,
    sockets: &'a [LocalSocket],
    link_mtu: usize,
    now: Instant,
) -> impl FnMut(Transmit<'_>) -> Result<(), SendError> + 'a {
    move |transmit| {
        if transmit.stride > link_mtu {
            return Err(SendError::TooBig);
        }
        let from = local_of(sockets, transmit.endpoint.socket).ok_or(SendError::Failed)?;
        for datagram in transmit.datagrams.chunks(transmit.stride) {
            let one = Sent {
                at: now,
                from,
                to: transmit.endpoint.remote,
                bytes: datagram.to_vec(),
            };
            sent.push(one.clone());
            outbox.push_back(one);
        }
        Ok(())
    }
}
