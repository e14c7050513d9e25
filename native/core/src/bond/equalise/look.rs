//! Whether a far path stays idle beside full ones because of a flow that leaves no queue for it.
//!
//! A flow that goes by its window does so for moments only, while the window passes what the faster
//! paths hold: from then on its queue grows with every look, until something is lost. BBR first looks for
//! the rate with a window of 2.9 round trips, and then lets out all of the queue which that made, at once and
//! without a loss ([`Surge`]); after that its queue is bounded.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::bond::schedule::{Candidate, PATHS};
use crate::time::Instant;

/// A path that is no later than this needs no help: its queue is soon there.
const NEARBY: Duration = Duration::from_millis(10);
/// BBR's window exceeds two of the least round trips by no more than what its rate takes this long for (100 ms),
/// less some to spare.
const LUMPS: Duration = Duration::from_millis(80);
/// Round trips of a look: BBR looks for more rate, and makes up for it, once in eight.
const ROUNDS: u32 = 8;
/// The same, when all of a queue has just been let out.
const ROUNDS_DRAINED: u32 = 2;
/// Looks that must find the queue not grown, or empty. One that a window fills shrinks only by a loss.
const FOUND: u32 = 2;
/// Share of the queue that the far path waits for by which a queue that is bounded may grow in a look.
const GROWTH: f64 = 0.03;
/// Looks in a row that may find it grown in between.
const GROWN: u32 = 5;
/// Share of what the faster paths carry that makes them full.
const FULL: f64 = 0.95;
/// Share of the far paths' rate from which on they are in use.
const USED: f64 = 0.5;
/// Share of a queue that may be left when all of it is let out.
const LEFT: usize = 10;
/// Share of the time by which the far path is later that a queue has to last for to be one: with more, the far
/// path is given packets in their turn.
const DEEP: f64 = 0.75;

/// What was sent since a look or a cycle began.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    pub began: Instant,
    /// Bytes by the path's place.
    sent: [usize; PATHS],
    /// The least that waited.
    pub least: usize,
}

impl Tally {
    pub fn from(began: Instant) -> Self {
        Self {
            began,
            sent: [0; PATHS],
            least: usize::MAX,
        }
    }

    pub fn count(&mut self, place: usize, bytes: usize) {
        if let Some(sent) = self.sent.get_mut(place) {
            *sent += bytes;
        }
    }

    fn sent(&self, place: usize) -> f64 {
        self.sent.get(place).map_or(0.0, |bytes| *bytes as f64)
    }

    /// Bytes a second.
    pub fn rate(&self, now: Instant) -> f64 {
        self.sent.iter().sum::<usize>() as f64 / (now - self.began).as_secs_f64()
    }
}

/// The delays as of the begin of a look or a cycle.
#[derive(Clone)]
pub(super) struct Delays {
    /// The far path's place.
    pub far: usize,
    /// How much later it delivers than the first.
    pub later: Duration,
    /// Round trip of the first.
    pub rtt: Duration,
    /// Place, and bytes a second, of the paths up to the far one, the first one first.
    links: ArrayVec<(usize, f64), PATHS>,
}

impl Delays {
    /// None: there is no path that is far, and not too far; or nothing is known of the others.
    pub fn of(paths: &[Candidate]) -> Option<Self> {
        let mut paths: ArrayVec<Candidate, PATHS> = paths.iter().take(PATHS).copied().collect();
        paths.sort_unstable_by_key(|path| path.arrival);
        let first = *paths.first().filter(|path| path.proven)?;
        let rtt = first.rtt?;
        let later = |path: &Candidate| {
            let later = path.arrival.saturating_sub(first.arrival);
            Duration::from_nanos(later.unsigned_abs())
        };
        let near = paths.iter().filter(|path| later(path) <= NEARBY);
        let near: f64 = near.map(|path| path.link).sum();
        let mut total = 0.0;
        let rates = paths.iter().map(|path| {
            total += if path.proven {
                path.link
            } else {
                path.link.max(first.link)
            };
            Self::rate(rtt, later(path), near, total)
        });
        let rates = (0_usize..).zip(rates).skip(1);
        let gains = rates.filter(|(_, rate)| *rate > near);
        let (far, _) = gains.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        paths.truncate(far + 1);
        let far = paths.last()?;
        (later(far) > NEARBY).then(|| Self {
            far: far.place,
            later: later(far),
            rtt,
            links: paths.iter().map(|path| (path.place, path.link)).collect(),
        })
    }

    /// What BBR's rate can become when its round trip is longer by `later` than the least one, `rtt`, by which it goes:
    /// its window is two of these and one lump, which is what the nearest paths carry in this time.
    fn rate(rtt: Duration, later: Duration, near: f64, total: f64) -> f64 {
        let lacking = later.saturating_sub(rtt);
        if lacking > LUMPS {
            0.0
        } else if lacking.is_zero() {
            total
        } else {
            total.min(near * later.as_secs_f64() / lacking.as_secs_f64())
        }
    }

    /// Whether this is the far path or one that delivers before it.
    pub fn reaches(&self, place: usize) -> bool {
        self.links.iter().any(|(known, _)| *known == place)
    }

