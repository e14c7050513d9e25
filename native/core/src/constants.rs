//! Numbers of the protocol, apart from limits of this implementation.

/// What the WireGuard whitepaper (sections 5 and 6) fixes; both ends must agree on these.
pub mod protocol {
    use std::time::Duration;

    /// An initiator starts a new handshake after sending this many messages under one key.
    pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
    /// No message is sent or accepted under a key from this counter on: 2^64 - 2^13 - 1.
    pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);
    /// An initiator that sends under a key of this age starts a new handshake.
    pub const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);
    /// A key of this age neither seals nor opens; it is erased then, sooner than the whitepaper's
    /// three times this span.
    pub const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);
    /// How long handshake retries go on before the peer counts as unreachable.
    pub const REKEY_ATTEMPT_TIME: Duration = Duration::from_secs(90);
    /// Time between handshake retries, before jitter.
    pub const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
    /// Upper end of the jitter added to [`REKEY_TIMEOUT`], so that two ends do not stay in step.
    pub const REKEY_JITTER_MAX: Duration = Duration::from_millis(334);
    /// Data received and nothing sent for this long: send an empty message.
    pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
    /// At least this much time passes between two accepted initiations of one peer.
    pub const INITIATION_SPACING: Duration = Duration::from_millis(20);
    /// An initiator that *receives* under a key of this age starts a new handshake.
    pub const REKEY_ON_RECEIVE_TIME: Duration = Duration::from_secs(165);
}

/// What this implementation bounds, and why.
pub mod limits {
    use std::time::Duration;

    /// Datagrams of one send: what `UDP_SEGMENT` takes on kernels before 6.9.
    pub const RUN_DATAGRAMS: usize = 64;
    /// Bytes of one send: the largest IPv4 UDP payload, which bounds `UDP_SEGMENT` too.
    pub const RUN_BYTES: usize = 65_507;
    /// Runs collected before a flush: more than one wake-up of the TUN queue ever mixes in practice.
    pub const RUNS: usize = 64;
    /// Packets cut from one super-packet: 64 KiB at the smallest sensible TCP segment of 88 bytes.
    pub const SEGMENTS: usize = 768;
    /// Bytes of one super-packet, its headers included (virtio-net, IPv4 total length).
    pub const SUPER_PACKET: usize = 65_535;
    /// Flush once this much is sealed: one super-packet; more would only leave the L2 cache.
    pub const FLUSH_BYTES: usize = 60 * 1024;
    /// Packets a peer without a session may have waiting: a burst of connection attempts.
    pub const STAGED_PACKETS: usize = 128;
    /// Bytes of the same: four super-packets.
    pub const STAGED_BYTES: usize = 256 * 1024;
    /// From so many packets of one flow at once on it counts as bulk, which may lose one.
    pub const BULK_PACKETS: usize = 4;
    /// Shorter packets are not bulk, however many.
    pub const BULK_LEN: usize = 512;
    /// Peers of one node: the table of the packet path stays within a megabyte.
    pub const PEERS: usize = 4096;
    /// Received messages up to this are short: an answer, a look-up, an acknowledgement, a voice.
    pub const SHORT_MESSAGE: usize = 512;
    /// Received messages that wait at once. With `UDP_GRO` a message is up to 64 datagrams, so these are
    /// some 500 full packets: more would spill out of the second-level cache before they are opened.
    pub const READ_AHEAD: usize = 16;
    /// Endpoints of one peer (design, section 4: announced addresses are at most eight).
    pub const ENDPOINTS: usize = 8;
    /// Datagrams of one received message: what `UDP_GRO` joins at most.
    pub const RECEIVED_DATAGRAMS: usize = 64;
    /// Handshake initiations a second that are answered without asking for a cookie: at some
    /// 150 microseconds each they cost 1.5 % of one core.
    pub const INITIATIONS_PER_SECOND: u32 = 100;
    /// The same wish (a handshake, a moved address) is not reported to control more often.
    pub const REPORT_SPACING: Duration = Duration::from_millis(250);
    /// Paths of one peer, candidates included: the four bits of a path id.
    pub const PATHS: usize = 16;
    /// Probes a minute to an address that has not answered yet (design, section 4, Moving).
    pub const CANDIDATE_PROBES: u32 = 3;
    /// Bytes of one message (PROTOCOL, section 4.15): its datagram, padded and sealed, has 1168, so
    /// that it passes every path that carries IPv6, relayed or not.
    pub const MESSAGE_BODY: usize = 1120;
    /// Messages that wait for one peer's session: a round of gossip; older ones are out of date.
    pub const MESSAGES_WAITING: usize = 16;
    /// Messages a second of one peer that are taken, each some microseconds of JavaScript: ten times
    /// what a neighbour in a lively mesh sends.
    pub const MESSAGES_PER_SECOND: u32 = 64;
    /// The same at once, after silence: what two that meet anew have to tell each other.
    pub const MESSAGE_BURST: u32 = 128;
    /// Bytes of one signature's domain, and of what is signed: a record fits in a message.
    pub const SIGNED_DOMAIN: usize = 128;
    pub const SIGNED_BODY: usize = 16 * 1024;
    /// Between the handshakes with one node that the outside asks for, each to the next address: half
    /// the first interval of recovery, and far below what a node under load answers one source.
    pub const CONNECT_SPACING: Duration = Duration::from_millis(500);
    /// A session that brought something within this span needs no new handshake.
    pub const CONNECT_SILENCE: Duration = Duration::from_secs(1);
    /// Own addresses that are told: two for each of more links than a machine has.
    pub const NETWORK_ADDRESSES: usize = 16;
    /// Pings of one node under way at once: people type them, programs may loop.
    pub const PINGS: usize = 64;
    /// A ping without an answer for this long is lost: a handshake retried once still answers.
    pub const PING_TIMEOUT: Duration = Duration::from_secs(6);
}

/// Sizes of the inner MTU (design, section 4).
pub mod mtu {
    /// The least an IPv6 link may carry (RFC 8200, section 5); the tunnel never goes below.
    pub const INNER_MIN: u16 = 1280;
    /// The most `auto` asks for: it fits almost every uplink, relayed or over IPv6 too.
    pub const INNER_AUTO_MAX: u16 = 1400;
}
