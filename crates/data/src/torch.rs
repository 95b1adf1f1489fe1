//! PyTorch's random order, for splits that were published as a seed.
//!
//! Our own draws are counted (see [`striate_tensor::random`]) and owe nothing to another library. But "hold out a
//! fifth, seed 42" names 10,000 particular images only together with PyTorch's generator: a Mersenne twister
//! (M. Matsumoto and T. Nishimura, *Mersenne Twister*, ACM TOMACS 8(1), 1998), whose words swap a list.

use crate::{DataError, Result};

const LENGTH: usize = 624;
const MIDDLE: usize = 397;

/// MT19937, as its authors define it.
struct Twister {
    state: [u32; LENGTH],
    next: usize,
}

impl Twister {
    fn new(seed: u32) -> Self {
        let mut state = [seed; LENGTH];
        for i in 1..LENGTH {
            let before = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = before.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Twister { state, next: LENGTH }
    }

    fn refill(&mut self) {
        for i in 0..LENGTH {
            let joined =
                (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % LENGTH] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + MIDDLE) % LENGTH] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == LENGTH {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }
}

/// The order that `torch.manual_seed(seed); torch.randperm(len)` gives on a CPU.
///
/// # Errors
///
/// If `len` is so large that PyTorch draws differently: above 2^32 / 20.
///
/// ```
/// let order = striate_data::torch_permutation(42, 50_000)?;
/// assert_eq!(order[..4], [37542, 44491, 216, 43688]);
/// # Ok::<(), striate_data::DataError>(())
/// ```
pub fn torch_permutation(seed: u32, len: usize) -> Result<Vec<usize>> {
    if len >= u32::MAX as usize / 20 {
        let problem = format!("{len} samples, PyTorch's short way ends at {}", u32::MAX / 20);
        return Err(DataError::argument("torch_permutation", problem));
    }
    let mut twister = Twister::new(seed);
    let mut order: Vec<usize> = (0..len).collect();
    for i in 0..len.saturating_sub(1) {
        let other = i + twister.word() as usize % (len - i);
        order.swap(i, other);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word that the C++ standard requires of `std::mt19937`.
    #[test]
    fn the_ten_thousandth_word_is_the_standards() {
        let mut twister = Twister::new(5489);
        let words = (0..10_000).map(|_| twister.word());
        assert_eq!(words.last(), Some(4_123_659_995));
    }

    #[test]
    fn the_documents_held_out_images_come_first() {
        let order = torch_permutation(42, 50_000).unwrap();
        assert_eq!(order[..8], [37542, 44491, 216, 43688, 41558, 32245, 27206, 10863]);
        let mut all = order;
        all.sort_unstable();
        assert!(all.into_iter().eq(0..50_000));
        assert_eq!(torch_permutation(1, 0).unwrap(), [0; 0]);
        assert!(torch_permutation(1, 1 << 30).is_err());
    }
}
