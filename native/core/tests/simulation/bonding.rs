//! One stream over two links at once.

use std::time::Duration;

use whalescale_netem::Change;

use crate::node::Setup;
use crate::pair::{ms, payloads, secs};
use crate::paths::{A, B, Grid};

/// Sends a packet of 1200 bytes every `spacing` for `span`, numbered from `first`; gives the next number.
pub fn stream(grid: &mut Grid, first: u32, spacing: Duration, span: Duration) -> u32 {
    packets(grid, 1200, first, spacing, span)
}

/// The same with inner packets of 1400 bytes.
fn full_stream(grid: &mut Grid, first: u32, spacing: Duration, span: Duration) -> u32 {
    packets(grid, 1372, first, spacing, span)
}

fn packets(grid: &mut Grid, len: usize, first: u32, spacing: Duration, span: Duration) -> u32 {
    let count = u32::try_from(span.as_nanos() / spacing.as_nanos()).expect("count");
    for number in first..first + count {
        let mut payload = vec![0; len];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        grid.pair.a_sends(&payload);
        grid.pair.run_for(spacing);
    }
    first + count
}

pub fn numbers(grid: &Grid) -> Vec<u32> {
    let number = |payload: &[u8]| {
        payload
            .first_chunk()
            .map(|bytes| u32::from_be_bytes(*bytes))
    };
    payloads(&grid.pair.b)
        .into_iter()
        .filter_map(number)
        .collect()
}

#[test]
fn a_stream_beyond_one_link_uses_both_and_arrives_in_order() {
    let mut grid = Grid::new(1, &A[..2], &B[..1]);
    grid.connect();
    grid.pair.b.forget();
    // 1272 bytes on the link each 75 us: 135 Mbit/s over two links of 100.
    let sent = stream(&mut grid, 0, Duration::from_micros(75), secs(5));
    grid.pair.run_for(secs(1));
    let got = numbers(&grid);
    let tail: Vec<u32> = got
        .iter()
        .copied()
        .filter(|number| *number >= sent / 2)
        .collect();
    assert!(tail.is_sorted(), "out of order");
    let expected = f64::from(sent - sent / 2);
    println!(
        "{} of {expected}, drops {:?}",
        tail.len(),
        grid.pair.a.drop_report()
    );
    assert!(tail.len() as f64 >= 0.99 * expected);
}

#[test]
fn a_link_that_dies_under_a_stream_that_the_other_can_carry_costs_nothing() {
    let mut grid = Grid::new(2, &A[..2], &B[..1]);
    grid.connect();
    let next = stream(&mut grid, 0, Duration::from_micros(75), secs(3));
    grid.pair.run_for(secs(1));
    grid.pair.b.forget();
    let next = stream(&mut grid, next, Duration::from_micros(200), secs(1));
    grid.cut(A[0].0, true);
    let next = stream(&mut grid, next, Duration::from_micros(200), secs(3));
    grid.pair.run_for(secs(1));
    let mut got = numbers(&grid);
    let ats = &grid.pair.b.delivered_at;
    let gap = ats
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .expect("deliveries");
    got.sort_unstable();
    got.dedup();
    println!(
        "{} packets, longest gap {gap:?}, drops {:?}",
        got.len(),
        grid.pair.a.drop_report()
    );
    assert_eq!(got.last().copied(), Some(next - 1));
    assert_eq!(got.len(), 20_000);
    assert!(gap <= ms(200));
}

