//! Where a plan is written: the command line, or a TOML file with the same keys and values.

use crate::plan::{Plan, PlanError};
use lexopt::ValueExt;
use std::time::Duration;
use whalescale_netem::text::{self, TextError};

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
        let in_file = |message: String| PlanError::new(format!("{path}: {message}"));
        let text = std::fs::read_to_string(path).map_err(|error| in_file(error.to_string()))?;
        self.read_toml(&text)
            .map_err(|error| in_file(error.to_string()))
    }

    fn read_toml(&mut self, text: &str) -> Result<(), PlanError> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| PlanError::new(error.to_string()))?;
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
                    return Err(PlanError::new(format!(
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
                    _ => {
                        return Err(PlanError::new(format!(
                            "`{key}` must be a string, or several"
                        )));
                    }
                }
            }
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
    use whalescale_netem::{Change, LinkConfig, Loss, Schedule};

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
