//! Live commands, a line each, answered by a line: `ok`, `error: ...`, or the statistics.
//!
//! `stats`, or `linkN [a>b|b>a] SETTING VALUE`.

use crate::bridge::Bridge;
use crate::plan::{Directed, PlanError};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The longest command; more without an end of line is thrown away.
const LINE_MAX: usize = 4096;

/// The standard input, cut into lines without waiting for one.
#[derive(Debug)]
pub struct Console {
    input: File,
    pending: Vec<u8>,
}

impl Console {
    /// Takes the standard input.
    ///
    /// # Errors
    /// It is closed.
    pub fn open() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?.into();
        Ok(Self {
            input,
            pending: Vec::new(),
        })
    }

    /// The complete lines there are, after the descriptor was found ready; `None` at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn lines(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut chunk = [0; LINE_MAX];
        let len = self.input.read(&mut chunk)?;
        if len == 0 {
            return Ok(None);
        }
        self.pending.extend_from_slice(&chunk[..len]);
        let end = self
            .pending
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let complete: Vec<u8> = self.pending.drain(..end).collect();
        if self.pending.len() > LINE_MAX {
            self.pending.clear();
        }
        let lines = String::from_utf8_lossy(&complete);
        Ok(Some(lines.lines().map(str::to_owned).collect()))
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

/// Carries out a command and returns the answer.
pub fn answer(
    line: &str,
    bridges: &mut [Bridge],
    now: u64,
    stats: impl Fn(&[Bridge]) -> String,
) -> String {
    if line.trim() == "stats" {
        return stats(bridges);
    }
    match command(line, bridges, now) {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn command(line: &str, bridges: &mut [Bridge], now: u64) -> Result<(), PlanError> {
    let (link, change) = line
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((line, ""));
    let directed: Directed = change.parse()?;
    let index = link
        .strip_prefix("link")
        .and_then(|index| index.parse::<usize>().ok());
    let bridge = index.and_then(|index| bridges.get_mut(index));
    let bridge = bridge.ok_or_else(|| PlanError::new(format!("`{link}` is no link")))?;
    bridge.apply(now, directed);
    Ok(())
}
