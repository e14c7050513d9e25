//! A numbered packet, and a drive of one link on virtual time.

use whalescale_netem::{Link, LinkConfig, Packet, Stats, Verdict, derive_seed};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

/// A packet that knows its number and what was done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    pub number: u64,
    pub corrupted: bool,
    pub marked: bool,
}

impl Packet for Numbered {
    fn flip_bit(&mut self, _choice: u64) {
        self.corrupted = true;
    }

    fn mark_congestion(&mut self) -> bool {
        self.marked = true;
        true
    }
}

/// One packet of the load: when it is sent and how long it is.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub at: u64,
    pub len: usize,
}

/// What arrived and when, and the counters at the end.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub arrivals: Vec<(u64, Numbered)>,
    pub verdicts: Vec<Verdict>,
    pub stats: Stats,
    pub in_flight: usize,
}

impl Outcome {
    pub fn numbers(&self) -> Vec<u64> {
        self.arrivals
            .iter()
            .map(|(_, packet)| packet.number)
            .collect()
    }
}

/// `count` packets of one length, one each `gap` nanoseconds.
pub fn steady(count: u64, gap: u64, len: usize) -> Vec<Sent> {
    (0..count)
        .map(|number| Sent {
            at: number * gap,
            len,
        })
        .collect()
}

/// `count` packets of 1 to 1500 bytes with gaps of 0 to `max_gap`, by seed.
pub fn random_load(seed: u64, count: u64, max_gap: u64) -> Vec<Sent> {
    let mut at = 0;
    let packet = |number| {
        let drawn = derive_seed(seed, number);
        at += (drawn >> 32) % (max_gap + 1);
        Sent {
            at,
            len: 1 + (drawn % 1500) as usize,
        }
    };
    (0..count).map(packet).collect()
}

/// Sends the load through a link, polling at each event, until `until` or, without it, until all has arrived.
pub fn drive(config: LinkConfig, seed: u64, load: &[Sent], until: Option<u64>) -> Outcome {
    let mut link = Link::new(config, seed);
    let mut arrivals = Vec::new();
    let mut poll_up_to = |link: &mut Link<Numbered>, limit: u64| {
        while let Some(event) = link.next_event().filter(|event| *event <= limit) {
            while let Some(packet) = link.poll_deliver(event) {
                arrivals.push((event, packet));
            }
        }
    };
    let mut verdicts = Vec::new();
    for (number, sent) in (0..).zip(load) {
        poll_up_to(&mut link, sent.at);
        let packet = Numbered {
            number,
            corrupted: false,
            marked: false,
        };
        verdicts.push(link.send(sent.at, packet, sent.len));
    }
    poll_up_to(&mut link, until.unwrap_or(u64::MAX));
    Outcome {
        arrivals,
        verdicts,
        stats: *link.stats(),
        in_flight: link.in_flight(),
    }
}
