//! The slab: datagrams that are to be sealed, and the runs that they make.
//!
//! A run is what one send can carry: consecutive datagrams of equal length (the last may be shorter)
//! to one address of one peer.

use arrayvec::ArrayVec;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::constants::limits;
use crate::handoff::{Endpoint, PeerIndex};

/// Header and tag around each payload.
const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// The most that one super-packet takes in the slab: its bytes, and headers, overhead and padding
/// around every packet cut from it.
const WORST_SUPER_PACKET: usize = limits::SUPER_PACKET + limits::SEGMENTS * (OVERHEAD + 16 + 120);
/// A full flush threshold and one more super-packet always fit.
const SLAB_LEN: usize = limits::FLUSH_BYTES + WORST_SUPER_PACKET;
/// The most runs that one super-packet takes: full ones by count, full ones by bytes, the last.
const WORST_RUNS: usize = limits::SEGMENTS.div_ceil(limits::RUN_DATAGRAMS)
    + WORST_SUPER_PACKET.div_ceil(limits::RUN_BYTES)
    + 1;

/// Datagrams that one send can carry.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub peer: PeerIndex,
    pub endpoint: Endpoint,
    start: usize,
    pub len: usize,
    pub stride: usize,
    pub count: usize,
    /// Whether no further datagram may join: the last one was shorter.
    closed: bool,
    /// Whether any datagram carries data, as opposed to keepalives and control frames.
    pub data: bool,
}

impl Run {
    fn takes(&self, peer: PeerIndex, endpoint: Endpoint, datagram: usize) -> bool {
        !self.closed
            && self.peer == peer
            && self.endpoint == endpoint
            && datagram <= self.stride
            && self.count < limits::RUN_DATAGRAMS
            && self.len + datagram <= limits::RUN_BYTES
    }
}

/// Unsealed datagrams, one after the other.
pub(super) struct Slab {
    bytes: Box<[u8]>,
    used: usize,
    runs: ArrayVec<Run, { limits::RUNS }>,
}

impl Slab {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; SLAB_LEN].into_boxed_slice(),
            used: 0,
            runs: ArrayVec::new(),
        }
    }

    /// Whether it may have no room for one more super-packet.
    pub fn is_full(&self) -> bool {
        self.used >= limits::FLUSH_BYTES || self.runs.len() + WORST_RUNS > limits::RUNS
    }

    /// Makes room for one datagram in the current run, or in a new one, and gives its payload.
    pub fn append(
        &mut self,
        peer: PeerIndex,
        endpoint: Endpoint,
        payload: usize,
        data: bool,
    ) -> Option<&mut [u8]> {
        let datagram = payload + OVERHEAD;
        let start = self.used;
        let end = start
            .checked_add(datagram)
            .filter(|end| *end <= self.bytes.len())?;
        match self
            .runs
            .last_mut()
            .filter(|run| run.takes(peer, endpoint, datagram))
        {
            Some(run) => {
                run.len += datagram;
                run.count += 1;
                run.closed = datagram < run.stride;
                run.data |= data;
            }
            None => self
                .runs
                .try_push(Run {
                    peer,
                    endpoint,
                    start,
                    len: datagram,
                    stride: datagram,
                    count: 1,
                    closed: false,
                    data,
                })
                .ok()?,
        }
        self.used = end;
        self.bytes.get_mut(start + HEADER_LEN..end - TAG_LEN)
    }

    /// Lets no further datagram join the last run.
    pub fn close_run(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.closed = true;
        }
    }

    /// The `n`-th run.
    pub fn run(&self, n: usize) -> Option<Run> {
        self.runs.get(n).copied()
    }

    pub fn datagrams(&self, run: &Run) -> &[u8] {
        self.bytes
            .get(run.start..run.start + run.len)
            .unwrap_or_default()
    }

    pub fn datagrams_mut(&mut self, run: &Run) -> &mut [u8] {
        self.bytes
            .get_mut(run.start..run.start + run.len)
            .unwrap_or_default()
    }

    pub fn clear(&mut self) {
        self.runs.clear();
        self.used = 0;
    }
}
