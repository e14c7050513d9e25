//! Several links at one end or both: which pairs are found, which carry, and what happens when links
//! die, leave and come back.

use std::net::SocketAddr;
use std::time::Duration;

use whalescale_core::control::{Event, LocalSocket, PathState};
use whalescale_core::handoff::{FromSender, PathHealth, PathId, PathRole, PeerIndex, SocketId};
use whalescale_core::wire::frame::{Frame, Plaintext, parse};
use whalescale_netem::{Change, LinkConfig, LinkId};

use crate::node::{Node, Setup, socket};
use crate::pair::{Pair, address, ms, payloads, secs};

/// A pair whose nodes have these addresses, and the links between each two of one family.
pub struct Grid {
    pub pair: Pair,
    links: Vec<(SocketAddr, SocketAddr, LinkId)>,
}

/// Addresses of A; the third one shares the first one's link.
pub const A: [(&str, u32); 3] = [
    ("192.0.2.1:51820", 1),
    ("198.51.100.1:51820", 2),
    ("[2001:db8::1]:51820", 1),
];
/// Addresses of B, in the same manner.
pub const B: [(&str, u32); 3] = [
    ("192.0.2.2:51820", 1),
    ("203.0.113.2:51820", 2),
    ("[2001:db8::2]:51820", 1),
];

fn sockets(list: &[(&str, u32)]) -> Vec<LocalSocket> {
    let numbered = (0..).zip(list);
    numbered
        .map(|(id, (local, link))| socket(SocketId(id), address(local), *link))
        .collect()
}

impl Grid {
    /// The first `a` addresses of A, the first `b` of B. The pair of their first ones is the fastest.
    pub fn new(seed: u64, a: &[(&str, u32)], b: &[(&str, u32)]) -> Self {
        Self::with(seed, a, b, Setup::default())
    }

    /// A with a link like each of these (two at most) to one address of B.
    pub fn over(seed: u64, configs: &[LinkConfig], setup: Setup) -> Self {
        let mut grid = Self::with(seed, &A[..configs.len()], &B[..1], setup);
        for ((a, b, link), config) in grid.links.iter_mut().zip(configs) {
            *link = grid.pair.network.link(*a, *b, config.clone());
        }
        grid
    }

    /// Silences one direction of the link at an address of A, or lets it speak again.
    pub fn silence(&mut self, end: &str, towards_b: bool, is_silent: bool) {
        let (a, b, nanos) = (address(end), address(B[0].0), self.pair.nanos);
        let (from, to) = if towards_b { (a, b) } else { (b, a) };
        let change = Change::BlackHole(is_silent);
        assert!(self.pair.network.apply(nanos, from, to, change));
    }

    pub fn with(seed: u64, a: &[(&str, u32)], b: &[(&str, u32)], setup: Setup) -> Self {
        let mut pair = Pair::with(seed, crate::pair::link(), setup, |_, _| {});
        let mut links = Vec::new();
        for (m, (a, _)) in (0..).zip(a) {
            for (n, (b, _)) in (0..).zip(b) {
                let (a, b) = (address(a), address(b));
                if a.is_ipv4() == b.is_ipv4() {
                    let delay = 10 + 5 * (m + n);
                    let link = pair.network.link(a, b, LinkConfig::new(100, delay));
                    links.push((a, b, link));
                }
            }
        }
        let now = pair.now();
        pair.a.set_sockets(sockets(a), now);
        pair.b.set_sockets(sockets(b), now);
        Self { pair, links }
    }

    /// Cuts or restores everything at one address.
    pub fn cut(&mut self, end: &str, is_cut: bool) {
        let end = address(end);
        for (a, b, link) in &self.links {
            if *a == end || *b == end {
                self.pair.network.cut(self.pair.nanos, *link, is_cut);
            }
        }
    }

    pub fn change(&mut self, a: &str, b: &str, change: Change) {
        let (a, b, nanos) = (address(a), address(b), self.pair.nanos);
        assert!(self.pair.network.apply(nanos, a, b, change));
        assert!(self.pair.network.apply(nanos, b, a, change));
    }

    /// Opens the session and lets everything be found.
    pub fn connect(&mut self) {
        self.pair.connect();
        self.pair.run_for(secs(3));
    }
}

