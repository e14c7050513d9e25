//! Path-MTU discovery by probing, RFC 8899 (DPLPMTUD), in units of the inner MTU.
//!
//! Every datagram carries DF, and nothing relies on ICMP: a probe is an authenticated frame padded
//! to the size in question, and only its authenticated reply says that the size passes. The search
//! starts with the largest size, because most paths carry it, and bisects below. Invariant: the
//! value in use was confirmed on this path, or is the minimum, or was never to be discovered; whether
//! the minimum passes is probed last of all, when nothing larger did. Traffic that stalls is a hint that
//! the path has shrunk: the size in use is then confirmed out of turn.

use std::time::Duration;

use crate::constants::mtu;
use crate::time::Instant;

/// RFC 8899, section 5.1.1: the probe timer must not be below one second.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// RFC 8899, section 5.1.2: probes of one size that must be lost before it counts as too big.
const MAX_PROBES: u8 = 3;
/// RFC 8899, section 5.1.1: how long until a larger size is tried again.
const RAISE_INTERVAL: Duration = Duration::from_secs(600);
/// RFC 8899, section 5.1.1: how often the size in use is confirmed, while there is traffic.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(30);
/// The search ends at this precision: the padding of a datagram is as coarse.
const STEP: u16 = 16;
/// On a dead path lost probes mean nothing: it must have brought something within this span.
const ALIVE: Duration = Duration::from_secs(2);
/// Bounds of a probe's time when traffic stalls. Below RFC 8899's one second, because the small probe
/// beside it must have been answered within that time for the loss to count.
const HASTE_MIN: Duration = Duration::from_millis(500);
/// Round trips that a probe gets when traffic stalls.
const HASTE: u32 = 4;
/// Stalls have other reasons too: a size that was confirmed out of turn is not again within this, which
/// doubles each time, up to the longest; after twice that, all is forgotten.
const SUSPICION_SPACING: Duration = Duration::from_secs(1);
const SUSPICION_SPACING_MAX: Duration = Duration::from_secs(16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Probing `candidate`; sizes from `too_big` on do not pass.
    Searching { candidate: u16, too_big: u16 },
    /// Done until `raise_at`; the size is confirmed again at `confirm_at`.
    Complete {
        raise_at: Instant,
        confirm_at: Instant,
    },
    /// Probing the size in use again, each probe for so long.
    Confirming {
        raise_at: Instant,
        patience: Duration,
    },
}

/// What the search wants of its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send a probe that fills this inner MTU.
    Probe(u16),
    /// The fixed inner MTU does not pass this path.
    TooSmall,
}

/// How the size of a path's packets is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// By a search between the protocol's minimum and what `auto` asks for.
    Auto,
    /// What `auto` asks for, on a path where no probe is ever answered: taken to pass until the
    /// local link refuses it. The owner must not poll.
    Assumed,
    /// A configured size, kept whatever the path says; the path is only checked.
    Fixed(u16),
}

impl Sizing {
    /// What is in use before anything is known of a path.
    pub fn initial(self) -> u16 {
        match self {
            Self::Auto => mtu::INNER_MIN,
            Self::Assumed => mtu::INNER_AUTO_MAX,
            Self::Fixed(size) => size,
        }
    }

    fn ceiling(self) -> u16 {
        match self {
            Self::Auto | Self::Assumed => mtu::INNER_AUTO_MAX,
            Self::Fixed(size) => size,
        }
    }
}

/// The search on one path. See the module's header.
#[derive(Debug)]
pub struct PathMtu {
    current: u16,
    sizing: Sizing,
    ceiling: u16,
    fixed: bool,
    /// Whether the owner knows that the fixed size does not pass.
    warned: bool,
    /// Whether the minimum is known to pass, or not to.
    minimum: Option<bool>,
    phase: Phase,
    lost: u8,
    /// When the probe under way was sent, and when it counts as lost.
    probed: Instant,
    deadline: Option<Instant>,
    /// When the size was last confirmed out of turn, and how soon it may be again.
    suspected: Option<(Instant, Duration)>,
}

