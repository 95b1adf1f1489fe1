//! Philox4x32-10, the bijection under every draw.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: *Parallel random numbers: as easy as 1, 2,
//! 3*, SC 2011. Ten rounds of two 32 x 32 -> 64 bit products turn a 128-bit counter and a 64-bit
//! key into 128 random bits. There is no state to carry from one draw to the next, so any thread,
//! on any device, can make the draw that it needs: on a GPU a round is two `mul.hi.u32`, two
//! `mul.lo.u32` and four `xor.b32`.

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox4x32-10: four random words from a counter and a key, exactly as published.
///
/// With `(h, l)` the high and low halves of a 64-bit product, one round maps counter `c` to
///
/// ```text
/// (h0, l0) = 0xD2511F53 * c0        (h1, l1) = 0xCD9E8D57 * c2
/// c' = [h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0]
/// ```
///
/// and between rounds the key advances by `[0x9E3779B9, 0xBB67AE85]`, modulo 2^32.
///
/// ```
/// # use striate_tensor::random::philox4x32;
/// let words = philox4x32([0; 4], [0; 2]);
/// assert_eq!(words, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let (h0, l0) = widening_mul(MULTIPLIERS[0], counter[0]);
        let (h1, l1) = widening_mul(MULTIPLIERS[1], counter[2]);
        counter = [h1 ^ counter[1] ^ key[0], l1, h0 ^ counter[3] ^ key[1], l0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

fn widening_mul(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// The four words that a [`Key`](super::Key) boils down to: all that a kernel needs to make the
/// key's draws on its own.
///
/// Block `n` of the key is `philox4x32([n mod 2^32, n div 2^32, high[0], high[1]], key)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    /// The two key words.
    pub key: [u32; 2],
    /// Counter words 2 and 3, the same for every block; words 0 and 1 hold the block's number.
    pub high: [u32; 2],
}

impl Philox {
    /// The four words of block `counter`.
    #[inline]
    pub fn block(&self, counter: u64) -> [u32; 4] {
        let [low, high] = halves(counter);
        philox4x32([low, high, self.high[0], self.high[1]], self.key)
    }
}

/// The low and the high word of a 64-bit number, in this order.
pub(super) fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}
