//! What the tests share: plain references, and data on which floating point makes no error.

use striate_conv::{ConvShape, Float};

/// Reproducible small integers, from -4 to 4. Their products and sums are exact in either float type,
/// whatever the order, so results can be compared to the bit.
pub fn integers<T: Float>(len: usize, seed: u64) -> Vec<T> {
    randoms(len, seed).map(|bits| T::from_f64((bits % 9) as f64 - 4.0)).collect()
}

/// Reproducible values in `-1..1`.
pub fn reals<T: Float>(len: usize, seed: u64) -> Vec<T> {
    randoms(len, seed).map(|bits| T::from_f64(bits as f64 / (1u64 << 52) as f64 - 1.0)).collect()
}

/// The top 53 bits of SplitMix64.
fn randoms(len: usize, seed: u64) -> impl Iterator<Item = u64> {
    (1..=len as u64).map(move |i| {
        let mut z = i.wrapping_add(seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 11
    })
}

/// Runs `work` on a pool of so many threads.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

pub fn dot<T: Float>(a: &[T], b: &[T]) -> T {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// Visits every product of the convolution, `output += weight * input`, as flat indices
/// `(input, weight, output)`: the definition, loop by loop.
pub fn for_each_product(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let ConvShape { batch, in_channels, out_channels, input, output, spec, .. } = *shape;
    let (group_in, group_out) = (in_channels / spec.groups, out_channels / spec.groups);
    for image in 0..batch {
        for out_channel in 0..out_channels {
            for in_channel in 0..group_in {
                for o in cells(output) {
                    for t in cells(spec.kernel) {
                        let place = [0, 1, 2].map(|axis| {
                            (o[axis] * spec.stride[axis] + t[axis] * spec.dilation[axis]) as isize
                                - spec.padding[axis][0] as isize
                        });
                        if (0..3).any(|a| place[a] < 0 || place[a] >= input[a] as isize) {
                            continue;
                        }
                        let channel = out_channel / group_out * group_in + in_channel;
                        visit(
                            (image * in_channels + channel) * volume(input)
                                + flat(place.map(|p| p as usize), input),
                            (out_channel * group_in + in_channel) * volume(spec.kernel)
                                + flat(t, spec.kernel),
                            (image * out_channels + out_channel) * volume(output) + flat(o, output),
                        );
                    }
                }
            }
        }
    }
}

pub fn forward(shape: &ConvShape, input: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let plane = volume(shape.output);
    let start = |i: usize| bias.map_or(0.0, |bias| bias[i / plane % shape.out_channels]);
    let mut output: Vec<f64> = (0..shape.output_len()).map(start).collect();
    for_each_product(shape, |x, w, y| output[y] += weight[w] * input[x]);
    output
}

pub fn input_gradient(shape: &ConvShape, grad_output: &[f64], weight: &[f64]) -> Vec<f64> {
    let mut grad_input = vec![0.0; shape.input_len()];
    for_each_product(shape, |x, w, y| grad_input[x] += weight[w] * grad_output[y]);
    grad_input
}

pub fn weight_gradient(shape: &ConvShape, input: &[f64], grad_output: &[f64]) -> Vec<f64> {
    let mut grad_weight = vec![0.0; shape.weight_len()];
    for_each_product(shape, |x, w, y| grad_weight[w] += input[x] * grad_output[y]);
    grad_weight
}

/// Every place in a box, row-major.
pub fn cells(size: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..volume(size)).map(move |i| [i / size[2] / size[1], i / size[2] % size[1], i % size[2]])
}

pub fn volume(size: [usize; 3]) -> usize {
    size.iter().product()
}

pub fn flat([z, y, x]: [usize; 3], [_, height, width]: [usize; 3]) -> usize {
    (z * height + y) * width + x
}
