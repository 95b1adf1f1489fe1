//! Convolution as a matrix product with the unfolded input.
//!
//! The columns are never made: the windows of a block of outputs are packed straight into the panels that
//! the product reads (`unfold/panels.rs`), and the weights are packed once for all of them. A task owns the
//! part of the result that it writes, so there are no races, and the cuts depend on the geometry alone, so
//! every sum is taken in the same order whatever the number of threads.

mod input_gradient;
mod weight_gradient;

use std::ops::Range;

use rayon::prelude::*;

use super::{Operation, TASKS, is_sparse, padded, starts, tiles_of};
use crate::element::Float;
use crate::gemm::{Matrix, Packed, Start, Tile, even, multiply};
use crate::geometry::ConvShape;
use crate::unfold::{Patches, Windows};
pub(super) use input_gradient::{convolve_flipped, input_gradient};
pub(super) use weight_gradient::{partial_len, weight_gradient};

/// Bytes of columns for a tile: they, the weights and the product share a core's second-level cache.
const COLUMN_BYTES: usize = 384 << 10;
/// Outputs of a tile of the forward pass.
const TILE: usize = 1024;
/// Columns that the matrix product takes at a time: a tile is whole blocks of them.
const LANES: usize = 8;
/// The fewest outputs of a tile, since each tile packs the weights anew.
const SMALLEST_TILE: usize = 128;
/// The fewest rows of the columns of a block of channels, likewise.
const SMALLEST_BLOCK: usize = 64;

/// What unfolding costs for each channel that reads the columns, in products, along the images and along the taps.
const UNFOLD: [f64; 2] = [5.0, 10.0];
/// What sorting a cell by its remainder to the stride costs for each channel that reads it, in products: fitted to a Zen 5.
pub(super) const SORT: f64 = 30.0;
/// What packing the output's gradient costs for each channel and tap that meets it, in products.
const PACK: f64 = 12.0;
/// What folding costs for each row of outputs of each tap, and for each output, in products of the channels that it has the sum of.
const FOLD: [f64; 2] = [900.0, 10.0];

/// What an operation costs, as a share of its products. The numbers were fitted to times of layers of 16 to 512 channels,
/// 10 to 56 cells and kernels of 1 to 7 on a Zen 4.
pub(super) fn cost<T: Float>(operation: Operation, shape: &ConvShape) -> f64 {
    // The last panel of an image may have lanes too many.
    let filled = |cells: [usize; 3]| {
        let cells = cells.iter().product::<usize>();
        cells.next_multiple_of(T::kernel().columns) as f64 / cells as f64
    };
    match (operation, shape.flipped()) {
        (Operation::InputGradient, Some(flipped)) if !is_sparse(shape) => {
            padded(shape) * unfolding::<T>(Operation::Forward, &flipped) * filled(shape.input)
        }
        (Operation::InputGradient, _) => {
            let outputs = (shape.out_channels / shape.spec.groups) as f64;
            1.0 + T::kernel().moving * (FOLD[0] / shape.output[2] as f64 + FOLD[1]) / outputs
        }
        (Operation::Forward, _) => unfolding::<T>(operation, shape) * filled(shape.output),
        (Operation::WeightGradient, _) => unfolding::<T>(operation, shape),
    }
}

/// The products with what unfolding costs, as a share of the products.
pub(super) fn unfolding<T: Float>(operation: Operation, shape: &ConvShape) -> f64 {
    let [inputs, outputs] =
        [shape.in_channels, shape.out_channels].map(|n| (n / shape.spec.groups) as f64);
    let [taps, cells, results] = [shape.spec.kernel, shape.input, shape.output]
        .map(|sizes| sizes.iter().product::<usize>() as f64);
    let sorted = if shape.spec.stride[2] > 1 { SORT * cells / (results * taps) } else { 0.0 };
    let moved = match operation {
        Operation::WeightGradient => (UNFOLD[1] + sorted) / outputs + PACK / (inputs * taps),
        _ => (UNFOLD[0] + sorted) / outputs,
    };
    1.0 + T::kernel().moving * moved
}

