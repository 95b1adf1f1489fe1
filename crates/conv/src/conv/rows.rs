//! Convolution that multiplies rows of pixels where they lie.
//!
//! Once the input is staged with its padding (`unfold/staged.rs`), what a tap reads for neighbouring outputs of a row lies side by
//! side. So the product of im2col needs no columns and no panels of them: a vector of `B` is a piece of a staged row
//! (`gemm/kernel/rows.rs`), and the whole sum of a piece is taken in registers. A piece is as wide as the microkernel's
//! tile; the last one of a row reaches back into the one before, and computes some outputs again.
//!
//! The steps of the sum are in the order of the kernel's rows, then channels, then columns, so that those of the kernel's rows that lie
//! inside the image, for a row of outputs, are one stretch of them: padding above and below costs nothing.
//!
//! It pays for itself where so few channels read the columns that copying them costs more than what the ends of rows compute in vain.

use std::ops::Range;

use rayon::prelude::*;

use super::im2col::SORT;
use super::{Operation, TASKS, flip, padded, starts, tiles_of};
use crate::buffer::Buffer;
use crate::element::Float;
use crate::gemm::kernel::{Offsets, Place, Rows};
use crate::gemm::{Factor, Matrix, MatrixMut, Tile};
use crate::geometry::ConvShape;
use crate::unfold::Staged;

/// Bytes of what a task stages: it and the weights share a core's second-level cache.
const STAGED_BYTES: usize = 192 << 10;

/// What a piece costs beside its products, in steps of the sum: one that is written where it belongs, and one that is not as wide as
/// a tile. What staging a cell costs, in products.
const PIECE: [f64; 2] = [6.0, 24.0];
const STAGE: f64 = 4.0;

/// What an operation costs, as a share of its products. Fitted as `im2col::cost`.
pub(super) fn cost<T: Float>(operation: Operation, shape: &ConvShape) -> f64 {
    match (operation, shape.flipped()) {
        (Operation::Forward, _) => cost_forward::<T>(shape),
        (Operation::InputGradient, Some(flipped)) => padded(shape) * cost_forward::<T>(&flipped),
        _ => f64::INFINITY,
    }
}

/// Counts what pieces and panels have too much, and leaves out what is skipped.
fn cost_forward<T: Float>(shape: &ConvShape) -> f64 {
    let (kernel, [_, height, width]) = (T::kernel(), shape.output);
    let (inputs, outputs) = (inputs_of(shape), shape.out_channels / shape.spec.groups);
    let [taps, cells, results] = [shape.spec.kernel, shape.input, shape.output]
        .map(|sizes| sizes.iter().product::<usize>() as f64);
    let filled = |n: usize, unit: usize| n.next_multiple_of(unit) as f64 / n as f64;
    let inside = (0..shape.spec.kernel[1]).map(|tap| shape.outputs_inside(1, tap).len());
    let kept = inside.sum::<usize>() as f64 / (shape.spec.kernel[1] * height) as f64;
    let piece = PIECE[usize::from(width < kernel.columns)] / (inputs as f64 * taps);
    let pieces = filled(width, kernel.columns) * filled(outputs, kernel.rows) * (kept + piece);
    let stage = if shape.spec.stride[2] > 1 { SORT } else { STAGE };
    pieces + kernel.moving * stage * cells / (results * taps * outputs as f64)
}

/// A piece of a row of outputs.
struct Piece {
    /// Where its first window begins in what is staged.
    source: usize,
    /// Its first output in the part of the result that a task owns, and how many it has.
    output: usize,
    outputs: usize,
    /// The steps of the sum that are not all padding.
    steps: Range<usize>,
}

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let groups = shape.spec.groups;
    let [inputs, outputs] = [shape.in_channels, shape.out_channels].map(|n| n / groups);
    let weights: Vec<_> =
        weight.par_chunks_exact(weight.len() / groups).map(|weight| pack(shape, weight)).collect();
    let starts = starts(groups, outputs, bias);
    let padded = starts.len() / groups;

    let [depth, height, width] = shape.output;
    let rows = depth * height;
    let cells = shape.input.iter().product::<usize>() * inputs;
    let most = (STAGED_BYTES * rows / (cells * size_of::<T>())).clamp(1, rows);
    let wanted = TASKS.div_ceil(shape.batch * groups);
    let band = rows.div_ceil(rows.div_ceil(most).max(wanted.min(rows)));
    let tasks = tiles_of(output, [outputs, rows * width], [outputs, band * width]);
    tasks.into_par_iter().for_each(|(index, Tile { columns, mut matrix, .. })| {
        let group = index % groups;
        let planes = &input[index * cells..][..cells];
        let staged = stage(shape, planes, columns.clone());
        let steps: Vec<_> =
            order(shape).map(|[channel, tap]| staged.offset(channel, tap)).collect();
        let pieces = pieces(shape, &staged, columns.start / width);
        let left = (&weights[group][..], &starts[group * padded..][..padded]);
        multiply(&staged, left, (&steps, &pieces), &mut matrix);
    });
}

