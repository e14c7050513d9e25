//! The TUN device as the receive thread sees it.

use std::io::IoSlice;
use std::sync::Arc;

use arrayvec::ArrayVec;
use whalescale_core::drops::{DropCounters, DropReason};
use whalescale_core::inner::coalesce::{MAX_PIECES, Offload};
use whalescale_core::inner::segment;
use whalescale_core::inner::vnet::VnetHeader;

use crate::io::tun::{Tun, WriteError};

/// See the module's header.
pub(super) struct Inlet {
    tun: Arc<Tun>,
    /// What the device still takes.
    pub(super) offload: Offload,
}

impl Inlet {
    pub(super) fn new(tun: Arc<Tun>) -> Self {
        let granted = tun.offload();
        Self {
            offload: Offload {
                tcp: granted.tso,
                udp: granted.uso,
            },
            tun,
        }
    }

    /// The device.
    pub(super) fn tun(&self) -> &Tun {
        &self.tun
    }

    /// Writes a packet or super-packet; what the device does not take is counted.
    pub(super) fn write(
        &mut self,
        vnet: &VnetHeader,
        packet: &[IoSlice<'_>],
        drops: &DropCounters,
    ) {
        match self.write_once(vnet, packet) {
            Ok(()) => {}
            Err(WriteError::Refused) if packet.len() > 1 => {
                // Some kernels refuse every super-packet: offer no more of them.
                self.offload = Offload::default();
                self.write_segments(vnet, packet, drops);
            }
            Err(_) => drops.count(DropReason::TunRefused),
        }
    }

    fn write_once(&self, vnet: &VnetHeader, packet: &[IoSlice<'_>]) -> Result<(), WriteError> {
        let header = vnet.encode();
        let mut pieces = ArrayVec::<IoSlice<'_>, { MAX_PIECES + 1 }>::new();
        if self.tun.vnet() {
            pieces.push(IoSlice::new(&header));
        }
        pieces.extend(packet.iter().copied().take(MAX_PIECES));
        self.tun.write(&pieces)
    }

    /// Writes a super-packet as the packets that it was made of.
    fn write_segments(&self, vnet: &VnetHeader, packet: &[IoSlice<'_>], drops: &DropCounters) {
        let whole: Vec<u8> = packet
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        let Ok(segmenter) = segment::plan(vnet, &whole) else {
            return drops.count(DropReason::TunRefused);
        };
        for n in 0..segmenter.count() {
            let last = n + 1 == segmenter.count();
            let mut single = vec![
                0;
                if last {
                    segmenter.last_len()
                } else {
                    segmenter.segment_len()
                }
            ];
            segmenter.write(&whole, n, &mut single);
            if self
                .write_once(&VnetHeader::default(), &[IoSlice::new(&single)])
                .is_err()
            {
                drops.count(DropReason::TunRefused);
            }
        }
    }
}