impl PathMtu {
    /// A new path, of which nothing is known.
    pub fn new(sizing: Sizing) -> Self {
        let (current, ceiling) = (sizing.initial(), sizing.ceiling());
        let fixed = matches!(sizing, Sizing::Fixed(_));
        let phase = Phase::Searching {
            candidate: ceiling,
            too_big: ceiling.saturating_add(1),
        };
        Self {
            current,
            sizing,
            ceiling,
            fixed,
            warned: false,
            minimum: None,
            phase,
            lost: 0,
            probed: Instant::default(),
            deadline: None,
            suspected: None,
        }
    }

    /// The largest inner packet that this path is known to carry.
    pub fn current(&self) -> u16 {
        self.current
    }

    /// Whether packets of [`Self::current`] pass, as far as is known.
    pub fn fits(&self) -> bool {
        !self.warned && self.minimum != Some(false)
    }

    /// Whether packets of [`Self::current`] are known to pass, or there is no way to know.
    pub fn is_confirmed(&self) -> bool {
        self.fits() && (self.minimum == Some(true) || self.sizing == Sizing::Assumed)
    }

    /// Traffic on the path stalls, perhaps because what is large vanishes: the size in use is confirmed
    /// at once. `rtt`: the path's round trip.
    pub fn suspect(&mut self, rtt: Option<Duration>, now: Instant) {
        let (recent, spacing) = match self.suspected {
            Some((at, spacing)) if now - at < SUSPICION_SPACING_MAX * 2 => {
                let doubled = (spacing * 2).min(SUSPICION_SPACING_MAX);
                (now - at < spacing, doubled)
            }
            _ => (false, SUSPICION_SPACING),
        };
        if let Phase::Complete { raise_at, .. } = self.phase
            && self.is_confirmed()
            && !recent
        {
            let patience = rtt.map_or(PROBE_TIMEOUT, |rtt| {
                (rtt * HASTE).clamp(HASTE_MIN, PROBE_TIMEOUT)
            });
            self.suspected = Some((now, spacing));
            self.phase = Phase::Confirming { raise_at, patience };
        }
    }

    /// The path changed: what was learned is void.
    pub fn restart(&mut self) {
        *self = Self::new(self.sizing);
    }

    /// When [`Self::poll`] has something to do; nothing before that.
    pub fn next_deadline(&self) -> Option<Instant> {
        match (self.phase, self.deadline) {
            (_, Some(deadline)) => Some(deadline),
            (
                Phase::Complete {
                    raise_at,
                    confirm_at,
                },
                None,
            ) => Some(raise_at.min(confirm_at)),
            (Phase::Searching { .. } | Phase::Confirming { .. }, None) => Some(Instant::default()),
        }
    }

    /// Advances the search. `heard`: when the path last brought anything, without which lost probes mean
    /// nothing. `busy` says whether there is traffic worth confirming for.
    pub fn poll(&mut self, now: Instant, heard: Option<Instant>, busy: bool) -> Option<Step> {
        if let Some(deadline) = self.deadline {
            if now < deadline {
                return None;
            }
            self.deadline = None;
            if heard.is_some_and(|heard| self.counts_as_alive(heard, now)) {
                self.lost += 1;
            } else if let Some(raise_at) = self.in_haste() {
                // The path is silent altogether, which is no matter of sizes.
                self.complete(now, raise_at);
                return None;
            }
            if self.lost >= MAX_PROBES && self.size_failed(now) {
                return Some(Step::TooSmall);
            }
        }
        if let Phase::Complete {
            raise_at,
            confirm_at,
        } = self.phase
        {
            if now >= raise_at {
                self.search(self.ceiling, self.ceiling.saturating_add(1));
            } else if now >= confirm_at && busy && (self.fixed || self.current > mtu::INNER_MIN) {
                let patience = PROBE_TIMEOUT;
                self.phase = Phase::Confirming { raise_at, patience };
            } else if now >= confirm_at {
                self.complete(now, raise_at);
            }
        }
        let (size, patience) = match self.phase {
            Phase::Searching { candidate, .. } => (candidate, PROBE_TIMEOUT),
            Phase::Confirming { patience, .. } => (self.current, patience),
            Phase::Complete { .. } => return None,
        };
        self.probed = now;
        self.deadline = Some(now + patience);
        Some(Step::Probe(size))
    }

