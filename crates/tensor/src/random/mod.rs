//! Random numbers as a function of what they are for.
//!
//! A training run draws initial weights, dropout masks, shuffles and augmentations. With one
//! generator that all of them advance, adding a layer changes every mask after it, a second
//! thread changes the order, and a GPU cannot keep up with a sequence at all. Here nothing is
//! advanced. A [`Key`] names a draw: *seed, purpose, step, stream*; what comes out is a pure
//! function of the key and the element's index. The same key gives the same bits for any number
//! of threads, in any order, on any device, and a run that continues after a crash draws what it
//! would have drawn.
//!
//! # Layout
//!
//! The bits come from Philox4x32-10 ([`philox4x32`]), written `P(counter; key)` below. All words
//! are 32 bits; `lo`/`hi` are the halves of a 64-bit number.
//!
//! 1. *Key to words*, once per key. [`Purpose::code`] is a number per purpose.
//!    ```text
//!    a = P([lo(step),   hi(step),   purpose, 0   ]; [lo(seed), hi(seed)])
//!    b = P([lo(stream), hi(stream), a[2],    a[3]]; [a[0],     a[1]    ])
//!    ```
//! 2. *Block* `n` of the key: `P([lo(n), hi(n), b[2], b[3]]; [b[0], b[1]])`, four words.
//!    [`Philox`] holds `b`, which is all that a kernel is passed.
//! 3. *Element* `i` owns word `w = block(i / 4)[i mod 4]`, whatever is drawn:
//!
//! | draw | value |
//! | --- | --- |
//! | Bernoulli(p) | `w < round(p * 2^32)`, compared as 64-bit integers |
//! | uniform f32 in [0, 1) | `(w >> 8) * 2^-24`: 24 bits |
//! | uniform f64 in [0, 1) | `((w * 2^32 + v) >> 11) * 2^-53` with `v = block(i / 4 + 2^63)[i mod 4]`: 53 bits |
//! | normal | Box-Muller on lanes (0, 1) and (2, 3), see [`Key::fill_normal`] |
//!
//! So an f32 network and its f64 twin, which checks its gradients, start from the same weights up
//! to rounding and drop the same elements. One key serves one tensor: two different draws under
//! one key share their words.

mod philox;
mod rng;
#[cfg(test)]
mod tests;

use std::array;

use rayon::prelude::*;
use striate_conv::{DType, Float};

use philox::halves;
pub use philox::{Philox, philox4x32};
pub use rng::PhiloxRng;

/// Blocks that one task fills: 16,384 elements, some tens of microseconds of work.
const BLOCKS_PER_TASK: usize = 4096;

/// Blocks from here on hold the low words of f64 uniforms.
const LOW_WORDS: u64 = 1 << 63;

const TWO_POW_32: f64 = 4_294_967_296.0;

/// What a draw is for, so that uses which share a seed do not share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Initial weights.
    Init,
    /// Dropout masks.
    Dropout,
    /// The order of the samples in an epoch.
    Shuffle,
    /// Random transforms of a sample.
    Augment,
    /// Dividing a dataset into parts.
    Split,
    /// Anything else; the number tells such uses apart.
    Other(u16),
}

impl Purpose {
    /// The word that stands for the purpose: 1 to 5 in the order of declaration, and
    /// `2^16 + n` for `Other(n)`. Fixed for good, since every draw depends on it.
    pub fn code(self) -> u32 {
        match self {
            Self::Init => 1,
            Self::Dropout => 2,
            Self::Shuffle => 3,
            Self::Augment => 4,
            Self::Split => 5,
            Self::Other(n) => 1 << 16 | u32::from(n),
        }
    }
}

/// The name of a draw: whose seed, what for, at which step, for which parameter or sample.
///
/// Step and stream are 0 until set. Keys that differ in any part give unrelated numbers.
///
/// ```
/// use striate_tensor::random::{Key, Purpose};
///
/// let key = Key::new(1, Purpose::Init).path("features.0.weight");
/// let (mut once, mut again) = ([0f32; 8], [0f32; 8]);
/// key.fill_normal(&mut once, 0.0, 1.0);
/// key.fill_normal(&mut again, 0.0, 1.0);
/// assert_eq!(once, again);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    seed: u64,
    purpose: Purpose,
    step: u64,
    stream: u64,
}

