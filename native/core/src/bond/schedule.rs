//! Which path the next packet takes (design, section 5, Schedulers).
//!
//! A scheduler sees what the models say of the paths that may carry, and picks one that may send
//! now and a packet for it, or none: then the packets wait.

use std::str::FromStr;
use std::time::Duration;

use arrayvec::ArrayVec;

/// Paths of one peer: what the path number in the shim can tell apart.
pub(crate) const PATHS: usize = 16;

/// What is known of one path at the moment of choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Place in the bond's table.
    pub place: usize,
    /// Whether its pacing lets a packet out now.
    pub ready: bool,
    /// Whether it takes more at once or soon, rather than wait for feedback that may not come.
    pub open: bool,
    /// When a packet given to it now would arrive, nanoseconds on a clock that all paths share.
    pub arrival: i64,
    /// Bytes a second that it is paced at.
    pub rate: f64,
    /// Bytes a second that its bottleneck carries.
    pub link: f64,
    /// Whether that was measured of late: what gets little may seem slow for that.
    pub proven: bool,
    pub rtt: Option<Duration>,
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Place in the bond's table of the path to take.
    pub place: usize,
    /// Bytes of the queue that are left to the other paths: it gets the packet behind them.
    pub ahead: usize,
}

/// A policy.
pub(crate) trait Scheduler: Send {
    /// What to send next on a path that is ready, when `queued` bytes wait and the first packet has
    /// `bytes`.
    fn choose(&mut self, bytes: usize, queued: usize, paths: &[Candidate]) -> Option<Choice>;

    /// How much longer the queue has to be, nanoseconds, for all paths to be in use.
    fn spread(&self, _paths: &[Candidate]) -> i64 {
        0
    }

    /// The paths on which packets arrive in their order, as far as they are of use; none if the order
    /// is left to chance.
    fn in_order(&self, _paths: &[Candidate]) -> ArrayVec<Candidate, PATHS> {
        ArrayVec::new()
    }

    /// Whether every packet goes on every path.
    fn duplicates(&self) -> bool {
        false
    }
}

/// The policies by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Weighted round robin: shares in proportion to the estimated rates (the original design).
    Wrr,
    /// The lowest round trip that may send.
    MinRtt,
    /// Earliest delivery path first, paced.
    #[default]
    Edpf,
    /// Every packet on every path.
    Redundant,
}

/// Every policy by the name that a configuration gives it.
const POLICIES: [(&str, Policy); 4] = [
    ("wrr", Policy::Wrr),
    ("minrtt", Policy::MinRtt),
    ("edpf", Policy::Edpf),
    ("redundant", Policy::Redundant),
];

/// There is no policy of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPolicy;

impl FromStr for Policy {
    type Err = NotAPolicy;

    fn from_str(name: &str) -> Result<Self, NotAPolicy> {
        let found = POLICIES.iter().find(|(known, _)| *known == name);
        found.map(|(_, policy)| *policy).ok_or(NotAPolicy)
    }
}

impl Policy {
    pub(crate) fn scheduler(self) -> Box<dyn Scheduler> {
        match self {
            Self::Edpf => Box::new(Edpf),
            Self::Wrr => Box::new(Wrr::default()),
            Self::MinRtt => Box::new(MinRtt),
            Self::Redundant => Box::new(Redundant),
        }
    }
}

/// Earliest delivery path first (Chebrolu and Rao, 2006), with one queue for all paths: a path that
/// can send gets the packet that the others would deliver just when it can. So the packets arrive in
/// their order, and a slower path is used from the moment on that the queue is longer than its delay
/// exceeds that of the others, never at their expense.
struct Edpf;

/// A path that delivers this much later than the first is not used at all: what it carries would
/// come later than the inner flow's patience (its least time-out is 200 ms).
const FAR: i64 = 285_000_000;
/// A path with a smaller share of the rate is not worth a queue as long as its delay.
const NEGLIGIBLE: f64 = 0.05;
/// A delay that much longer is no price.
const NEARBY: i64 = 10_000_000;

impl Edpf {
    /// The paths that are of use.
    fn useful(paths: &[Candidate]) -> impl Iterator<Item = &Candidate> + Clone {
        let best = paths.iter().map(|path| path.arrival).min().unwrap_or(0);
        let total: f64 = paths.iter().map(|path| path.link).sum();
        paths.iter().filter(move |path| {
            let later = path.arrival.saturating_sub(best);
            later <= NEARBY || later <= FAR && (path.link >= NEGLIGIBLE * total || !path.proven)
        })
    }
}

impl Scheduler for Edpf {
    fn choose(&mut self, _bytes: usize, queued: usize, paths: &[Candidate]) -> Option<Choice> {
        let useful = Self::useful(paths);
        let path = (useful.clone().filter(|path| path.ready)).min_by_key(|path| path.arrival)?;
        let others = useful.filter(|other| other.open && other.place != path.place);
        let ahead: f64 = others
            .map(|other| {
                let earlier = path.arrival.saturating_sub(other.arrival).max(0);
                earlier as f64 * 1e-9 * other.link
            })
            .sum();
        let ahead = ahead as usize;
        (ahead < queued).then_some(Choice {
            place: path.place,
            ahead,
        })
    }

