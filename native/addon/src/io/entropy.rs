//! The operating system's random generator as the protocol's source of randomness.

use std::io;

use whalescale_core::entropy::Entropy;

use super::{check_len, errno};

/// getrandom(2). Its construction proves that the call works and that the kernel's pool is seeded.
#[derive(Debug)]
pub struct OsEntropy(());

impl OsEntropy {
    /// Waits, early in boot only, until the kernel's pool is seeded; an error if there is no getrandom(2).
    pub fn new() -> io::Result<Self> {
        draw(&mut [0])?;
        Ok(Self(()))
    }
}

impl Entropy for OsEntropy {
    /// Aborts the process if the kernel stops giving random bytes: a predictable key is worse.
    fn fill(&mut self, out: &mut [u8]) {
        if draw(out).is_err() {
            std::process::abort();
        }
    }
}

fn draw(mut out: &mut [u8]) -> io::Result<()> {
    while !out.is_empty() {
        // SAFETY: `out` is writable for its length.
        let drawn = unsafe { libc::getrandom(out.as_mut_ptr().cast(), out.len(), 0) };
        match check_len(drawn) {
            Ok(drawn) => out = out.get_mut(drawn..).unwrap_or_default(),
            Err(error) if errno(&error) == libc::EINTR => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_over_their_whole_length() {
        let mut entropy = OsEntropy::new().unwrap();
        let (mut first, mut second) = ([0; 1000], [0; 1000]);
        entropy.fill(&mut first);
        entropy.fill(&mut second);
        for (first, second) in first.chunks(100).zip(second.chunks(100)) {
            assert_ne!(first, second);
        }
    }
}
