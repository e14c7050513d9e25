//! The path MTU as control sees it: the search on each path, what hints that one has shrunk, and who
//! hears of the result (PROTOCOL, section 5). How the search goes is [`PathMtu`](crate::pmtu::PathMtu)'s.

use std::time::Duration;

use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::handoff::{Endpoint, PathId, PeerIndex};
use crate::pmtu::Step;
use crate::time::Instant;

use super::probes::{Purpose, SHIM};
use super::{Control, Event, Output};

/// There is traffic worth confirming the MTU for if data was sent within this span.
const BUSY: Duration = Duration::from_secs(30);

impl Control {
    /// Goes on with the search for the MTU of the peer's paths.
    pub(super) fn search_mtu(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let within = |at: Option<Instant>, span| at.is_some_and(|at| now - at < span);
        let busy = within(peer.activity.last_data_sent(), BUSY);
        let anything = peer.activity.last_received();
        let anything = anything.filter(|_| peer.paths.alone());
        let mut steps = Vec::new();
        for path in peer.paths.iter_mut().filter(|path| path.probing.validated) {
            let heard = path.heard.max(anything);
            steps.extend(
                path.pmtu
                    .poll(now, heard, busy)
                    .map(|step| (path.endpoint, step)),
            );
        }
        self.settle(index, now);
        for (endpoint, step) in steps {
            self.take_step(index, endpoint, step, now);
        }
    }

    /// Data has had no answer for some round trips. Perhaps it asked for none; or what is large vanishes;
    /// or the path is gone, which is worth a probe if there is another.
    pub(super) fn suspect_path(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        peer.stalled = Some(now);
        let (alone, endpoint) = (peer.paths.alone(), peer.endpoint);
        let path = endpoint.and_then(|endpoint| peer.paths.get_mut(endpoint));
        let Some(path) = path else { return };
        path.pmtu.suspect(path.rtt(), now);
        if !alone {
            path.probing.suspect(now);
        }
        self.search_mtu(index, now);
        self.poll_paths(index, now);
    }

    /// What is large seems to vanish on a path of the peer's.
    pub(super) fn suspect_size(&mut self, index: PeerIndex, path: PathId, now: Instant) {
        let peer = self.peers.get_mut(&index);
        if let Some(path) = peer.and_then(|peer| peer.paths.by_id(path)) {
            path.pmtu.suspect(path.rtt(), now);
            self.search_mtu(index, now);
        }
    }

    /// The local link refused a datagram of this length on the peer's path.
    pub(super) fn path_refused(
        &mut self,
        index: PeerIndex,
        endpoint: Endpoint,
        datagram: usize,
        now: Instant,
    ) {
        let around = HEADER_LEN + TAG_LEN + usize::from(SHIM);
        let Ok(size) = u16::try_from(datagram.saturating_sub(around)) else {
            return;
        };
        let peer = self.peers.get_mut(&index);
        let Some(path) = peer.and_then(|peer| peer.paths.get_mut(endpoint)) else {
            return;
        };
        let step = path.pmtu.refused(size, now);
        self.settle(index, now);
        if let Some(step) = step {
            self.take_step(index, endpoint, step, now);
        }
    }

    fn take_step(&mut self, index: PeerIndex, endpoint: Endpoint, step: Step, now: Instant) {
        match step {
            Step::Probe(size) => {
                // A small one beside it tells a path that is too narrow from one that is dead.
                self.probe(index, Purpose::Liveness(endpoint), now);
                self.probe(index, Purpose::Mtu(endpoint, size), now);
            }
            Step::TooSmall => {
                let Some(peer) = self.peers.get(&index) else {
                    return;
                };
                let event = Event::PathTooSmall {
                    peer: peer.config.public_key,
                    inner_mtu: peer.inner_mtu(),
                };
                self.outputs.push_back(Output::Event(event));
            }
        }
    }
}
