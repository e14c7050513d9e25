//! Packets that wait for a session: a short, bounded queue per peer that loses its oldest first.

use std::collections::VecDeque;

use crate::constants::limits;
use crate::inner::vnet::VnetHeader;

/// Packets as the TUN device gave them, oldest first.
#[derive(Default)]
pub(crate) struct Staging {
    packets: VecDeque<(VnetHeader, Box<[u8]>)>,
    bytes: usize,
}

impl Staging {
    /// Appends a packet and returns how many old ones had to go.
    pub(crate) fn push(&mut self, vnet: &VnetHeader, packet: &[u8]) -> u64 {
        let mut evicted = 0;
        while self.packets.len() >= limits::STAGED_PACKETS
            || self.bytes + packet.len() > limits::STAGED_BYTES
        {
            if self.pop().is_none() {
                break;
            }
            evicted += 1;
        }
        self.bytes += packet.len();
        self.packets.push_back((*vnet, packet.into()));
        evicted
    }

    /// Takes the oldest packet.
    pub(crate) fn pop(&mut self) -> Option<(VnetHeader, Box<[u8]>)> {
        let (vnet, packet) = self.packets.pop_front()?;
        self.bytes -= packet.len();
        Some((vnet, packet))
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Drops everything and returns how many packets that were.
    pub(crate) fn clear(&mut self) -> u64 {
        let dropped = self.packets.len() as u64;
        self.packets.clear();
        self.bytes = 0;
        dropped
    }
}
