//! The lane of super-packets: what passes, what waits, and in which order.

use crate::inner::packets::{Flow, payload};
use proptest::prelude::*;
use whalescale_core::inner::vnet::VnetHeader;
use whalescale_core::lane::Lane;
use whalescale_core::time::Instant;

const NOW: Instant = Instant::from_nanos(0);

/// What a read of the device gives for a packet of `flow` that holds `mark`.
fn read(flow: &Flow, mark: u8, single: bool) -> Vec<u8> {
    let (vnet, packet) = if single {
        (VnetHeader::default(), flow.packet(&payload(100, mark)))
    } else {
        flow.super_packet(&payload(5_000, mark), 1_000)
    };
    [&vnet.encode()[..], &packet].concat()
}

/// Offers a read to the lane; says whether it goes at once.
fn offer(lane: &mut Lane, bytes: &[u8]) -> bool {
    lane.room().unwrap()[..bytes.len()].copy_from_slice(bytes);
    let at_once = lane.take(bytes.len(), NOW);
    assert!(at_once.is_none_or(|read| read == bytes));
    at_once.is_some()
}

fn release(lane: &mut Lane) -> Option<Vec<u8>> {
    let first = lane.first(NOW).map(|(read, _)| read.to_vec());
    lane.release(NOW);
    first
}

fn other_port(flow: &Flow, port: u8) -> Flow {
    let mut other = flow.clone();
    other.ports[1] = port;
    other
}

#[test]
fn a_single_packet_passes_the_super_packets_of_another_flow() {
    let mut lane = Lane::new(true);
    let bulk = Flow::tcp4();
    assert!(!offer(&mut lane, &read(&bulk, 1, false)));
    assert!(offer(&mut lane, &read(&other_port(&bulk, 1), 2, true)));
    assert!(offer(&mut lane, &read(&Flow::udp6(), 3, true)));
}

#[test]
fn a_single_packet_waits_behind_the_super_packets_of_its_own_flow() {
    let mut lane = Lane::new(true);
    let bulk = Flow::tcp6();
    let reads = [read(&bulk, 1, false), read(&bulk, 2, true)];
    for read in &reads {
        assert!(!offer(&mut lane, read));
    }
    assert_eq!(release(&mut lane).unwrap(), reads[0]);
    assert_eq!(release(&mut lane).unwrap(), reads[1]);
    assert!(lane.is_empty() && release(&mut lane).is_none());
}

#[test]
fn a_full_lane_has_no_room_until_something_is_sent() {
    let mut lane = Lane::new(true);
    let mut mark = 0;
    while lane.room().is_some() {
        assert!(!offer(&mut lane, &read(&Flow::tcp4(), mark, false)));
        mark += 1;
    }
    assert_eq!(mark, 8);
    lane.release(NOW);
    assert!(lane.room().is_some());
}

#[test]
fn without_a_header_every_packet_goes_at_once() {
    let mut lane = Lane::new(false);
    let packet = Flow::udp4().packet(&payload(100, 1));
    assert!(offer(&mut lane, &packet));
    assert!(lane.is_empty());
}

#[test]
fn a_read_that_is_cut_short_is_dropped() {
    let mut lane = Lane::new(true);
    assert!(!offer(&mut lane, &[0; 9]));
    assert!(lane.is_empty());
}

proptest! {
    /// The naive twin is one queue for each flow: whatever comes, each flow's order is its own.
    #[test]
    fn no_flow_is_reordered_and_nothing_is_lost(
        steps in prop::collection::vec((0_u8..4, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut lane = Lane::new(true);
        let flows: Vec<Flow> = (0..4).map(|port| other_port(&Flow::tcp4(), port)).collect();
        let (mut came, mut went) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
        let flow_of = |read: &[u8]| usize::from(read[10 + 21]);
        for (mark, (flow, single, send)) in steps.into_iter().enumerate() {
            let bytes = read(&flows[usize::from(flow)], mark as u8, single);
            if lane.room().is_some() {
                came[usize::from(flow)].push(bytes.clone());
                if offer(&mut lane, &bytes) {
                    went[usize::from(flow)].push(bytes);
                }
            }
            if send && let Some(read) = release(&mut lane) {
                went[flow_of(&read)].push(read);
            }
        }
        while let Some(read) = release(&mut lane) {
            went[flow_of(&read)].push(read);
        }
        prop_assert_eq!(came, went);
    }
}
