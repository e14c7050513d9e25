//! The cipher backends of this machine, all behind `whalescale_core::aead`.
//!
//! The order is fixed by what the CPU has, not timed at start: a timing on a busy machine can be off
//! by more than the backends differ. Where ipsec-mb runs on AVX-512 with IFMA it needs about 0.7 of
//! ring's time for a full datagram, and less than ring for every other size.

#[cfg(ipsec_mb)]
mod ipsec_mb;
mod ring;
#[cfg(test)]
mod tests;

use std::fmt;

use whalescale_core::aead::{AeadBackend, HEADER_LEN, TAG_LEN};

/// Why ipsec-mb is not used here; `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The addon was built where the header `intel-ipsec-mb.h` is not installed, or not for x86-64.
    NotBuilt,
    /// The CPU lacks AVX-512 (F, BW, DQ, VL, IFMA), without which ring is the faster one.
    Cpu,
    /// The shared library is missing or does not fit; says how.
    Library(String),
    /// The library's results differ from ring's.
    SelfTest,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str("built without intel-ipsec-mb.h"),
            Self::Cpu => f.write_str("the CPU lacks AVX-512 IFMA"),
            Self::Library(reason) => f.write_str(reason),
            Self::SelfTest => f.write_str("ipsec-mb failed its self-test"),
        }
    }
}

/// The backends that work here, fastest first; never empty.
pub fn available() -> Vec<Box<dyn AeadBackend>> {
    let mut backends: Vec<Box<dyn AeadBackend>> = Vec::with_capacity(2);
    backends.extend(ipsec_mb().ok());
    backends.push(Box::new(ring::Ring));
    backends
}

/// The backend called `name` (`"ring"`, `"ipsec-mb"`), if it works here.
pub fn by_name(name: &str) -> Option<Box<dyn AeadBackend>> {
    available()
        .into_iter()
        .find(|backend| backend.name() == name)
}

/// The ipsec-mb backend, or why there is none.
pub fn ipsec_mb() -> Result<Box<dyn AeadBackend>, Unavailable> {
    #[cfg(ipsec_mb)]
    return ipsec_mb::IpsecMb::load().map(|backend| Box::new(backend) as Box<dyn AeadBackend>);
    #[cfg(not(ipsec_mb))]
    Err(Unavailable::NotBuilt)
}

/// Makes the calling thread's state of `backend`, so that its first packet does not wait for it.
///
/// ipsec-mb's per-thread manager takes from 0.5 ms, warm, to 15 ms, when the library is first paged in.
pub fn warm_up(backend: &dyn AeadBackend) {
    const STRIDE: usize = HEADER_LEN + TAG_LEN;
    // Two, because a lone one may go another way.
    let mut run = [0; 2 * STRIDE];
    backend.key(&[0; 32]).seal_run(0, &mut run, STRIDE);
}
