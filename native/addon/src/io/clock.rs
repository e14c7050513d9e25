//! The two clocks of the agent, both read through the vDSO without entering the kernel.

use std::time::Duration;

use whalescale_core::time::Instant;

/// The monotonic time that every timer of the protocol runs on.
///
/// It is CLOCK_BOOTTIME, which counts while the machine is suspended: after a night in a bag the
/// session keys are expired and a handshake follows at once, where CLOCK_MONOTONIC would go on
/// sending under keys that the peer has long forgotten.
pub fn now() -> Instant {
    let elapsed = read(libc::CLOCK_BOOTTIME);
    Instant::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// The time since 1970-01-01 UTC, for TAI64N stamps; it may jump.
pub fn unix_time() -> Duration {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec. The call cannot fail: both clocks exist since Linux 2.6.39.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let times: Vec<_> = (0..1000).map(|_| now()).collect();
        assert!(times.is_sorted());
        assert!(times[0] > Instant::from_nanos(0));
    }

    #[test]
    fn unix_time_is_that_of_the_standard_library() {
        let before = std::time::UNIX_EPOCH.elapsed().unwrap();
        let ours = unix_time();
        let after = std::time::UNIX_EPOCH.elapsed().unwrap();
        assert!(before <= ours && ours <= after);
    }
}