    fn first_link(&self) -> f64 {
        self.links.first().map_or(0.0, |(_, link)| *link)
    }

    /// Bytes that have to wait before the far path is given one in its turn, by the first path alone.
    fn needed(&self) -> f64 {
        self.later.as_secs_f64() * self.first_link()
    }

    /// Whether some of the paths were full, and those behind them got little.
    fn is_starved(&self, tally: &Tally, now: Instant) -> bool {
        let span = (now - tally.began).as_secs_f64();
        let (mut near, mut full) = (0.0, 0.0);
        let (all, most) = self
            .links
            .iter()
            .fold((0.0, 0.0), |(all, most), (place, link)| {
                (all + tally.sent(*place), most + link * span)
            });
        self.links.iter().any(|(place, link)| {
            near += tally.sent(*place);
            full += link * span;
            *place != self.far && near >= FULL * full && all - near < USED * (most - full)
        })
    }
}

/// A queue that came, and went at once.
#[derive(Clone, Copy, Default)]
pub(super) struct Surge {
    peak: usize,
    drained: bool,
}

impl Surge {
    /// So many bytes wait. True: nearly all of what waited has just been let out.
    pub fn is_over(&mut self, queued: usize, delays: &Delays) -> bool {
        if queued >= self.peak {
            *self = Self {
                peak: queued,
                drained: false,
            };
        }
        let lasts = delays
            .rtt
            .as_secs_f64()
            .min(DEEP * delays.later.as_secs_f64());
        let deep = self.peak as f64 >= lasts * delays.first_link();
        let before = self.drained;
        self.drained |= deep && queued <= self.peak / LEFT;
        self.drained && !before
    }
}

/// What the looks so far have found.
#[derive(Clone, Copy, Default)]
pub(super) struct Looks {
    pub surge: Surge,
    /// Those that found the far path starved and the queue not grown.
    found: u32,
    /// Those since then that found it grown.
    grown: u32,
    /// What waited at least during the last one.
    least: usize,
}

impl Looks {
    /// How long a look takes.
    pub fn length(&self, delays: &Delays) -> Duration {
        delays.rtt
            * if self.surge.drained {
                ROUNDS_DRAINED
            } else {
                ROUNDS
            }
    }

    /// One more look is over, in which the packets had `bytes`. True: the far path is starved.
    pub fn add(&mut self, tally: &Tally, now: Instant, bytes: usize, delays: &Delays) -> bool {
        let bounded = self.least as f64 + GROWTH * delays.needed();
        let is_bounded = tally.least as f64 <= bounded.max(2.0 * bytes as f64);
        let drained = self.surge.drained;
        if drained {
            self.surge = Surge::default();
        }
        if !delays.is_starved(tally, now) || !is_bounded && self.grown >= GROWN {
            *self = Self {
                surge: self.surge,
                ..Self::default()
            };
            return false;
        }
        self.least = tally.least;
        if is_bounded {
            self.found += 1;
            self.grown = 0;
        } else {
            self.grown += 1;
        }
        drained || self.found >= FOUND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of so many Mbit/s that is later than the first one by so many ms.
    fn path(place: usize, mbit: f64, later: i64) -> Candidate {
        Candidate {
            place,
            ready: true,
            open: true,
            arrival: (5 + later) * 1_000_000,
            rate: mbit * 125e3,
            link: mbit * 125e3,
            proven: true,
            rtt: Some(Duration::from_millis(10)),
        }
    }

    fn far(paths: &[Candidate]) -> Option<usize> {
        Delays::of(paths).map(|delays| delays.far)
    }

    #[test]
    fn the_delays_are_equalised_as_far_as_the_rate_gains_by_it() {
        let paths = [path(0, 30.0, 0), path(1, 30.0, 15), path(2, 20.0, 35)];
        assert_eq!(far(&paths), Some(1));
        assert_eq!(far(&[paths[0], paths[2]]), Some(2));
    }

    #[test]
    fn a_path_that_no_window_of_bbr_reaches_is_not_counted_on() {
        assert_eq!(far(&[path(0, 30.0, 0), path(1, 30.0, 95)]), None);
    }

    #[test]
    fn nothing_is_equalised_while_the_nearest_path_is_not_known() {
        let unknown = Candidate {
            proven: false,
            ..path(0, 30.0, 0)
        };
        assert_eq!(far(&[unknown, path(1, 30.0, 15)]), None);
    }

    #[test]
    fn a_queue_is_a_surge_when_nearly_all_of_it_went() {
        let delays = Delays::of(&[path(0, 30.0, 0), path(1, 30.0, 15)]).expect("a far path");
        // What the near path carries in 10 ms is 37.5 kB.
        let over = |queue: &[usize]| {
            let mut surge = Surge::default();
            queue
                .iter()
                .filter(|bytes| surge.is_over(**bytes, &delays))
                .count()
        };
        assert_eq!(over(&[10_000, 50_000, 20_000, 4_000, 0]), 1);
        assert_eq!(over(&[10_000, 50_000, 20_000, 8_000]), 0);
        assert_eq!(over(&[10_000, 30_000, 1_000]), 0);
    }
}
