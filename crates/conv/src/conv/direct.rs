//! Convolution by loops along rows, one pair of an input and an output channel at a time.
//!
//! Where groups have a channel or a few, as in depthwise convolution, a matrix product would have too
//! few rows and too little depth, and cost more to prepare than to do. Instead each tap adds one scaled
//! input row to an output row, whose cells stay in the first-level cache. A task owns one plane of the
//! result, or the weights of one output channel.

use std::ops::Range;

use rayon::prelude::*;

use crate::element::Float;
use crate::geometry::ConvShape;

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

    fn input_plane<'b, T>(&self, input: &'b [T], plane: usize) -> &'b [T] {
        &input[plane * self.input..][..self.input]
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

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let (direct, stride) = (Direct::of(shape), shape.spec.stride[2]);
    output.par_chunks_exact_mut(direct.output).enumerate().for_each(|(plane, output)| {
        output.fill(bias.map_or(T::ZERO, |bias| bias[plane % shape.out_channels]));
        for source in direct.inputs_of(plane) {
            let weight = &weight[direct.weights(plane, source)];
            let input = direct.input_plane(input, source);
            direct.for_each_row(|Row { tap, outputs, input: first }| {
                add_scaled(&mut output[outputs], 1, weight[tap], &input[first..], stride);
            });
        }
    });
}

/// See [`super::input_gradient`].
pub(super) fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let (direct, stride) = (Direct::of(shape), shape.spec.stride[2]);
    grad_input.par_chunks_exact_mut(direct.input).enumerate().for_each(|(plane, grad_input)| {
        grad_input.fill(T::ZERO);
        for source in direct.outputs_of(plane) {
            let weight = &weight[direct.weights(source, plane)];
            let grad_output = direct.output_plane(grad_output, source);
            direct.for_each_row(|Row { tap, outputs, input: first }| {
                add_scaled(&mut grad_input[first..], stride, weight[tap], &grad_output[outputs], 1);
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
    let (direct, stride) = (Direct::of(shape), shape.spec.stride[2]);
    grad_weight.par_chunks_exact_mut(direct.taps.len()).enumerate().for_each(
        |(index, grad_weight)| {
            let (channel, group_input) = (index / direct.group[0], index % direct.group[0]);
            grad_weight.fill(T::ZERO);
            for image in 0..shape.batch {
                let plane = image * shape.out_channels + channel;
                let grad_output = direct.output_plane(grad_output, plane);
                let input = direct.input_plane(input, direct.inputs_of(plane).start + group_input);
                direct.for_each_row(|Row { tap, outputs, input: first }| {
                    grad_weight[tap] += dot(&grad_output[outputs], &input[first..], stride);
                });
            }
        },
    );
}

/// `target[i * target_stride] += factor * source[i * source_stride]`, until either ends.
fn add_scaled<T: Float>(
    target: &mut [T],
    target_stride: usize,
    factor: T,
    source: &[T],
    source_stride: usize,
) {
    if target_stride == 1 && source_stride == 1 {
        for (target, &value) in target.iter_mut().zip(source) {
            *target += factor * value;
        }
    } else {
        let source = source.iter().step_by(source_stride);
        for (target, &value) in target.iter_mut().step_by(target_stride).zip(source) {
            *target += factor * value;
        }
    }
}

/// The sum of `a[i] * b[i * stride]` over all of `a`, in eight interleaved parts, which is what lets
/// vector registers take part.
fn dot<T: Float>(a: &[T], b: &[T], stride: usize) -> T {
    const LANES: usize = 8;
    if stride != 1 {
        return a.iter().zip(b.iter().step_by(stride)).map(|(&a, &b)| a * b).sum();
    }
    let b = &b[..a.len()];
    let mut lanes = [T::ZERO; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: T = a.remainder().iter().zip(b.remainder()).map(|(&a, &b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.into_iter().sum::<T>() + rest
}
