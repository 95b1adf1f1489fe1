//! The gradient of the input.
//!
//! At stride 1 it is a convolution of the output's gradient with the flipped kernel: every cell gathers what the
//! windows that cover it have for it.
//!
//! At other strides the transposed product makes what each window has for each of its cells, and folding adds
//! it there. Windows overlap, so a cell has several sums to receive. A task therefore owns whole planes, some
//! channels of one image, and folds their columns tile by tile. Cells that no window covers keep the
//! zero that the planes start from.

use rayon::prelude::*;

use super::super::flip;
use super::{Group, convolve};
use crate::buffer::Buffer;
use crate::element::Float;
use crate::gemm::{MatrixMut, Packed, Update, cuts, product};
use crate::geometry::ConvShape;

/// See [`crate::conv::input_gradient`].
pub(crate) fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let group = Group::of(shape);
    let block = group.block(shape.batch * group.groups);
    let tile = group.tile::<T>(block);
    let tasks: Vec<_> = grad_input
        .chunks_exact_mut(group.in_channels * group.input)
        .enumerate()
        .flat_map(|(index, planes)| {
            let blocks = planes.chunks_mut(block * group.input);
            let channels = cuts(group.in_channels, block);
            blocks.zip(channels).map(move |(planes, channels)| (index, channels, planes))
        })
        .collect();
    tasks.into_par_iter().for_each(|(index, channels, planes)| {
        let rows = channels.len() * group.taps;
        let weight = group.weight(weight, index);
        let weight = weight.columns(channels.start * group.taps..channels.end * group.taps);
        let grad_output = group.outputs(grad_output, index);
        planes.fill(T::ZERO);
        for outputs in cuts(group.output, tile) {
            let mut columns = Buffer::for_overwrite(rows * outputs.len());
            let mut matrix = MatrixMut::row_major(&mut columns, [rows, outputs.len()]);
            let grad_output = grad_output.columns(outputs.clone());
            product(weight.transposed(), grad_output, Update::Overwrite, &mut matrix);
            group.patches.scatter(&columns, outputs, planes);
        }
    });
}

/// The input gradient at stride 1, see [`ConvShape::flipped`].
pub(crate) fn convolve_flipped<T: Float>(
    flipped: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let (group, weight) = (Group::of(flipped), flip(flipped, weight));
    let weights: Vec<_> =
        (0..group.groups).map(|index| Packed::parallel(&group.weight(&weight, index))).collect();
    convolve(&group, grad_output, &weights, None, grad_input);
}
