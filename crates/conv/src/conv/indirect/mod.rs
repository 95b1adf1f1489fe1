//! Convolution that reads its input in place, whatever the stride and the dilation.
//!
//! The sum over channels and taps is a matrix product whose right factor is never made: the kernel that gathers
//! (`gemm/kernel/gather.rs`) broadcasts one cell at a time and multiplies it with a vector of channels. Once the input is staged
//! with its padding (`unfold/staged.rs`), the cell that a tap of a window reads is at the sum of two offsets, one of the window and
//! one of the channel and tap. So all three sums are the same product:
//!
//! | | vectors of | steps of the sum | columns |
//! | --- | --- | --- | --- |
//! | forward | output channels | input channels and taps | windows |
//! | input gradient | input channels | output channels and taps | cells of the input |
//! | weight gradient | output channels | windows of all images | input channels and taps |
//!
//! At a stride `s`, the cells of the input fall into `s` phases along an axis, and each phase has its own taps and is a convolution at
//! stride 1 of the output's gradient. That is also how the transposed convolution is computed, without a zero put in anywhere.
//!
//! It pays for itself where the channels on the other side are too few to make up for copying every window, and where
//! the kernel is strided or dilated.

mod convolve;
mod weight_gradient;

use std::ops::Range;

use self::convolve::{Weights, convolve};
pub(super) use self::weight_gradient::{sums_len, weight_gradient};
use super::{Operation, TASKS, padded};
use crate::element::Float;
use crate::gemm::MatrixMut;
use crate::geometry::ConvShape;
use crate::simd::{prefetch, vectorized};

/// Bytes of what a task stages: it and the panels share a core's second-level cache.
const STAGED_BYTES: usize = 256 << 10;
/// Columns of a task that hide what a last tile computes for nothing.
const FEW_COLUMNS: usize = 128;
/// Pixels that are turned from rows of channels to rows of pixels at a time.
pub(super) const TURN: usize = 16;

/// What gathering costs more than reading panels, as a share of the products.
const GATHER: f64 = 0.05;
/// What turning the result costs, in steps of the sum; for the weight gradient, what its panels cost in columns.
const TURNING: [f64; 2] = [28.0, 6.0];

/// What an operation costs, as a share of its products, counting lanes that no channel fills. Fitted as
/// `im2col::cost`.
pub(super) fn cost<T: Float>(operation: Operation, shape: &ConvShape) -> f64 {
    let taps = shape.spec.kernel.iter().product::<usize>();
    let [inputs, outputs] = [shape.in_channels, shape.out_channels].map(|n| n / shape.spec.groups);
    let filled = |channels: usize| lanes::<T>(channels) as f64 / channels as f64;
    let steps = |channels: usize| TURNING[0] / (channels * taps) as f64;
    let skips = |axis: usize| shape.spec.stride[axis] > shape.spec.kernel[axis];
    match operation {
        Operation::Forward => filled(outputs) * (1.0 + steps(inputs)),
        // Most phases would have no taps, and at large strides there are as many phases as cells.
        Operation::InputGradient if (0..3).any(skips) => f64::INFINITY,
        Operation::InputGradient => padded(shape) * filled(inputs) * (1.0 + steps(outputs)),
        Operation::WeightGradient => {
            let columns = inputs * taps;
            let tiles = columns.next_multiple_of(T::kernel().gathered_columns());
            filled(outputs) * (1.0 + GATHER) * (tiles as f64 + TURNING[1]) / columns as f64
        }
    }
}

/// How a result's cells come about from windows of what is staged.
struct Plan {
    /// The windows, and the channels: of the sum `in_channels`, of the result `out_channels`.
    windows: ConvShape,
    axes: [Axis; 3],
    /// The size of the kernel.
    kernel: [usize; 3],
}

/// The cells of a result along an axis.
struct Axis {
    /// For each phase the taps of its cells: those of the kernel, and those of the windows that they are.
    phases: Vec<Vec<[usize; 2]>>,
    /// For each cell its phase and its window.
    cells: Vec<[usize; 2]>,
}

