//! When a path is probed, and what answers and silence make of it. Pure: no clock, no frames.
//!
//! A candidate gets [`limits::CANDIDATE_PROBES`] probes a minute, then fewer; an address that was only
//! seen gets none by itself (its owner's packets pay for each). A validated path gets a heartbeat, or
//! none if it is the only one, is degraded by one lost probe and failed by [`LOST_UNTIL_FAILED`].

use std::time::Duration;

use crate::constants::limits;
use crate::handoff::PathHealth;
use crate::time::Instant;

/// Heartbeat on an idle path: below the 30 s after which the shortest-lived NAT mappings go (RFC 4787,
/// section 4.3, asks for two minutes and finds less).
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The same where each byte costs money.
const HEARTBEAT_METERED: Duration = Duration::from_secs(25);
/// Probes in a row that a validated path may lose and still count.
const LOST_UNTIL_FAILED: u32 = 3;
/// Answers in a row that bring a failed path back: one may have been the last of the old ones.
const ANSWERS_UNTIL_BACK: u32 = 2;
/// A failed path is probed this often at first.
const FAILED_INTERVAL: Duration = Duration::from_millis(500);
/// Probes of a failed path until their interval doubles: the first minute, in which most outages end. A path is
/// worth more than two small packets a second.
const FAILED_EAGER: u32 = 120;
/// Between the first probes of a candidate.
const CANDIDATE_INTERVAL: Duration = Duration::from_secs(1);
/// A candidate's probes are counted over this span, which doubles each time that all are lost.
const CANDIDATE_SPAN: Duration = Duration::from_secs(60);
/// The longest such span.
const CANDIDATE_SPAN_MAX: Duration = Duration::from_secs(600);
/// An unanswered probe is lost after the smoothed round trip and four variations (RFC 6298,
/// section 2), but never sooner, nor later, than these.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(1);
/// A suspected path is not probed more often.
const SUSPICION_SPACING: Duration = Duration::from_secs(1);

/// A smoothed round trip and its variation (RFC 6298, section 2).
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct RoundTrip {
    pub smoothed: Duration,
    variation: Duration,
}

/// The probing of one path.
#[derive(Debug)]
pub(in crate::control) struct Probing {
    pub validated: bool,
    pub health: PathHealth,
    pub round_trip: Option<RoundTrip>,
    /// When health became what it is.
    pub since: Instant,
    /// Nobody but packets from there tells of the address: each pays for one probe.
    only_heard: bool,
    token: Option<u64>,
    sent: Option<Instant>,
    next: Option<Instant>,
    lost: u32,
    answers: u32,
    heartbeat: Duration,
}

impl Probing {
    /// A candidate; `at_once` unless it waits for packets of its owner.
    pub(in crate::control) fn new(metered: bool, at_once: bool, now: Instant) -> Self {
        Self {
            validated: false,
            health: PathHealth::Healthy,
            round_trip: None,
            since: now,
            only_heard: !at_once,
            token: None,
            sent: None,
            next: at_once.then_some(now),
            lost: 0,
            answers: 0,
            heartbeat: if metered {
                HEARTBEAT_METERED
            } else {
                HEARTBEAT
            },
        }
    }

    pub(in crate::control) fn next_deadline(&self) -> Option<Instant> {
        match (self.token, self.sent) {
            (Some(_), Some(sent)) => Some(sent + self.timeout()),
            _ => self.next,
        }
    }

    /// Whether a probe should go out now.
    pub(in crate::control) fn is_due(&self, now: Instant) -> bool {
        self.token.is_none() && self.next.is_some_and(|next| next <= now)
    }

    /// Counts a probe whose time is over as lost. `alone`: there is no other path to change to.
    pub(in crate::control) fn expire(&mut self, now: Instant, alone: bool) {
        if self.token.is_none() || self.next_deadline().is_none_or(|due| now < due) {
            return;
        }
        self.token = None;
        self.lost += 1;
        self.answers = 0;
        self.next = match self.validated {
            true if alone => None,
            true => Some(now + self.after_loss(now)),
            false if self.only_heard => None,
            false => Some(now + self.candidate_delay()),
        };
    }

    /// A validated path lost a probe; says when the next one goes.
    fn after_loss(&mut self, now: Instant) -> Duration {
        if self.lost < LOST_UNTIL_FAILED {
            self.turn(PathHealth::Degraded, now);
            return Duration::ZERO;
        }
        self.turn(PathHealth::Failed, now);
        let beyond = (self.lost - LOST_UNTIL_FAILED).saturating_sub(FAILED_EAGER);
        let factor = 1_u32 << beyond.min(16);
        (FAILED_INTERVAL * factor).min(self.heartbeat)
    }

    fn candidate_delay(&self) -> Duration {
        let probes = limits::CANDIDATE_PROBES;
        if !self.lost.is_multiple_of(probes) {
            return CANDIDATE_INTERVAL;
        }
        let factor = 1_u32 << (self.lost / probes - 1).min(8);
        (CANDIDATE_SPAN * factor).min(CANDIDATE_SPAN_MAX)
    }

