//! Sessions between two endpoints on virtual time.

mod pair;

use std::time::Duration;

use pair::{Pair, payload};
use whalescale_core::control::{Event, PeerState};
use whalescale_netem::LinkConfig;

fn link() -> LinkConfig {
    LinkConfig::new(100, 10)
}

#[test]
fn the_first_packet_opens_a_session_and_arrives() {
    let mut pair = Pair::new(1, link());
    pair.a_sends(b"hello");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(
        pair.b
            .delivered
            .iter()
            .map(|packet| payload(packet))
            .collect::<Vec<_>>(),
        [b"hello"]
    );
    assert!(pair.a.events.iter().any(|event| matches!(
        event,
        Event::Peer {
            state: PeerState::Connected,
            ..
        }
    )));
    assert!(pair.b.events.iter().any(|event| matches!(
        event,
        Event::Peer {
            state: PeerState::Connected,
            ..
        }
    )));
}

#[test]
fn the_responder_answers_over_the_same_session() {
    let mut pair = Pair::new(2, link());
    pair.connect();
    pair.b_sends(b"back");
    pair.run_for(Duration::from_millis(50));
    assert_eq!(
        pair.a
            .delivered
            .iter()
            .map(|packet| payload(packet))
            .collect::<Vec<_>>(),
        [b"back"]
    );
}
