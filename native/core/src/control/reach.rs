//! Where the node and its peers are reached: what the outside asks for, and what it is told of that.

use std::net::SocketAddr;
use std::time::Duration;

use crate::constants::limits;
use crate::handoff::{Endpoint, PeerIndex};
use crate::identity::PublicKey;
use crate::time::{Instant, Now};

use super::paths::is_sensible;
use super::peer::spacing;
use super::probes::Purpose;
use super::{CommandError, Control, Event, LocalSocket, Output, OwnAddress, PeerState};

/// A peer is not asked more often; so two that ask because they were asked soon fall silent.
const ASK_SPACING: Duration = Duration::from_secs(15);

impl Control {
    /// Begins a handshake, or goes on with the one under way at the peer's next address: the outside
    /// believes that the peer is not where it was.
    pub(super) fn connect(&mut self, key: &PublicKey, now: Now) -> Result<(), CommandError> {
        let index = *self.by_key.get(key).ok_or(CommandError::UnknownPeer)?;
        let peer = self.peers.get(&index).ok_or(CommandError::UnknownPeer)?;
        let within = |at: Option<Instant>, span| at.is_some_and(|at| now.instant - at < span);
        let alive = within(peer.activity.last_received(), limits::CONNECT_SILENCE);
        if alive && self.has_key(index, now.instant) {
            return Ok(());
        }
        if within(peer.initiation_sent, spacing(&peer.config)) {
            return Ok(());
        }
        let flight = peer.pending.as_ref();
        let (started, place) =
            flight.map_or((now.instant, 0), |flight| (flight.started, flight.next));
        // Without any address there is nothing to do until one is known.
        self.attempt(index, started, place, now);
        Ok(())
    }

    /// Asks the peer where it sees us: a path that is alone has no heartbeat which would tell. It is
    /// asked when a session begins, and when a probe of its own says that it looks for us.
    pub(super) fn ask_for_address(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let asked = peer.asked.is_some_and(|asked| now - asked < ASK_SPACING);
        let Some(endpoint) = peer.endpoint.filter(|_| !asked && peer.paths.alone()) else {
            return;
        };
        peer.asked = Some(now);
        self.probe(index, Purpose::Liveness(endpoint), now);
    }

    /// Notes at which address the peer sees what we send on the path that its answer came by.
    pub(super) fn observed(&mut self, index: PeerIndex, by: Endpoint, address: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let key = peer.config.public_key;
        let Some(path) = peer.paths.get_mut(by).filter(|_| is_sensible(address)) else {
            return;
        };
        if path.observed.replace(address) == Some(address) {
            return;
        }
        let socket = self.sockets.iter().find(|socket| socket.id == by.socket);
        let event = Event::Observed {
            peer: key,
            interface: socket.and_then(|socket| socket.interface.clone()),
            address,
        };
        self.outputs.push_back(Output::Event(event));
    }

    /// Tells the outside our own addresses if they are others than it knows.
    pub(super) fn tell_network(&mut self) {
        let own: Vec<OwnAddress> = own_addresses(&self.sockets)
            .take(limits::NETWORK_ADDRESSES)
            .map(|(socket, address)| OwnAddress {
                interface: socket.interface.clone(),
                address,
            })
            .collect();
        if self.network.as_ref() != Some(&own) {
            self.network = Some(own.clone());
            self.outputs.push_back(Output::Event(Event::Network(own)));
        }
    }

    /// Tells the outside that a connected peer is at another address; only confirmed ones get here.
    pub(super) fn tell_move(&mut self, index: PeerIndex) {
        let moved = self.peers.get(&index).is_some_and(|peer| {
            let remote = peer.endpoint.map(|endpoint| endpoint.remote);
            peer.state == PeerState::Connected && peer.told != remote
        });
        if moved {
            self.tell_peer(index);
        }
    }

    /// Tells the outside how the peer stands.
    pub(super) fn tell_peer(&mut self, index: PeerIndex) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        peer.told = peer.endpoint.map(|endpoint| endpoint.remote);
        let event = Event::Peer {
            peer: peer.config.public_key,
            state: peer.state,
            endpoint: peer.told,
            handshake: peer.handshake_took,
        };
        self.outputs.push_back(Output::Event(event));
    }
}

/// The addresses of all sockets' interfaces, in turns, so that each link has one before any has two.
pub(super) fn own_addresses(
    sockets: &[LocalSocket],
) -> impl Iterator<Item = (&LocalSocket, SocketAddr)> {
    let most = sockets.iter().map(|socket| socket.addresses.len()).max();
    (0..most.unwrap_or(0)).flat_map(move |turn| {
        sockets.iter().filter_map(move |socket| {
            let address = *socket.addresses.get(turn)?;
            Some((socket, SocketAddr::new(address, socket.local.port())))
        })
    })
}
