//! Congestion marks on inner packets.

use super::packets::{Flow, naive_sum, payload};
use whalescale_core::inner::ecn::{is_capable, mark};

const FLOWS: [fn() -> Flow; 4] = [Flow::tcp4, Flow::tcp6, Flow::udp4, Flow::udp6];

fn packet(flow: fn() -> Flow, tos: u8) -> Vec<u8> {
    Flow { tos, ..flow() }.packet(&payload(100, 1))
}

#[test]
fn a_capable_packet_is_that_packet_with_the_mark() {
    for flow in FLOWS {
        for ecn in [1, 2, 3] {
            let mut marked = packet(flow, 0xb8 | ecn);
            assert!(is_capable(&marked) && mark(&mut marked));
            assert_eq!(marked, packet(flow, 0xb8 | 3));
            if marked[0] >> 4 == 4 {
                assert_eq!(naive_sum(&marked[..20]), 0xffff);
            }
        }
    }
}

#[test]
fn a_packet_whose_flow_knows_no_marks_stays_as_it_is() {
    for flow in FLOWS {
        let plain = packet(flow, 0xb8);
        let mut copy = plain.clone();
        assert!(!is_capable(&plain) && !mark(&mut copy));
        assert_eq!(copy, plain);
    }
}

#[test]
fn what_is_no_ip_packet_is_left_alone() {
    for bytes in [
        &[][..],
        &[0x45],
        &[0x45, 3],
        &[0x60],
        &[0x95, 3, 0],
        &[0x41; 40],
    ] {
        let mut copy = bytes.to_vec();
        assert!(!mark(&mut copy));
        assert_eq!(copy, bytes);
    }
}