impl Key {
    /// The key of `seed` and `purpose`, at step 0 and stream 0.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self { seed, purpose, step: 0, stream: 0 }
    }

    /// The same key at another step: an optimizer step, an epoch.
    pub fn step(self, step: u64) -> Self {
        Self { step, ..self }
    }

    /// The same key for another stream: a sample's index, say.
    pub fn stream(self, stream: u64) -> Self {
        Self { stream, ..self }
    }

    /// The same key for the parameter or layer at `path`, such as `features.3.weight`.
    ///
    /// The stream becomes the 64-bit FNV-1a hash of the path's bytes: a function of the name
    /// alone, so what a layer draws does not depend on what other layers there are.
    pub fn path(self, path: &str) -> Self {
        self.stream(fnv1a(path.as_bytes()))
    }

    /// The words that a kernel needs to make this key's draws (step 1 of the layout).
    pub fn philox(&self) -> Philox {
        let [step_low, step_high] = halves(self.step);
        let [stream_low, stream_high] = halves(self.stream);
        let a = philox4x32([step_low, step_high, self.purpose.code(), 0], halves(self.seed));
        let b = philox4x32([stream_low, stream_high, a[2], a[3]], [a[0], a[1]]);
        Philox { key: [b[0], b[1]], high: [b[2], b[3]] }
    }

    /// The four words of block `counter`. Many blocks are cheaper through [`Key::philox`].
    pub fn block(&self, counter: u64) -> [u32; 4] {
        self.philox().block(counter)
    }

    /// Element `index`, uniform in [0, 1) with 53 bits.
    pub fn uniform(&self, index: u64) -> f64 {
        uniform_block::<f64>(&self.philox(), index / 4)[lane(index)]
    }

    /// Element `index`, true with probability `probability`.
    pub fn bernoulli(&self, index: u64, probability: f64) -> bool {
        u64::from(self.block(index / 4)[lane(index)]) < threshold(probability)
    }

    /// Fills `out` with uniform numbers `low + (high - low) * u`, u in [0, 1).
    ///
    /// u has 53 bits for f64, and the leading 24 of them for f32. Product and sum are each rounded
    /// in f64, the result to `T`; this may reach `high` itself, though not in the unit interval.
    pub fn fill_uniform<T: Float>(&self, out: &mut [T], low: f64, high: f64) {
        let philox = self.philox();
        fill_blocks(out, |block| {
            uniform_block::<T>(&philox, block).map(|u| T::from_f64(low + (high - low) * u))
        });
    }

    /// Fills `out` with normal numbers of the given mean and standard deviation.
    ///
    /// Box and Muller 1958: from the words `(w0, w1)` of lanes (0, 1), or (2, 3),
    ///
    /// ```text
    /// r = sqrt(-2 ln((w0 + 1) * 2^-32))     t = 2 pi w1 * 2^-32
    /// z0 = r cos t                          z1 = r sin t
    /// ```
    ///
    /// so |z| is at most sqrt(64 ln 2) = 6.66. All of it, and `mean + std_dev * z`, is computed in
    /// f64 and rounded once. Logarithm, sine and cosine are our own ([`Float::ln`]), so that the bits do not depend
    /// on the system.
    pub fn fill_normal<T: Float>(&self, out: &mut [T], mean: f64, std_dev: f64) {
        let philox = self.philox();
        fill_blocks(out, |block| {
            let [w0, w1, w2, w3] = philox.block(block);
            let [(a, b), (c, d)] = [box_muller(w0, w1), box_muller(w2, w3)];
            [a, b, c, d].map(|z| T::from_f64(mean + std_dev * z))
        });
    }

    /// Fills `out` with `true` at probability `probability`, in steps of 2^-32.
    ///
    /// 0 and less (and NaN) is never, 1 and more is always.
    pub fn fill_bernoulli(&self, out: &mut [bool], probability: f64) {
        let (philox, threshold) = (self.philox(), threshold(probability));
        fill_blocks(out, |block| philox.block(block).map(|word| u64::from(word) < threshold));
    }

    /// A uniformly random order of `0..n`.
    ///
    /// Fisher and Yates, from the end: for i = n - 1 down to 1, swap i with a uniform j in 0..=i.
    /// Each j is drawn without bias, by rejection, from 64-bit words of [`Key::rng`].
    ///
    /// ```
    /// # use striate_tensor::random::{Key, Purpose};
    /// let mut order = Key::new(42, Purpose::Shuffle).step(3).permutation(100);
    /// order.sort();
    /// assert!(order.into_iter().eq(0..100));
    /// ```
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut rng = self.rng();
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, rng.below(i as u64 + 1) as usize);
        }
        order
    }

    /// A generator over this key's words, for code that works with the `rand` crate.
    pub fn rng(&self) -> PhiloxRng {
        PhiloxRng::new(self.philox())
    }
}

/// Fills `out` four elements at a time; `draw` maps a block's number to its elements.
///
/// Every element depends on its own index alone, so how the work is split cannot show.
fn fill_blocks<U: Copy + Send>(out: &mut [U], draw: impl Fn(u64) -> [U; 4] + Sync) {
    out.par_chunks_mut(4 * BLOCKS_PER_TASK).enumerate().for_each(|(task, chunk)| {
        let first = (task * BLOCKS_PER_TASK) as u64;
        for (elements, block) in chunk.chunks_mut(4).zip(first..) {
            elements.copy_from_slice(&draw(block)[..elements.len()]);
        }
    });
}

/// The uniform numbers of a block, with the bits that a `T` can hold.
fn uniform_block<T: Float>(philox: &Philox, block: u64) -> [f64; 4] {
    let high = philox.block(block);
    if T::DTYPE != DType::F64 {
        return high.map(|word| f64::from(word >> 8) / f64::from(1 << 24));
    }
    let low = philox.block(block | LOW_WORDS);
    array::from_fn(|lane| {
        let word = u64::from(high[lane]) << 32 | u64::from(low[lane]);
        (word >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn box_muller(w0: u32, w1: u32) -> (f64, f64) {
    let radius = (-2.0 * Float::ln((f64::from(w0) + 1.0) / TWO_POW_32)).sqrt();
    let (sin, cos) = (f64::from(w1) / TWO_POW_32).sin_cos_turns();
    (radius * cos, radius * sin)
}

/// A word below this number happens with the given probability. The cast saturates.
fn threshold(probability: f64) -> u64 {
    (probability * TWO_POW_32).round() as u64
}

fn lane(index: u64) -> usize {
    (index % 4) as usize
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
