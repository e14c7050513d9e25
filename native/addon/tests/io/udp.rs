//! UDP: segmentation offload both ways, its refusal, sizes, errors and counters.

use std::net::SocketAddr;
use std::time::Duration;

use whalescale_addon::io::poll::{Interest, Poller};
use whalescale_addon::io::udp::{Family, RecvArena, SOCKET_BUFFER, SendOutcome, UdpSocket};

use whalescale_core::handoff::SocketId;
use whalescale_core::time::Instant;

use crate::namespace::{Namespace, isolated, run, veth_pair};
use crate::seccomp::{Refusal, Third, option, refuse};

const STRIDE: usize = 1200;
const SOCKET: SocketId = SocketId(0);
const NOW: Instant = Instant::from_nanos(0);

fn open(family: Family) -> UdpSocket {
    UdpSocket::open(family, 0, None).unwrap()
}

fn address(ip: &str, socket: &UdpSocket) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), socket.local().port())
}

/// A run whose datagrams all differ, the last one shorter.
fn run_of(count: usize) -> Vec<u8> {
    let len = (count - 1) * STRIDE + 100;
    (0..len).map(|n| (n / STRIDE * 7 + n) as u8).collect()
}

/// All datagrams that arrive until `len` bytes have, and the messages they came in.
fn receive(socket: &UdpSocket, len: usize) -> (Vec<Vec<u8>>, usize) {
    let mut arena = RecvArena::new();
    let mut poller = Poller::new();
    poller.add(socket, Interest::Read);
    let (mut datagrams, mut messages, mut got) = (Vec::new(), 0, 0);
    while got < len {
        assert_ne!(
            poller.wait(Some(Duration::from_secs(10))).unwrap(),
            0,
            "{got} of {len} bytes arrived"
        );
        let count = arena.recv(socket, SOCKET, NOW).unwrap();
        for n in 0..count {
            let (message, place) = arena.place(n).expect("not truncated");
            assert_eq!(message.len, place.len());
            let bytes = &arena.bytes()[place];
            datagrams.extend(bytes.chunks(message.stride).map(<[u8]>::to_vec));
            got += message.len;
            messages += 1;
        }
        arena.release(count);
    }
    (datagrams, messages)
}

fn assert_run_arrived(datagrams: &[Vec<u8>], run: &[u8]) {
    let expected: Vec<_> = run.chunks(STRIDE).map(<[u8]>::to_vec).collect();
    assert!(
        datagrams == expected,
        "{} datagrams of {}",
        datagrams.len(),
        expected.len()
    );
}

#[test]
fn a_run_sent_in_one_call_arrives_as_one_message() {
    isolated(|| {
        let (left, right) = veth_pair();
        for (family, ip) in [(Family::V4, "10.9.0.2"), (Family::V6, "fd09::2")] {
            right.enter();
            let receiver = open(family);
            left.enter();
            let sender = open(family);
            assert!(sender.granted().gso && receiver.granted().gro);
            let run = run_of(45);
            assert_eq!(
                sender.send(&address(ip, &receiver), &run, STRIDE),
                SendOutcome::Sent
            );
            let (datagrams, messages) = receive(&receiver, run.len());
            assert_run_arrived(&datagrams, &run);
            assert_eq!(messages, 1);
        }
    });
}

#[test]
fn the_source_is_the_senders_address() {
    isolated(|| {
        let (left, right) = veth_pair();
        for (family, from, to) in [
            (Family::V4, "10.9.0.1", "10.9.0.2"),
            (Family::V6, "fd09::1", "fd09::2"),
        ] {
            right.enter();
            let receiver = open(family);
            left.enter();
            let sender = open(family);
            assert_eq!(
                sender.send(&address(to, &receiver), b"hello", 5),
                SendOutcome::Sent
            );
            let mut poller = Poller::new();
            poller.add(&receiver, Interest::Read);
            assert_eq!(poller.wait(Some(Duration::from_secs(10))).unwrap(), 1);
            let mut arena = RecvArena::new();
            assert_eq!(arena.recv(&receiver, SOCKET, NOW).unwrap(), 1);
            let (message, place) = arena.place(0).unwrap();
            assert_eq!(
                (message.source, message.stride),
                (address(from, &sender), 5)
            );
            assert_eq!(&arena.bytes()[place], b"hello");
            assert!(arena.place(1).is_none());
        }
    });
}

