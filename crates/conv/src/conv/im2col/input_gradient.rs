//! The gradient of the input.
//!
//! At stride 1 it is a convolution of the output's gradient with the flipped kernel: every cell gathers what the
//! windows that cover it have for it.
//!
//! At other strides, and where few outputs lie in a large input, the transposed product makes what each window has for each of its
//! cells, and folding adds it there. Windows overlap, so a cell has several sums to receive. A task therefore owns whole
//! planes, some channels of one image or, where there are few outputs, of several, and folds their columns tile by tile. Cells that no
//! window covers keep the zero that the planes start from.

use std::ops::Range;

use rayon::prelude::*;

use super::super::flip;
use super::{COLUMN_BYTES, Group, convolve};
use crate::buffer::Buffer;
use crate::element::Float;
use crate::gemm::{Matrix, MatrixMut, Packed, Update, cuts, multiply};
use crate::geometry::ConvShape;

/// Columns of a product that make up for packing them.
const COLUMNS: usize = 128;

/// Some channels of a group of some images, and their planes in each.
struct Task<'a, T> {
    /// The first image's group, counted through all images.
    first: usize,
    channels: Range<usize>,
    planes: Vec<&'a mut [T]>,
}

/// See [`crate::conv::input_gradient`].
pub(crate) fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let group = Group::of(shape);
    let weights: Vec<_> = (0..group.groups)
        .map(|index| Packed::parallel(&group.weight(weight, index).transposed()))
        .collect();
    let images = (COLUMNS / group.output).clamp(1, shape.batch);
    tasks(&group, images, grad_input).into_par_iter().for_each(|mut task| {
        let rows = task.channels.start * group.taps..task.channels.end * group.taps;
        let weights = (&weights[task.first % group.groups], rows.clone());
        let tile = group.tile::<T>(task.channels.len());
        task.planes.iter_mut().for_each(|planes| planes.fill(T::ZERO));
        for outputs in cuts(group.output, tile) {
            let gradients = gather(&group, grad_output, &task, outputs.clone());
            let width = task.planes.len() * outputs.len();
            let gradients = Matrix::row_major(&gradients, [group.out_channels, width]);
            let mut columns = Buffer::for_overwrite(rows.len() * width);
            let mut matrix = MatrixMut::row_major(&mut columns, [rows.len(), width]);
            let lanes = (&gradients.transposed(), 0..width);
            multiply(weights.clone(), lanes, Update::Overwrite, &mut matrix);
            for (image, planes) in task.planes.iter_mut().enumerate() {
                let first = image * outputs.len();
                group.patches.scatter((&columns[first..], width), outputs.clone(), planes);
            }
        }
    });
}

/// Cuts the planes into tasks of so many images, and of so many channels that their columns fit the cache.
fn tasks<'a, T: Float>(
    group: &Group<'_>,
    images: usize,
    grad_input: &'a mut [T],
) -> Vec<Task<'a, T>> {
    let planes = grad_input.chunks_exact_mut(group.in_channels * group.input);
    let chunk = images * group.groups;
    let count = planes.len().div_ceil(chunk) * group.groups;
    let mut block = group.block(count);
    if images > 1 {
        let column = images * group.output * group.taps * size_of::<T>();
        block = block.min((COLUMN_BYTES / column).max(1));
    }
    // Whole panels of rows.
    let block = block.next_multiple_of(T::kernel().rows);
    let blocks = group.in_channels.div_ceil(block);
    let mut tasks: Vec<Task<'a, T>> = Vec::with_capacity(count * blocks);
    for (index, planes) in planes.enumerate() {
        let parts = planes.chunks_mut(block * group.input).zip(cuts(group.in_channels, block));
        for (number, (planes, channels)) in parts.enumerate() {
            let task = (index / chunk * group.groups + index % group.groups) * blocks + number;
            match tasks.get_mut(task) {
                Some(task) => task.planes.push(planes),
                None => tasks.push(Task { first: index, channels, planes: vec![planes] }),
            }
        }
    }
    tasks
}

/// The gradients of some outputs of a task's images, `[out_channels, images, outputs]`.
fn gather<T: Float>(
    group: &Group<'_>,
    grad_output: &[T],
    task: &Task<'_, T>,
    outputs: Range<usize>,
) -> Buffer<T> {
    let mut gradients =
        Buffer::for_overwrite(group.out_channels * task.planes.len() * outputs.len());
    for (number, to) in gradients.chunks_exact_mut(outputs.len()).enumerate() {
        let (channel, image) = (number / task.planes.len(), number % task.planes.len());
        let index = task.first + image * group.groups;
        let first = (index * group.out_channels + channel) * group.output;
        to.copy_from_slice(&grad_output[first..][outputs.clone()]);
    }
    gradients
}

/// The input gradient at stride 1, see [`ConvShape::flipped`].
pub(crate) fn convolve_flipped<T: Float>(
    flipped: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let group = Group::of(flipped);
    // A single tap is its own flip, so that the channels change places while they are packed.
    let turned = (group.taps > 1).then(|| flip(flipped, weight));
    let len = weight.len() / group.groups;
    let weights = (0..group.groups).map(|index| match &turned {
        Some(weight) => Packed::parallel(&group.weight(weight, index)),
        None => {
            let dims = [group.in_channels, group.out_channels];
            let weight = Matrix::row_major(&weight[index * len..][..len], dims);
            Packed::parallel(&weight.transposed())
        }
    });
    let weights: Vec<_> = weights.collect();
    convolve(&group, grad_output, &weights, None, grad_input);
}
