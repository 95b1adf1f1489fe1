//! Convolution of one output channel at a time, by stacks of rows.
//!
//! In a depthwise convolution, no other channel shares what is read, but outputs under each other do. The kernels of stacks
//! (`gemm/kernel/stack.rs`) take four or eight rows of them, and read the input where it lies.

use rayon::prelude::*;

use super::Direct;
use super::reader::{Reader, row_len};
use crate::buffer::Buffer;
use crate::conv::{TASKS, add_in_order, chunks};
use crate::element::Float;
use crate::gemm::kernel::{FEWEST_ROWS, MOST_TAPS, Places, StackColumns, StackRows};
use crate::geometry::ConvShape;
use crate::simd::prefetch;
use crate::unfold::copy_row;

/// Outputs that make a task, or a sum in the element's type, where planes have fewer.
const FEW: usize = 4096;

/// Whether neighbouring outputs read neighbouring cells, and there are enough rows for a stack.
pub(super) fn applies(shape: &ConvShape) -> bool {
    shape.spec.stride[2] == 1 && shape.output[1] >= FEWEST_ROWS
}

/// How a kernel's taps are cut into columns, and rows of outputs into vectors.
struct Plan<T> {
    columns: Vec<Columns>,
    /// The weights of an output channel in the order of its input channels, then of the columns.
    order: Vec<usize>,
    rows: StackRows<T>,
    /// From what a row of outputs reads to what the next one does: in the input, in what is copied.
    apart: [usize; 2],
}

/// Columns of equally many taps.
struct Columns {
    taps: usize,
    /// Their places in rows of the input, and in what is copied.
    places: [Places; 2],
}

impl<T: Float> Plan<T> {
    fn new(direct: &Direct<'_>) -> Self {
        let (shape, kernel) = (direct.shape, T::kernel());
        let spec = &shape.spec;
        let [_, height, width] = spec.kernel;
        let row_lens = [shape.input[2], row_len::<T>(shape)];
        // Taps that are not as far apart as rows of outputs share no rows.
        let most = if spec.stride[1] == spec.dilation[1] { MOST_TAPS } else { 1 };
        let whole = height / most * most;
        let first = |rows: std::ops::Range<usize>, taps: usize| {
            rows.step_by(taps).flat_map(move |y| (0..width).map(move |x| [y, x]))
        };
        let (mut columns, mut order) = (Vec::new(), Vec::new());
        for (rows, taps) in [(0..whole, most), (whole..height, height - whole)] {
            if rows.is_empty() {
                continue;
            }
            let places = row_lens.map(|len| {
                let place = |[y, x]: [usize; 2]| [y * spec.dilation[1] * len, x * spec.dilation[2]];
                Places::new(first(rows.clone(), taps).map(place).collect())
            });
            let of_column = |[y, x]: [usize; 2]| (y..y + taps).map(move |y| y * width + x);
            order.extend(first(rows, taps).flat_map(of_column));
            columns.push(Columns { taps, places });
        }
        let slices = direct.group[0] * spec.kernel[0];
        let slice = |number: usize| order.iter().map(move |tap| number * height * width + tap);
        let inside = spec.padding[2][0]..spec.padding[2][0] + shape.input[2];
        let ones = [T::ZERO, T::ONE];
        Self {
            order: (0..slices).flat_map(slice).collect(),
            columns,
            rows: kernel.rows_of_stacks(
                [shape.output[1], shape.output[2]],
                (row_lens[1], inside),
                spec.extent()[2],
                ones,
            ),
            apart: row_lens.map(|len| len * spec.stride[1]),
        }
    }

    /// Visits the columns that a stack reads; each with the number of the first of its weights.
    fn for_each(&self, reader: &Reader<'_, T>, mut visit: impl FnMut(&StackColumns<'_, T>, usize)) {
        let mut first = 0;
        for (cells, in_place) in reader.sources() {
            let kind = usize::from(!in_place);
            for Columns { taps, places } in &self.columns {
                let (places, apart) = (&places[kind], self.apart[kind]);
                visit(&StackColumns { taps: *taps, places, cells, apart, rows: &self.rows }, first);
                first += taps * places.len();
            }
        }
    }
}