/// One group of one image, as matrices see it. Groups are counted through all images.
struct Group<'a> {
    patches: Patches<'a>,
    groups: usize,
    in_channels: usize,
    out_channels: usize,
    taps: usize,
    input: usize,
    output: usize,
}

impl<'a> Group<'a> {
    fn of(shape: &'a ConvShape) -> Self {
        let spec = &shape.spec;
        Self {
            patches: Patches::new(shape),
            groups: spec.groups,
            in_channels: shape.in_channels / spec.groups,
            out_channels: shape.out_channels / spec.groups,
            taps: spec.kernel.iter().product(),
            input: shape.input.iter().product(),
            output: shape.output.iter().product(),
        }
    }

    /// The weights of a group, `[out_channels, in_channels * taps]`.
    fn weight<'b, T>(&self, weight: &'b [T], index: usize) -> Matrix<'b, T> {
        let dims = [self.out_channels, self.in_channels * self.taps];
        let len = dims[0] * dims[1];
        Matrix::row_major(&weight[index % self.groups * len..][..len], dims)
    }

    /// The outputs of a group, `[out_channels, output]`.
    fn outputs<'b, T>(&self, output: &'b [T], index: usize) -> Matrix<'b, T> {
        let dims = [self.out_channels, self.output];
        let len = dims[0] * dims[1];
        Matrix::row_major(&output[index * len..][..len], dims)
    }

    /// The planes of some channels of a group.
    fn planes<'b, T>(&self, input: &'b [T], index: usize, channels: Range<usize>) -> &'b [T] {
        let first = index * self.in_channels;
        &input[(first + channels.start) * self.input..(first + channels.end) * self.input]
    }

    /// How many input channels make a block, if blocks have to make up for a lack of other `tasks`.
    fn block(&self, tasks: usize) -> usize {
        let least = SMALLEST_BLOCK.div_ceil(self.taps);
        self.in_channels.div_ceil(TASKS.div_ceil(tasks)).max(least)
    }

    /// How many outputs make a tile of columns of some channels: as many as the cache holds, or fewer,
    /// to share them out evenly.
    fn tile<T>(&self, channels: usize) -> usize {
        tile::<T>(channels * self.taps, self.output)
    }
}

/// How many of the outputs of an image a tile has, whose columns have so many rows.
fn tile<T>(rows: usize, outputs: usize) -> usize {
    let most = (COLUMN_BYTES / (rows * size_of::<T>())).max(SMALLEST_TILE);
    let blocks = outputs.div_ceil(outputs.div_ceil(most)).div_ceil(LANES);
    // An odd number of blocks, so that the rows of a tile do not all start in the same few sets of the cache.
    ((blocks | 1) * LANES).min(outputs)
}

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let group = Group::of(shape);
    let weights: Vec<_> =
        (0..group.groups).map(|index| Packed::parallel(&group.weight(weight, index))).collect();
    convolve(&group, input, &weights, bias, output);
}

/// Convolves with the weights of each group.
fn convolve<T: Float>(
    group: &Group<'_>,
    input: &[T],
    weights: &[Packed<T>],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let kernel = T::kernel();
    let tile = even(group.output, TILE, kernel.columns);
    let channels = group.out_channels;
    let tasks = tiles_of(output, [channels, group.output], [channels, tile]);
    let starts = starts(group.groups, channels, bias);
    let padded = starts.len() / group.groups;
    tasks.into_par_iter().for_each(|(index, Tile { rows, columns, matrix: mut output })| {
        let start = Start::Rows(&starts[index % group.groups * padded..][..padded]);
        let planes = group.planes(input, index, 0..group.in_channels);
        let windows = Windows { patches: &group.patches, planes };
        let weight = (&weights[index % group.groups], rows);
        multiply(weight, (&windows, columns), start, &mut output);
    });
}
