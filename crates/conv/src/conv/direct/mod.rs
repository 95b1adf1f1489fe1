//! Convolution by loops along rows, a few output channels at a time.
//!
//! Where groups have a channel or a few, as in depthwise convolution, a matrix product would have too
//! few rows and too little depth, and cost more to prepare than to do. Instead the input is staged with its padding
//! (`unfold/staged.rs`), after which every tap reads neighbouring cells for neighbouring outputs, and a stretch of a row
//! of up to four output channels sums all channels and taps in registers. A task owns some rows of these channels, or the weights
//! between two channels.
//!
//! Where neighbouring outputs read neighbouring cells, one channel at a time is faster by stacks of rows, in place (`stacks`).

mod reader;
mod stacks;

use std::ops::Range;

use rayon::prelude::*;

use super::{Operation, flip, tiles_of};
use crate::element::Float;
use crate::gemm::{MatrixMut, cuts};
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
    fn stage<'b, T: Float>(&self, input: &'b [T], plane: usize) -> Staged<'b, T> {
        let planes = &input[plane * self.input..][..self.input];
        Staged::new(self.shape, planes, 0..1, 0..self.output, LANES)
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

/// Pairs of an input and an output channel in a group for which a matrix product does not pay.
const FEW_PAIRS: usize = 4;
/// The most output channels that are summed together.
const TOGETHER: usize = 4;
/// Outputs of a row that are summed at a time for one channel; for several as many as take the same registers.
const BLOCK: usize = 64;
/// Elements of the widest vector: the last outputs of a row, and interleaved parts of a sum.
const LANES: usize = 16;
/// Bytes of what a task stages.
const STAGED_BYTES: usize = 128 << 10;
/// Input channels that are staged at a time.
const STAGED_CHANNELS: usize = 16;

/// Whether groups have too few pairs of channels for a matrix product, or an operation makes so few channels that they are
/// summed together, in long rows.
pub(super) fn pays(operation: Operation, shape: &ConvShape) -> bool {
    let groups = shape.spec.groups;
    if (shape.in_channels / groups) * (shape.out_channels / groups) <= FEW_PAIRS {
        return true;
    }
    let convolution = match operation {
        Operation::Forward => Some(*shape),
        Operation::InputGradient => shape.flipped(),
        Operation::WeightGradient => None,
    };
    convolution
        .is_some_and(|shape| shape.out_channels / groups <= TOGETHER && shape.output[2] >= LANES)
}

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let direct = Direct::of(shape);
    let [inputs, outputs] = direct.group;
    if stacks::applies(shape) && (outputs == 1 || inputs * outputs <= FEW_PAIRS) {
        return stacks::forward(&direct, (input, weight), bias, output);
    }
    let [depth, height, width] = shape.output;
    let staged = inputs.min(STAGED_CHANNELS) * direct.input * size_of::<T>();
    let bands = staged.div_ceil(STAGED_BYTES).min(depth * height);
    let rows = (depth * height).div_ceil(bands.max(1));
    let tasks = tiles_of(output, [outputs, direct.output], [TOGETHER, rows * width]);
    tasks.into_par_iter().for_each(|(group, mut tile)| {
        let first = group * outputs + tile.rows.start;
        let bias_of =
            |channel| bias.map_or(T::ZERO, |bias| bias[(first + channel) % shape.out_channels]);
        for channels in cuts(inputs, STAGED_CHANNELS) {
            let planes = group * inputs + channels.start..group * inputs + channels.end;
            let source = &input[planes.start * direct.input..planes.end * direct.input];
            let cells = tile.columns.clone();
            let staged = Staged::new(shape, source, 0..channels.len(), cells, BLOCK);
            let from = (channels.start == 0).then_some(&bias_of);
            let (source, weight) = ((&staged, planes), (weight, first));
            match tile.rows.len() {
                1 => direct.add_channels::<T, 1>(source, weight, from, &mut tile.matrix),
                _ => direct.add_channels::<T, TOGETHER>(source, weight, from, &mut tile.matrix),
            }
        }
    });
}

impl Direct<'_> {
    /// Adds what some staged input planes have for up to so many output planes, from the first on, to what is there or to
    /// what each starts from.
    fn add_channels<T: Float, const OUTPUTS: usize>(
        &self,
        (staged, planes): (&Staged<'_, T>, Range<usize>),
        (weight, first): (&[T], usize),
        from: Option<&impl Fn(usize) -> T>,
        output: &mut MatrixMut<'_, T>,
    ) {
        let (taps, outputs) = (self.taps.len(), output.dims()[0]);
        let mut steps = Vec::with_capacity(planes.len() * taps);
        for (channel, plane) in planes.enumerate() {
            for tap in 0..taps {
                // Channels that there are not have weights of zero.
                let mut weights = [T::ZERO; OUTPUTS];
                for (number, to) in weights[..outputs].iter_mut().enumerate() {
                    *to = weight[self.weights(first + number, plane).start + tap];
                }
                steps.push((staged.offset(channel, tap), weights));
            }
        }
        let from = from.map(|from| std::array::from_fn(from));
        add_products_of_steps((staged, from), &steps, output);
    }
}