    /// The probe that is due may not be sent before `at`.
    pub(in crate::control) fn postpone(&mut self, at: Instant) {
        self.next = Some(at);
    }

    /// A probe with this token went out.
    pub(in crate::control) fn sent(&mut self, token: u64, now: Instant) {
        self.next = None;
        self.token = Some(token);
        self.sent = Some(now);
    }

    /// Whether a reply with this token is the answer; if so, takes note of it.
    pub(in crate::control) fn answered(&mut self, token: u64, now: Instant) -> bool {
        let (Some(waiting), Some(sent)) = (self.token, self.sent) else {
            return false;
        };
        if waiting != token {
            return false;
        }
        self.token = None;
        self.lost = 0;
        self.answers = self.answers.saturating_add(1);
        self.note_round_trip(now - sent);
        let back = self.health == PathHealth::Failed && self.answers < ANSWERS_UNTIL_BACK;
        if back && self.validated {
            self.next = Some(now);
        } else {
            self.validated = true;
            self.turn(PathHealth::Healthy, now);
            self.next = Some(now + self.heartbeat);
        }
        true
    }

    /// The other end is known to be there, by a handshake.
    pub(in crate::control) fn trust(&mut self, now: Instant) {
        self.validated = true;
        self.lost = 0;
        self.token = None;
        self.turn(PathHealth::Healthy, now);
        self.next = None;
    }

    /// The packets of the path do badly, or well again; a probe finds out more.
    pub(in crate::control) fn judged(&mut self, health: PathHealth, now: Instant) {
        if !self.validated {
            return;
        }
        match health {
            PathHealth::Healthy => self.trust(now),
            PathHealth::Degraded if self.health == PathHealth::Failed => {}
            PathHealth::Degraded | PathHealth::Failed => {
                self.answers = 0;
                if health == PathHealth::Failed {
                    self.lost = self.lost.max(LOST_UNTIL_FAILED);
                }
                self.turn(health, now);
                self.suspect(now);
                if self.token.is_none() {
                    let soon = now + FAILED_INTERVAL;
                    self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
                }
            }
        }
    }

    /// Asks at once, unless a probe is under way or was a moment ago.
    pub(in crate::control) fn suspect(&mut self, now: Instant) {
        let recent = self.sent.is_some_and(|sent| now - sent < SUSPICION_SPACING);
        if self.token.is_none() && !recent {
            self.next = Some(now);
        }
    }

    /// The owner of a candidate sent something from there, which pays for one probe.
    pub(in crate::control) fn heard(&mut self, now: Instant) {
        let recent = self
            .sent
            .is_some_and(|sent| now - sent < limits::REPORT_SPACING);
        if !recent {
            self.token = None;
            self.next = Some(now);
        }
    }

    /// The address is configured or announced.
    pub(in crate::control) fn known(&mut self, now: Instant) {
        if std::mem::take(&mut self.only_heard) && !self.validated && self.token.is_none() {
            self.next = Some(now);
        }
    }

    /// Whether it is unanswered yet and only packets from there tell of it: the peer may have moved.
    pub(in crate::control) fn may_be_a_move(&self) -> bool {
        self.only_heard && !self.validated
    }

    /// Whether a probe is under way.
    pub(in crate::control) fn is_waiting(&self) -> bool {
        self.token.is_some()
    }

    /// Begins anew where the network has changed: a candidate's patience, a path's heartbeat.
    pub(in crate::control) fn hurry(&mut self, now: Instant) {
        if self.validated {
            self.suspect(now);
        } else if self.token.is_none() && self.next.is_some() {
            self.lost = 0;
            let earliest = self.sent.map_or(now, |sent| sent + CANDIDATE_SPAN);
            self.next = Some(earliest.max(now));
        }
    }

    /// Whether something is out that should have come back, or did not.
    pub(in crate::control) fn in_doubt(&self) -> bool {
        self.token.is_some() || self.lost > 0
    }

    /// It was the only path for a while, or became one of several.
    pub(in crate::control) fn heartbeat(&mut self, alone: bool, now: Instant) {
        if !self.validated {
            return;
        }
        if alone {
            self.next = self.next.filter(|next| *next <= now);
            self.turn(PathHealth::Healthy, now);
        } else if self.next.is_none() && self.token.is_none() {
            self.next = Some(now + self.heartbeat);
        }
    }

    pub(in crate::control) fn note_round_trip(&mut self, sample: Duration) {
        self.round_trip = Some(match self.round_trip {
            None => RoundTrip {
                smoothed: sample,
                variation: sample / 2,
            },
            Some(known) => RoundTrip {
                smoothed: (known.smoothed * 7 + sample) / 8,
                variation: (known.variation * 3 + known.smoothed.abs_diff(sample)) / 4,
            },
        });
    }

    fn timeout(&self) -> Duration {
        self.round_trip.map_or(TIMEOUT_MAX, |known| {
            (known.smoothed + known.variation * 4).clamp(TIMEOUT_MIN, TIMEOUT_MAX)
        })
    }

    fn turn(&mut self, health: PathHealth, now: Instant) {
        if self.health != health {
            self.health = health;
            self.since = now;
        }
    }
}
