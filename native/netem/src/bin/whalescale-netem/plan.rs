//! What to emulate: read from the command line or from a TOML file, both with the same keys and values.

use lexopt::ValueExt;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use whalescale_netem::text::{self, TextError};
use whalescale_netem::{Change, LinkConfig};

/// The most links of one process: each costs two descriptors and is looked at on every turn of the loop.
const LINKS_MAX: usize = 64;

/// Everything that the process was asked to do.
#[derive(Debug, Default)]
pub struct Plan {
    pub links: Vec<LinkPlan>,
    pub seed: u64,
    /// How long to run; `None` is until a signal or the end of the input.
    pub duration: Option<Duration>,
}

/// One link and its two ends.
#[derive(Debug)]
pub struct LinkPlan {
    pub ends: [End; 2],
    /// From the first end to the second, and back.
    pub directions: [LinkConfig; 2],
    pub mtu: u16,
}

/// One end of a link: a TUN device in a network namespace.
#[derive(Debug, Default)]
pub struct End {
    pub netns: String,
    pub interface: String,
    pub addresses: Vec<String>,
}

/// What is wrong with a command line, a file or a live command.
#[derive(Debug)]
pub struct PlanError(String);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlanError {}

impl From<TextError> for PlanError {
    fn from(error: TextError) -> Self {
        Self(error.to_string())
    }
}

impl From<lexopt::Error> for PlanError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

impl PlanError {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A change of one direction or of both: `[a>b|b>a] NAME VALUE`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Directed {
    /// Index into [`LinkPlan::directions`]; `None` is both.
    pub direction: Option<usize>,
    pub change: Change,
}

impl FromStr for Directed {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let (first, rest) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((text, ""));
        let (direction, setting) = match first {
            "a>b" => (Some(0), rest),
            "b>a" => (Some(1), rest),
            _ => (None, text),
        };
        Ok(Self {
            direction,
            change: setting.parse()?,
        })
    }
}

impl Directed {
    pub fn covers(&self, direction: usize) -> bool {
        self.direction.is_none_or(|only| only == direction)
    }
}

impl LinkPlan {
    fn new(index: usize) -> Self {
        let end = || End {
            interface: format!("link{index}"),
            ..End::default()
        };
        let directions = [LinkConfig::default(), LinkConfig::default()];
        Self {
            ends: [end(), end()],
            directions,
            mtu: 1500,
        }
    }

    /// Sets one key; keys that are no key of the plan are settings of both directions.
    fn set(&mut self, key: &str, value: &str) -> Result<(), PlanError> {
        let [a, b] = &mut self.ends;
        match key {
            "a" => a.place(value)?,
            "b" => b.place(value)?,
            "a_addr" => a.addresses.push(value.to_owned()),
            "b_addr" => b.addresses.push(value.to_owned()),
            "mtu" => {
                self.mtu = value
                    .parse()
                    .map_err(|_| PlanError(format!("`{value}` is not an MTU")))?
            }
            "set" => self.change(value.parse()?),
            "at" => self.schedule(value)?,
            "repeat" => {
                let period = text::duration(value)?;
                for config in &mut self.directions {
                    config.schedule = std::mem::take(&mut config.schedule).every(period);
                }
            }
            _ => self.change(format!("{key} {value}").parse()?),
        }
        Ok(())
    }

    fn change(&mut self, directed: Directed) {
        for (direction, config) in self.directions.iter_mut().enumerate() {
            if directed.covers(direction) {
                config.apply(directed.change);
            }
        }
    }

    /// `TIME [a>b|b>a] NAME VALUE`
    fn schedule(&mut self, step: &str) -> Result<(), PlanError> {
        let (time, change) = step
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((step, ""));
        let (time, directed): (_, Directed) = (text::duration(time)?, change.parse()?);
        for (direction, config) in self.directions.iter_mut().enumerate() {
            if directed.covers(direction) {
                config.schedule = std::mem::take(&mut config.schedule).at(time, directed.change);
            }
        }
        Ok(())
    }
}

impl End {
    /// `NETNS[:INTERFACE]`. The characters allowed are those that need no quoting in paths, commands and JSON.
    fn place(&mut self, text: &str) -> Result<(), PlanError> {
        let (netns, interface) = text
            .split_once(':')
            .unwrap_or((text, self.interface.as_str()));
        let is_name = |name: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            name.bytes().all(plain) && name.bytes().any(|byte| byte != b'.') && name.len() <= 255
        };
        if !is_name(netns) || !is_name(interface) || interface.len() > 15 {
            return Err(PlanError(format!(
                "`{text}` is not NETNS or NETNS:INTERFACE"
            )));
        }
        (self.netns, self.interface) = (netns.to_owned(), interface.to_owned());
        Ok(())
    }
}

impl Plan {
    /// Reads the command line; `None` if it asks for help.
    pub fn from_args(mut args: lexopt::Parser) -> Result<Option<Self>, PlanError> {
        let mut plan = Self::default();
        while let Some(argument) = args.next()? {
            let lexopt::Arg::Long(name) = argument else {
                return Err(argument.unexpected().into());
            };
            let key = name.replace('-', "_");
            match key.as_str() {
                "help" => return Ok(None),
                "link" => plan.add_link()?,
                "config" => plan.read_file(&args.value()?.string()?)?,
                "seed" => plan.seed = args.value()?.parse()?,
                "for" => plan.duration = Some(seconds(&args.value()?.string()?)?),
                _ => {
                    let value = args.value()?.string()?;
                    if plan.links.is_empty() {
                        plan.add_link()?;
                    }
                    plan.set(&key, &value)?;
                }
            }
        }
        plan.check()?;
        Ok(Some(plan))
    }

