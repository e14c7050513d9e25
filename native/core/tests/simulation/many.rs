//! A node with a thousand peers: idle ones cost nothing, and changes to some leave the others alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use whalescale_core::constants::limits;
use whalescale_core::control::{Command, Control, Output, PeerConfig, Settings};
use whalescale_core::drops::DropCounters;
use whalescale_core::handoff::{PeerIndex, PeerRoutes, ToReceiver, ToSender};
use whalescale_core::handshake::tai64n::Tai64n;
use whalescale_core::identity::{PublicKey, Secret};
use whalescale_core::routes::{IpPrefix, Routes};

use crate::cipher::KeyLog;
use crate::node::SeededEntropy;
use crate::pair::{Pair, address, link, now_at, payloads, secs};

fn control() -> Control {
    Control::new(Settings {
        secret: Secret::from_seed(&[1; 32]),
        backend: Arc::new(KeyLog::default()),
        entropy: Box::new(SeededEntropy(1)),
        timestamp_floor: Tai64n::default(),
        inner_mtu: None,
        drops: Arc::new(DropCounters::default()),
    })
}

/// The peer of this number, with an address of its own inside and outside.
fn peer(n: u16) -> PeerConfig {
    let [high, low] = n.to_be_bytes();
    let mut key = [9; 32];
    (key[0], key[1]) = (high, low);
    PeerConfig {
        public_key: PublicKey::from_bytes(&key).expect("key"),
        node_id: None,
        preshared_key: Default::default(),
        allowed_ips: vec![prefix(high, low)],
        endpoints: vec![address("203.0.113.1:51820")],
        persistent_keepalive: None,
    }
}

fn prefix(high: u8, low: u8) -> IpPrefix {
    IpPrefix::new([10, 99, high, low].into(), 32).expect("prefix")
}

fn put(config: PeerConfig) -> Command {
    Command::Peer(Box::new(config))
}

fn outputs(control: &mut Control) -> Vec<Output> {
    std::iter::from_fn(|| control.poll_output()).collect()
}

fn tables(outputs: &[Output]) -> Vec<&PeerRoutes> {
    let tables = outputs.iter().filter_map(|output| match output {
        Output::Sender(ToSender::Routes(routes)) => Some(routes),
        _ => None,
    });
    tables.collect()
}

/// Places that the send machine was told of, in order.
fn places(outputs: &[Output]) -> Vec<PeerIndex> {
    let places = outputs.iter().filter_map(|output| match output {
        Output::Sender(ToSender::Peer { peer, .. }) => Some(*peer),
        _ => None,
    });
    places.collect()
}

#[test]
fn a_thousand_peers_at_once_cost_one_table_and_no_timer() {
    let (mut control, now) = (control(), now_at(1));
    for n in 0..1000 {
        assert_eq!(control.handle_command(put(peer(n)), now), Ok(()));
    }
    let told = outputs(&mut control);
    assert_eq!((places(&told).len(), tables(&told).len()), (1000, 1));
    assert_eq!(
        tables(&told)[0].lookup([10, 99, 3, 7].into()),
        Some(PeerIndex(3 * 256 + 7))
    );
    assert_eq!(control.next_timeout(now.instant), None);
    for n in 0..1000 {
        assert_eq!(control.handle_command(put(peer(n)), now), Ok(()));
    }
    assert!(
        outputs(&mut control).is_empty(),
        "the same again is no news"
    );
    assert_eq!(control.next_timeout(now.instant), None);
}

#[test]
fn a_session_among_a_thousand_peers_is_not_disturbed_by_changes_to_the_others() {
    let mut pair = Pair::new(2, link());
    let now = pair.now();
    for n in 0..1000 {
        pair.a.command(put(peer(n)), now);
    }
    // `restart` and `status` go by the last and the first peer.
    pair.connect();
    for n in 0..20_u8 {
        let now = pair.now();
        for m in 0..50 {
            let other = 50 * u16::from(n) + m;
            if m % 2 == 0 {
                let gone = Command::RemovePeer(peer(other).public_key);
                pair.a.command(gone, now);
            } else {
                let mut moved = peer(other);
                moved.endpoints = vec![address("203.0.113.2:1")];
                moved.allowed_ips = vec![prefix(200 + n, m as u8)];
                pair.a.command(put(moved), now);
            }
        }
        pair.a_sends(&[n]);
        pair.b_sends(&[n]);
        pair.run_for(secs(1));
    }
    let all: Vec<[u8; 1]> = (0..20).map(|n| [n]).collect();
    assert_eq!(payloads(&pair.a), all);
    assert_eq!(payloads(&pair.b), all);
    assert!(pair.a.sent_of_type(1).is_empty());
    assert_eq!(pair.a.states(), []);
    assert_eq!(pair.a.control.status(pair.now().instant).len(), 501);
}