    /// Whether what was heard then says that the path would have answered the probe under way.
    fn counts_as_alive(&self, heard: Instant, now: Instant) -> bool {
        if self.in_haste().is_some() {
            heard >= self.probed
        } else {
            now - heard < ALIVE
        }
    }

    /// When to try larger sizes again, if the size in use is being confirmed out of turn.
    fn in_haste(&self) -> Option<Instant> {
        match self.phase {
            Phase::Confirming { raise_at, patience } if patience < PROBE_TIMEOUT => Some(raise_at),
            _ => None,
        }
    }

    /// A probe of `size` came back.
    pub fn confirmed(&mut self, size: u16, now: Instant) {
        match self.phase {
            Phase::Searching { candidate, too_big } if size == candidate => {
                self.warned = false;
                self.minimum = Some(true);
                self.current = size;
                self.settle_or_search(too_big, now);
            }
            Phase::Confirming { raise_at, .. } if size == self.current => {
                self.warned = false;
                self.minimum = Some(true);
                self.complete(now, raise_at);
            }
            _ => {}
        }
    }

    /// The local link takes no inner packet of `size` on this path; certain, so no retries.
    pub fn refused(&mut self, size: u16, now: Instant) -> Option<Step> {
        if self.fixed {
            return self.fixed_failed(now).then_some(Step::TooSmall);
        }
        let searching =
            matches!(self.phase, Phase::Searching { candidate, .. } if candidate >= size);
        if size <= mtu::INNER_MIN {
            self.current = mtu::INNER_MIN;
            self.minimum = Some(false);
            self.complete(now, now + RAISE_INTERVAL);
        } else if size <= self.current {
            self.current = mtu::INNER_MIN;
            self.minimum = None;
            self.settle_or_search(size, now);
        } else if searching {
            self.settle_or_search(size, now);
        }
        None
    }

    /// All probes of the size in question were lost. True if the owner should hear of it.
    fn size_failed(&mut self, now: Instant) -> bool {
        match self.phase {
            _ if self.fixed => return self.fixed_failed(now),
            Phase::Searching { candidate, .. } if candidate == mtu::INNER_MIN => {
                self.minimum = Some(false);
                self.complete(now, now + RAISE_INTERVAL);
            }
            Phase::Searching { candidate, .. } => self.settle_or_search(candidate, now),
            Phase::Confirming { .. } => {
                let failed = self.current;
                self.current = mtu::INNER_MIN;
                self.minimum = None;
                self.settle_or_search(failed, now);
            }
            Phase::Complete { .. } => {}
        }
        false
    }

    /// The fixed size does not pass. True if that is news since it last passed.
    fn fixed_failed(&mut self, now: Instant) -> bool {
        self.complete(now, now + RAISE_INTERVAL);
        !std::mem::replace(&mut self.warned, true)
    }

    fn settle_or_search(&mut self, too_big: u16, now: Instant) {
        let room = too_big.saturating_sub(self.current);
        if room <= STEP && self.minimum.is_none() {
            self.search(mtu::INNER_MIN, too_big);
        } else if room <= STEP {
            self.complete(now, now + RAISE_INTERVAL);
        } else {
            self.search(
                self.current + (room / 2).next_multiple_of(STEP).min(room - 1),
                too_big,
            );
        }
    }

    fn search(&mut self, candidate: u16, too_big: u16) {
        self.phase = Phase::Searching { candidate, too_big };
        self.lost = 0;
        self.deadline = None;
    }

    fn complete(&mut self, now: Instant, raise_at: Instant) {
        self.phase = Phase::Complete {
            raise_at,
            confirm_at: now + CONFIRM_INTERVAL,
        };
        self.lost = 0;
        self.deadline = None;
    }
}
