//! Sealed datagrams of one path on their way into one send.
//!
//! A send of many (`UDP_SEGMENT`) costs little more than a send of one, and the ring keeps each datagram
//! apart: so they are copied together here. Invariant: all are `stride` bytes long, but for the last one,
//! which may be shorter.

use crate::constants::limits;
use crate::drops::{DropCounters, DropReason};
use crate::handoff::{Endpoint, PeerIndex};
use crate::sender::{SendError, Transmit};

/// What waits for the next send; its memory is used again.
#[derive(Default)]
pub(super) struct Outbox {
    datagrams: Vec<u8>,
    stride: usize,
    count: usize,
}

impl Outbox {
    /// Whether a datagram of `len` bytes may join.
    pub(super) fn takes(&self, len: usize) -> bool {
        let uniform = self.datagrams.len() == self.stride * self.count && len <= self.stride;
        let room =
            self.count < limits::RUN_DATAGRAMS && self.datagrams.len() + len <= limits::RUN_BYTES;
        self.count == 0 || uniform && room
    }

    pub(super) fn push(&mut self, datagram: &[u8]) {
        if self.count == 0 {
            self.stride = datagram.len();
        }
        self.count += 1;
        self.datagrams.extend_from_slice(datagram);
    }

    /// Sends what there is.
    pub(super) fn flush(
        &mut self,
        peer: PeerIndex,
        endpoint: Endpoint,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        if self.count == 0 {
            return;
        }
        let sent = emit(Transmit {
            peer,
            endpoint,
            datagrams: &self.datagrams,
            stride: self.stride,
        });
        if sent.is_err() {
            drops.add(DropReason::SendFailed, self.count as u64);
        }
        self.datagrams.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(lengths: &[usize]) -> Outbox {
        let mut outbox = Outbox::default();
        for len in lengths {
            assert!(outbox.takes(*len));
            outbox.push(&vec![0; *len]);
        }
        outbox
    }

    #[test]
    fn equal_datagrams_and_a_shorter_last_one_leave_together() {
        assert!(outbox(&[100, 100]).takes(60));
        assert!(!outbox(&[100, 60]).takes(60));
        assert!(!outbox(&[100]).takes(101));
    }

    #[test]
    fn one_send_holds_what_segmentation_takes() {
        assert!(!outbox(&[100; limits::RUN_DATAGRAMS]).takes(100));
        assert!(!outbox(&[1400; 46]).takes(1400));
    }
}
