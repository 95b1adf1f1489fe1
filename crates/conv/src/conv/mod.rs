//! Convolution and its two gradients.
//!
//! With `x` the input, `w` the weight and `y` the output, each a sum over the channels `c` of a group
//! and the taps `t`, at the input cell `i = o s + t d - p`:
//!
//! * forward: `y[m, o] = b[m] + sum over c, t of w[m, c, t] x[c, i]`
//! * input gradient: `dx[c, i] = sum over m, t, o with i = o s + t d - p of w[m, c, t] dy[m, o]`
//! * weight gradient: `dw[m, c, t] = sum over images and o of dy[m, o] x[c, i]`
//!
//! All three are one sum of products read in another order, and so all three can be a matrix product
//! with the unfolded input (`im2col`). Where a group has few channels, or makes few, that product has few rows, and
//! plain loops along rows do better (`direct`). Where few channels read what was unfolded, and where
//! a stride or a dilation stands in the way, the product is faster if nothing is unfolded: by vectors of channels (`indirect`), or,
//! where rows fill vectors, of pixels (`rows`). With enough channels, a quarter to two
//! thirds of the products do (`winograd`). [`Algorithm::of`] chooses.
//!
//! The gradients are written for the shape that the forward pass had: input cells that no window
//! covers get a gradient of zero; by Winograd's algorithm, of what rounding leaves of it.

pub(crate) mod compute;
mod direct;
mod im2col;
mod indirect;
mod rows;
mod scratch;
mod winograd;

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::element::Float;
use crate::gemm::{MatrixMut, Tile};
use crate::geometry::ConvShape;
pub use scratch::scratch;

/// Tasks to aim for where the batch alone does not keep the cores of a workstation evenly busy.
const TASKS: usize = 16;
/// How many times as large as its output's gradient an input may be for the convolution with the flipped kernel to pay.
const SPARSE_GRADIENT: usize = 2;

/// Bytes that the sums of the chunks of a batch may take.
const PARTIAL_BYTES: usize = 64 << 20;
/// Elements of a sum that one task of [`add_in_order`] takes.
const SUM_LEN: usize = 4096;

/// The ways to compute a convolution. All give the same result up to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A matrix product with the unfolded input.
    Im2col,
    /// The same product without unfolding anything.
    Indirect,
    /// The same product with rows of pixels that are read where they lie.
    Rows,
    /// Loops along rows, one pair of channels at a time.
    Direct,
    /// A quarter to two thirds of the products, in f32.
    Winograd,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Im2col, Self::Indirect, Self::Rows, Self::Direct, Self::Winograd];

    /// The name that commands use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Im2col => "im2col",
            Self::Indirect => "indirect",
            Self::Rows => "rows",
            Self::Direct => "direct",
            Self::Winograd => "winograd",
        }
    }

    /// Whether it can compute this operation of `T` on this processor.
    pub fn applies<T: Float>(self, operation: Operation, shape: &ConvShape) -> bool {
        let flips = || operation != Operation::InputGradient || shape.flipped().is_some();
        match self {
            Self::Im2col | Self::Indirect | Self::Direct => true,
            Self::Rows => operation != Operation::WeightGradient && flips(),
            Self::Winograd => winograd::applies::<T>(operation, shape),
        }
    }

    /// The one that [`forward`] or a gradient chooses.
    pub fn of<T: Float>(operation: Operation, shape: &ConvShape) -> Self {
        if direct::pays(operation, shape) {
            return Self::Direct;
        }
        let costs = Self::costs::<T>(operation, shape).into_iter();
        costs.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(Self::Im2col, |(algorithm, _)| algorithm)
    }

    /// What [`Algorithm::of`] compares where plain loops do not pay: what each costs, as a share of the products that the plain
    /// sum makes, infinite where it may not be chosen. The smallest is chosen, of equals the first.
    pub fn costs<T: Float>(operation: Operation, shape: &ConvShape) -> [(Self, f64); 4] {
        let may_transform =
            WINOGRAD.load(Ordering::Relaxed) && Self::Winograd.applies::<T>(operation, shape);
        let transformed =
            if may_transform { winograd::cost::<T>(operation, shape) } else { f64::INFINITY };
        [
            (Self::Im2col, im2col::cost::<T>(operation, shape)),
            (Self::Indirect, indirect::cost::<T>(operation, shape)),
            (Self::Rows, rows::cost::<T>(operation, shape)),
            (Self::Winograd, transformed),
        ]
    }
}