/// Local and remote address of each path in this role.
fn in_role(node: &Node, role: PathRole) -> Vec<(SocketAddr, SocketAddr)> {
    let paths = node.paths.values().filter(|(_, other)| *other == role);
    let mut pairs: Vec<_> = paths
        .map(|(endpoint, _)| {
            let mut sockets = node.sockets.iter();
            let socket = sockets.find(|socket| socket.id == endpoint.socket);
            (socket.expect("socket").local, endpoint.remote)
        })
        .collect();
    pairs.sort();
    pairs
}

fn bulk(node: &Node) -> Vec<(SocketAddr, SocketAddr)> {
    in_role(node, PathRole::Bulk)
}

fn pairs(list: &[(&str, &str)]) -> Vec<(SocketAddr, SocketAddr)> {
    let pair = |(a, b): &(&str, &str)| (address(a), address(b));
    list.iter().map(pair).collect()
}

/// Where A sends a packet now.
fn goes_to(grid: &mut Grid) -> (SocketAddr, SocketAddr) {
    grid.pair.a_sends(b"where");
    let sent = grid.pair.a.sent.last().expect("sent");
    (sent.from, sent.to)
}

fn state(node: &Node, grid: &Grid, local: &str, remote: &str) -> PathState {
    let status = node.status(grid.pair.now());
    let mut paths = status.paths.iter();
    let (local, remote) = (address(local), address(remote));
    let path = paths.find(|path| path.local == Some(local) && path.remote == remote);
    path.expect("path").state
}

#[test]
fn two_links_against_one_are_both_found_and_both_carry() {
    let mut grid = Grid::new(1, &A[..2], &B[..1]);
    grid.connect();
    let (a, b) = (&grid.pair.a, &grid.pair.b);
    assert_eq!(bulk(a), pairs(&[(A[0].0, B[0].0), (A[1].0, B[0].0)]));
    assert_eq!(bulk(b), pairs(&[(B[0].0, A[0].0), (B[0].0, A[1].0)]));
}

#[test]
fn the_other_end_knows_every_path_by_its_number() {
    let mut grid = Grid::new(2, &A[..2], &B[..2]);
    grid.connect();
    for (node, other) in [(&grid.pair.a, &grid.pair.b), (&grid.pair.b, &grid.pair.a)] {
        assert_eq!(node.paths.len(), 4);
        for (id, (endpoint, _)) in &node.paths {
            let bound = other.bound.get(id).expect("bound");
            let local = |node: &Node, id| {
                let mut sockets = node.sockets.iter();
                sockets
                    .find(|socket| socket.id == id)
                    .expect("socket")
                    .local
            };
            assert_eq!(bound.remote, local(node, endpoint.socket));
            assert_eq!(local(other, bound.socket), endpoint.remote);
        }
    }
}

#[test]
fn two_links_against_two_carry_on_two_pairs_that_use_all_links() {
    let mut grid = Grid::new(3, &A[..2], &B[..2]);
    grid.connect();
    for node in [&grid.pair.a, &grid.pair.b] {
        let carrying = bulk(node);
        assert_eq!(carrying.len(), 2, "{carrying:?}");
        assert_ne!(carrying[0].0, carrying[1].0);
        assert_ne!(carrying[0].1, carrying[1].1);
        assert_eq!(in_role(node, PathRole::Standby).len(), 2);
    }
}

#[test]
fn two_families_on_one_link_are_alternates() {
    let both = [A[0], A[2]];
    let mut grid = Grid::new(4, &both, &[B[0], B[2]]);
    grid.connect();
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[0].0, B[0].0)]));
    assert_eq!(
        in_role(&grid.pair.a, PathRole::Standby),
        pairs(&[(A[2].0, B[2].0)])
    );
    let standby = state(&grid.pair.a, &grid, A[2].0, B[2].0);
    assert_eq!(standby, PathState::Standby);
}

