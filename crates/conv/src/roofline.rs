//! How fast this processor can be at best: the two rates under which every kernel runs.
//!
//! A kernel takes at least as long as its multiply-adds take at the rate at which the processor makes them with operands in
//! registers, and at least as long as its operands take from memory (the roofline of Williams, Waterman and Patterson 2009).
//! Both rates are measured, by a caller with a clock: [`multiply_adds`] is the work for the first, [`triad`] that for the second.

use std::hint::black_box;

use crate::simd::{Level, level};
use crate::vectorize;

/// Chains of multiply-adds that hide each other's latency: two units, four or five cycles.
const CHAINS: usize = 12;

/// Makes `steps` rounds of multiply-adds in f32 on registers, as the kernels of this process make them, and says how many
/// operations that were: two for each.
///
/// ```
/// assert!(striate_conv::roofline::multiply_adds(1) >= 2);
/// ```
pub fn multiply_adds(steps: usize) -> u64 {
    let lanes = match level() {
        // SAFETY: the processor has what the level says.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { with_avx512(steps) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { with_avx2(steps) },
        Level::Portable => chains::<4>(steps, |a, b, c| a * b + c),
    };
    (2 * CHAINS * lanes * steps) as u64
}

/// `a = b + factor c`: two reads and a write of memory for each element.
pub fn triad(a: &mut [f32], [b, c]: [&[f32]; 2], factor: f32) {
    vectorize!(a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + factor * c));
}

/// Runs the chains, and says how many lanes each has.
#[inline(always)]
fn chains<const LANES: usize>(steps: usize, step: impl Fn(f32, f32, f32) -> f32) -> usize {
    // What a compiler cannot foresee, and what grows no sum.
    let [factor, term] = black_box([0.5f32, 1.0]);
    let mut sums = [[0.0f32; LANES]; CHAINS];
    for _ in 0..steps {
        for sum in sums.as_flattened_mut() {
            *sum = step(*sum, factor, term);
        }
    }
    black_box(sums);
    LANES
}

/// # Safety
/// The processor must have AVX2 and fused multiply-adds.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2(steps: usize) -> usize {
    chains::<8>(steps, f32::mul_add)
}

/// # Safety
/// The processor must have AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn with_avx512(steps: usize) -> usize {
    chains::<16>(steps, f32::mul_add)
}
