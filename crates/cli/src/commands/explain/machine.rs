//! This machine's limits, measured: how many multiply-adds it makes, and how many bytes it moves.

use std::fmt;
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Value, json};
use striate::conv::{roofline, simd};

use crate::commands::bench::timing::glance;

/// Seconds to spend on each of the two.
const SECONDS: f64 = 0.5;
/// Rounds of multiply-adds at a time, some tenths of a millisecond.
const STEPS: usize = 100_000;
/// Elements of each of three arrays: together 192 MiB, beyond the caches of most machines.
const ELEMENTS: usize = 1 << 24;
/// Elements that a thread takes at a time.
const CHUNK: usize = 1 << 16;

/// The limits of the threads of the present pool.
pub struct Machine {
    threads: usize,
    /// Operations a second, two for each multiply-add.
    flops: f64,
    /// Bytes a second, read and written.
    bandwidth: f64,
}

impl Machine {
    /// Measures both; the best of many short runs is nearest to a limit.
    pub fn measure() -> Self {
        Self { threads: rayon::current_num_threads(), flops: flops(), bandwidth: bandwidth() }
    }

    /// Milliseconds that so many operations and bytes take, at the same time.
    pub fn milliseconds(&self, flop: f64, bytes: f64) -> f64 {
        1e3 * (flop / self.flops).max(bytes / self.bandwidth)
    }

    /// How many operations there must be for each byte to keep the arithmetic busy.
    pub fn balance(&self) -> f64 {
        self.flops / self.bandwidth
    }

    pub fn json(&self) -> Value {
        json!({
            "kernels": simd::level_name(),
            "threads": self.threads,
            "gflops": self.flops / 1e9,
            "gigabytes_per_second": self.bandwidth / 1e9,
        })
    }
}

/// Adds up what the threads do, each at its own pace.
fn flops() -> f64 {
    let rates = rayon::broadcast(|_| {
        let start = Instant::now();
        let mut best: f64 = 0.0;
        while start.elapsed().as_secs_f64() < SECONDS {
            let start = Instant::now();
            let flop = roofline::multiply_adds(STEPS);
            best = best.max(flop as f64 / start.elapsed().as_secs_f64());
        }
        best
    });
    rates.into_iter().sum()
}

fn bandwidth() -> f64 {
    let [mut a, b, c] = [0.0, 1.0, 2.0].map(|value: f32| vec![value; ELEMENTS]);
    let timing = glance(SECONDS, || {
        let inputs = b.par_chunks(CHUNK).zip(c.par_chunks(CHUNK));
        a.par_chunks_mut(CHUNK).zip(inputs).for_each(|(a, (b, c))| roofline::triad(a, [b, c], 0.5));
    });
    (3 * ELEMENTS * size_of::<f32>()) as f64 / (timing.min / 1e3)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, flops, bandwidth } = self;
        write!(
            f,
            "{} kernels on {threads} threads: {:.0} GFLOP/s of multiply-adds, {:.1} GB/s of memory; {:.1} FLOP a byte balance them",
            simd::level_name(),
            flops / 1e9,
            bandwidth / 1e9,
            self.balance()
        )
    }
}
