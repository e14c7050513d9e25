//! Why a packet went no further: every drop has a counted reason.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// The reason of one drop.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        /// Every reason with the name that `status` shows, in the order of the counters.
        pub const DROP_REASONS: &[(DropReason, &str)] = &[$((DropReason::$variant, $name),)*];
    };
}

drop_reasons! {
    /// Outbound: not an IP packet.
    NotIp => "outNotIp",
    /// Outbound: no allowed IP covers the destination.
    NoRoute => "outNoRoute",
    /// Outbound: the offload metadata contradicts the packet.
    BadOffload => "outBadOffload",
    /// Outbound: longer than the inner MTU; the local stack was told.
    TooLong => "outTooLong",
    /// Outbound: too many packets waited for a session; the oldest went.
    StageFull => "outStageFull",
    /// Outbound: waited for a session that never came.
    Unreachable => "outUnreachable",
    /// Outbound: the peer has a session but no address.
    NoEndpoint => "outNoEndpoint",
    /// Outbound: the key's message limit is reached.
    KeyExhausted => "outKeyExhausted",
    /// Outbound: the socket's buffer was full.
    SocketFull => "outSocketFull",
    /// Outbound: longer than the path carries.
    PathTooSmall => "outPathTooSmall",
    /// Outbound: the network refused the datagram.
    SendFailed => "outSendFailed",
    /// Outbound: the bond's queue was full.
    QueueFull => "outQueueFull",
    /// Outbound: the queue was too slow; CoDel tells the flow to slow down.
    QueueDelay => "outQueueDelay",
    /// Outbound: too many messages waited for a session; the oldest went.
    MessageQueueFull => "outMessageQueueFull",
    /// Outbound: a message for a peer that has no session and cannot be reached.
    MessageUnreachable => "outMessageUnreachable",
    /// Inbound: not a datagram of the protocol.
    Malformed => "inMalformed",
    /// Inbound: a handshake message with a wrong mac1.
    BadMac => "inBadMac",
    /// Inbound: more handshake messages than control takes.
    HandshakeQueueFull => "inHandshakeQueueFull",
    /// Inbound: a handshake message that control refused.
    HandshakeRefused => "inHandshakeRefused",
    /// Inbound: more handshakes from one source than its share.
    RateLimited => "inRateLimited",
    /// Inbound: no key has this receiver index.
    UnknownIndex => "inUnknownIndex",
    /// Inbound: the key is too old.
    KeyExpired => "inKeyExpired",
    /// Inbound: not authentic.
    Forged => "inForged",
    /// Inbound: seen before.
    Replayed => "inReplayed",
    /// Inbound: the second copy of a repaired or duplicated packet; as it should be.
    SecondCopy => "inSecondCopy",
    /// Inbound: older than the replay window.
    TooOld => "inTooOld",
    /// Inbound: authentic, but neither IP nor a frame.
    BadPlaintext => "inBadPlaintext",
    /// Inbound: the inner source address is not one of this peer's.
    WrongSource => "inWrongSource",
    /// Inbound: cut short because it exceeded the receive buffer.
    Truncated => "inTruncated",
    /// Inbound: more messages than one peer may send.
    MessageRate => "inMessageRate",
    /// Inbound: more control frames than control takes.
    ControlQueueFull => "inControlQueueFull",
    /// Inbound: too much waited in the socket; CoDel tells the flow to slow down.
    BacklogDelay => "inQueueDelay",
    /// Inbound: the TUN device refused the packet.
    TunRefused => "inTunRefused",
}

/// One thread's drop counters; read by any, written by one.
#[derive(Debug)]
pub struct DropCounters([AtomicU64; DROP_REASONS.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl DropCounters {
    /// Counts one drop.
    pub fn count(&self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `packets` drops.
    pub fn add(&self, reason: DropReason, packets: u64) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// How often `reason` struck.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0
            .get(reason as usize)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}