#[test]
fn a_place_is_not_anothers_before_the_table_that_names_it_is_gone() {
    let (mut control, now) = (control(), now_at(1));
    control.handle_command(put(peer(1)), now).expect("put");
    let first = places(&outputs(&mut control))[0];
    let gone = Command::RemovePeer(peer(1).public_key);
    control.handle_command(gone, now).expect("removed");
    control.handle_command(put(peer(2)), now).expect("put");
    let told = outputs(&mut control);
    assert_ne!(places(&told), [first]);
    let routes = tables(&told)[0];
    assert_eq!(routes.lookup([10, 99, 0, 1].into()), None);
    assert_eq!(routes.lookup([10, 99, 0, 2].into()), Some(places(&told)[0]));
}

#[test]
fn the_last_free_place_can_be_used_again_in_one_go() {
    let (mut control, now) = (control(), now_at(1));
    let limit = u16::try_from(limits::PEERS).expect("limit");
    for n in 0..limit {
        control.handle_command(put(peer(n)), now).expect("put");
    }
    outputs(&mut control);
    let gone = Command::RemovePeer(peer(7).public_key);
    control.handle_command(gone, now).expect("removed");
    control.handle_command(put(peer(limit)), now).expect("put");
    let told = outputs(&mut control);
    assert_eq!(places(&told), [PeerIndex(7)]);
    // The table without the old peer comes before the new peer in its place.
    let table = told
        .iter()
        .position(|output| matches!(output, Output::Sender(ToSender::Routes(_))));
    let new = told
        .iter()
        .position(|output| matches!(output, Output::Sender(ToSender::Peer { .. })));
    assert!(table < new);
    assert_eq!(tables(&told)[0].lookup([10, 99, 0, 7].into()), None);
}

#[test]
fn the_receive_machine_forgets_a_peer_whose_place_may_be_anothers() {
    let (mut control, now) = (control(), now_at(1));
    control.handle_command(put(peer(1)), now).expect("put");
    outputs(&mut control);
    let gone = Command::RemovePeer(peer(1).public_key);
    control.handle_command(gone, now).expect("removed");
    let forgets = |output: &Output| {
        matches!(
            output,
            Output::Receiver(ToReceiver::RemovePeer(PeerIndex(0)))
        )
    };
    assert!(outputs(&mut control).iter().any(forgets));
}

/// What the twin does: build the whole table for each change.
fn accepted(all: &BTreeMap<u16, Vec<IpPrefix>>) -> bool {
    let prefixes = all.values().flatten().map(|prefix| (*prefix, ()));
    Routes::build(prefixes).is_ok()
}

proptest! {
    #[test]
    fn routes_kept_up_to_date_are_those_built_anew(
        changes in prop::collection::vec(
            (0..6_u16, prop::option::of(prop::collection::vec((0..8_u8, 28..=32_u8), 0..4)), any::<bool>()),
            1..40,
        ),
    ) {
        let (mut control, now) = (control(), now_at(1));
        let mut twin: BTreeMap<u16, Vec<IpPrefix>> = BTreeMap::new();
        let mut table: Option<PeerRoutes> = None;
        for (n, prefixes, drain) in changes {
            let mut changed = twin.clone();
            let command = match prefixes {
                Some(prefixes) => {
                    let ip = |host: u8| IpAddr::from([10, 0, 0, host * 16]);
                    let prefixes: Vec<IpPrefix> = prefixes
                        .iter()
                        .map(|(host, length)| IpPrefix::new(ip(*host), *length).expect("prefix"))
                        .collect();
                    changed.insert(n, prefixes.clone());
                    put(PeerConfig { allowed_ips: prefixes, ..peer(n) })
                }
                None => {
                    changed.remove(&n);
                    Command::RemovePeer(peer(n).public_key)
                }
            };
            let known = twin.contains_key(&n) || changed.contains_key(&n);
            let expected = known && accepted(&changed);
            prop_assert_eq!(control.handle_command(command, now).is_ok(), expected);
            if expected {
                twin = changed;
            }
            if drain {
                let told = outputs(&mut control);
                table = tables(&told).last().map(|table| Arc::clone(table)).or(table);
            }
        }
        let told = outputs(&mut control);
        table = tables(&told).last().map(|table| Arc::clone(table)).or(table);
        let naive = Routes::build(twin.iter().flat_map(|(n, prefixes)| {
            prefixes.iter().map(move |prefix| (*prefix, *n))
        }));
        let naive = naive.expect("accepted");
        let mut owners: BTreeMap<u16, PeerIndex> = BTreeMap::new();
        for host in 0..=255 {
            let ip = [10, 0, 0, host].into();
            let found = table.as_ref().and_then(|table| table.lookup(ip));
            let expected = naive.lookup(ip);
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let (Some(index), Some(n)) = (found, expected) {
                prop_assert_eq!(*owners.entry(n).or_insert(index), index);
            }
        }
    }
}
