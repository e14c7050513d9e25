//! Keys that open, the addresses that peers speak from, and the runs of a message.

use arrayvec::ArrayVec;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::constants::{limits, protocol};
use crate::drops::DropReason;
use crate::handoff::{Endpoint, FromReceiver, ReceiveKey};
use crate::replay::{ReplayWindow, Verdict};
use crate::time::Instant;

pub(super) struct Key {
    pub info: ReceiveKey,
    pub window: ReplayWindow,
    pub highest: Option<u64>,
    pub confirmed: bool,
    /// Whether control was asked to renew it.
    pub aged: bool,
}

#[derive(Default)]
pub(super) struct Address {
    pub current: Option<Endpoint>,
    /// When the current address last brought anything.
    heard: Option<Instant>,
    /// The address that control was last told of, and when.
    reported: Option<(Endpoint, Instant)>,
}

/// How what came fits what is known of the peer's addresses.
pub(super) enum Source {
    /// From nowhere that a path of the peer is bound to.
    Unbound,
    /// By a path that the peer has bound, with data.
    PathWithData,
    /// By such a path, without.
    PathWithoutData,
}

/// What one run taught about its peer.
#[derive(Default)]
pub(super) struct Seen {
    pub packets: u64,
    pub bytes: u64,
    pub highest: u64,
    pub data: bool,
}

impl Seen {
    pub(super) fn count(&mut self, bytes: usize, counter: u64, data: bool) {
        self.data |= data;
        self.packets += 1;
        self.bytes += bytes as u64;
        self.highest = self.highest.max(counter);
    }
}

impl Key {
    /// Opens the run in place; gives the counter of each datagram and whether it is authentic.
    pub(super) fn open_run(&self, run: &mut [u8], stride: usize) -> Opened {
        let datagrams = run.chunks(stride).take(limits::RECEIVED_DATAGRAMS);
        let counters: ArrayVec<u64, { limits::RECEIVED_DATAGRAMS }> =
            datagrams.map(counter_of).collect();
        let mut verdicts = [false; limits::RECEIVED_DATAGRAMS];
        if let Some(verdicts) = verdicts.get_mut(..counters.len()) {
            self.info.key.open_run(&counters, run, stride, verdicts);
        }
        counters.into_iter().zip(verdicts)
    }

    /// Whether a datagram with this counter may be used.
    pub(super) fn admit(&mut self, counter: u64, authentic: bool) -> Result<(), DropReason> {
        if !authentic {
            return Err(DropReason::Forged);
        }
        match self.window.commit(counter) {
            Verdict::Fresh => Ok(()),
            Verdict::Duplicate => Err(DropReason::Replayed),
            Verdict::TooOld => Err(DropReason::TooOld),
        }
    }

    /// By how much the run moves the highest counter; as much as came if there was none before.
    pub(super) fn advance(&self, seen: &Seen) -> u64 {
        let highest = self.highest;
        highest.map_or(seen.packets, |highest| seen.highest.saturating_sub(highest))
    }

    /// Takes note of a run; says whether it brought the greatest counter so far.
    pub(super) fn note(
        &mut self,
        seen: &Seen,
        now: Instant,
        reports: &mut Vec<FromReceiver>,
    ) -> bool {
        let peer = self.info.peer;
        self.info
            .activity
            .note_received(now, seen.packets, seen.bytes, seen.data);
        if self.info.initiator
            && !self.aged
            && now - self.info.created >= protocol::REKEY_ON_RECEIVE_TIME
        {
            self.aged = true;
            reports.push(FromReceiver::KeyAged(peer));
        }
        let newest = self.highest.is_none_or(|highest| seen.highest > highest);
        if newest {
            self.highest = Some(seen.highest);
        }
        newest
    }
}

impl Address {
    /// Whether control should hear that the peer now speaks from `from`: it does not for a path, unless
    /// data comes by it while the current address is silent, so that it may be gone.
    pub(super) fn is_news(&mut self, from: Endpoint, source: &Source, now: Instant) -> bool {
        if self.current == Some(from) {
            self.heard = Some(now);
            self.reported = None;
            return false;
        }
        let silent = self
            .heard
            .is_none_or(|at| now - at >= limits::REPORT_SPACING);
        match source {
            Source::PathWithoutData => return false,
            Source::PathWithData if !silent => return false,
            Source::PathWithData | Source::Unbound => {}
        }
        let known = self
            .reported
            .is_some_and(|(endpoint, at)| endpoint == from && now - at < limits::REPORT_SPACING);
        if !known {
            self.reported = Some((from, now));
        }
        !known
    }
}

/// Counter and authenticity of each datagram of a run.
pub(super) type Opened = std::iter::Zip<
    arrayvec::IntoIter<u64, { limits::RECEIVED_DATAGRAMS }>,
    std::array::IntoIter<bool, { limits::RECEIVED_DATAGRAMS }>,
>;

/// Bytes and receiver index of the leading datagrams that share one transport index; the first
/// datagram alone, without index, when it is no transport datagram.
pub(super) fn leading_run(message: &[u8], stride: usize) -> (usize, Option<u32>) {
    let mut taken = 0;
    let mut index = None;
    for datagram in message.chunks(stride).take(limits::RECEIVED_DATAGRAMS) {
        match (transport_index(datagram), index) {
            (None, None) => return (datagram.len(), None),
            (Some(found), None) => index = Some(found),
            (Some(found), Some(known)) if found == known => {}
            _ => break,
        }
        taken += datagram.len();
    }
    (taken, index)
}

/// The receiver index of a transport datagram; nothing for any other bytes.
pub(super) fn transport_index(datagram: &[u8]) -> Option<u32> {
    let (kind, rest) = datagram.split_first_chunk::<4>()?;
    let whole = datagram.len() >= HEADER_LEN + TAG_LEN && *kind == [4, 0, 0, 0];
    rest.first_chunk()
        .filter(|_| whole)
        .map(|index| u32::from_le_bytes(*index))
}

pub(super) fn counter_of(datagram: &[u8]) -> u64 {
    let counter = datagram.get(8..16).and_then(|bytes| bytes.first_chunk());
    counter.map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}
