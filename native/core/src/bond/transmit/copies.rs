//! Second copies: the very same datagram once more, within a budget, where a loss costs more than that.
//!
//! The latency class has them on another path, so that neither a loss nor a path's death holds it up.
//! The first packets of a flow over a single path have them at once, where that path loses: their repair
//! takes a round trip, in which a slow start that has barely begun comes to an end, either by the loss
//! or by the delay (HyStart, RFC 9406), and what it has not found by then takes the flow seconds to find.

use std::sync::atomic::Ordering::Relaxed;

use crate::drops::DropCounters;
use crate::handoff::PathId;
use crate::sender::{SendError, Transmit};
use crate::time::Instant;

use super::super::bare::LOSS_ON;
use super::super::classify::BEGINNING;
use super::super::queue::Packet;
use super::Bond;
use super::datagram::{on_link, transmit};

/// Share of what is sent that copies may add (design, section 5).
const DUPLICATES: f64 = 0.03;
/// The copies that may be saved up, bytes: of the beginning of one flow.
pub(super) const DUPLICATES_SAVED: f64 = BEGINNING as f64 * 1500.0;

impl Bond {
    /// Sends a copy of the packet that has just gone on the path of this place, or some, if it is to have any.
    pub(super) fn copy(
        &mut self,
        place: usize,
        packet: &Packet,
        suspect: bool,
        now: Instant,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let Some(path) = self.paths.get(place) else {
            return;
        };
        let origin = path.id;
        let everywhere = self.scheduler.duplicates();
        let bytes = packet.bytes.len() as f64;
        self.duplicates_left = (self.duplicates_left + bytes * DUPLICATES).min(DUPLICATES_SAVED);
        let elsewhere = packet.sequence.is_none() && self.paths.len() > 1;
        let loses = path.model.loss().is_none_or(|loss| loss >= LOSS_ON);
        let again = packet.early && loses && self.paths.len() == 1;
        let affordable = (elsewhere || again) && self.duplicates_left >= bytes && !everywhere;
        if affordable {
            self.duplicates_left -= bytes;
        }
        if everywhere || suspect || affordable && elsewhere {
            self.duplicate(origin, packet, everywhere, now, emit);
        } else if affordable {
            self.repeat(place, packet, now, drops, emit);
        }
    }

    /// Sends the very same datagram on the same path.
    fn repeat(
        &mut self,
        place: usize,
        packet: &Packet,
        now: Instant,
        drops: &DropCounters,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        let Some(path) = self.paths.get_mut(place) else {
            return;
        };
        let bytes = on_link(&packet.bytes, path.endpoint);
        path.model.charge(now, bytes);
        let sent = packet.bytes.len();
        path.gauge.sent_bytes.fetch_add(sent as u64, Relaxed);
        self.gauge.duplicates.fetch_add(1, Relaxed);
        if !path.outbox.takes(sent) {
            path.outbox.flush(self.peer, path.endpoint, drops, emit);
        }
        path.outbox.push(&packet.bytes);
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
