//! Convolution by loops along rows, one pair of an input and an output channel at a time.
//!
//! Where groups have a channel or a few, as in depthwise convolution, a matrix product would have too
//! few rows and too little depth, and cost more to prepare than to do. Instead a plane of the input is staged with its padding
//! (`unfold/staged.rs`), after which every tap reads neighbouring cells for neighbouring outputs, and a stretch of a row
//! of outputs sums all taps in the first-level cache. A task owns one plane of the result, or the weights between two channels.

use std::ops::Range;

use rayon::prelude::*;

use super::flip;
use crate::element::Float;
use crate::geometry::ConvShape;
use crate::simd::vectorized;
use crate::unfold::Staged;

/// A tap of the kernel.
struct Tap {
    /// Its place on each axis.
    place: [usize; 3],
    /// The outputs whose tap is inside the input, on each axis.
    inside: [Range<usize>; 3],
}

/// The outputs of a row for which a tap is inside the input.
struct Row {
    /// The tap's place among the weights.
    tap: usize,
    outputs: Range<usize>,
    /// The cell that the first of them reads; each other one reads a stride further on.
    input: usize,
}

/// The loops of a shape, over planes that are counted through all images.
struct Direct<'a> {
    shape: &'a ConvShape,
    taps: Vec<Tap>,
    /// Cells of an input plane.
    input: usize,
    /// Cells of an output plane.
    output: usize,
    /// Input and output channels of a group.
    group: [usize; 2],
}

impl<'a> Direct<'a> {
    fn of(shape: &'a ConvShape) -> Self {
        let [depth, height, width] = shape.spec.kernel;
        let taps = (0..depth * height * width).map(|tap| {
            let place = [tap / width / height, tap / width % height, tap % width];
            let inside = std::array::from_fn(|axis| shape.outputs_inside(axis, place[axis]));
            Tap { place, inside }
        });
        Self {
            shape,
            taps: taps.collect(),
            input: shape.input.iter().product(),
            output: shape.output.iter().product(),
            group: [shape.in_channels, shape.out_channels].map(|n| n / shape.spec.groups),
        }
    }

    /// The input planes that an output plane reads.
    fn inputs_of(&self, output: usize) -> Range<usize> {
        let group = output / self.group[1];
        group * self.group[0]..(group + 1) * self.group[0]
    }

    /// The output planes that read an input plane.
    fn outputs_of(&self, input: usize) -> Range<usize> {
        let group = input / self.group[0];
        group * self.group[1]..(group + 1) * self.group[1]
    }

    /// The weights between two planes.
    fn weights(&self, output: usize, input: usize) -> Range<usize> {
        let channel = output % self.shape.out_channels;
        let first = (channel * self.group[0] + input % self.group[0]) * self.taps.len();
        first..first + self.taps.len()
    }

    /// An input plane, counted through all images, with its padding, and room to read stretches of a fixed length.
    fn stage<T: Float>(&self, input: &[T], plane: usize) -> Staged<T> {
        let planes = &input[plane * self.input..][..self.input];
        Staged::new(self.shape, planes, 0..1, 0..self.output, BLOCK)
    }

    fn output_plane<'b, T>(&self, output: &'b [T], plane: usize) -> &'b [T] {
        &output[plane * self.output..][..self.output]
    }

    /// Visits every output row of a plane, and for each row every tap.
    fn for_each_row(&self, mut visit: impl FnMut(Row)) {
        let ConvShape { input: [_, height, width], output, .. } = self.shape;
        for row in 0..output[0] * output[1] {
            let (z, y) = (row / output[1], row % output[1]);
            for (index, Tap { place, inside }) in self.taps.iter().enumerate() {
                let x = &inside[2];
                if !inside[0].contains(&z) || !inside[1].contains(&y) || x.is_empty() {
                    continue;
                }
                let [z, y, first] = [(0, z), (1, y), (2, x.start)]
                    .map(|(axis, output)| self.shape.input_cell(axis, output, place[axis]));
                visit(Row {
                    tap: index,
                    outputs: row * output[2] + x.start..row * output[2] + x.end,
                    input: (z * height + y) * width + first,
                });
            }
        }
    }
}