#[test]
fn the_alternate_that_carries_is_the_address_in_use() {
    let mut grid = Grid::new(34, &[A[0], A[2]], &[B[0], B[2]]);
    // Faster, but not by so much that the address in use moves there.
    grid.change(A[2].0, B[2].0, Change::Delay(ms(7)));
    grid.connect();
    let used = goes_to(&mut grid);
    assert_eq!(bulk(&grid.pair.a), [used]);
    let status = grid.pair.a.status(grid.pair.now());
    let healthy = status.paths.iter();
    let healthy = healthy.filter(|path| path.state == PathState::Healthy);
    assert_eq!(healthy.count(), 1);
}

#[test]
fn the_address_in_use_moves_within_the_heartbeat_when_its_link_dies() {
    let mut grid = Grid::new(5, &A[..2], &B[..1]);
    grid.connect();
    assert_eq!(goes_to(&mut grid).0, address(A[0].0));
    grid.cut(A[0].0, true);
    grid.pair.run_for(secs(16));
    assert_eq!(goes_to(&mut grid).0, address(A[1].0));
    assert_eq!(
        state(&grid.pair.a, &grid, A[0].0, B[0].0),
        PathState::Failed
    );
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[1].0, B[0].0)]));
    grid.pair.b_sends(b"back");
    grid.pair.run_for(ms(50));
    assert_eq!(payloads(&grid.pair.a).last(), Some(&&b"back"[..]));
}

#[test]
fn what_the_send_machine_sees_moves_it_at_once_and_promotes_the_alternate() {
    let mut grid = Grid::new(6, &A[..2], &B[..2]);
    grid.connect();
    let from = goes_to(&mut grid);
    let failed: Vec<PathId> = grid.pair.a.paths.keys().copied().collect();
    // The link that the packet took is dead.
    let dead = usize::from(from.0 == address(A[1].0));
    let alive = 1 - dead;
    grid.cut(A[dead].0, true);
    let now = grid.pair.now();
    for path in failed {
        let (endpoint, _) = grid.pair.a.paths[&path];
        if usize::from(endpoint.socket.0) == dead {
            let report = FromSender::PathHealth {
                peer: PeerIndex(0),
                path,
                health: PathHealth::Failed,
            };
            grid.pair.a.control.handle_sender(report, now);
        }
    }
    grid.pair.a.pump(now);
    assert_ne!(goes_to(&mut grid), from);
    // One link is left here, and two there: both pairs carry.
    assert_eq!(
        bulk(&grid.pair.a),
        pairs(&[(A[alive].0, B[0].0), (A[alive].0, B[1].0)])
    );
}

#[test]
fn a_link_that_returns_carries_again_within_a_second() {
    let mut grid = Grid::new(7, &A[..2], &B[..1]);
    grid.connect();
    grid.cut(A[0].0, true);
    grid.pair.run_for(secs(20));
    assert_eq!(bulk(&grid.pair.a).len(), 1);
    grid.cut(A[0].0, false);
    grid.pair.run_for(ms(1000));
    assert_eq!(bulk(&grid.pair.a).len(), 2);
    assert_eq!(
        state(&grid.pair.a, &grid, A[0].0, B[0].0),
        PathState::Healthy
    );
}

#[test]
fn an_interface_that_goes_is_left_at_once_and_used_again_when_it_returns() {
    let mut grid = Grid::new(8, &A[..2], &B[..1]);
    grid.connect();
    let all = grid.pair.a.sockets.clone();
    let now = grid.pair.now();
    grid.pair.a.set_sockets(all[1..].to_vec(), now);
    assert_eq!(goes_to(&mut grid).0, address(A[1].0));
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[1].0, B[0].0)]));
    grid.pair.run_for(secs(5));
    grid.pair.b_sends(b"still here");
    grid.pair.run_for(secs(20));
    grid.pair.b_sends(b"and here");
    grid.pair.run_for(ms(100));
    assert_eq!(payloads(&grid.pair.a).last(), Some(&&b"and here"[..]));
    let now = grid.pair.now();
    grid.pair.a.set_sockets(all, now);
    grid.pair.flush();
    grid.pair.run_for(secs(3));
    assert_eq!(bulk(&grid.pair.a).len(), 2);
    assert_eq!(bulk(&grid.pair.b).len(), 2);
}