/// See [`super::input_gradient`]: the convolution of the output's gradient with the flipped kernel. `flipped` is
/// [`ConvShape::flipped`].
pub(super) fn input_gradient<T: Float>(
    flipped: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    forward(flipped, grad_output, &flip(flipped, weight), None, grad_input);
}

/// The channel and the tap of each step of the sum.
fn order(shape: &ConvShape) -> impl Iterator<Item = [usize; 2]> {
    let ([depth, height, width], inputs) = (shape.spec.kernel, inputs_of(shape));
    (0..depth * height).flat_map(move |row| {
        let of_channel = move |channel| (0..width).map(move |x| [channel, row * width + x]);
        (0..inputs).flat_map(of_channel)
    })
}

fn inputs_of(shape: &ConvShape) -> usize {
    shape.in_channels / shape.spec.groups
}

/// Packs the weights of a group, `[panels of out_channels][steps][rows of a panel]`.
fn pack<T: Float>(shape: &ConvShape, weight: &[T]) -> Buffer<T> {
    let (outputs, rows) = (shape.out_channels / shape.spec.groups, T::kernel().rows);
    let (len, taps) = (weight.len() / outputs, shape.spec.kernel.iter().product::<usize>());
    let mut sorted = Buffer::for_overwrite(weight.len());
    for (to, from) in sorted.chunks_exact_mut(len).zip(weight.chunks_exact(len)) {
        let steps = order(shape).map(|[channel, tap]| from[channel * taps + tap]);
        to.iter_mut().zip(steps).for_each(|(to, value)| *to = value);
    }
    let mut panels = Buffer::for_overwrite(outputs.next_multiple_of(rows) * len);
    Matrix::row_major(&sorted, [outputs, len]).pack(0..outputs, 0..len, rows, &mut panels);
    panels
}

/// Stages what some rows of outputs read.
fn stage<'a, T: Float>(shape: &ConvShape, planes: &'a [T], outputs: Range<usize>) -> Staged<'a, T> {
    let (channels, columns) = (0..inputs_of(shape), T::kernel().columns);
    match shape.spec.stride[2] == 1 && shape.output[2] >= columns {
        true => Staged::in_order(shape, planes, channels, outputs),
        // Pieces may be longer than rows.
        false => Staged::new(shape, planes, channels, outputs, columns),
    }
}

/// The pieces of some rows of outputs, from one on.
fn pieces<T: Float>(shape: &ConvShape, staged: &Staged<'_, T>, first: usize) -> Vec<Piece> {
    let ([depth, taps_y, taps_x], [_, height, width]) = (shape.spec.kernel, shape.output);
    let columns = T::kernel().columns.min(width);
    let row_steps = inputs_of(shape) * taps_x;
    let inside: Vec<_> = (0..taps_y).map(|tap| shape.outputs_inside(1, tap)).collect();
    let mut pieces = Vec::with_capacity(staged.runs().len() * width.div_ceil(columns));
    for (row, &(source, _)) in staged.runs().iter().enumerate() {
        let y = (first + row) % height;
        let reads = |tap: &usize| inside[*tap].contains(&y);
        let taps = match depth {
            1 => {
                (0..taps_y).find(reads).unwrap_or(0)
                    ..(0..taps_y).rfind(reads).map_or(0, |tap| tap + 1)
            }
            _ => 0..depth * taps_y,
        };
        let steps = taps.start * row_steps..taps.end * row_steps;
        for x in (0..width).step_by(columns).map(|x| x.min(width - columns)) {
            let (source, output) = (source + x, row * width + x);
            pieces.push(Piece { source, output, outputs: columns, steps: steps.clone() });
        }
    }
    pieces
}

/// Multiplies all panels of weights with all pieces, as many at a time as the kernel takes.
fn multiply<T: Float>(
    staged: &Staged<'_, T>,
    (weights, starts): (&[T], &[T]),
    (offsets, pieces): (&[usize], &[Piece]),
    output: &mut MatrixMut<'_, T>,
) {
    let (kernel, offsets) = (T::kernel(), Offsets::new(offsets));
    let panel_len = offsets.len() * kernel.rows;
    let alike = |a: &Piece, b: &Piece| a.steps == b.steps;
    for pieces in pieces.chunk_by(alike).flat_map(|pieces| pieces.chunks(kernel.panels())) {
        let (piece, last) = (&pieces[0], &pieces[pieces.len() - 1]);
        let steps = piece.steps.start * kernel.rows..piece.steps.end * kernel.rows;
        let panels = weights.chunks_exact(panel_len).zip(starts.chunks_exact(kernel.rows));
        for (number, (panel, starts)) in panels.enumerate() {
            let rows = Rows {
                a: &panel[steps.clone()],
                offsets: offsets.range(piece.steps.clone()),
                cells: staged.cells(),
                first: piece.source,
                apart: last.source - piece.source,
                count: pieces.len(),
                from: starts,
            };
            let (row, column, columns) = (number * kernel.rows, piece.output, piece.outputs);
            let place = Place { row, column, columns, apart: last.output - column };
            kernel.tile_of_rows(rows, output, place);
        }
    }
}
