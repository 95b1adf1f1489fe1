//! `striate devices`: what computations can run on.

use super::print;
use crate::Failure;
use striate::prelude::*;

/// List the devices that computations can run on
#[derive(clap::Args)]
pub struct Arguments {}

pub fn run(_: Arguments) -> Result<(), Failure> {
    let threads = rayon::current_num_threads();
    let vectors = vector_extensions().join(" ");
    print(format_args!("{:<6} {threads} threads, {vectors}", Device::cpu().name()))?;
    print(format_args!("{:<6} shapes only, for summaries", Device::meta().name()))?;
    for card in striate_cuda::list()? {
        let striate_cuda::Info { ordinal, name, capability: [major, minor], memory } = card;
        let gigabytes = memory as f64 / (1u64 << 30) as f64;
        print(format_args!(
            "cuda:{ordinal} {name}, compute capability {major}.{minor}, {gigabytes:.0} GiB"
        ))?;
    }
    Ok(())
}

/// The vector instructions that this processor has, of those that matter to convolution.
fn vector_extensions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let found = [("portable", true)];
    found.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect()
}