#[test]
fn a_socket_number_that_is_used_again_is_another_path() {
    let mut grid = Grid::new(9, &A[..1], &B[..1]);
    grid.connect();
    let link = LinkConfig::new(100, 10);
    let (a, b) = (address(A[1].0), address(B[0].0));
    grid.pair.network.link(a, b, link);
    let now = grid.pair.now();
    grid.pair
        .a
        .set_sockets(vec![socket(SocketId(0), a, 2)], now);
    assert_eq!(goes_to(&mut grid), (a, b));
    grid.pair.run_for(secs(3));
    assert_eq!(bulk(&grid.pair.a), [(a, b)]);
    assert_eq!(bulk(&grid.pair.b), [(b, a)]);
}

#[test]
fn a_node_that_is_up_before_any_network_connects_when_one_comes() {
    let mut grid = Grid::new(10, &[], &B[..1]);
    grid.pair.a_sends(b"too early");
    grid.pair.run_for(secs(8));
    assert!(grid.pair.b.delivered.is_empty());
    let now = grid.pair.now();
    grid.pair.a.set_sockets(sockets(&A[..1]), now);
    grid.pair.a_sends(b"now");
    grid.pair.run_for(secs(6));
    assert_eq!(payloads(&grid.pair.b).last(), Some(&&b"now"[..]));
}

/// Types of the frames that a node sent, and when the last probe went.
fn frames(node: &Node) -> Vec<&'static str> {
    let plaintexts = node.sent_plaintexts().into_iter();
    let name = |plaintext: &[u8]| match parse(plaintext) {
        Ok(Plaintext::Frame(Frame::Hello { .. })) => Some("hello"),
        Ok(Plaintext::Frame(Frame::PathProbe { .. })) => Some("probe"),
        Ok(Plaintext::Frame(Frame::PathProbeReply { .. })) => Some("reply"),
        Ok(Plaintext::Frame(Frame::PathAnnounce { .. })) => Some("announce"),
        Ok(Plaintext::Frame(Frame::PathBind { .. })) => Some("bind"),
        _ => None,
    };
    plaintexts
        .filter_map(|(_, plaintext)| name(&plaintext))
        .collect()
}

#[test]
fn a_single_pair_is_told_and_bound_once_and_then_left_alone() {
    let mut pair = Pair::new(11, crate::pair::link());
    pair.a_sends(b"first");
    pair.run_for(secs(2));
    let mut sent = frames(&pair.a);
    sent.sort_unstable();
    // Its own announcement and binding and the answers to the other's; a probe of the size, and of
    // the address that the other end sees.
    let expected = [
        "announce", "announce", "bind", "bind", "hello", "probe", "probe", "probe", "reply",
        "reply", "reply",
    ];
    assert_eq!(sent, expected);
    pair.a.forget();
    pair.b.forget();
    pair.run_for(secs(110));
    assert!(frames(&pair.a).is_empty() && frames(&pair.b).is_empty());
}

#[test]
fn idle_paths_get_a_heartbeat_every_fifteen_seconds_and_metered_ones_every_25() {
    for (metered, most) in [(false, 8), (true, 5)] {
        let mut grid = Grid::new(12, &A[..2], &B[..1]);
        let mut sockets = grid.pair.a.sockets.clone();
        sockets[1].metered = metered;
        let now = grid.pair.now();
        grid.pair.a.set_sockets(sockets, now);
        grid.connect();
        grid.pair.run_for(secs(20));
        grid.pair.a.forget();
        grid.pair.run_for(secs(120));
        let is_probe = |plaintext: &[u8]| {
            matches!(
                parse(plaintext),
                Ok(Plaintext::Frame(Frame::PathProbe { .. }))
            )
        };
        let second = grid.pair.a.sent_of_type(4).into_iter();
        let probes = second.filter(|sent| {
            let plaintext = grid.pair.a.keys.open(&sent.bytes).expect("own");
            sent.from == address(A[1].0) && is_probe(&plaintext)
        });
        let count = probes.count();
        assert!(count <= most && count + 1 >= most, "{count}");
    }
}

#[test]
fn a_restarted_peer_is_found_on_all_links_again() {
    let mut grid = Grid::new(13, &A[..2], &B[..2]);
    grid.connect();
    grid.pair.restart_b(77);
    for _ in 0..20 {
        grid.pair.a_sends(b"are you there");
        grid.pair.run_for(secs(1));
    }
    assert_eq!(bulk(&grid.pair.a).len(), 2);
    assert_eq!(bulk(&grid.pair.b).len(), 2);
    assert_eq!(grid.pair.b.bound.len(), grid.pair.a.paths.len());
}