#[test]
fn each_path_counts_what_came_by_it_and_no_packet_looks_like_a_move() {
    let mut grid = Grid::new(5, &A[..2], &B[..1]);
    grid.connect();
    stream(&mut grid, 0, Duration::from_micros(75), secs(2));
    grid.pair.b.forget();
    let sent = stream(&mut grid, 0, Duration::from_micros(75), secs(2));
    let status = grid.pair.b.status(grid.pair.now());
    let received = status.paths.iter().map(|path| path.received_bytes);
    let received: Vec<u64> = received.flatten().collect();
    assert_eq!(received.len(), 2);
    assert!(
        received.iter().all(|bytes| *bytes > 1_000_000),
        "{received:?}"
    );
    let total: u64 = received.iter().sum();
    assert!(total >= u64::from(sent) * 1200 && total <= status.received.1);
    // A move is answered with probes.
    let long = grid
        .pair
        .b
        .sent
        .iter()
        .filter(|sent| sent.bytes.len() == 48);
    let probes = long.count();
    assert!(probes < 5, "{probes}");
}

#[test]
fn one_of_two_paths_that_shrinks_in_silence_is_found_out_within_two_seconds_and_costs_nothing() {
    let setup = Setup {
        inner_mtu: None,
        ..Setup::default()
    };
    let mut grid = Grid::with(6, &A[..2], &B[..1], setup);
    grid.connect();
    let next = full_stream(&mut grid, 0, Duration::from_micros(100), secs(3));
    grid.pair.run_for(secs(1));
    assert_eq!(grid.pair.a.control.inner_mtu(), 1400);
    grid.pair.b.forget();
    let first = next;
    grid.change(A[1].0, B[0].0, Change::MaxPacket(Some(1400)));
    let mut next = next;
    let sizes = |grid: &Grid| -> Vec<u16> {
        let paths = grid.pair.a.status(grid.pair.now()).paths;
        paths.iter().map(|path| path.inner_mtu).collect()
    };
    while sizes(&grid) == [1400, 1400] {
        next = full_stream(&mut grid, next, Duration::from_micros(100), ms(10));
        assert!(next - first < 20_000, "not within two seconds");
    }
    assert_eq!(sizes(&grid), [1400, 1280]);
    grid.pair.run_for(secs(1));
    let mut got = numbers(&grid);
    got.sort_unstable();
    got.dedup();
    println!("{} of {}", got.len(), next - first);
    assert!(got.len() + 20 >= (next - first) as usize);
}

#[test]
fn an_interface_that_goes_takes_nothing_with_it() {
    let mut grid = Grid::new(3, &A[..2], &B[..1]);
    grid.connect();
    let next = stream(&mut grid, 0, Duration::from_micros(75), secs(2));
    grid.pair.run_for(secs(1));
    grid.pair.b.forget();
    let next = stream(&mut grid, next, Duration::from_micros(200), secs(1));
    let rest = grid.pair.a.sockets[1..].to_vec();
    let now = grid.pair.now();
    grid.pair.a.set_sockets(rest, now);
    let next = stream(&mut grid, next, Duration::from_micros(200), secs(1));
    grid.pair.run_for(secs(1));
    let mut got = numbers(&grid);
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.last().copied(), Some(next - 1));
    assert_eq!(got.len(), 10_000);
}

#[test]
fn an_interface_that_returns_carries_its_share_again() {
    let mut grid = Grid::new(4, &A[..2], &B[..1]);
    grid.connect();
    let next = stream(&mut grid, 0, Duration::from_micros(75), secs(2));
    let all = grid.pair.a.sockets.clone();
    let now = grid.pair.now();
    grid.pair.a.set_sockets(all[1..].to_vec(), now);
    grid.pair.run_for(secs(2));
    let now = grid.pair.now();
    grid.pair.a.set_sockets(all, now);
    grid.pair.flush();
    grid.pair.run_for(secs(5));
    let next = stream(&mut grid, next, Duration::from_micros(75), secs(3));
    grid.pair.b.forget();
    let sent = stream(&mut grid, next, Duration::from_micros(75), secs(2)) - next;
    grid.pair.run_for(secs(1));
    let got = numbers(&grid)
        .into_iter()
        .filter(|number| *number >= next)
        .count();
    println!("{got} of {sent}");
    assert!(got as f64 >= 0.98 * f64::from(sent));
}
