//! ChaCha20-Poly1305 by Intel's ipsec-mb, through the C shim in `shim/ipsec_mb.c`.
//!
//! The library is opened once per process and never closed. A manager serves one thread at a time, so
//! each thread has its own, made at its first use and freed with the thread.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use whalescale_core::aead::{AeadBackend, AeadKey, HEADER_LEN, TAG_LEN};
use zeroize::Zeroizing;

use super::Unavailable;
use super::ring::RingKey;

unsafe extern "C" {
    fn whalescale_mb_load() -> *const c_char;
    fn whalescale_mb_new() -> *mut c_void;
    fn whalescale_mb_free(manager: *mut c_void);
    fn whalescale_mb_seal_run(
        manager: *mut c_void,
        key: *const u8,
        first_counter: u64,
        run: *mut u8,
        len: usize,
        stride: usize,
    );
    fn whalescale_mb_open_run(
        manager: *mut c_void,
        key: *const u8,
        counters: *const u64,
        count: usize,
        run: *mut u8,
        len: usize,
        stride: usize,
        verdicts: *mut bool,
    );
    #[cfg(test)]
    fn whalescale_mb_message(
        manager: *mut c_void,
        key: *const u8,
        nonce: *const u8,
        aad: *const u8,
        aad_len: usize,
        seal: bool,
        payload: *mut u8,
        len: usize,
        tag: *mut u8,
    ) -> bool;
}

/// Proof that the library is open, fits this CPU, and agrees with ring.
pub(super) struct IpsecMb(());

impl IpsecMb {
    pub(super) fn load() -> Result<Self, Unavailable> {
        static LOADED: OnceLock<Result<(), Unavailable>> = OnceLock::new();
        LOADED.get_or_init(load_once).clone().map(Self)
    }
}

impl AeadBackend for IpsecMb {
    fn name(&self) -> &'static str {
        "ipsec-mb"
    }

    fn key(&self, key: &[u8; 32]) -> Box<dyn AeadKey> {
        Box::new(IpsecMbKey::new(key))
    }
}

fn load_once() -> Result<(), Unavailable> {
    let suitable = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512ifma");
    if !suitable {
        return Err(Unavailable::Cpu);
    }
    // SAFETY: called once, under the caller's `OnceLock`; it takes no arguments.
    let reason = unsafe { whalescale_mb_load() };
    if !reason.is_null() {
        // SAFETY: the shim returns a NUL-terminated string in static memory, written only by that call.
        let reason = unsafe { CStr::from_ptr(reason) };
        return Err(Unavailable::Library(reason.to_string_lossy().into_owned()));
    }
    if agrees_with_ring() {
        Ok(())
    } else {
        Err(Unavailable::SelfTest)
    }
}

/// Seals and opens a run of datagrams around the cipher's block sizes with both implementations.
fn agrees_with_ring() -> bool {
    const PAYLOAD_LENS: [usize; 6] = [0, 1, 64, 255, 576, 1420];
    let key = [0x42; 32];
    let (tested, reference) = (IpsecMbKey::new(&key), RingKey::new(&key));
    with_manager(|_| ()).is_some()
        && PAYLOAD_LENS.iter().all(|len| {
            let stride = HEADER_LEN + len + TAG_LEN;
            let plain = vec![0x5a; 2 * stride];
            let (mut ours, mut theirs) = (plain.clone(), plain.clone());
            tested.seal_run(7, &mut ours, stride);
            reference.seal_run(7, &mut theirs, stride);
            let sealed_alike = ours == theirs;
            let mut verdicts = [false; 2];
            tested.open_run(&[7, 8], &mut ours, stride, &mut verdicts);
            let opened = ours.chunks(stride).all(|datagram| {
                datagram
                    .iter()
                    .take(HEADER_LEN + len)
                    .all(|byte| *byte == 0x5a)
            });
            sealed_alike && opened && verdicts == [true; 2]
        })
}

/// Up to this length a lone datagram is left to ring.
///
/// In a busy thread the library is the faster one here too. But what comes alone finds cold caches, and the
/// library's way through a job is some 90 cache lines of code, ring's 30.
const LONE_LEN: usize = 512;