#[test]
fn the_inner_mtu_is_the_smallest_of_the_paths_that_carry() {
    let setup = Setup {
        inner_mtu: None,
        ..Setup::default()
    };
    for (largest, carrying, inner_mtu) in [(1500, 2, 1400), (1428, 2, 1360), (1280, 1, 1400)] {
        let mut grid = Grid::with(14, &A[..2], &B[..1], setup);
        grid.change(A[1].0, B[0].0, Change::MaxPacket(Some(largest)));
        grid.connect();
        for _ in 0..30 {
            grid.pair.a_sends(b"busy");
            grid.pair.run_for(secs(1));
        }
        assert_eq!(bulk(&grid.pair.a).len(), carrying, "{largest}");
        assert_eq!(grid.pair.a.control.inner_mtu(), inner_mtu, "{largest}");
    }
}

fn auto() -> Setup {
    Setup {
        inner_mtu: None,
        ..Setup::default()
    }
}

#[test]
fn a_path_whose_size_is_sought_neither_carries_nor_lowers_the_inner_mtu() {
    let mut grid = Grid::with(30, &A[..2], &B[..1], auto());
    grid.change(A[1].0, B[0].0, Change::MaxPacket(Some(1280)));
    grid.connect();
    grid.pair.a.forget();
    for _ in 0..300 {
        grid.pair.a_sends(b"busy");
        grid.pair.run_for(ms(100));
        assert_eq!(bulk(&grid.pair.a), pairs(&[(A[0].0, B[0].0)]));
        assert_eq!(grid.pair.a.control.inner_mtu(), 1400);
    }
}

#[test]
fn a_path_too_small_for_a_fixed_size_is_reported_and_left_out() {
    let mut grid = Grid::new(31, &A[..2], &B[..1]);
    grid.change(A[1].0, B[0].0, Change::MaxPacket(Some(1428)));
    grid.pair.a_sends(b"first");
    grid.pair.run_for(secs(10));
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[0].0, B[0].0)]));
    let reported = |event: &Event| matches!(event, Event::PathTooSmall { .. });
    assert!(grid.pair.a.events.iter().any(reported));
    assert_eq!(grid.pair.a.control.inner_mtu(), 1420);
}

#[test]
fn a_refused_bonded_datagram_lowers_the_inner_mtu_at_once() {
    let mut grid = Grid::with(32, &A[..2], &B[..1], auto());
    grid.connect();
    assert_eq!(grid.pair.a.control.inner_mtu(), 1400);
    grid.pair.a.link_mtu = 1350 + 40;
    grid.pair.a_sends(&[7; 1372]);
    grid.pair.run_for(ms(300));
    let found = grid.pair.a.control.inner_mtu();
    assert!(found <= 1350, "{found}");
}

/// A grid of two links at A, the second of which is metered.
fn metered(seed: u64) -> Grid {
    let mut grid = Grid::new(seed, &A[..2], &B[..1]);
    let mut sockets = grid.pair.a.sockets.clone();
    sockets[1].metered = true;
    let now = grid.pair.now();
    grid.pair.a.set_sockets(sockets, now);
    grid.connect();
    grid
}

#[test]
fn a_metered_link_stands_by_at_both_ends_while_another_works() {
    let mut grid = metered(33);
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[0].0, B[0].0)]));
    assert_eq!(bulk(&grid.pair.b), pairs(&[(B[0].0, A[0].0)]));
    for (node, local, remote) in [
        (&grid.pair.a, A[1].0, B[0].0),
        (&grid.pair.b, B[0].0, A[1].0),
    ] {
        let status = node.status(grid.pair.now());
        let metered = status.paths.iter().filter(|path| path.metered);
        let metered: Vec<_> = metered.map(|path| (path.local, path.remote)).collect();
        assert_eq!(metered, [(Some(address(local)), address(remote))]);
        assert_eq!(state(node, &grid, local, remote), PathState::Standby);
    }
    grid.cut(A[0].0, true);
    for _ in 0..30 {
        grid.pair.a_sends(b"over");
        grid.pair.b_sends(b"back");
        grid.pair.run_for(ms(100));
    }
    assert_eq!(goes_to(&mut grid).0, address(A[1].0));
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[1].0, B[0].0)]));
    grid.cut(A[0].0, false);
    grid.pair.run_for(secs(5));
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[0].0, B[0].0)]));
    assert_eq!(goes_to(&mut grid).0, address(A[0].0));
}

