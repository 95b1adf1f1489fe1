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
    print(format_args!("{:<6} shapes only, for summaries", Device::meta().name()))
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
