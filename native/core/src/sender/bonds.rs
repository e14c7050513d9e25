//! Bonds among the peers: what they send when, and what the receive machine has for them.

use arrayvec::ArrayVec;

use crate::bond::transmit::Sealer;
use crate::constants::protocol;
use crate::handoff::{Crossing, Endpoint, FromSender, SendKey};
use crate::time::Instant;

use super::{SendError, Sender, Transmit, peer_mut};

impl Sender {
    /// Sends what bonds may send now.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        for peer in self.peers.iter_mut().flatten() {
            let Some(bond) = &mut peer.bond else { continue };
            let usable = |key: &&SendKey| now - key.created < protocol::REJECT_AFTER_TIME;
            let Some(key) = peer.key.as_ref().filter(usable) else {
                bond.rest();
                continue;
            };
            let mut sealer = Sealer {
                key,
                counter: &mut peer.counter,
                activity: &peer.activity,
            };
            let reports = &mut self.reports;
            bond.pump(&mut sealer, now, &self.drops, |transmit: Transmit<'_>| {
                let refused = FromSender::TooBig {
                    peer: transmit.peer,
                    endpoint: transmit.endpoint,
                    datagram: transmit.stride,
                };
                let outcome = emit(transmit);
                if outcome == Err(SendError::TooBig) && reports.last() != Some(&refused) {
                    // A full queue means that control has plenty to do; the next datagram tells it again.
                    let _ = reports.try_push(refused);
                }
                outcome
            });
            bond.watch(now, |report| {
                // A full queue means that control has plenty to do; health is told again.
                let _ = reports.try_push(report);
            });
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        let bonds = self
            .peers
            .iter()
            .flatten()
            .filter_map(|peer| peer.bond.as_ref());
        bonds.filter_map(|bond| bond.next_deadline()).min()
    }

    /// Sends what has become due.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        emit: impl FnMut(Transmit<'_>) -> Result<(), SendError>,
    ) {
        self.flush(now, emit);
    }

    /// Takes what the receive machine saw. Call [`Self::flush`] after.
    pub fn handle_crossing(&mut self, crossing: Crossing, now: Instant) {
        match crossing {
            Crossing::Feedback { peer, feedback } => {
                if let Some(bond) =
                    peer_mut(&mut self.peers, peer).and_then(|peer| peer.bond.as_mut())
                {
                    bond.feedback(&feedback, now);
                }
            }
            Crossing::Roamed { peer, endpoint } => {
                if let Some(found) = peer_mut(&mut self.peers, peer) {
                    found.endpoint = Some(endpoint);
                }
            }
            Crossing::Loss { peer, report } => {
                if let Some(bond) =
                    peer_mut(&mut self.peers, peer).and_then(|peer| peer.bond.as_mut())
                {
                    bond.lossy.report(now, report);
                }
            }
            Crossing::Report {
                peer,
                frame,
                everywhere,
            } => {
                let Some(found) = peer_mut(&mut self.peers, peer) else {
                    return;
                };
                let bonded: ArrayVec<Endpoint, 16> = match &found.bond {
                    Some(bond) => bond.frame_endpoints(now, everywhere).collect(),
                    None => ArrayVec::new(),
                };
                if bonded.is_empty() {
                    self.append_frame(peer, None, &frame, now);
                }
                for endpoint in bonded {
                    self.append_frame(peer, Some(endpoint), &frame, now);
                }
            }
        }
    }
}