#[test]
fn messages_wait_in_order_and_released_ones_make_room() {
    isolated(|| {
        let (left, right) = veth_pair();
        right.enter();
        let receiver = open(Family::V4);
        left.enter();
        let (sender, to) = (open(Family::V4), address("10.9.0.2", &receiver));
        assert_eq!(sender.send(&to, &[0], 1), SendOutcome::Sent);
        assert_eq!(receive(&receiver, 1).0, [[0]]);
        for n in 1..=40 {
            assert_eq!(sender.send(&to, &[n], 1), SendOutcome::Sent);
        }
        let mut arena = RecvArena::new();
        let mut next = 1;
        while next <= 40 {
            arena.recv(&receiver, SOCKET, NOW).unwrap();
            assert_eq!(
                arena.recv(&receiver, SOCKET, NOW).unwrap(),
                0,
                "full or empty"
            );
            for n in 0..5.min(arena.len()) {
                let (_, place) = arena.place(n).unwrap();
                assert_eq!(arena.bytes()[place], [next]);
                next += 1;
            }
            arena.release(5);
        }
        assert!(arena.is_empty());
    });
}

#[test]
fn a_run_sent_plainly_arrives_whole() {
    isolated(|| {
        let (left, right) = veth_pair();
        right.enter();
        let receiver = open(Family::V4);
        left.enter();
        let (sender, to) = (open(Family::V4), address("10.9.0.2", &receiver));
        // The kernel holds few packets while it resolves the neighbour: let that be over.
        assert_eq!(sender.send(&to, b"first", 5), SendOutcome::Sent);
        assert_eq!(receive(&receiver, 5).0, [b"first"]);
        let run = run_of(150);
        assert_eq!(
            sender.send_plain(&to, &run, STRIDE),
            (150, SendOutcome::Sent)
        );
        assert_run_arrived(&receive(&receiver, run.len()).0, &run);
    });
}

#[test]
fn a_kernel_without_udp_offloads_is_reported_and_still_carries_runs() {
    isolated(|| {
        let (left, right) = veth_pair();
        refuse(&[
            option(libc::SOL_UDP, libc::UDP_GRO, libc::ENOPROTOOPT),
            option(libc::SOL_UDP, libc::UDP_SEGMENT, libc::ENOPROTOOPT),
        ]);
        right.enter();
        let receiver = open(Family::V4);
        left.enter();
        let sender = open(Family::V4);
        assert!(!sender.granted().gso && !receiver.granted().gro);
        let run = run_of(20);
        assert_eq!(
            sender
                .send_plain(&address("10.9.0.2", &receiver), &run, STRIDE)
                .0,
            20
        );
        let (datagrams, messages) = receive(&receiver, run.len());
        assert_run_arrived(&datagrams, &run);
        assert_eq!(messages, 20);
    });
}