vectorized! {
    /// Adds the products of all steps to each output or to what it starts from. A step is a tap of a channel: its offset, and its
    /// weight for each output channel.
    fn add_products_of_steps[T: Float, const OUTPUTS: usize](
        source: (&Staged<'_, T>, Option<[T; OUTPUTS]>),
        steps: &[(usize, [T; OUTPUTS])],
        output: &mut MatrixMut<'_, T>,
    ) {
        let mut at = 0;
        for &(offset, len) in source.0.runs() {
            let mut done = 0;
            while done < len {
                let place = (offset + done, at + done..at + len);
                done += match len - done {
                    // As many sums as the registers of AVX2 hold.
                    rest if OUTPUTS == 1 && rest > LANES => add_block::<T, OUTPUTS, BLOCK>(source, steps, place, output),
                    _ => add_block::<T, OUTPUTS, LANES>(source, steps, place, output),
                };
            }
            at += len;
        }
    }
}

/// Adds the products of all steps to sums that nothing else can see, so that they are registers.
#[inline(always)]
fn multiply_steps<T: Float, const OUTPUTS: usize, const LEN: usize>(
    cells: &[T],
    steps: &[(usize, [T; OUTPUTS])],
    mut sums: [[T; LEN]; OUTPUTS],
) -> [[T; LEN]; OUTPUTS] {
    for (step, weights) in steps {
        let cells: [T; LEN] = *cells[*step..].first_chunk().expect("slack");
        for channel in 0..OUTPUTS {
            for lane in 0..LEN {
                sums[channel][lane] += weights[channel] * cells[lane];
            }
        }
    }
    sums
}

/// Adds the products of up to `LEN` neighbouring outputs, and says how many they were.
#[inline(always)]
fn add_block<T: Float, const OUTPUTS: usize, const LEN: usize>(
    (staged, from): (&Staged<'_, T>, Option<[T; OUTPUTS]>),
    steps: &[(usize, [T; OUTPUTS])],
    (offset, outputs): (usize, Range<usize>),
    output: &mut MatrixMut<'_, T>,
) -> usize {
    let (count, channels) = (LEN.min(outputs.len()), output.dims()[0]);
    let mut sums = [[T::ZERO; LEN]; OUTPUTS];
    for (channel, sums) in sums[..channels].iter_mut().enumerate() {
        let row = &output.row_mut(channel)[outputs.start..][..count];
        match (from, row.first_chunk::<LEN>()) {
            (Some(from), _) => *sums = [from[channel]; LEN],
            (None, Some(row)) => *sums = *row,
            (None, None) => sums[..count].copy_from_slice(row),
        }
    }
    let sums = multiply_steps(&staged.cells()[offset..], steps, sums);
    for (channel, sums) in sums[..channels].iter().enumerate() {
        let row = &mut output.row_mut(channel)[outputs.start..][..count];
        match row.first_chunk_mut::<LEN>() {
            Some(row) => *row = *sums,
            None => row.copy_from_slice(&sums[..count]),
        }
    }
    count
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
    if stacks::applies(shape) {
        return stacks::weight_gradient(&direct, [input, grad_output], grad_weight);
    }
    grad_weight.par_chunks_exact_mut(direct.taps.len()).enumerate().for_each(
        |(index, grad_weight)| {
            let (channel, group_input) = (index / direct.group[0], index % direct.group[0]);
            grad_weight.fill(T::ZERO);
            for image in 0..shape.batch {
                let plane = image * shape.out_channels + channel;
                let grad_output = direct.output_plane(grad_output, plane);
                let source = direct.inputs_of(plane).start + group_input;
                let staged = direct.stage(input, source);
                for (number, weights) in grad_weight.chunks_mut(TOGETHER).enumerate() {
                    // Taps that there are not are the last one again.
                    let last = direct.taps.len() - 1;
                    let taps = std::array::from_fn(|i| (number * TOGETHER + i).min(last));
                    let mut lanes = [[T::ZERO; LANES]; TOGETHER];
                    add_products(&staged, taps, grad_output, &mut lanes);
                    for (weight, lanes) in weights.iter_mut().zip(lanes) {
                        *weight += lanes.into_iter().sum();
                    }
                }
            }
        },
    );
}

vectorized! {
    /// Adds the products of a plane of gradients with what some taps read for them, in interleaved parts.
    fn add_products[T: Float](
        staged: &Staged<'_, T>,
        taps: [usize; TOGETHER],
        grad: &[T],
        lanes: &mut [[T; LANES]; TOGETHER],
    ) {
        let (mut all_sums, mut rest) = (*lanes, grad);
        for &(offset, len) in staged.runs() {
            let (row, tail) = rest.split_at(len);
            let (blocks, last) = row.as_chunks::<LANES>();
            for (block, offset) in blocks.iter().zip((offset..).step_by(LANES)) {
                for (sums, tap) in all_sums.iter_mut().zip(taps) {
                    let cells = staged.read::<LANES>(0, tap, offset).as_chunks::<LANES>().0[0];
                    for lane in 0..LANES {
                        sums[lane] += block[lane] * cells[lane];
                    }
                }
            }
            for (sums, tap) in all_sums.iter_mut().zip(taps) {
                let cells = staged.read::<LANES>(0, tap, offset + len - last.len());
                for ((sum, &grad), &cell) in sums.iter_mut().zip(last).zip(cells) {
                    *sum += grad * cell;
                }
            }
            rest = tail;
        }
        *lanes = all_sums;
    }
}
