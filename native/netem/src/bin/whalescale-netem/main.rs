//! Joins network namespaces by TUN devices and emulates the links between them in real time.
//!
//! One thread: wait until a packet is due, a device has one, or a command comes; move packets; again.

mod bridge;
mod console;
mod plan;
mod sources;
mod tun;

use bridge::Bridge;
use console::Console;
use plan::Plan;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tun::Watched;

const HELP: &str = "\
Usage: whalescale-netem [--seed N] [--for TIME] LINK...
       whalescale-netem [--seed N] [--for TIME] --config FILE

Joins two network namespaces by a TUN device in each and emulates the link between them.
Prints `ready` when all devices are up, and the statistics as JSON at the end: on SIGTERM,
SIGINT, after TIME, or (without --for) at the end of the input. Devices vanish with the process.

LINK:
  --link                     begins a link (may be left out before the first)
  --a NETNS[:INTERFACE]      one end (the interface is link0, link1, ... by default)
  --b NETNS[:INTERFACE]      the other end
  --a-addr, --b-addr ADDR/N  address of an end, may be repeated
  --mtu BYTES                MTU of both devices (1500)
  --SETTING VALUE            a setting of both directions
  --set 'a>b SETTING VALUE'  a setting of one direction
  --at 'TIME [a>b|b>a] SETTING VALUE'   a change at a time; may be repeated
  --repeat TIME              the changes repeat with this period

SETTING VALUE:
  rate 50mbit | unlimited          delay 10ms            jitter 5ms | '5ms unordered'
  loss 1% | 'bursts 1% 5' | 'gilbert 1% 20% 100% 0%'     queue 60ms | 100kB
  duplicate 1%   corrupt 1%        reorder '1% 5ms'      ecn 5ms | off
  blackhole on | off               max_packet 1428 | off overhead 38

FILE is TOML with the same keys: seed = 7, and [[link]] with a, b, a_addr, rate, set, at, ...
Commands on the input: `linkN [a>b|b>a] SETTING VALUE`, `stats`; answered by `ok`, `error: ...` or JSON.
";

/// Waiting less than this costs more processor time than it gains in precision: packets due within
/// it leave together.
const COALESCE: Duration = Duration::from_micros(100);

fn main() -> ExitCode {
    let plan = match Plan::from_args(lexopt::Parser::from_env()) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("whalescale-netem: {error}\nTry `whalescale-netem --help`.");
            return ExitCode::from(2);
        }
    };
    match run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whalescale-netem: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: Plan) -> io::Result<()> {
    let (seed, duration) = (plan.seed, plan.duration);
    let termination = tun::termination()?;
    let mut console = Console::open()?;
    let mut watched = Watched::default();
    let signal = watched.add(termination.as_fd());
    let commands = watched.add(console.as_fd());
    let mut bridges = Bridge::open_all(plan, &mut watched)?;
    if let Err(error) = tun::wake_punctually() {
        eprintln!("whalescale-netem: no real-time priority, so delays grow under load: {error}");
    }

    let start = Instant::now();
    let clock = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let end = duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let stats = |bridges: &[Bridge]| report(bridges, seed, start.elapsed());
    let mut buffer = Box::new([0; 65535]);
    say("ready")?;
    while end.is_none_or(|end| clock() < end) && !watched.is_ready(signal) {
        let due = bridges
            .iter()
            .filter_map(Bridge::next_event)
            .chain(end)
            .min();
        watched
            .wait(due.map(|due| Duration::from_nanos(due.saturating_sub(clock())).max(COALESCE)))?;
        for bridge in &mut bridges {
            bridge.turn(&watched, &clock, &mut buffer)?;
        }
        if watched.is_ready(commands) {
            match console.lines()? {
                Some(lines) => obey(&lines, &mut bridges, clock(), stats)?,
                None if end.is_some() => watched.ignore(commands),
                None => break,
            }
        }
    }
    say(&stats(&bridges))
}

fn obey(
    lines: &[String],
    bridges: &mut [Bridge],
    now: u64,
    stats: impl Fn(&[Bridge]) -> String,
) -> io::Result<()> {
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        say(&console::answer(line, bridges, now, &stats))?;
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

fn report(bridges: &[Bridge], seed: u64, elapsed: Duration) -> String {
    let links: Vec<String> = bridges
        .iter()
        .enumerate()
        .map(|(index, bridge)| bridge.stats(index))
        .collect();
    let seconds = elapsed.as_secs_f64();
    format!(
        r#"{{"schema":1,"seed":{seed},"seconds":{seconds:.3},"links":[{}]}}"#,
        links.join(",")
    )
}
