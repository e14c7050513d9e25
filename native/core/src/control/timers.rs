//! WireGuard's timers (whitepaper, section 6) and our own, as deadlines derived from state.
//!
//! No timer is armed or disarmed: each deadline is a function of what is known, computed when
//! needed. Firing one changes what is known so that the deadline moves on. What the packet path
//! notes in [`Activity`](crate::activity::Activity) may start a span unseen, but the shortest such
//! span is [`KEEPALIVE_TIMEOUT`](protocol::KEEPALIVE_TIMEOUT), and control looks that often.

use crate::constants::protocol;
use crate::handoff::{PeerIndex, ToSender};
use crate::time::{Instant, Now};

use super::peer::{Keypair, Peer};
use super::{Control, Output, PeerState};

/// What can be due for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Our initiation had no answer: try again, or give up.
    Retry,
    /// Data arrived and nothing went back.
    Keepalive,
    /// Data went out and nothing came back: the session may be gone at the other end.
    Renewal,
    /// The configured interval passed in silence.
    PersistentKeepalive,
    /// A key reached the end of its life.
    Expiry,
    /// HELLO had no answer.
    Hello,
    /// The search for a path's MTU goes on.
    PathMtu,
    /// Our announcement had no answer.
    Announce,
    /// A path is to be probed, or its probe was lost.
    Paths,
}

const ALL: [Due; 9] = [
    Due::Retry,
    Due::Keepalive,
    Due::Renewal,
    Due::PersistentKeepalive,
    Due::Expiry,
    Due::Hello,
    Due::PathMtu,
    Due::Announce,
    Due::Paths,
];

impl Control {
    /// When [`Self::handle_timeout`] must be called at the latest.
    pub fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let deadlines = self
            .peers
            .values()
            .flat_map(|peer| ALL.iter().filter_map(|due| peer.deadline(*due)));
        let connected = self.peers.values().any(|peer| peer.current.is_some());
        let look_again = connected.then_some(now + protocol::KEEPALIVE_TIMEOUT);
        deadlines
            .chain(look_again)
            .chain(self.pings.next_deadline())
            .min()
    }

    /// Does all that is due by now.
    pub fn handle_timeout(&mut self, now: Now) {
        let indices: Vec<PeerIndex> = self.peers.keys().copied().collect();
        for index in indices {
            for due in ALL {
                let deadline = self.peers.get(&index).and_then(|peer| peer.deadline(due));
                if deadline.is_some_and(|deadline| deadline <= now.instant) {
                    self.fire(index, due, now);
                }
            }
        }
        self.expire_pings(now.instant);
    }

    fn fire(&mut self, index: PeerIndex, due: Due, now: Now) {
        match due {
            Due::Retry => self.retry(index, now),
            Due::Keepalive => self.queue_keepalive(index, now.instant),
            Due::Renewal => {
                if let Some(peer) = self.peers.get(&index) {
                    peer.activity.stop_awaiting_answer();
                }
                self.initiate(index, now);
            }
            Due::PersistentKeepalive => self.keep_alive(index, now),
            Due::Expiry => self.expire_keys(index, now.instant),
            Due::Hello => self.repeat_hello(index, now.instant),
            Due::PathMtu => self.search_mtu(index, now.instant),
            Due::Announce => self.send_announcement(index, now.instant),
            Due::Paths => self.poll_paths(index, now.instant),
        }
    }

    fn retry(&mut self, index: PeerIndex, now: Now) {
        let Some(pending) = self
            .peers
            .get(&index)
            .and_then(|peer| peer.pending.as_ref())
        else {
            return;
        };
        let (started, place) = (pending.started, pending.next);
        if now.instant - started < protocol::REKEY_ATTEMPT_TIME {
            if !self.attempt(index, started, place, now) {
                self.postpone_retry(index, now.instant);
            }
            return;
        }
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let abandoned = peer.pending.take();
        let connected = peer.current.is_some();
        if let Some(abandoned) = abandoned {
            self.release_index(abandoned.index);
        }
        self.outputs
            .push_back(Output::Sender(ToSender::DropStaged(index)));
        self.drop_waiting(index);
        if !connected {
            self.set_state(index, PeerState::Unreachable);
        }
    }

    /// No initiation could be sent, for want of a socket: that counts as an attempt.
    fn postpone_retry(&mut self, index: PeerIndex, now: Instant) {
        let peer = self.peers.get_mut(&index);
        if let Some(pending) = peer.and_then(|peer| peer.pending.as_mut()) {
            pending.next = pending.next.wrapping_add(1);
            pending.retry_at = now + protocol::REKEY_TIMEOUT;
        }
    }

    fn queue_keepalive(&mut self, index: PeerIndex, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&index) {
            peer.keepalive_queued = Some(now);
            let frame = ToSender::Frame {
                peer: index,
                endpoint: None,
                plaintext: Vec::new(),
            };
            self.outputs.push_back(Output::Sender(frame));
        }
    }

    fn keep_alive(&mut self, index: PeerIndex, now: Now) {
        let connected = self
            .peers
            .get(&index)
            .is_some_and(|peer| peer.current.is_some());
        self.queue_keepalive(index, now.instant);
        if !connected {
            self.initiate(index, now);
        }
    }

    /// A peer with a persistent keepalive is sought as soon as it is known.
    pub(super) fn start_keepalive(&mut self, index: PeerIndex, now: Now) {
        let wanted = self.peers.get(&index).is_some_and(|peer| {
            peer.config.keepalive_interval().is_some()
                && peer.current.is_none()
                && peer.pending.is_none()
        });
        if wanted {
            self.keep_alive(index, now);
        }
    }

    fn expire_keys(&mut self, index: PeerIndex, now: Instant) {
        let Some(peer) = self.peers.get_mut(&index) else {
            return;
        };
        let old = |keypair: &Keypair| keypair.expiry() <= now;
        let previous = std::iter::from_fn(|| peer.previous.take_if(old)).collect::<Vec<_>>();
        let current = peer.current.take_if(|current| old(current));
        let next = peer
            .next
            .take_if(|next| old(&next.keypair))
            .map(|next| next.keypair);
        let lost = current.is_some();
        if lost {
            peer.hello.stop();
        }
        let state = if peer.pending.is_some() {
            PeerState::Handshaking
        } else {
            PeerState::Idle
        };
        for keypair in previous.into_iter().chain(current).chain(next) {
            self.release_index(keypair.local);
        }
        if lost {
            self.outputs
                .push_back(Output::Sender(ToSender::ForgetKey(index)));
            self.set_state(index, state);
        }
    }
}

