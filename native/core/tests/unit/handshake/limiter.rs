//! The rate limit: 20 messages per second and source, five at once, in bounded memory.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;
use whalescale_core::handshake::limiter::RateLimiter;
use whalescale_core::time::Instant;

const START: Instant = Instant::from_nanos(1_000_000_000);
const INTERVAL: Duration = Duration::from_millis(50);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How many of `tries` messages at one instant pass.
fn burst(limiter: &mut RateLimiter, source: IpAddr, now: Instant, tries: usize) -> usize {
    (0..tries).filter(|_| limiter.allow(source, now)).count()
}

#[test]
fn a_source_may_send_five_at_once() {
    let mut limiter = RateLimiter::default();
    assert_eq!(burst(&mut limiter, ip("192.0.2.1"), START, 100), 5);
}

#[test]
fn a_spent_source_gets_one_message_every_50_milliseconds() {
    let mut limiter = RateLimiter::default();
    let source = ip("192.0.2.1");
    burst(&mut limiter, source, START, 100);
    let almost = Instant::from_nanos((START + INTERVAL).as_nanos() - 1);
    assert_eq!(burst(&mut limiter, source, almost, 3), 0);
    assert_eq!(burst(&mut limiter, source, START + INTERVAL, 3), 1);
    assert_eq!(burst(&mut limiter, source, START + 3 * INTERVAL, 3), 2);
}

#[test]
fn a_rest_gives_back_no_more_than_the_burst() {
    let mut limiter = RateLimiter::default();
    let source = ip("192.0.2.1");
    burst(&mut limiter, source, START, 100);
    let later = START + Duration::from_secs(3600);
    assert_eq!(burst(&mut limiter, source, later, 100), 5);
}

#[test]
fn ipv4_sources_are_counted_by_address() {
    let mut limiter = RateLimiter::default();
    burst(&mut limiter, ip("192.0.2.1"), START, 100);
    assert!(limiter.allow(ip("192.0.2.2"), START));
    assert!(!limiter.allow(ip("::ffff:192.0.2.1"), START));
}

#[test]
fn ipv6_sources_are_counted_by_their_64_bit_prefix() {
    let mut limiter = RateLimiter::default();
    burst(&mut limiter, ip("2001:db8:0:1::1"), START, 100);
    assert!(!limiter.allow(ip("2001:db8:0:1:ffff::"), START));
    assert!(limiter.allow(ip("2001:db8:0:2::1"), START));
}

#[test]
fn the_oldest_of_4096_sources_makes_room_for_the_next() {
    let mut limiter = RateLimiter::default();
    let source = |number: u32| IpAddr::from(Ipv4Addr::from(number));
    for number in 0..4096 {
        assert_eq!(burst(&mut limiter, source(number), START, 6), 5);
    }
    assert!(!limiter.allow(source(0), START));
    assert!(limiter.allow(source(4096), START));
    assert!(!limiter.allow(source(1), START));
    assert!(limiter.allow(source(0), START), "its bucket was given up");
}

proptest! {
    #[test]
    fn no_span_of_time_lets_more_pass_than_rate_and_burst(
        pauses in prop::collection::vec(0..100_000_000_u64, 1..200),
    ) {
        let mut limiter = RateLimiter::default();
        let mut now = START;
        let mut passed = 0_u32;
        for pause in pauses {
            now = now + Duration::from_nanos(pause);
            passed += u32::from(limiter.allow(ip("192.0.2.1"), now));
            let earned = (now - START).as_nanos() / INTERVAL.as_nanos();
            prop_assert!(u128::from(passed) <= 5 + earned);
        }
    }
}
