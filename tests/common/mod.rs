//! Values that every language computes alike, from a name: what tests feed the engine with.
//!
//! `splitmix64(fnv1a(name) + index)` gives 16 bits, which become the odd multiples of `2^-16` in `(-1, 1)`. They
//! are exact in f32 and f64 and in Python, so a fixture need not hold its inputs. None is closer than `2^-16`
//! to a multiple of `2^-15`, where functions such as `|x|` have their kinks: more than the step of a
//! gradient check.

use striate::tensor::{Device, Element, Tensor};

fn fnv1a(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The 64 bits of `name` and `index` (Steele, Lea and Flood 2014).
pub fn hash(name: &str, index: usize) -> u64 {
    let step = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut z = fnv1a(name).wrapping_add(step);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `scale u + shift` with the `u` of each index, in `(-1, 1)`.
pub fn values(name: &str, count: usize, [scale, shift]: [f64; 2]) -> Vec<f64> {
    let unit = |index| (2 * (hash(name, index) >> 48) + 1) as f64 / 65536.0 - 1.0;
    (0..count).map(|index| scale * unit(index) + shift).collect()
}

/// A tensor of the values of `name` in `(-1, 1)`, on the processor.
pub fn hash_tensor<T: Element>(name: &str, shape: impl AsRef<[usize]>) -> Tensor<T> {
    let shape = shape.as_ref();
    let numbers = values(name, shape.iter().product(), [1.0, 0.0]);
    let numbers = numbers.into_iter().map(T::of_f64).collect();
    Tensor::from_vec(numbers, shape, &Device::cpu()).unwrap()
}
