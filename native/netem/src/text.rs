//! Settings written as text: one vocabulary for command lines, files, schedules and live changes.
//!
//! | Setting | Value |
//! |---|---|
//! | `rate` | `50mbit`, `500kbit`, `1.5gbit`, `0bit` (stall), `unlimited` |
//! | `delay` | `10ms`, `1.5s`, `200us` |
//! | `jitter` | `5ms`, or `5ms unordered` |
//! | `loss` | `1%`, `0.01`; `bursts MEAN LENGTH`; `gilbert ENTER LEAVE LOSS_BAD LOSS_GOOD` |
//! | `duplicate`, `corrupt` | `1%` |
//! | `reorder` | `1% 5ms`: probability, and how long a packet is held back |
//! | `queue` | `60ms`, or `64000B`, `100kB`, `1MB` |
//! | `ecn` | `5ms`, or `off` |
//! | `blackhole` | `on`, `off` |
//! | `max_packet` | `1428`, or `off` |
//! | `overhead` | `38` |

use crate::setting::{Change, Jitter, Loss, QueueLimit, Reorder};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A text that is no setting: what was written, and what is accepted in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    found: String,
    expected: &'static str,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.found, self.expected)
    }
}

impl std::error::Error for TextError {}

const SETTING: &str = "a setting: rate, delay, jitter, loss, duplicate, reorder, corrupt, queue, ecn, blackhole, \
                       max_packet or overhead, and its value";

impl FromStr for Change {
    type Err = TextError;

    /// Parses `NAME VALUE`, such as `rate 20mbit`.
    fn from_str(text: &str) -> Result<Self, TextError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["rate", "unlimited"] => Ok(Self::Rate(None)),
            ["rate", value] => rate(value).map(|bits| Self::Rate(Some(bits))),
            ["delay", value] => duration(value).map(Self::Delay),
            ["jitter", value] => Ok(Self::Jitter(Jitter::Ordered(duration(value)?))),
            ["jitter", value, "unordered"] => Ok(Self::Jitter(Jitter::Unordered(duration(value)?))),
            ["loss", value @ ..] => loss(value, text).map(Self::Loss),
            ["duplicate", value] => probability(value).map(Self::Duplicate),
            ["corrupt", value] => probability(value).map(Self::Corrupt),
            ["reorder", value, by] => {
                let (probability, by) = (probability(value)?, duration(by)?);
                Ok(Self::Reorder(Reorder { probability, by }))
            }
            ["queue", value] => queue(value).map(Self::Queue),
            ["ecn", "off"] => Ok(Self::Ecn(None)),
            ["ecn", value] => duration(value).map(|threshold| Self::Ecn(Some(threshold))),
            ["blackhole", "on"] => Ok(Self::BlackHole(true)),
            ["blackhole", "off"] => Ok(Self::BlackHole(false)),
            ["max_packet", "off"] => Ok(Self::MaxPacket(None)),
            ["max_packet", value] => bytes(value).map(|bytes| Self::MaxPacket(Some(bytes))),
            ["overhead", value] => bytes(value).map(Self::Overhead),
            _ => Err(error(text, SETTING)),
        }
    }
}

/// A duration such as `10ms`, `1.5s`, `200us` or `7ns`.
///
/// # Errors
/// The text has another form, or the duration is above 584 years.
pub fn duration(text: &str) -> Result<Duration, TextError> {
    const UNITS: [(&str, f64); 4] = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    quantity(text, &UNITS)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| u64::try_from(duration.as_nanos()).is_ok())
        .ok_or_else(|| error(text, "a duration such as 10ms"))
}

fn rate(text: &str) -> Result<u64, TextError> {
    const UNITS: [(&str, f64); 4] = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)];
    quantity(text, &UNITS)
        .map(|bits| bits.round() as u64)
        .ok_or_else(|| error(text, "a rate such as 50mbit"))
}

fn probability(text: &str) -> Result<f64, TextError> {
    quantity(text, &[("%", 0.01), ("", 1.0)])
        .filter(|probability| *probability <= 1.0)
        .ok_or_else(|| error(text, "a probability such as 1% or 0.01"))
}