    fn in_order(&self, paths: &[Candidate]) -> ArrayVec<Candidate, PATHS> {
        Self::useful(paths).copied().take(PATHS).collect()
    }

    fn spread(&self, paths: &[Candidate]) -> i64 {
        let arrivals = Self::useful(paths).map(|path| path.arrival);
        let best = arrivals.clone().min().unwrap_or(0);
        arrivals.max().unwrap_or(0).saturating_sub(best)
    }
}

impl Choice {
    /// The first packet, on this path.
    const fn first(place: usize) -> Self {
        Self { place, ahead: 0 }
    }
}

struct MinRtt;

impl Scheduler for MinRtt {
    fn choose(&mut self, _bytes: usize, _queued: usize, paths: &[Candidate]) -> Option<Choice> {
        let ready = paths.iter().filter(|path| path.ready);
        ready
            .min_by_key(|path| path.rtt.unwrap_or(Duration::MAX))
            .map(|path| Choice::first(path.place))
    }
}

/// Each packet adds credit to every path in proportion to its rate, and costs the one that carries
/// it a packet's worth.
#[derive(Default)]
struct Wrr {
    credit: Vec<f64>,
}

impl Scheduler for Wrr {
    fn choose(&mut self, bytes: usize, _queued: usize, paths: &[Candidate]) -> Option<Choice> {
        let places = paths.iter().map(|path| path.place + 1).max()?;
        self.credit.resize(places, 0.0);
        let chosen = paths
            .iter()
            .filter(|path| path.ready)
            .max_by(|a, b| self.owed(a).total_cmp(&self.owed(b)))?;
        let total: f64 = paths.iter().map(|path| path.rate).sum();
        let bytes = bytes as f64;
        for path in paths {
            if let Some(credit) = self.credit.get_mut(path.place) {
                // A path that cannot send for long must not save up a burst.
                let limit = 32.0 * 1500.0;
                *credit = (*credit + bytes * path.rate / total.max(1.0)).min(limit);
            }
        }
        if let Some(credit) = self.credit.get_mut(chosen.place) {
            *credit -= bytes;
        }
        Some(Choice::first(chosen.place))
    }
}

impl Wrr {
    fn owed(&self, path: &Candidate) -> f64 {
        self.credit.get(path.place).copied().unwrap_or_default()
    }
}

/// Every packet on every path; the one that arrives first carries the sequence.
struct Redundant;

impl Scheduler for Redundant {
    fn choose(&mut self, _bytes: usize, _queued: usize, paths: &[Candidate]) -> Option<Choice> {
        let ready = paths.iter().filter(|path| path.ready);
        ready
            .min_by_key(|path| path.arrival)
            .map(|path| Choice::first(path.place))
    }

    fn duplicates(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// A proven path of so many bytes a second that is ready and delivers after so many milliseconds.
    fn path(place: usize, link: f64, arrival: i64) -> Candidate {
        Candidate {
            place,
            ready: true,
            open: true,
            arrival: arrival * MS,
            rate: link,
            link,
            proven: true,
            rtt: None,
        }
    }

    fn edpf(queued: usize, paths: &[Candidate]) -> Option<(usize, usize)> {
        let choice = Edpf.choose(1500, queued, paths)?;
        Some((choice.place, choice.ahead))
    }

    #[test]
    fn the_earliest_path_gets_the_first_packet() {
        let paths = [path(0, 1e6, 60), path(1, 5e6, 10)];
        assert_eq!(edpf(1500, &paths), Some((1, 0)));
    }

    #[test]
    fn a_slower_path_leaves_to_the_others_what_they_deliver_before_it_could() {
        let fast = Candidate {
            ready: false,
            ..path(0, 5e6, 10)
        };
        let middle = Candidate {
            ready: false,
            ..path(1, 2e6, 40)
        };
        let paths = [fast, middle, path(2, 1e6, 60)];
        let ahead = 250_000 + 40_000;
        assert_eq!(edpf(ahead, &paths), None);
        assert_eq!(edpf(ahead + 1, &paths), Some((2, ahead)));
    }

    #[test]
    fn a_path_that_waits_for_feedback_is_not_waited_for() {
        let stuck = Candidate {
            ready: false,
            open: false,
            ..path(0, 5e6, 10)
        };
        assert_eq!(edpf(1500, &[stuck, path(1, 1e6, 60)]), Some((1, 0)));
    }

    #[test]
    fn a_path_that_adds_little_and_late_is_left_out_once_that_is_proven() {
        let fast = Candidate {
            ready: false,
            ..path(0, 20e6, 10)
        };
        let slow = path(1, 0.5e6, 60);
        let unproven = Candidate {
            proven: false,
            ..slow
        };
        assert_eq!(edpf(4_000_000, &[fast, slow]), None);
        assert!(edpf(4_000_000, &[fast, unproven]).is_some());
        let near = path(1, 0.5e6, 15);
        assert!(edpf(4_000_000, &[fast, near]).is_some());
    }

    #[test]
    fn the_queue_is_as_long_as_the_paths_in_use_differ() {
        let far = path(2, 5e6, 400);
        let paths = [path(0, 5e6, 10), path(1, 1e6, 60), far];
        assert_eq!(Edpf.spread(&paths), 50 * MS);
    }
}