fn is_lone(run: &[u8], stride: usize) -> bool {
    run.len() <= stride.min(LONE_LEN)
}

/// The library's state for one thread.
struct Manager(NonNull<c_void>);

impl Manager {
    fn new() -> Option<Self> {
        // SAFETY: an `IpsecMbKey`, the only way here, exists only once the library is loaded.
        NonNull::new(unsafe { whalescale_mb_new() }).map(Self)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `whalescale_mb_new` and is freed once.
        unsafe { whalescale_mb_free(self.0.as_ptr()) }
    }
}

thread_local! {
    static MANAGER: Option<Manager> = Manager::new();
}

/// Runs `work` with this thread's manager; `None` if there is none (no memory, or the thread is ending).
fn with_manager<R>(work: impl FnOnce(*mut c_void) -> R) -> Option<R> {
    let manager = MANAGER
        .try_with(|manager| manager.as_ref().map(|manager| manager.0.as_ptr()))
        .ok()??;
    Some(work(manager))
}

/// The raw key, which is all that the library expands, and ring's for a lone short datagram and for a
/// thread without a manager.
struct IpsecMbKey {
    key: Zeroizing<[u8; 32]>,
    ring: RingKey,
}

impl IpsecMbKey {
    fn new(key: &[u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(*key),
            ring: RingKey::new(key),
        }
    }
}

impl AeadKey for IpsecMbKey {
    fn seal_run(&self, first_counter: u64, run: &mut [u8], stride: usize) {
        debug_assert!(stride >= HEADER_LEN + TAG_LEN);
        if is_lone(run, stride) {
            return self.ring.seal_run(first_counter, run, stride);
        }
        let sealed = with_manager(|manager| {
            let (start, len, key) = (run.as_mut_ptr(), run.len(), self.key.as_ptr());
            // SAFETY: the manager is this thread's own; key and run are live for the call, the run
            // exclusively; the shim stays within `len`; a stride of 0 would never end.
            unsafe {
                whalescale_mb_seal_run(manager, key, first_counter, start, len, stride.max(1))
            }
        });
        if sealed.is_none() {
            self.ring.seal_run(first_counter, run, stride);
        }
    }

    fn open_run(&self, counters: &[u64], run: &mut [u8], stride: usize, verdicts: &mut [bool]) {
        let count = counters.len().min(verdicts.len());
        if is_lone(run, stride) {
            return self.ring.open_run(counters, run, stride, verdicts);
        }
        let opened = with_manager(|manager| {
            let (start, len, key) = (run.as_mut_ptr(), run.len(), self.key.as_ptr());
            let (counters, verdicts) = (counters.as_ptr(), verdicts.as_mut_ptr());
            // SAFETY: as in `seal_run`; `counters` and `verdicts` have at least `count` entries.
            unsafe {
                whalescale_mb_open_run(
                    manager,
                    key,
                    counters,
                    count,
                    start,
                    len,
                    stride.max(1),
                    verdicts,
                );
            }
        });
        if opened.is_none() {
            self.ring.open_run(counters, run, stride, verdicts);
        }
    }
}

/// Ciphers one message in place, either way, and returns its tag: the form of published vectors.
#[cfg(test)]
pub(super) fn message(
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    seal: bool,
    text: &mut [u8],
) -> [u8; TAG_LEN] {
    let mut tag = [0; TAG_LEN];
    let done = with_manager(|manager| {
        let (key, nonce, aad_start) = (key.as_ptr(), nonce.as_ptr(), aad.as_ptr());
        let (start, len, tag) = (text.as_mut_ptr(), text.len(), tag.as_mut_ptr());
        // SAFETY: everything is live for the call and as long as said.
        unsafe {
            whalescale_mb_message(
                manager,
                key,
                nonce,
                aad_start,
                aad.len(),
                seal,
                start,
                len,
                tag,
            )
        }
    });
    assert_eq!(done, Some(true));
    tag
}
