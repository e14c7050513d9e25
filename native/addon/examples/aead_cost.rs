//! Prints what a datagram costs with each AEAD backend of this machine, in nanoseconds of CPU time.
//!
//! `cargo run --release --example aead_cost`. Each figure is the best of many short rounds, since
//! whatever disturbs a round only makes it longer.

use std::time::Duration;

use whalescale_addon::aead::{available, ipsec_mb, warm_up};
use whalescale_core::aead::{AeadKey, HEADER_LEN, TAG_LEN};

const PAYLOADS: [usize; 3] = [64, 576, 1420];
const RUNS: [usize; 2] = [45, 1];
const ROUNDS: usize = 300;
const DATAGRAMS_PER_ROUND: usize = 900;

fn main() {
    if let Err(reason) = ipsec_mb() {
        println!("without ipsec-mb: {reason}");
    }
    println!("ns per datagram  run  {PAYLOADS:?} sealed, then opened");
    for backend in available() {
        warm_up(backend.as_ref());
        let key = backend.key(&[7; 32]);
        for count in RUNS {
            let sealed = PAYLOADS.map(|payload| seal_cost(key.as_ref(), count, payload));
            let opened = PAYLOADS.map(|payload| open_cost(key.as_ref(), count, payload));
            println!("{:<16} {count:>3}  {sealed:?}  {opened:?}", backend.name());
        }
    }
}

fn seal_cost(key: &dyn AeadKey, count: usize, payload: usize) -> u128 {
    let stride = HEADER_LEN + payload + TAG_LEN;
    let mut run = vec![0; count * stride];
    best_round(count, || key.seal_run(1, &mut run, stride))
}

/// Opening in place uses up the run, so each round copies it first; the cost of the copy is taken off.
fn open_cost(key: &dyn AeadKey, count: usize, payload: usize) -> u128 {
    let stride = HEADER_LEN + payload + TAG_LEN;
    let mut sealed = vec![0; count * stride];
    key.seal_run(1, &mut sealed, stride);
    let counters: Vec<u64> = (1..).take(count).collect();
    let (mut run, mut verdicts) = (sealed.clone(), vec![false; count]);
    let copied = best_round(count, || run.copy_from_slice(&sealed));
    let opened = best_round(count, || {
        run.copy_from_slice(&sealed);
        key.open_run(&counters, &mut run, stride, &mut verdicts);
    });
    assert!(verdicts.iter().all(|verdict| *verdict));
    opened.saturating_sub(copied)
}

/// Nanoseconds per datagram of the best round of `work`, which handles `count` of them.
fn best_round(count: usize, mut work: impl FnMut()) -> u128 {
    let calls = DATAGRAMS_PER_ROUND / count;
    let round = |_| {
        let start = cpu_time();
        (0..calls).for_each(|_| work());
        cpu_time() - start
    };
    let best = (0..ROUNDS).map(round).min().unwrap_or_default();
    best.as_nanos() / (calls * count) as u128
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