impl Plan {
    /// Of the outputs.
    fn of_output(shape: &ConvShape) -> Self {
        let axes = [0, 1, 2].map(|axis| Axis {
            phases: vec![(0..shape.spec.kernel[axis]).map(|tap| [tap; 2]).collect()],
            cells: (0..shape.output[axis]).map(|output| [0, output]).collect(),
        });
        Self { windows: *shape, axes, kernel: shape.spec.kernel }
    }

    /// Of the input's gradient. A tap `t` of an output `o` reads the cell `i` if `i + p = o s + t d`: with `i + p = q s + r`, the
    /// cell is of the phase `r`, the taps with `t d = r` modulo `s` read it, and the output is `q - (t d - r) / s`. The
    /// windows, one for each `q`, are as long as the furthest of these.
    fn of_input(shape: &ConvShape) -> Self {
        let spec = &shape.spec;
        let mut windows = ConvShape {
            in_channels: shape.out_channels,
            out_channels: shape.in_channels,
            input: shape.output,
            ..*shape
        };
        (windows.spec.stride, windows.spec.dilation) = ([1; 3], [1; 3]);
        let axes = [0, 1, 2].map(|axis| {
            let (stride, dilation) = (spec.stride[axis], spec.dilation[axis]);
            let padded = spec.padding[axis][0]..spec.padding[axis][0] + shape.input[axis];
            let [first, last] = [padded.start, padded.end - 1].map(|cell| cell / stride);
            // Cells that lie further from the outputs than the kernel reaches need no padding, but longer windows.
            let reach = (dilation * (spec.kernel[axis] - 1) / stride).max(first);
            windows.spec.padding[axis] = [reach - first; 2];
            windows.spec.kernel[axis] = reach + 1;
            windows.output[axis] = last - first + 1;
            let phases = (0..stride).map(|phase| {
                let taps = (0..spec.kernel[axis]).filter(|tap| tap * dilation % stride == phase);
                taps.map(|tap| [tap, reach - tap * dilation / stride]).collect()
            });
            let cells = padded.map(|cell| [cell % stride, cell / stride - first]);
            Axis { phases: phases.collect(), cells: cells.collect() }
        });
        Self { windows, axes, kernel: spec.kernel }
    }

    /// The size of the result.
    fn cells(&self) -> [usize; 3] {
        self.axes.each_ref().map(|axis| axis.cells.len())
    }

    /// Every combination of a phase on each axis.
    fn phases(&self) -> impl Iterator<Item = [usize; 3]> {
        let [z, y, x] = self.axes.each_ref().map(|axis| axis.phases.len());
        (0..z * y * x).map(move |i| [i / x / y, i / x % y, i % x])
    }

    /// The taps of some phases, of the kernel and of the windows.
    fn taps(&self, phases: [usize; 3]) -> Vec<[usize; 2]> {
        let [z, y, x] = [0, 1, 2].map(|axis| &self.axes[axis].phases[phases[axis]]);
        let place =
            |[z, y, x]: [usize; 3], [_, height, width]: [usize; 3]| (z * height + y) * width + x;
        let (kernel, windows) = (self.kernel, self.windows.spec.kernel);
        let mut taps = Vec::with_capacity(z.len() * y.len() * x.len());
        for (z, y) in z.iter().flat_map(|z| y.iter().map(move |y| (z, y))) {
            taps.extend(
                x.iter().map(|x| {
                    [place([z[0], y[0], x[0]], kernel), place([z[1], y[1], x[1]], windows)]
                }),
            );
        }
        taps
    }

    /// The rows of windows that some rows of the result read.
    fn window_rows(&self, rows: Range<usize>) -> Range<usize> {
        let windows = || rows.clone().map(|row| self.window_row(row));
        windows().min().unwrap_or(0)..windows().max().map_or(0, |last| last + 1)
    }