impl Keypair {
    pub(super) fn expiry(&self) -> Instant {
        self.created + protocol::REJECT_AFTER_TIME
    }
}

impl Peer {
    fn deadline(&self, due: Due) -> Option<Instant> {
        match due {
            Due::Retry => self.pending.as_ref().map(|pending| pending.retry_at),
            Due::Keepalive => {
                let since = self
                    .activity
                    .owing_answer_since()
                    .filter(|_| self.current.is_some())?;
                // One that is queued may be under way still, or have crossed the data: if nothing
                // was sent after all, its turn comes again.
                let since = self
                    .keepalive_queued
                    .map_or(since, |queued| queued.max(since));
                Some(since + protocol::KEEPALIVE_TIMEOUT)
            }
            Due::Renewal => {
                let since = self
                    .activity
                    .awaiting_answer_since()
                    .filter(|_| self.current.is_some())?;
                Some(since + protocol::KEEPALIVE_TIMEOUT + protocol::REKEY_TIMEOUT)
            }
            Due::PersistentKeepalive => {
                let interval = self.config.keepalive_interval()?;
                let last = self
                    .activity
                    .last_sent()
                    .max(self.activity.last_received())
                    .max(self.keepalive_queued);
                last.map(|last| last + interval)
            }
            Due::Expiry => {
                let next = self.next.as_ref().map(|next| &next.keypair);
                let keypairs = self.previous.iter().chain(&self.current).chain(next);
                keypairs.map(Keypair::expiry).min()
            }
            Due::Hello => self
                .hello
                .next_deadline()
                .filter(|_| self.current.is_some()),
            Due::PathMtu => {
                let validated = self.paths.iter().filter(|path| path.probing.validated);
                let deadlines = validated.filter_map(|path| path.pmtu.next_deadline());
                deadlines.min().filter(|_| self.may_send_frames())
            }
            Due::Announce => self.announce.at().filter(|_| self.may_send_frames()),
            Due::Paths => self
                .paths
                .next_deadline()
                .filter(|_| self.may_send_frames()),
        }
    }

    fn may_send_frames(&self) -> bool {
        self.current.is_some() && self.speaks_frames()
    }
}
