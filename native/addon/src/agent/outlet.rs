//! What the send machine emits on its way to the sockets, with or without segmentation offload.

use whalescale_core::handoff::Endpoint;
use whalescale_core::sender::{SendError, Transmit};

use crate::io::udp::{SendOutcome, UdpSocket};

use super::{Sockets, socket};

/// Remotes for which segmentation is known to be refused: every interface of a laptop, twice.
const REFUSALS: usize = 16;

/// The sockets, and where segmentation offload was refused.
#[derive(Default)]
pub(super) struct Outlet {
    sockets: Option<Sockets>,
    refused: Vec<Endpoint>,
}

impl Outlet {
    /// One that sends by `sockets`, and knows of no refusal.
    pub(super) fn new(sockets: Sockets) -> Self {
        Self {
            sockets: Some(sockets),
            refused: Vec::new(),
        }
    }

    /// Sends a run, at once or not at all.
    pub(super) fn send(&mut self, transmit: &Transmit<'_>) -> Result<(), SendError> {
        let sockets = self.sockets.as_deref().ok_or(SendError::Failed)?;
        let socket = socket(sockets, transmit.endpoint.socket).ok_or(SendError::Failed)?;
        let single = transmit.datagrams.len() <= transmit.stride;
        let segmented = socket.granted().gso && !self.refused.contains(&transmit.endpoint);
        if !single && !segmented {
            return send_plain(socket, transmit);
        }
        match socket.send(
            &transmit.endpoint.remote,
            transmit.datagrams,
            transmit.stride,
        ) {
            SendOutcome::NoSegmentation => {
                let outcome = send_plain(socket, transmit);
                if outcome != Err(SendError::TooBig) && self.refused.len() < REFUSALS {
                    self.refused.push(transmit.endpoint);
                }
                outcome
            }
            outcome => result_of(outcome),
        }
    }
}

fn send_plain(socket: &UdpSocket, transmit: &Transmit<'_>) -> Result<(), SendError> {
    result_of(
        socket
            .send_plain(
                &transmit.endpoint.remote,
                transmit.datagrams,
                transmit.stride,
            )
            .1,
    )
}

/// What the core hears of a send. A full buffer drops: waiting would stall every other peer.
fn result_of(outcome: SendOutcome) -> Result<(), SendError> {
    match outcome {
        SendOutcome::Sent => Ok(()),
        SendOutcome::WouldBlock | SendOutcome::NoBuffers => Err(SendError::Full),
        SendOutcome::TooBig => Err(SendError::TooBig),
        SendOutcome::NoSegmentation | SendOutcome::Unreachable(_) | SendOutcome::Failed(_) => {
            Err(SendError::Failed)
        }
    }
}
