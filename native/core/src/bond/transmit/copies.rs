//! Second copies of the latency class: the very same datagram once more on another path, within a budget,
//! so that neither a loss nor a path's death holds it up.

use std::sync::atomic::Ordering::Relaxed;

use crate::handoff::PathId;
use crate::sender::{SendError, Transmit};
use crate::time::Instant;

use super::super::queue::Packet;
use super::Bond;
use super::datagram::{on_link, transmit};

/// Share of what is sent that copies may add (design, section 5).
const DUPLICATES: f64 = 0.03;
/// The copies that may be saved up: 16 full packets.
const DUPLICATES_SAVED: f64 = 24_000.0;

impl Bond {
    /// Sends a copy of the packet that has just gone on the path `origin`, or some, if it is to have any.
    pub(super) fn copy(
        &mut self,
        origin: PathId,
        packet: &Packet,
        suspect: bool,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let express = packet.sequence.is_none();
        let everywhere = self.scheduler.duplicates();
        let bytes = packet.bytes.len() as f64;
        self.duplicates_left = (self.duplicates_left + bytes * DUPLICATES).min(DUPLICATES_SAVED);
        let affordable = express && self.duplicates_left >= bytes && self.paths.len() > 1;
        if affordable && !everywhere {
            self.duplicates_left -= bytes;
        }
        if everywhere || suspect || affordable {
            self.duplicate(origin, packet, everywhere, now, emit);
        }
    }

    /// Sends the very same datagram on the next best path, or on all others.
    fn duplicate(
        &mut self,
        origin: PathId,
        packet: &Packet,
        everywhere: bool,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let second = self.fastest(now, packet.inner, Some(origin));
        for (place, path) in self.paths.iter_mut().enumerate() {
            if path.id == origin || !path.may_carry() || !(everywhere || Some(place) == second) {
                continue;
            }
            path.model
                .charge(now, on_link(&packet.bytes, path.endpoint));
            path.gauge
                .sent_bytes
                .fetch_add(packet.bytes.len() as u64, Relaxed);
            self.gauge.duplicates.fetch_add(1, Relaxed);
            // A copy that does not go out is what the original is there for.
            let _ = transmit(self.peer, path.endpoint, &packet.bytes, emit);
        }
    }
}