    fn read_file(&mut self, path: &str) -> Result<(), PlanError> {
        let in_file = |message: String| PlanError(format!("{path}: {message}"));
        let text = std::fs::read_to_string(path).map_err(|error| in_file(error.to_string()))?;
        self.read_toml(&text).map_err(|error| in_file(error.0))
    }

    fn read_toml(&mut self, text: &str) -> Result<(), PlanError> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| PlanError(error.to_string()))?;
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("seed", toml::Value::Integer(seed)) if *seed >= 0 => {
                    self.seed = seed.unsigned_abs()
                }
                ("link", toml::Value::Array(links)) => {
                    for link in links {
                        self.add_link()?;
                        self.read_link(link)?;
                    }
                }
                _ => {
                    return Err(PlanError(format!(
                        "unknown key `{key}`: expected `seed` or `[[link]]`"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Keys come in alphabetical order, so `set` refines what stands in the other settings.
    fn read_link(&mut self, link: &toml::Value) -> Result<(), PlanError> {
        let table = link
            .as_table()
            .ok_or_else(|| PlanError::new("`link` must be `[[link]]`"))?;
        for (key, value) in table {
            let values = value
                .as_array()
                .map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                match value {
                    toml::Value::String(value) => self.set(key, value)?,
                    toml::Value::Integer(value) => self.set(key, &value.to_string())?,
                    _ => return Err(PlanError(format!("`{key}` must be a string, or several"))),
                }
            }
        }
        Ok(())
    }

    fn add_link(&mut self) -> Result<(), PlanError> {
        if self.links.len() == LINKS_MAX {
            return Err(PlanError(format!("more than {LINKS_MAX} links")));
        }
        self.links.push(LinkPlan::new(self.links.len()));
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), PlanError> {
        self.links
            .last_mut()
            .map_or(Ok(()), |link| link.set(key, value))
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.links.is_empty() {
            return Err(PlanError::new(
                "no link: give --a and --b, or --config FILE",
            ));
        }
        let ends = self.links.iter().flat_map(|link| &link.ends);
        if ends.into_iter().any(|end| end.netns.is_empty()) {
            return Err(PlanError::new(
                "each link needs both ends: --a NETNS and --b NETNS",
            ));
        }
        Ok(())
    }
}

/// A duration, plain numbers being seconds.
fn seconds(text: &str) -> Result<Duration, TextError> {
    text::duration(text).or_else(|error| text::duration(&format!("{text}s")).map_err(|_| error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use whalescale_netem::{Loss, Schedule};

    fn from_words(words: &str) -> Result<Plan, PlanError> {
        let args = lexopt::Parser::from_args(words.split('|'));
        Plan::from_args(args).map(|plan| plan.expect("not a call for help"))
    }

    #[test]
    fn a_command_line_and_a_file_with_the_same_keys_mean_the_same() {
        let words = "--seed|7|--a|left:up0|--b|right|--a-addr|10.9.1.1/24|--rate|50mbit|--delay|10ms\
                     |--set|a>b loss 1%|--at|5s b>a blackhole on|--repeat|20s|--mtu|1428";
        let file = r#"
            seed = 7
            [[link]]
            a = "left:up0"
            b = "right"
            a_addr = ["10.9.1.1/24"]
            rate = "50mbit"
            delay = "10ms"
            set = ["a>b loss 1%"]
            at = "5s b>a blackhole on"
            repeat = "20s"
            mtu = 1428
        "#;
        let mut from_file = Plan::default();
        from_file.read_toml(file).unwrap();
        let from_args = from_words(words).unwrap();
        assert_eq!(format!("{from_file:?}"), format!("{from_args:?}"));

        let link = &from_args.links[0];
        assert_eq!(
            (
                link.ends[0].interface.as_str(),
                link.ends[1].interface.as_str()
            ),
            ("up0", "link0")
        );
        let plain = LinkConfig::new(50, 10);
        let period = Duration::from_secs(20);
        let outage = Schedule::default().at(Duration::from_secs(5), Change::BlackHole(true));
        assert_eq!(link.directions[0].loss, Loss::Independent(0.01));
        assert_eq!(
            link.directions[1],
            LinkConfig {
                schedule: outage.every(period),
                ..plain
            }
        );
    }

    #[test]
    fn each_link_flag_begins_another_link() {
        let plan = from_words("--link|--a|l|--b|r|--rate|50mbit|--link|--a|l|--b|r|--rate|20mbit")
            .unwrap();
        let rates: Vec<_> = plan
            .links
            .iter()
            .map(|link| link.directions[0].rate)
            .collect();
        assert_eq!(rates, [Some(50_000_000), Some(20_000_000)]);
        assert_eq!(plan.links[1].ends[0].interface, "link1");
    }

    #[test]
    fn what_cannot_be_emulated_is_refused() {
        for words in [
            "",
            "--a|l",
            "--a|l|--b|r|--speed|5",
            "--a|../l|--b|r",
            "--a|..|--b|r",
            "--a|l:|--b|r",
            "--a|l|--b|r|--mtu|70000",
            "--a|l|--b|r|--at|rate 5mbit",
            "--a|l|--b|r|--seed|-1",
            "stray",
        ] {
            assert!(from_words(words).is_err(), "{words}");
        }
    }
}