/// The three sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`forward`].
    Forward,
    /// [`input_gradient`].
    InputGradient,
    /// [`weight_gradient`].
    WeightGradient,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Forward, Self::InputGradient, Self::WeightGradient];

    /// What listings call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGradient => "input gradient",
            Self::WeightGradient => "weight gradient",
        }
    }
}

static WINOGRAD: AtomicBool = AtomicBool::new(true);

/// Whether convolutions of this process may choose Winograd's algorithm, whose rounding error is about three times
/// that of the plain sum, and seven times for kernels of four to eight taps, or of so many for each phase of a stride. They may
/// from the start.
pub fn allow_winograd(allowed: bool) {
    WINOGRAD.store(allowed, Ordering::Relaxed);
}

/// The convolution: input `[batch, in_channels, *input]` and weight
/// `[out_channels, in_channels / groups, *kernel]` to output `[batch, out_channels, *output]`, plus
/// one bias for each output channel.
///
/// # Panics
/// If a slice is not as long as the shape says ([`ConvShape::input_len`] and its like).
pub fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let algorithm = Algorithm::of::<T>(Operation::Forward, shape);
    forward_by(algorithm, shape, [input, weight], bias, output);
}

/// The same by an algorithm of the caller's choice, of input and weight.
///
/// # Panics
/// As [`forward`], or if the algorithm does not [apply](Algorithm::applies).
pub fn forward_by<T: Float>(
    algorithm: Algorithm,
    shape: &ConvShape,
    [input, weight]: [&[T]; 2],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    check((algorithm, Operation::Forward), shape, [input, weight, output]);
    if let Some(bias) = bias {
        assert_eq!(bias.len(), shape.out_channels, "bias of {shape:?}");
    }
    (T::routines().forward)(algorithm, shape, [input, weight], bias, output);
}

/// The gradient of the input, `[batch, in_channels, *input]`; also the transposed convolution.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let algorithm = Algorithm::of::<T>(Operation::InputGradient, shape);
    input_gradient_by(algorithm, shape, [grad_output, weight], grad_input);
}

/// The same by an algorithm of the caller's choice, of the output's gradient and the weight.
///
/// # Panics
/// As [`forward_by`].
pub fn input_gradient_by<T: Float>(
    algorithm: Algorithm,
    shape: &ConvShape,
    [grad_output, weight]: [&[T]; 2],
    grad_input: &mut [T],
) {
    check((algorithm, Operation::InputGradient), shape, [grad_input, weight, grad_output]);
    (T::routines().input_gradient)(algorithm, shape, [grad_output, weight], grad_input);
}

/// The gradient of the weight, `[out_channels, in_channels / groups, *kernel]`, summed over the batch.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    let algorithm = Algorithm::of::<T>(Operation::WeightGradient, shape);
    weight_gradient_by(algorithm, shape, [input, grad_output], grad_weight);
}

/// The same by an algorithm of the caller's choice, of input and output's gradient.
///
/// # Panics
/// As [`forward_by`].
pub fn weight_gradient_by<T: Float>(
    algorithm: Algorithm,
    shape: &ConvShape,
    [input, grad_output]: [&[T]; 2],
    grad_weight: &mut [T],
) {
    check((algorithm, Operation::WeightGradient), shape, [input, grad_weight, grad_output]);
    (T::routines().weight_gradient)(algorithm, shape, [input, grad_output], grad_weight);
}

/// Whether most products of the flipped kernel would be with padding.
fn is_sparse(shape: &ConvShape) -> bool {
    let [input, output] = [shape.input, shape.output].map(|n| n.iter().product::<usize>());
    input > SPARSE_GRADIENT * output
}

