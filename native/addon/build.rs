//! Links the N-API module and, where Intel's header is installed, compiles the ipsec-mb shim.
//!
//! The shim only includes the header: the library itself is opened at run time, so the addon loads
//! on machines without it. `cfg(ipsec_mb)` tells the crate that the shim is there.

use std::env;

const SHIM: &str = "shim/ipsec_mb.c";
const HEADER: &str = "intel-ipsec-mb.h";

fn main() {
    napi_build::setup();
    println!("cargo::rustc-check-cfg=cfg(ipsec_mb)");
    println!("cargo::rerun-if-changed={SHIM}");
    println!("cargo::rerun-if-changed=/usr/include/{HEADER}");
    let x86_64 = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if x86_64 && linux && header_found() {
        cc::Build::new()
            .file(SHIM)
            .opt_level(2)
            .warnings(true)
            .extra_warnings(true)
            .compile("whalescale_ipsec_mb");
        println!("cargo::rustc-cfg=ipsec_mb");
    }
}

/// Asks the C preprocessor, which knows the include paths, whether the header is there.
fn header_found() -> bool {
    let probe =
        std::path::PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("probe.c");
    std::fs::write(&probe, format!("#include <{HEADER}>\n")).is_ok()
        && cc::Build::new()
            .file(&probe)
            .cargo_warnings(false)
            .cargo_metadata(false)
            .warnings(false)
            .try_expand()
            .is_ok()
}
