//! What to emulate: links, their ends, and one vocabulary of keys and values for all places that set them.

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
    /// Begins a link.
    pub fn add_link(&mut self) -> Result<(), PlanError> {
        if self.links.len() == LINKS_MAX {
            return Err(PlanError(format!("more than {LINKS_MAX} links")));
        }
        self.links.push(LinkPlan::new(self.links.len()));
        Ok(())
    }

    /// Sets one key of the link begun last.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PlanError> {
        self.links
            .last_mut()
            .map_or(Ok(()), |link| link.set(key, value))
    }

    /// Refuses what is incomplete.
    pub fn check(&self) -> Result<(), PlanError> {
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