/// How many products there are for each cell of the input, for each that is not with padding or with nothing.
fn padded(shape: &ConvShape) -> f64 {
    let [input, output, stride] =
        [shape.input, shape.output, shape.spec.stride].map(|n| n.iter().product::<usize>() as f64);
    input / (output * stride)
}

/// The weights of the input gradient as a convolution, see [`ConvShape::flipped`]: `[out_channels, in_channels, taps]` of
/// a group to `[in_channels, out_channels, flipped taps]`, as that shape names its channels the other way round.
fn flip<T: Float>(flipped: &ConvShape, weight: &[T]) -> Buffer<T> {
    let [inputs, outputs] =
        [flipped.in_channels, flipped.out_channels].map(|n| n / flipped.spec.groups);
    let taps: usize = flipped.spec.kernel.iter().product();
    let mut result = Buffer::for_overwrite(weight.len());
    result.par_chunks_exact_mut(inputs * taps).enumerate().for_each(|(index, row)| {
        let (group, to) = (index / outputs, index % outputs);
        for (from, row) in row.chunks_exact_mut(taps).enumerate() {
            let from = group * inputs + from;
            let source = &weight[(from * outputs + to) * taps..][..taps];
            row.iter_mut().zip(source.iter().rev()).for_each(|(to, &from)| *to = from);
        }
    });
    result
}

/// Cuts the planes of each image, or of each of its groups, `[channels, pixels]`, into tiles of so many rows and columns; each with the number of
/// its image or group.
fn tiles_of<T>(
    output: &mut [T],
    [channels, pixels]: [usize; 2],
    tile: [usize; 2],
) -> Vec<(usize, Tile<'_, T>)> {
    let planes = output.chunks_exact_mut(channels * pixels).enumerate();
    let tiles = planes.flat_map(|(number, planes)| {
        let tiles = MatrixMut::row_major(planes, [channels, pixels]).tiles(tile);
        tiles.map(move |tile| (number, tile))
    });
    tiles.collect()
}

/// What the sums of each group's channels start from: the bias, or zero, and zero for the rows that fill the last panel.
fn starts<T: Float>(groups: usize, channels: usize, bias: Option<&[T]>) -> Vec<T> {
    let padded = channels.next_multiple_of(T::kernel().rows);
    let mut starts = vec![T::ZERO; groups * padded];
    let bias = bias.unwrap_or(&[]).chunks_exact(channels);
    for (starts, bias) in starts.chunks_exact_mut(padded).zip(bias) {
        starts[..channels].copy_from_slice(bias);
    }
    starts
}

/// How many of `items` are summed in a chunk, and how many chunks that makes, at most `most`.
fn chunks(items: usize, most: usize) -> [usize; 2] {
    let chunk = items.div_ceil(most);
    [chunk, items.div_ceil(chunk)]
}

/// The most chunks whose sums take `bytes` each.
fn affordable_chunks(bytes: usize) -> usize {
    (PARTIAL_BYTES / bytes).clamp(1, TASKS)
}

/// Adds every part of `partial` to `sum`, the first part first.
fn add_in_order<T: Float>(sum: &mut [T], partial: &[T]) {
    let len = sum.len();
    sum.par_chunks_mut(SUM_LEN).enumerate().for_each(|(chunk, sum)| {
        for part in partial.chunks_exact(len) {
            for (sum, &value) in sum.iter_mut().zip(&part[chunk * SUM_LEN..]) {
                *sum += value;
            }
        }
    });
}

fn check<T: Float>(
    (algorithm, operation): (Algorithm, Operation),
    shape: &ConvShape,
    [input, weight, output]: [&[T]; 3],
) {
    assert_eq!(input.len(), shape.input_len(), "input of {shape:?}");
    assert_eq!(weight.len(), shape.weight_len(), "weight of {shape:?}");
    assert_eq!(output.len(), shape.output_len(), "output of {shape:?}");
    let applies = algorithm.applies::<T>(operation, shape);
    assert!(applies, "{algorithm:?} for the {} of {shape:?}", operation.name());
}
