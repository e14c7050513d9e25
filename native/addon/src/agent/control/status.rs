//! What people see of a running agent: answers from control's own state, which change nothing.

use std::net::SocketAddr;

use whalescale_core::control::PeerStatus;
use whalescale_core::drops::DROP_REASONS;

use crate::io::clock;
use crate::io::tun::Tun;
use crate::io::udp::{Granted, UdpSocket};

use super::ControlSide;

/// What people see of a socket.
pub struct SocketStatus {
    pub interface: Option<String>,
    pub local: SocketAddr,
    pub granted: Granted,
    pub kernel_drops: u32,
}

impl ControlSide {
    /// All peers.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.control.status(clock::now())
    }

    /// The MTU of the TUN device.
    pub fn inner_mtu(&self) -> u16 {
        self.control.inner_mtu()
    }

    /// The TUN device.
    pub fn tun(&self) -> &Tun {
        &self.shared.tun
    }

    /// Each socket, and the interface that it is bound to.
    pub fn sockets(&self) -> Vec<SocketStatus> {
        let status = |(interface, socket): (Option<&str>, &UdpSocket)| SocketStatus {
            interface: interface.map(str::to_owned),
            local: socket.local(),
            granted: socket.granted(),
            kernel_drops: socket.kernel_drops().unwrap_or(0),
        };
        self.interfaces.list().map(status).collect()
    }

    /// Drops by reason, of all threads.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let drops = &self.shared.drops;
        let threads = [&drops.transmit, &drops.receive, &drops.control];
        let total = |reason| threads.iter().map(|drops| drops.get(reason)).sum();
        DROP_REASONS
            .iter()
            .map(|(reason, name)| (*name, total(*reason)))
            .collect()
    }
}
