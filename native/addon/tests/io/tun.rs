//! TUN devices: offloads granted and refused, packets both ways.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket as StdUdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use whalescale_addon::io::poll::{Interest, Poller};
use whalescale_addon::io::tun::{Offload, READ_LEN, Tun, WriteError};
use whalescale_addon::netlink::{LinkSettings, Netlink};
use whalescale_core::inner::vnet::VNET_LEN;

use crate::namespace::{Namespace, isolated};
use crate::seccomp::{Refusal, Third, refuse};

/// A TUN device `t0`, down, as TypeScript would hand it over.
fn device(vnet: bool) -> OwnedFd {
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .unwrap();
    // SAFETY: ifreq is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"t0") {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | if vnet { libc::IFF_VNET_HDR } else { 0 };
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes the live ifreq.
    let set = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(set, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    file.into()
}

/// Sets `t0` up as the agent does, so that nothing but the test's packets is on it.
fn up() {
    let mut netlink = Netlink::open().unwrap();
    let index = netlink.link("t0").unwrap().unwrap().index;
    netlink.disable_autoconfiguration(index).unwrap();
    netlink
        .set_link(
            index,
            &LinkSettings {
                up: Some(true),
                ..LinkSettings::default()
            },
        )
        .unwrap();
    netlink
        .replace_address(index, "10.7.0.1".parse().unwrap(), 24)
        .unwrap();
    netlink
        .replace_address(index, "fd07::1".parse().unwrap(), 64)
        .unwrap();
}

fn refuse_offload(bits: Third) {
    let request = Some(libc::TUNSETOFFLOAD as u32);
    refuse(&[Refusal {
        syscall: libc::SYS_ioctl,
        second: request,
        third: bits,
        errno: libc::EINVAL,
    }]);
}

/// Waits for a packet and reads it.
fn read(tun: &Tun, buffer: &mut [u8]) -> usize {
    let mut poller = Poller::new();
    poller.add(tun, Interest::Read);
    assert_eq!(poller.wait(Some(Duration::from_secs(10))).unwrap(), 1);
    tun.read(buffer).unwrap().unwrap()
}

#[test]
fn all_offloads_are_granted_by_a_kernel_that_has_them() {
    isolated(|| {
        let _namespace = Namespace::new();
        let tun = Tun::adopt(device(true), true).unwrap();
        assert!(tun.vnet() && tun.offload().tso);
        println!("{:?}", tun.offload());
    });
}

#[test]
fn without_udp_segmentation_in_the_kernel_that_of_tcp_stays() {
    isolated(|| {
        let _namespace = Namespace::new();
        refuse_offload(Third::HasAnyOf(libc::TUN_F_USO4 | libc::TUN_F_USO6));
        let tun = Tun::adopt(device(true), true).unwrap();
        assert_eq!(
            tun.offload(),
            Offload {
                tso: true,
                uso: false
            }
        );
    });
}

#[test]
fn without_any_offload_in_the_kernel_packets_still_pass() {
    isolated(|| {
        let _namespace = Namespace::new();
        let fd = device(true);
        refuse_offload(Third::Any);
        let tun = Tun::adopt(fd, true).unwrap();
        assert_eq!(tun.offload(), Offload::default());
        up();
        StdUdpSocket::bind("10.7.0.1:0")
            .unwrap()
            .send_to(b"hello", "10.7.0.2:9")
            .unwrap();
        let mut packet = vec![0; READ_LEN];
        let len = read(&tun, &mut packet);
        assert_eq!(len, VNET_LEN + 28 + 5);
    });
}

#[test]
fn what_the_host_sends_is_read_and_what_is_written_reaches_it() {
    isolated(|| {
        for vnet in [true, false] {
            let _namespace = Namespace::new();
            let tun = Tun::adopt(device(vnet), vnet).unwrap();
            up();
            let header = if vnet { VNET_LEN } else { 0 };
            let socket = StdUdpSocket::bind("10.7.0.1:1000").unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            socket.send_to(b"hello", "10.7.0.2:2000").unwrap();
            let mut buffer = vec![0; READ_LEN];
            let len = read(&tun, &mut buffer);
            let packet = &buffer[header..len];
            assert_eq!(&packet[28..], b"hello");
            assert!(tun.read(&mut vec![0; READ_LEN]).unwrap().is_none());

            // The answer: addresses and ports swapped; an IPv4 UDP checksum of zero is none.
            let swapped = [
                &packet[..12],
                &packet[16..20],
                &packet[12..16],
                &packet[22..24],
                &packet[20..22],
                &packet[24..26],
                &[0, 0],
                &packet[28..],
            ]
            .concat();
            let empty = vec![0; header];
            tun.write(&[
                IoSlice::new(&empty),
                IoSlice::new(&swapped[..20]),
                IoSlice::new(&swapped[20..]),
            ])
            .unwrap();
            let mut answer = [0; 16];
            let (len, from) = socket.recv_from(&mut answer).unwrap();
            assert_eq!(
                (&answer[..len], from),
                (&b"hello"[..], "10.7.0.2:2000".parse().unwrap())
            );
        }
    });
}

#[test]
fn a_scattered_read_fills_its_buffers_in_order() {
    isolated(|| {
        let _namespace = Namespace::new();
        let tun = Tun::adopt(device(true), true).unwrap();
        up();
        StdUdpSocket::bind("10.7.0.1:0")
            .unwrap()
            .send_to(b"hello", "10.7.0.2:9")
            .unwrap();
        let (mut header, mut packet) = ([0; VNET_LEN], vec![0; 1500]);
        let len = tun
            .readv(&mut [IoSliceMut::new(&mut header), IoSliceMut::new(&mut packet)])
            .unwrap();
        assert_eq!(len, Some(VNET_LEN + 28 + 5));
        assert_eq!(&packet[28..33], b"hello");
    });
}

#[test]
fn a_refused_packet_and_a_device_that_is_down_are_told_apart() {
    isolated(|| {
        let _namespace = Namespace::new();
        let tun = Tun::adopt(device(true), true).unwrap();
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        let write = |header: &[u8]| tun.write(&[IoSlice::new(header), IoSlice::new(&packet)]);
        assert!(matches!(write(&[0; VNET_LEN]), Err(WriteError::Down)));
        up();
        // A super-packet of an unknown kind (gso_type 0x7f) with a segment size of 100.
        let refused = write(&[0, 0x7f, 20, 0, 100, 0, 0, 0, 0, 0]);
        assert!(matches!(refused, Err(WriteError::Refused)), "{refused:?}");
        write(&[0; VNET_LEN]).unwrap();
    });
}