/// Outputs of a row that are summed at a time, in the first-level cache: a loop that is long enough for vectors.
const BLOCK: usize = 128;
/// Interleaved parts of a sum, which is what lets vector registers take part.
const LANES: usize = 16;

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let direct = Direct::of(shape);
    output.par_chunks_exact_mut(direct.output).enumerate().for_each(|(plane, output)| {
        output.fill(bias.map_or(T::ZERO, |bias| bias[plane % shape.out_channels]));
        for source in direct.inputs_of(plane) {
            let weight = &weight[direct.weights(plane, source)];
            add_channel(&direct.stage(input, source), weight, output);
        }
    });
}

vectorized! {
    /// Adds what one input channel has for a plane of outputs.
    fn add_channel[T: Float](staged: &Staged<T>, weight: &[T], output: &mut [T]) {
        let mut rest = output;
        for &(offset, len) in staged.runs() {
            let (row, tail) = std::mem::take(&mut rest).split_at_mut(len);
            for (block, offset) in row.chunks_mut(BLOCK).zip((offset..).step_by(BLOCK)) {
                let mut sums = [T::ZERO; BLOCK];
                sums[..block.len()].copy_from_slice(block);
                for (tap, &weight) in weight.iter().enumerate() {
                    let cells = staged.read::<BLOCK>(0, tap, offset);
                    sums.iter_mut().zip(cells).for_each(|(sum, &cell)| *sum += weight * cell);
                }
                block.copy_from_slice(&sums[..block.len()]);
            }
            rest = tail;
        }
    }
}

/// See [`super::input_gradient`]. At stride 1 it is the forward pass of [`ConvShape::flipped`].
pub(super) fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    if let Some(flipped) = shape.flipped() {
        let weight = flip(&flipped, weight);
        return forward(&flipped, grad_output, &weight, None, grad_input);
    }
    let (direct, stride) = (Direct::of(shape), shape.spec.stride[2]);
    grad_input.par_chunks_exact_mut(direct.input).enumerate().for_each(|(plane, grad_input)| {
        grad_input.fill(T::ZERO);
        for source in direct.outputs_of(plane) {
            let weight = &weight[direct.weights(source, plane)];
            let grad_output = direct.output_plane(grad_output, source);
            direct.for_each_row(|Row { tap, outputs, input: first }| {
                let targets = grad_input[first..].iter_mut().step_by(stride);
                let weight = weight[tap];
                targets.zip(&grad_output[outputs]).for_each(|(to, &grad)| *to += weight * grad);
            });
        }
    });
}

/// See [`super::weight_gradient`].
pub(super) fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    let direct = Direct::of(shape);
    grad_weight.par_chunks_exact_mut(direct.taps.len()).enumerate().for_each(
        |(index, grad_weight)| {
            let (channel, group_input) = (index / direct.group[0], index % direct.group[0]);
            grad_weight.fill(T::ZERO);
            for image in 0..shape.batch {
                let plane = image * shape.out_channels + channel;
                let grad_output = direct.output_plane(grad_output, plane);
                let source = direct.inputs_of(plane).start + group_input;
                let staged = direct.stage(input, source);
                for (tap, weight) in grad_weight.iter_mut().enumerate() {
                    let mut lanes = [T::ZERO; LANES];
                    add_products(&staged, tap, grad_output, &mut lanes);
                    *weight += lanes.into_iter().sum();
                }
            }
        },
    );
}

vectorized! {
    /// Adds the products of a plane of gradients with what a tap reads for them, in interleaved parts.
    fn add_products[T: Float](
        staged: &Staged<T>,
        tap: usize,
        grad: &[T],
        lanes: &mut [T; LANES],
    ) {
        let (mut sums, mut rest) = (*lanes, grad);
        for &(offset, len) in staged.runs() {
            let (row, tail) = rest.split_at(len);
            let (blocks, last) = row.as_chunks::<LANES>();
            for (block, offset) in blocks.iter().zip((offset..).step_by(LANES)) {
                let cells = staged.read::<LANES>(0, tap, offset).as_chunks::<LANES>().0[0];
                for lane in 0..LANES {
                    sums[lane] += block[lane] * cells[lane];
                }
            }
            let cells = staged.read::<LANES>(0, tap, offset + len - last.len());
            for ((sum, &grad), &cell) in sums.iter_mut().zip(last).zip(cells) {
                *sum += grad * cell;
            }
            rest = tail;
        }
        *lanes = sums;
    }
}
