//! Network namespaces, entered by a thread of their own.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;

/// A network namespace with its loopback up.
pub struct Namespace(File);

impl Namespace {
    /// Makes one and enters it. Only within [`isolated`].
    pub fn new() -> Self {
        // SAFETY: takes a flag only; it affects the calling thread, which is the test's own.
        let made = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(made, 0, "unshare: {}", std::io::Error::last_os_error());
        let namespace = Self(File::open("/proc/thread-self/ns/net").unwrap());
        run("ip link set lo up");
        namespace
    }

    /// Moves the calling thread here; what it opened elsewhere stays there.
    pub fn enter(&self) {
        // SAFETY: takes a descriptor and a flag only.
        let entered = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "setns: {}", std::io::Error::last_os_error());
    }
}

/// Runs `test` on a thread that may leave the process's namespace, or says why it does not.
pub fn isolated(test: impl FnOnce() + Send + 'static) {
    // SAFETY: takes nothing, cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        // Past the capture of the test harness, so that it is seen.
        let _ = std::io::stderr().write_all(b"SKIPPED: network namespaces need root\n");
        return;
    }
    if let Err(panic) = std::thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

/// Two namespaces joined by a veth pair: `left` with 10.9.0.1 and fd09::1, `right` with .2 and ::2.
/// The calling thread ends up in the left one.
pub fn veth_pair() -> (Namespace, Namespace) {
    let left = Namespace::new();
    let right = Namespace::new();
    run("ip link add right type veth peer name left");
    run(&format!(
        "ip link set left netns /proc/{}/fd/{}",
        std::process::id(),
        left.0.as_raw_fd()
    ));
    for (name, namespace, host) in [("right", &right, 2), ("left", &left, 1)] {
        namespace.enter();
        run(&format!("ip addr add 10.9.0.{host}/24 dev {name}"));
        run(&format!("ip addr add fd09::{host}/64 dev {name} nodad"));
        run(&format!("ip link set {name} up"));
    }
    (left, right)
}

/// Runs `command`, split at blanks, in the calling thread's namespace.
pub fn run(command: &str) {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
