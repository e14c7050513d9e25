//! What the packet path tells the timers, without a queue: one block of atomics per peer.
//!
//! WireGuard's timers (whitepaper, section 6) start at data packets and stop at any authenticated
//! packet the other way. Sending a message to control for each would cost more than the packet, so
//! the send and receive machines note *when*, and control looks when a deadline could be due. None
//! is missed: a span that starts after control looked cannot end before control looks again,
//! because control never looks away for longer than the shortest span.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::time::Instant;

/// An instant that other threads may read; zero is "not set".
#[derive(Debug, Default)]
struct Mark(AtomicU64);

impl Mark {
    fn set(&self, at: Instant) {
        self.0.store(at.as_nanos().max(1), Relaxed);
    }

    fn set_if_clear(&self, at: Instant) {
        if self.0.load(Relaxed) == 0 {
            self.set(at);
        }
    }

    fn clear(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }

    fn get(&self) -> Option<Instant> {
        match self.0.load(Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }
}

/// Packets and bytes of one direction. Bytes are those of the datagrams, without IP and UDP.
#[derive(Debug, Default)]
pub struct Traffic {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    fn add(&self, packets: u64, bytes: u64) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Authenticated packets so far.
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    /// Bytes of them.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// When a peer last sent and received, and what is still unanswered.
#[derive(Debug, Default)]
pub struct Activity {
    sent: Mark,
    received: Mark,
    data_sent: Mark,
    /// The first data sent since anything authenticated arrived.
    awaiting_answer: Mark,
    /// The first data received since anything was sent.
    owing_answer: Mark,
    /// Totals of the send machine.
    pub transmitted: Traffic,
    /// Totals of the receive machine.
    pub delivered: Traffic,
}

impl Activity {
    /// The send machine sealed `packets` datagrams; `data` if any of them is not empty.
    pub fn note_sent(&self, now: Instant, packets: u64, bytes: u64, data: bool) {
        self.sent.set(now);
        self.owing_answer.clear();
        if data {
            self.data_sent.set(now);
            self.awaiting_answer.set_if_clear(now);
        }
        self.transmitted.add(packets, bytes);
    }

    /// The receive machine authenticated `packets` datagrams; `data` if any of them is not empty.
    pub fn note_received(&self, now: Instant, packets: u64, bytes: u64, data: bool) {
        self.received.set(now);
        self.awaiting_answer.clear();
        if data {
            self.owing_answer.set_if_clear(now);
        }
        self.delivered.add(packets, bytes);
    }

    /// A handshake message was sent; it answers for keepalives as any packet does.
    pub(crate) fn note_handshake_sent(&self, now: Instant) {
        self.sent.set(now);
        self.owing_answer.clear();
    }

    /// A handshake message was authenticated.
    pub(crate) fn note_handshake_received(&self, now: Instant) {
        self.received.set(now);
        self.awaiting_answer.clear();
    }

    /// When anything authenticated was last sent.
    pub fn last_sent(&self) -> Option<Instant> {
        self.sent.get()
    }

    /// When anything authenticated was last received.
    pub fn last_received(&self) -> Option<Instant> {
        self.received.get()
    }

    /// When data, not only keepalives and frames, was last sent.
    pub(crate) fn last_data_sent(&self) -> Option<Instant> {
        self.data_sent.get()
    }

    /// Since when data is out without any answer.
    pub(crate) fn awaiting_answer_since(&self) -> Option<Instant> {
        self.awaiting_answer.get()
    }

    /// Since when received data has had no answer from us.
    pub(crate) fn owing_answer_since(&self) -> Option<Instant> {
        self.owing_answer.get()
    }

    /// The peer is being tried again, so the old silence no longer counts.
    pub(crate) fn stop_awaiting_answer(&self) {
        self.awaiting_answer.clear();
    }
}
