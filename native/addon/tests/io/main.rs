//! Sockets, TUN devices and netlink against the real kernel, each test in network namespaces of its own.
//!
//! A namespace lives as long as the thread and the sockets in it: nothing is left behind, also when a
//! test fails. Without root the tests say that they are skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod interfaces;
mod namespace;
mod netlink;
mod seccomp;
mod tun;
mod udp;