#[test]
fn a_link_that_becomes_metered_is_left_by_both_ends_and_one_that_no_more_is_used() {
    let mut grid = Grid::new(34, &A[..2], &B[..1]);
    grid.connect();
    for is_metered in [true, false] {
        let mut sockets = grid.pair.a.sockets.clone();
        sockets[1].metered = is_metered;
        let now = grid.pair.now();
        grid.pair.a.set_sockets(sockets, now);
        grid.pair.flush();
        grid.pair.run_for(secs(1));
        let expected = if is_metered { 1 } else { 2 };
        assert_eq!(bulk(&grid.pair.a).len(), expected);
        assert_eq!(bulk(&grid.pair.b).len(), expected);
    }
}

#[test]
fn two_metered_links_alone_both_carry() {
    let mut grid = Grid::new(35, &A[..2], &B[..1]);
    let mut sockets = grid.pair.a.sockets.clone();
    for socket in &mut sockets {
        socket.metered = true;
    }
    let now = grid.pair.now();
    grid.pair.a.set_sockets(sockets, now);
    grid.connect();
    assert_eq!(bulk(&grid.pair.a).len(), 2);
}

#[test]
fn the_other_family_takes_over_when_one_dies_under_traffic() {
    let mut grid = Grid::new(36, &[A[0], A[2]], &[B[0], B[2]]);
    grid.connect();
    assert_eq!(goes_to(&mut grid), (address(A[0].0), address(B[0].0)));
    grid.cut(A[0].0, true);
    for _ in 0..30 {
        grid.pair.a_sends(b"is anybody there");
        grid.pair.run_for(ms(100));
    }
    assert_eq!(goes_to(&mut grid), (address(A[2].0), address(B[2].0)));
    assert_eq!(bulk(&grid.pair.a), pairs(&[(A[2].0, B[2].0)]));
}

#[test]
fn a_socket_of_another_number_at_the_old_address_is_the_same_path_again() {
    let mut grid = Grid::new(37, &A[..2], &B[..1]);
    grid.connect();
    let all = grid.pair.a.sockets.clone();
    let now = grid.pair.now();
    grid.pair.a.set_sockets(all[..1].to_vec(), now);
    grid.pair.run_for(secs(1));
    let other = socket(SocketId(7), address(A[1].0), 2);
    let now = grid.pair.now();
    grid.pair.a.set_sockets(vec![all[0].clone(), other], now);
    grid.pair.flush();
    grid.pair.run_for(secs(3));
    let sockets: Vec<SocketId> = grid.pair.a.bound.values().map(|at| at.socket).collect();
    assert!(sockets.contains(&SocketId(7)), "{sockets:?}");
    assert!(!sockets.contains(&all[1].id), "{sockets:?}");
}

#[test]
fn an_only_path_below_the_smallest_size_carries_all_the_same() {
    let setup = Setup {
        inner_mtu: None,
        ..Setup::default()
    };
    let mut grid = Grid::with(15, &A[..1], &B[..1], setup);
    grid.change(A[0].0, B[0].0, Change::MaxPacket(Some(1280)));
    grid.connect();
    for _ in 0..30 {
        grid.pair.a_sends(b"busy");
        grid.pair.run_for(secs(1));
    }
    assert_eq!(bulk(&grid.pair.a).len(), 1);
    assert_eq!(grid.pair.b.delivered.len(), 30);
}

#[test]
fn roles_do_not_change_while_nothing_else_does() {
    let mut grid = Grid::new(16, &A[..2], &B[..2]);
    grid.connect();
    let before = grid.pair.a.path_updates;
    for _ in 0..300 {
        grid.pair.a_sends(b"steady");
        grid.pair.b_sends(b"steady");
        grid.pair.run_for(Duration::from_secs(1));
    }
    assert_eq!(grid.pair.a.path_updates, before);
}