/// Sends a run as the packet path does and returns whether segmentation was refused.
fn send_with_fallback(sender: &UdpSocket, to: &SocketAddr, run: &[u8]) -> bool {
    match sender.send(to, run, STRIDE) {
        SendOutcome::Sent => false,
        SendOutcome::NoSegmentation => {
            assert_eq!(sender.send_plain(to, run, STRIDE).1, SendOutcome::Sent);
            true
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_interface_without_checksum_offload_carries_runs_too() {
    isolated(|| {
        let (left, right) = veth_pair();
        right.enter();
        let receiver = open(Family::V4);
        left.enter();
        run("ethtool -K left tx off");
        let bytes = run_of(30);
        // EIO until Linux 6.11, from then on the kernel computes the checksums itself.
        let refused =
            send_with_fallback(&open(Family::V4), &address("10.9.0.2", &receiver), &bytes);
        println!("segmentation refused: {refused}");
        assert_run_arrived(&receive(&receiver, bytes.len()).0, &bytes);
    });
}

#[test]
fn a_refused_segmentation_is_told_from_other_failures_and_sent_plainly() {
    isolated(|| {
        let (left, right) = veth_pair();
        right.enter();
        let receiver = open(Family::V4);
        left.enter();
        let sender = open(Family::V4);
        let errno = libc::EIO;
        refuse(&[Refusal {
            syscall: libc::SYS_sendmsg,
            second: None,
            third: Third::Any,
            errno,
        }]);
        let run = run_of(30);
        let to = address("10.9.0.2", &receiver);
        assert!(send_with_fallback(&sender, &to, &run));
        assert_run_arrived(&receive(&receiver, run.len()).0, &run);
        assert_eq!(sender.send(&to, b"one", 3), SendOutcome::Failed(libc::EIO));
    });
}

#[test]
fn a_datagram_beyond_the_mtu_is_too_big_however_it_is_sent() {
    isolated(|| {
        let (left, right) = veth_pair();
        right.enter();
        let (receiver4, receiver6) = (open(Family::V4), open(Family::V6));
        left.enter();
        run("ip link set left mtu 1300");
        for (sender, to, largest) in [
            (open(Family::V4), address("10.9.0.2", &receiver4), 1300 - 28),
            (open(Family::V6), address("fd09::2", &receiver6), 1300 - 48),
        ] {
            let bytes = vec![1; 4 * 1300];
            assert_eq!(
                sender.send(&to, &bytes[..largest + 1], largest + 1),
                SendOutcome::TooBig
            );
            assert_eq!(
                sender.send_plain(&to, &bytes, largest + 1),
                (0, SendOutcome::TooBig)
            );
            let segmented = sender.send(&to, &bytes, largest + 1);
            assert!(
                matches!(segmented, SendOutcome::TooBig | SendOutcome::NoSegmentation),
                "{segmented:?}"
            );
            assert_eq!(sender.send(&to, &bytes, largest), SendOutcome::Sent);
        }
    });
}

#[test]
fn what_the_network_refuses_is_harmless_to_the_socket() {
    isolated(|| {
        let (left, right) = veth_pair();
        right.enter();
        let receiver = open(Family::V4);
        left.enter();
        let sender = open(Family::V4);
        let unrouted = SendOutcome::Unreachable(libc::ENETUNREACH);
        assert_eq!(
            sender.send(&"192.0.2.1:9".parse().unwrap(), b"x", 1),
            unrouted
        );
        // Nobody listens there: the ICMP answer must not surface in later calls.
        let closed = "10.9.0.2:9".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(sender.send(&closed, b"x", 1), SendOutcome::Sent);
        }
        assert_eq!(RecvArena::new().recv(&sender, SOCKET, NOW).unwrap(), 0);
        assert_eq!(
            sender.send(&address("10.9.0.2", &receiver), b"x", 1),
            SendOutcome::Sent
        );
        assert_eq!(receive(&receiver, 1).0, [b"x"]);
    });
}

#[test]
fn datagrams_that_do_not_fit_the_receive_buffer_are_counted_by_the_kernel() {
    isolated(|| {
        let _namespace = Namespace::new();
        let (receiver, sender) = (open(Family::V4), open(Family::V4));
        assert_eq!(receiver.kernel_drops().unwrap(), 0);
        let to = address("127.0.0.1", &receiver);
        let bytes = vec![0; 50 * STRIDE];
        // Each datagram takes more than its length of the buffer, whose limit is twice what was granted.
        for _ in 0..2 * SOCKET_BUFFER / bytes.len() + 1 {
            assert_eq!(sender.send(&to, &bytes, STRIDE), SendOutcome::Sent);
        }
        assert_ne!(receiver.kernel_drops().unwrap(), 0);
    });
}

#[test]
fn socket_buffers_are_forced_with_privilege_and_reported_without() {
    isolated(|| {
        let _namespace = Namespace::new();
        let granted = open(Family::V4).granted();
        assert_eq!(
            (granted.receive_buffer, granted.send_buffer),
            (SOCKET_BUFFER, SOCKET_BUFFER)
        );
        refuse(&[
            option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, libc::EPERM),
            option(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, libc::EPERM),
        ]);
        let limit = |name| {
            let limit = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap();
            limit.trim().parse::<usize>().unwrap().min(SOCKET_BUFFER)
        };
        let granted = open(Family::V4).granted();
        assert_eq!(granted.receive_buffer, limit("rmem_max"));
        assert_eq!(granted.send_buffer, limit("wmem_max"));
    });
}

#[test]
fn a_socket_bound_to_a_device_uses_no_other() {
    isolated(|| {
        let (left, _right) = veth_pair();
        left.enter();
        let bound = UdpSocket::open(Family::V4, 0, Some("left")).unwrap();
        let receiver = open(Family::V4);
        let to = address("127.0.0.1", &receiver);
        // The loopback delivers within the call, so the order of arrival is that of sending.
        bound.send(&to, b"through left", 12);
        assert_eq!(
            open(Family::V4).send(&to, b"through lo", 10),
            SendOutcome::Sent
        );
        assert_eq!(receive(&receiver, 1).0, [b"through lo"]);
        for name in ["absent0", "nul\0", "a-name-that-is-far-too-long"] {
            assert!(
                UdpSocket::open(Family::V4, 0, Some(name)).is_err(),
                "{name:?}"
            );
        }
    });
}

#[test]
fn a_port_in_use_is_an_error_and_both_families_share_one_port() {
    isolated(|| {
        let _namespace = Namespace::new();
        let taken = open(Family::V4);
        let port = taken.local().port();
        let error = UdpSocket::open(Family::V4, port, None).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
        assert!(UdpSocket::open(Family::V6, port, None).is_ok());
    });
}