fn loss(words: &[&str], text: &str) -> Result<Loss, TextError> {
    match words {
        [value] => probability(value).map(Loss::Independent),
        ["bursts", mean, burst] => {
            let mean = probability(mean)?;
            let burst = quantity(burst, &[("", 1.0)]).filter(|burst| *burst >= 1.0 && mean < 1.0);
            let burst = burst.ok_or_else(|| {
                error(
                    text,
                    "a mean loss below 100% in bursts of at least 1 packet",
                )
            })?;
            Ok(Loss::bursts(mean, burst))
        }
        ["gilbert", enter_bad, leave_bad, loss_bad, loss_good] => Ok(Loss::Gilbert {
            enter_bad: probability(enter_bad)?,
            leave_bad: probability(leave_bad)?,
            loss_bad: probability(loss_bad)?,
            loss_good: probability(loss_good)?,
        }),
        _ => Err(error(
            text,
            "`loss 1%`, `loss bursts 1% 5` or `loss gilbert 1% 20% 100% 0%`",
        )),
    }
}

fn queue(text: &str) -> Result<QueueLimit, TextError> {
    const UNITS: [(&str, f64); 3] = [("kB", 1e3), ("MB", 1e6), ("B", 1.0)];
    let bytes = quantity(text, &UNITS).map(|bytes| QueueLimit::Bytes(bytes.round() as usize));
    bytes
        .or_else(|| duration(text).ok().map(QueueLimit::Time))
        .ok_or_else(|| error(text, "a queue limit such as 60ms or 100kB"))
}

fn bytes(text: &str) -> Result<usize, TextError> {
    text.parse().map_err(|_| error(text, "a number of bytes"))
}

/// A number from 0 on and its unit. A unit that ends in another stands before it in `units`.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let plain = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = number.parse().ok().filter(|_| plain)?;
    // 10ms is 0.01 s only nearly; nine decimals are what a duration keeps.
    Some(((value * unit) * 1e9).round() / 1e9)
}

fn error(found: &str, expected: &'static str) -> TextError {
    TextError {
        found: found.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Change {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_setting_is_read_with_its_units() {
        let ms = Duration::from_millis;
        assert_eq!(parsed("rate 50mbit"), Change::Rate(Some(50_000_000)));
        assert_eq!(parsed("rate 1.5gbit"), Change::Rate(Some(1_500_000_000)));
        assert_eq!(parsed("rate 0bit"), Change::Rate(Some(0)));
        assert_eq!(parsed("rate unlimited"), Change::Rate(None));
        assert_eq!(parsed("delay 10ms"), Change::Delay(ms(10)));
        assert_eq!(parsed("delay 0.25s"), Change::Delay(ms(250)));
        assert_eq!(parsed("jitter 5ms"), Change::Jitter(Jitter::Ordered(ms(5))));
        assert_eq!(
            parsed("jitter 5ms unordered"),
            Change::Jitter(Jitter::Unordered(ms(5)))
        );
        assert_eq!(parsed("loss 1%"), Change::Loss(Loss::Independent(0.01)));
        assert_eq!(parsed("loss 0.01"), Change::Loss(Loss::Independent(0.01)));
        assert_eq!(
            parsed("loss bursts 1% 5"),
            Change::Loss(Loss::bursts(0.01, 5.0))
        );
        assert_eq!(parsed("duplicate 2%"), Change::Duplicate(0.02));
        assert_eq!(parsed("corrupt 3%"), Change::Corrupt(0.03));
        let reorder = Reorder {
            probability: 0.01,
            by: ms(5),
        };
        assert_eq!(parsed("reorder 1% 5ms"), Change::Reorder(reorder));
        assert_eq!(
            parsed("queue 60ms"),
            Change::Queue(QueueLimit::Time(ms(60)))
        );
        assert_eq!(
            parsed("queue 100kB"),
            Change::Queue(QueueLimit::Bytes(100_000))
        );
        assert_eq!(parsed("ecn 5ms"), Change::Ecn(Some(ms(5))));
        assert_eq!(parsed("ecn off"), Change::Ecn(None));
        assert_eq!(parsed("blackhole on"), Change::BlackHole(true));
        assert_eq!(parsed("max_packet 1428"), Change::MaxPacket(Some(1428)));
        assert_eq!(parsed("overhead 38"), Change::Overhead(38));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for text in [
            "",
            "rate",
            "rate 50",
            "rate -1mbit",
            "rate NaNmbit",
            "rate infmbit",
            "rate 1e9bit",
            "delay ms",
            "delay 99999999999999999999s",
            "loss 101%",
            "loss -1%",
            "loss bursts 100% 5",
            "loss bursts 1% 0.5",
            "queue 60",
            "blackhole maybe",
            "max_packet 1.5",
            "speed 5mbit",
            "rate 5mbit 6mbit",
        ] {
            assert!(text.parse::<Change>().is_err(), "{text}");
        }
    }
}
