//! The generator for code that wants numbers one after another.
//!
//! Everything in `rand`, from `random_range` to the distributions, works on a [`PhiloxRng`].
//! `rand`'s own `StdRng` promises no stable stream across versions; this one's is fixed. What a
//! `rand` *distribution* makes of it is still `rand`'s to change, so values that must never
//! change (initial weights, masks, permutations) are drawn by [`Key`](super::Key) itself.

use std::convert::Infallible;

use rand::TryRng;
use rand::rand_core::utils::{fill_bytes_via_next_word, next_u64_via_u32};

use super::Philox;

/// Yields the words of a key in order: block 0 lane 0, block 0 lane 1, ... block 1 lane 0, ...
///
/// Made by [`Key::rng`](super::Key::rng). A 64-bit word is two 32-bit ones, the low one first.
/// Implements [`rand::Rng`] (through [`TryRng`]), and with it all of [`rand::RngExt`].
///
/// ```
/// use rand::RngExt;
/// use striate_tensor::random::{Key, Purpose};
///
/// let mut rng = Key::new(7, Purpose::Augment).rng();
/// let angle = rng.random_range(-30.0..30.0);
/// assert!((-30.0..30.0).contains(&angle));
/// ```
#[derive(Clone, Debug)]
pub struct PhiloxRng {
    philox: Philox,
    next_block: u64,
    words: [u32; 4],
    /// The next lane of `words` to hand out; 4 when they are used up.
    lane: usize,
}

impl PhiloxRng {
    pub(super) fn new(philox: Philox) -> Self {
        Self { philox, next_block: 0, words: [0; 4], lane: 4 }
    }

    fn word(&mut self) -> u32 {
        if self.lane == self.words.len() {
            self.words = self.philox.block(self.next_block);
            self.next_block = self.next_block.wrapping_add(1);
            self.lane = 0;
        }
        self.lane += 1;
        self.words[self.lane - 1]
    }

    /// A uniform integer in `0..bound`, without bias; `bound` must be positive.
    ///
    /// D. Lemire, *Fast random integer generation in an interval*, 2019: the high half of
    /// `word * bound` is uniform once the `2^64 mod bound` smallest low halves are rejected.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let [low, high] = [self.word(), self.word()].map(u64::from);
            let product = u128::from(high << 32 | low) * u128::from(bound);
            if product as u64 >= rejected {
                return (product >> 64) as u64;
            }
        }
    }
}

impl TryRng for PhiloxRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        next_u64_via_u32(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}
