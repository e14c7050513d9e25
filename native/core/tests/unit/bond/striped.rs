//! Striped traffic on virtual time, and what a reordering buffer makes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use whalescale_core::bond::reorder::Reorder;
use whalescale_core::time::Instant;
use whalescale_netem::derive_seed;

/// The delays, rate and losses of one path.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub delay: Duration,
    /// Time between two packets.
    pub spacing: Duration,
    /// Added to the delay, uniform between zero and this.
    pub jitter: Duration,
    pub loss: f64,
}

/// When lost packets come again.
#[derive(Clone, Copy, Debug)]
pub struct Repair {
    /// From the loss showing on its path to the repair's arrival.
    pub after: Duration,
    /// The chance that a repair is lost; it comes again after the same time.
    pub loss: f64,
    pub attempts: u32,
}

/// One packet at the receiver.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Instant,
    pub sequence: u64,
    pub path: u8,
}

/// A stream of random numbers from a seed.
pub struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// Uniform in 0 to 1.
    pub fn unit(&mut self) -> f64 {
        self.drawn += 1;
        (derive_seed(self.seed, self.drawn) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// `packets` sent on all paths at their full rates, numbered as they leave.
pub fn striped(paths: &[Path], packets: u64, repair: Option<Repair>, seed: u64) -> Vec<Arrival> {
    let mut random = Random::new(seed);
    let mut leaves = vec![Instant::from_nanos(0); paths.len()];
    let mut arrivals = Vec::new();
    for sequence in 0..packets {
        let at = leaves.iter().copied().enumerate();
        let (number, left) = at.min_by_key(|(_, at)| *at).unwrap();
        let path = paths[number];
        leaves[number] = left + path.spacing;
        let due = left + path.delay + path.jitter.mul_f64(random.unit());
        let at = if random.unit() >= path.loss {
            Some(due)
        } else {
            // Three later packets show the loss.
            repaired(due + 3 * path.spacing, repair, &mut random)
        };
        arrivals.extend(at.map(|at| Arrival {
            at,
            sequence,
            path: number as u8,
        }));
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}

fn repaired(lost: Instant, repair: Option<Repair>, random: &mut Random) -> Option<Instant> {
    let repair = repair?;
    let attempt = (1..=repair.attempts).find(|_| random.unit() >= repair.loss)?;
    Some(lost + attempt * repair.after)
}

/// The bytes of a test packet.
pub fn packet(sequence: u64) -> [u8; 1400] {
    let mut packet = [0; 1400];
    packet[..8].copy_from_slice(&sequence.to_le_bytes());
    packet
}

pub fn sequence_of(packet: &[u8]) -> u64 {
    u64::from_le_bytes(packet[..8].try_into().unwrap())
}

/// What came out, with the time, in order.
pub type Delivered = Vec<(Instant, u64)>;

/// Lets the arrivals in at their times and the deadlines expire at theirs.
pub fn deliver(reorder: &mut Reorder, arrivals: &[Arrival]) -> Delivered {
    let mut delivered = Vec::new();
    for arrival in arrivals {
        expire_until(reorder, Some(arrival.at), &mut delivered);
        reorder.push(
            arrival.at,
            arrival.sequence,
            true,
            &packet(arrival.sequence),
            Some(arrival.path),
            &mut |packet| delivered.push((arrival.at, sequence_of(packet))),
        );
    }
    expire_until(reorder, None, &mut delivered);
    delivered
}

fn expire_until(reorder: &mut Reorder, until: Option<Instant>, delivered: &mut Delivered) {
    while let Some(due) = reorder.next_deadline() {
        if until.is_some_and(|until| due > until) {
            break;
        }
        // A deadline that an arrival has just proven may lie in the past: it expires now.
        let last = delivered.last().map_or(due, |(at, _)| *at);
        let now = due.max(last);
        reorder.expire(now, &mut |packet| {
            delivered.push((now, sequence_of(packet)))
        });
    }
}

/// How many came after one with a higher sequence.
pub fn out_of_order(delivered: &Delivered) -> u64 {
    let mut highest = 0;
    let late = delivered.iter().filter(|(_, sequence)| {
        let late = *sequence < highest;
        highest = highest.max(*sequence);
        late
    });
    late.count() as u64
}

/// The times from arrival to delivery, sorted.
pub fn holds(arrivals: &[Arrival], delivered: &Delivered) -> Vec<Duration> {
    let mut arrived: Vec<(u64, Instant)> = arrivals.iter().map(|a| (a.sequence, a.at)).collect();
    arrived.sort_unstable();
    let mut holds: Vec<Duration> = delivered
        .iter()
        .map(|(at, sequence)| {
            let index = arrived.binary_search_by_key(sequence, |(sequence, _)| *sequence);
            *at - arrived[index.unwrap()].1
        })
        .collect();
    holds.sort_unstable();
    holds
}

/// The sequences, each once.
pub fn sequences(delivered: &Delivered) -> BTreeSet<u64> {
    delivered.iter().map(|(_, sequence)| *sequence).collect()
}