    /// The row of windows that a row of the result reads.
    fn window_row(&self, row: usize) -> usize {
        let height = self.axes[1].cells.len();
        let [z, y] = [self.axes[0].cells[row / height], self.axes[1].cells[row % height]];
        z[1] * self.windows.output[1] + y[1]
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
    let taps: usize = shape.spec.kernel.iter().product();
    let strides = [shape.in_channels / shape.spec.groups * taps, taps];
    let weight = Weights { values: weight, strides };
    convolve(&Plan::of_output(shape), (input, &weight), bias, output);
}

/// See [`super::input_gradient`].
pub(super) fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    let taps: usize = shape.spec.kernel.iter().product();
    let strides = [taps, shape.in_channels / shape.spec.groups * taps];
    let weight = Weights { values: weight, strides };
    convolve(&Plan::of_input(shape), (grad_output, &weight), None, grad_input);
}

/// How the images are cut into tasks.
#[derive(Clone, Copy)]
struct Cuts {
    /// Images of a task.
    images: usize,
    /// Rows of an image.
    rows: usize,
}

impl Cuts {
    /// Of images with so many rows and columns, so that what a task stages of `shape`'s input fits the cache and
    /// there are enough tasks for all cores.
    fn new<T>(shape: &ConvShape, [rows, columns]: [usize; 2]) -> Self {
        let groups = shape.spec.groups;
        let cells = shape.input.iter().product::<usize>() * (shape.in_channels / groups);
        let staged_rows = STAGED_BYTES / (cells * size_of::<T>()).div_ceil(rows);
        let share = (shape.batch * groups * rows).div_ceil(TASKS);
        let affordable = staged_rows.min(share);
        // The images of a group lie side by side only if it is the only one.
        let wanted = FEW_COLUMNS.div_ceil(rows * columns);
        let images = if groups == 1 { wanted.min(affordable / rows) } else { 1 };
        let most = affordable.max(FEW_COLUMNS.div_ceil(columns)).min(rows);
        Self { images: images.max(1), rows: rows.div_ceil(rows.div_ceil(most)) }
    }
}

/// Writes rows of channels, `[pixels][width]`, of which there may be some after the last pixel, as rows of pixels, and adds a
/// bias to each.
pub(super) fn turn<T: Float>(
    rows: &[T],
    width: usize,
    bias: Option<&[T]>,
    output: &mut MatrixMut<'_, T>,
) {
    let pixels = output.dims()[1];
    let mut block = [[T::ZERO; TURN]; LARGEST_WIDTH];
    let block = &mut block[..width];
    for start in (0..pixels).step_by(TURN) {
        let lanes: [&[T]; TURN] =
            std::array::from_fn(|pixel| &rows[(start + pixel) * width..][..width]);
        T::kernel().interleave(&lanes, block.as_flattened_mut());
        write_turned(block, bias, output, start);
    }
}

vectorized! {
    /// Writes some pixels of each channel, from one on, with its bias.
    fn write_turned[T: Float](
        block: &[[T; TURN]],
        bias: Option<&[T]>,
        output: &mut MatrixMut<'_, T>,
        start: usize,
    ) {
        for (channel, values) in block.iter().enumerate().take(output.dims()[0]) {
            let bias = bias.map_or(T::ZERO, |bias| bias[channel]);
            let mut values = *values;
            values.iter_mut().for_each(|value| *value += bias);
            let to = &mut output.row_mut(channel)[start..];
            if let Some(next) = to.get(2 * TURN..3 * TURN) {
                prefetch(next);
            }
            match to.first_chunk_mut() {
                Some(to) => *to = values,
                None => to.iter_mut().zip(values).for_each(|(to, value)| *to = value),
            }
        }
    }
}

/// The widest panel of any kernel.
const LARGEST_WIDTH: usize = 32;

/// The lanes of the panels of so many channels: of whole ones, and of what is left.
pub(super) fn lanes<T: Float>(channels: usize) -> usize {
    let rest = channels % T::kernel().widest_panel();
    channels - rest + panels::<T>(rest).map(|(_, width)| width).sum::<usize>()
}

/// The panels of so many channels: those of each, and its width.
pub(super) fn panels<T: Float>(
    channels: usize,
) -> impl Iterator<Item = (Range<usize>, usize)> + Clone {
    let kernel = T::kernel();
    let widest = kernel.widest_panel();
    (0..channels).step_by(widest).map(move |first| {
        let last = channels.min(first + widest);
        (first..last, kernel.panel_width(last - first))
    })
}
