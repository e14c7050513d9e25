//! Which path the next packet takes (design, section 5, Schedulers).
//!
//! A scheduler sees what the models say of the paths that may carry, and picks one that may send
//! now, or none: then the packet waits.

use std::str::FromStr;
use std::time::Duration;

/// What is known of one path at the moment of choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Place in the bond's table.
    pub place: usize,
    /// Whether its pacing lets a packet out now.
    pub ready: bool,
    /// When a packet sent now would arrive, on a clock that all paths share; nothing before the
    /// first measurement.
    pub arrival: Option<i64>,
    /// Bytes a second that it is paced at.
    pub rate: f64,
    pub rtt: Option<Duration>,
}

/// A policy. `pressed` says that packets have been waiting for a while: the fastest path alone does
/// not carry the load.
pub(crate) trait Scheduler: Send {
    /// The place of the path to take, among those that are ready.
    fn choose(&mut self, bytes: usize, paths: &[Candidate], pressed: bool) -> Option<usize>;

    /// Whether every packet goes on every path.
    fn duplicates(&self) -> bool {
        false
    }
}

/// The policies by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// What the bench shows best.
    #[default]
    Auto,
    /// Weighted round robin: shares in proportion to the estimated rates (the original design).
    Wrr,
    /// The lowest round trip that may send.
    MinRtt,
    /// Earliest delivery path first, paced.
    Edpf,
    /// Every packet on every path.
    Redundant,
}

/// Every policy by the name that a configuration gives it.
const POLICIES: [(&str, Policy); 5] = [
    ("auto", Policy::Auto),
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
            Self::Auto | Self::Edpf => Box::new(Edpf),
            Self::Wrr => Box::new(Wrr::default()),
            Self::MinRtt => Box::new(MinRtt),
            Self::Redundant => Box::new(Redundant),
        }
    }
}

/// Earliest delivery path first (Chebrolu and Rao, 2006): the packet takes the path on which it
/// arrives first. A slower path only helps when the faster one cannot carry the load, so it is left
/// alone until packets wait.
struct Edpf;

/// A path that delivers this much later is not used for a load that is not pressing.
const NEARBY: i64 = 2_000_000;

impl Scheduler for Edpf {
    fn choose(&mut self, _bytes: usize, paths: &[Candidate], pressed: bool) -> Option<usize> {
        let best = paths.iter().filter_map(|path| path.arrival).min();
        let first = paths
            .iter()
            .filter(|path| path.ready)
            .min_by_key(|path| path.arrival.or(best))?;
        let late = match (first.arrival, best) {
            (Some(arrival), Some(best)) => arrival.saturating_sub(best),
            _ => 0,
        };
        (pressed || late <= NEARBY).then_some(first.place)
    }
}

struct MinRtt;

impl Scheduler for MinRtt {
    fn choose(&mut self, _bytes: usize, paths: &[Candidate], _pressed: bool) -> Option<usize> {
        let ready = paths.iter().filter(|path| path.ready);
        ready
            .min_by_key(|path| path.rtt.unwrap_or(Duration::MAX))
            .map(|path| path.place)
    }
}

/// Each packet adds credit to every path in proportion to its rate, and costs the one that carries
/// it a packet's worth.
#[derive(Default)]
struct Wrr {
    credit: Vec<f64>,
}

impl Scheduler for Wrr {
    fn choose(&mut self, bytes: usize, paths: &[Candidate], _pressed: bool) -> Option<usize> {
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
        Some(chosen.place)
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
    fn choose(&mut self, _bytes: usize, paths: &[Candidate], _pressed: bool) -> Option<usize> {
        let ready = paths.iter().filter(|path| path.ready);
        ready
            .min_by_key(|path| path.arrival.unwrap_or(i64::MAX))
            .map(|path| path.place)
    }

    fn duplicates(&self) -> bool {
        true
    }
}
