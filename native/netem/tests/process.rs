//! The process between two real network namespaces, which the tests make and remove.
//! `npm test` runs them as root; `cargo test -p whalescale-netem --test process -- --ignored` does so alone.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

/// Two namespaces that vanish with the value.
struct Namespaces([String; 2]);

impl Namespaces {
    fn make(test: &str) -> io::Result<Self> {
        let names = ["a", "b"].map(|end| format!("netem-{test}-{}-{end}", std::process::id()));
        let made = Self(names);
        for name in &made.0 {
            run("ip", &["netns", "add", name])?;
        }
        Ok(made)
    }

    /// Pings the second namespace from the first.
    fn ping(&self, count: &str) -> io::Result<Output> {
        run(
            "ip",
            &[
                "netns", "exec", &self.0[0], "ping", "-c", count, "-i", "0.05", "-W", "1",
                "10.9.1.2",
            ],
        )
    }

    fn has_device(&self) -> io::Result<bool> {
        Ok(run("ip", &["-n", &self.0[0], "link", "show", "link0"])?
            .status
            .success())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = run("ip", &["netns", "delete", name]);
        }
    }
}

fn run(program: &str, args: &[&str]) -> io::Result<Output> {
    Command::new(program).args(args).output()
}

/// A running emulator, killed with the value should it still run.
struct Emulator {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Emulator {
    fn start(namespaces: &Namespaces, settings: &[&str]) -> io::Result<Self> {
        let [a, b] = &namespaces.0;
        let mut process = Command::new(env!("CARGO_BIN_EXE_whalescale-netem"))
            .args([
                "--a",
                a,
                "--b",
                b,
                "--a-addr",
                "10.9.1.1/24",
                "--b-addr",
                "10.9.1.2/24",
            ])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut emulator = Self {
            commands: process.stdin.take(),
            answers: BufReader::new(output),
            process,
        };
        assert_eq!(emulator.answer()?, "ready");
        Ok(emulator)
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn command(&mut self, line: &str) -> io::Result<String> {
        if let Some(commands) = &mut self.commands {
            writeln!(commands, "{line}")?;
        }
        self.answer()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs root: makes network namespaces"]
fn a_ping_takes_at_least_twice_the_delay() {
    let namespaces = Namespaces::make("delay").unwrap();
    let _emulator = Emulator::start(&namespaces, &["--rate", "50mbit", "--delay", "10ms"]).unwrap();
    let ping = namespaces.ping("5").unwrap();
    let report = String::from_utf8(ping.stdout).unwrap();
    let (_, times) = report.split_once("mdev = ").expect("answers");
    let shortest: f64 = times
        .split('/')
        .next()
        .and_then(|time| time.parse().ok())
        .unwrap();
    assert!(shortest >= 20.0, "{report}");
}

#[test]
#[ignore = "needs root: makes network namespaces"]
fn a_live_black_hole_silences_the_link_until_it_is_lifted() {
    let namespaces = Namespaces::make("hole").unwrap();
    let mut emulator = Emulator::start(&namespaces, &["--rate", "50mbit"]).unwrap();
    assert!(namespaces.ping("1").unwrap().status.success());
    assert_eq!(emulator.command("link0 b>a blackhole on").unwrap(), "ok");
    assert!(!namespaces.ping("1").unwrap().status.success());
    let stats = emulator.command("stats").unwrap();
    assert!(stats.contains(r#""droppedBlackHole":1,"#), "{stats}");
    assert_eq!(emulator.command("link0 blackhole off").unwrap(), "ok");
    assert!(namespaces.ping("1").unwrap().status.success());
}

#[test]
#[ignore = "needs root: makes network namespaces"]
fn a_wrong_command_is_answered_by_an_error_and_changes_nothing() {
    let namespaces = Namespaces::make("wrong").unwrap();
    let mut emulator = Emulator::start(&namespaces, &[]).unwrap();
    for line in [
        "link1 rate 5mbit",
        "link0 rate",
        "nonsense",
        "link0 a>c blackhole on",
    ] {
        assert!(
            emulator.command(line).unwrap().starts_with("error: "),
            "{line}"
        );
    }
    assert!(namespaces.ping("1").unwrap().status.success());
}

#[test]
#[ignore = "needs root: makes network namespaces"]
fn the_end_of_the_input_and_a_signal_end_the_process_with_statistics_and_no_device() {
    let namespaces = Namespaces::make("end").unwrap();
    for by_signal in [false, true] {
        let mut emulator = Emulator::start(&namespaces, &["--seed", "7"]).unwrap();
        assert!(namespaces.has_device().unwrap());
        if by_signal {
            run("kill", &["-TERM", &emulator.process.id().to_string()]).unwrap();
        } else {
            emulator.commands = None;
        }
        let report = emulator.answer().unwrap();
        assert!(report.starts_with(r#"{"schema":1,"seed":7,"#), "{report}");
        assert!(emulator.process.wait().unwrap().success());
        assert!(!namespaces.has_device().unwrap());
    }
}

#[test]
#[ignore = "needs root: makes network namespaces"]
fn a_second_end_that_cannot_be_made_leaves_no_first_end() {
    let namespaces = Namespaces::make("half").unwrap();
    let output = run(
        env!("CARGO_BIN_EXE_whalescale-netem"),
        &["--a", &namespaces.0[0], "--b", "netem-no-such-namespace"],
    )
    .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("netem-no-such-namespace"));
    assert!(!namespaces.has_device().unwrap());
}