/// See [`super::forward`].
pub(super) fn forward<T: Float>(
    direct: &Direct<'_>,
    (input, weight): (&[T], &[T]),
    bias: Option<&[T]>,
    output: &mut [T],
) {
    let shape = direct.shape;
    let [depth, height, width] = shape.output;
    let slices = output.len() / (height * width);
    let (plan, kernel) = (Plan::new(direct), T::kernel());
    let [count, row] = [plan.rows.count(), plan.rows.len()];
    // Stacks lie within a slice of the first axis.
    let band = height.div_ceil(TASKS.div_ceil(slices)).next_multiple_of(count);
    let mut tasks: Vec<_> = output
        .chunks_exact_mut(height * width)
        .enumerate()
        .flat_map(|(slice, output)| {
            let bands = output.chunks_mut(band * width).enumerate();
            bands.map(move |(number, output)| (slice, number * band, output))
        })
        .collect();
    let together = (FEW / (band * width)).clamp(1, tasks.len().div_ceil(TASKS));
    tasks.par_chunks_mut(together).for_each(|tasks| {
        let mut reader = Reader::new(direct, input, count);
        let mut stack = vec![T::ZERO; count * row];
        let mut weights = vec![T::ZERO; plan.order.len()];
        for (slice, first, output) in tasks {
            let plane = *slice / depth;
            let channel = plane % shape.out_channels;
            let of_channel = &weight[channel * weights.len()..];
            weights.iter_mut().zip(&plan.order).for_each(|(to, &tap)| *to = of_channel[tap]);
            let bias = bias.map_or(T::ZERO, |bias| bias[channel]);
            let mut sum = |y: usize, stack: &mut [T]| {
                reader.read(direct.inputs_of(plane), [*slice % depth, y]);
                plan.for_each(&reader, |columns, first| {
                    let weights = &weights[first..][..columns.taps * columns.places.len()];
                    kernel.sum_stack(columns, weights, (first == 0).then_some(bias), (stack, row));
                });
            };
            let rows = output.len() / width;
            for y in (0..rows).step_by(count) {
                // The last stack reaches back into the one before, which has the same sums.
                match rows.checked_sub(count) {
                    Some(last) if row == width => {
                        let y = y.min(last);
                        sum(*first + y, &mut output[y * width..]);
                    }
                    // Rows beside the output's: those of the band before, or of vectors longer than a row.
                    _ => {
                        let start = (*first + y).min(height - count);
                        sum(start, &mut stack);
                        let stack = stack.chunks_exact(row).skip(*first + y - start);
                        let outputs = output[y * width..].chunks_exact_mut(width);
                        outputs.zip(stack).for_each(|(to, row)| copy_row(&row[..width], to));
                    }
                }
            }
        }
    });
}

/// See [`super::weight_gradient`].
pub(super) fn weight_gradient<T: Float>(
    direct: &Direct<'_>,
    [input, grad_output]: [&[T]; 2],
    grad_weight: &mut [T],
) {
    let shape = direct.shape;
    let plan = Plan::new(direct);
    // Where there are few channels, each is shared out.
    let [chunk, chunks] = chunks(shape.batch, TASKS.div_ceil(shape.out_channels));
    let mut partial = Buffer::for_overwrite((chunks - 1) * grad_weight.len());
    let (channels, len) = (shape.out_channels, plan.order.len());
    let tasks = grad_weight.par_chunks_exact_mut(len).chain(partial.par_chunks_exact_mut(len));
    tasks.enumerate().for_each(|(task, grad_weight)| {
        let (first, channel) = (task / channels * chunk, task % channels);
        let images = first..shape.batch.min(first + chunk);
        let planes = images.map(|image| image * channels + channel);
        add_planes(direct, &plan, planes, [input, grad_output], grad_weight);
    });
    add_in_order(grad_weight, &partial);
}

/// The gradient of an output channel's weights, summed over some of its planes.
fn add_planes<T: Float>(
    direct: &Direct<'_>,
    plan: &Plan<T>,
    planes: impl ExactSizeIterator<Item = usize>,
    [input, grad_output]: [&[T]; 2],
    grad_weight: &mut [T],
) {
    let ([depth, height, width], kernel) = (direct.shape.output, T::kernel());
    let lanes = kernel.stack_lanes();
    let [rows, row] = [plan.rows.count(), plan.rows.len()];
    let mut reader = Reader::new(direct, input, rows);
    let mut stack = vec![T::ZERO; rows * row];
    let mut sums = vec![T::ZERO; plan.order.len() * lanes];
    let mut totals = vec![0.0; plan.order.len()];
    let (count, together) = (planes.len(), FEW.div_ceil(direct.output));
    for (number, plane) in planes.enumerate() {
        let plane_of_grad = direct.output_plane(grad_output, plane);
        for (z, y) in (0..depth).flat_map(|z| (0..height).step_by(rows).map(move |y| (z, y))) {
            // The last stack reaches back into the one before, whose rows it leaves out.
            let start = y.min(height - rows);
            let (mut grad, ahead) =
                plane_of_grad[(z * height + y) * width..].split_at((start + rows - y) * width);
            prefetch(&ahead[..ahead.len().min(rows * width)]);
            if row > width || start < y {
                stack[..(y - start) * row].fill(T::ZERO);
                let copies = stack.chunks_exact_mut(row).skip(y - start);
                copies
                    .zip(grad.chunks_exact(width))
                    .for_each(|(to, row)| copy_row(row, &mut to[..width]));
                grad = &stack;
            }
            reader.read(direct.inputs_of(plane), [z, start]);
            plan.for_each(&reader, |columns, first| {
                let len = columns.taps * columns.places.len() * lanes;
                kernel.dot_stack(columns, (grad, row), &mut sums[first * lanes..][..len]);
            });
        }
        if (number + 1) % together == 0 || number + 1 == count {
            for (total, sums) in totals.iter_mut().zip(sums.chunks_exact_mut(lanes)) {
                *total += sums.iter().map(|sum| sum.to_f64()).sum::<f64>();
                sums.fill(T::ZERO);
            }
        }
    }
    for (&tap, total) in plan.order.iter().zip(totals) {
        grad_weight[tap] = T::from_f64(total);
    }
}
