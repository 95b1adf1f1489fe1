//! Strides: a strided convolution is one at stride 1, of the phases of its input.
//!
//! Along an axis with the stride `s`, the tap `t = q s + r` of all outputs reads the cells `r`, `s + r`, `2 s + r` and so on of the padded
//! input: its phase `r`, of which it is the tap `q`. So a channel is a channel for each phase, the kernel of each has a
//! `s`-th of the taps, rounded up, and what is summed over channels and taps is a convolution like any other. At
//! stride 2, kernels of 3x3 and of 4x4, the usual ones of transposed convolutions, become 2x2 on four times the channels. F(5x5, 2x2) has
//! 36 products for 25 outputs, so an output and a channel take 4 x 36 / 25 = 5.8 products, instead of 9 and of 16.
//!
//! Phases are copied apart, with their padding, and those of a gradient are put together again.

use std::ops::Range;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::element::Float;
use crate::geometry::ConvShape;
use crate::simd::vectorized;

/// The convolution at stride 1 that a strided one is.
pub(super) struct Phases {
    strided: ConvShape,
    pub(super) unit: ConvShape,
}

impl Phases {
    /// None at stride 1 or along the depth, where taps are apart, where the stride is larger than the kernel, and where there are more
    /// cells than can be counted.
    pub(super) fn of(shape: &ConvShape) -> Option<Self> {
        let mut unit = *shape;
        let spec = &mut unit.spec;
        if spec.stride == [1; 3] || spec.stride[0] > 1 || spec.dilation != [1; 3] {
            return None;
        }
        for axis in 0..3 {
            if spec.stride[axis] > spec.kernel[axis] {
                return None;
            }
            spec.kernel[axis] = spec.kernel[axis].div_ceil(spec.stride[axis]);
            unit.input[axis] = shape.output[axis] + spec.kernel[axis] - 1;
        }
        let sizes = [spec.stride, unit.input, [shape.batch, 1, 1]];
        let mut sizes = sizes.as_flattened().iter();
        sizes.try_fold(shape.in_channels, |cells, &size| cells.checked_mul(size))?;
        unit.in_channels *= spec.stride.iter().product::<usize>();
        (spec.stride, spec.padding) = ([1; 3], [[0; 2]; 3]);
        Some(Self { strided: *shape, unit })
    }

    /// Cells of the phases of a channel and an image, and of the channel.
    fn planes(&self) -> [usize; 2] {
        let [phases, plane] =
            [self.unit.input, self.strided.input].map(|size| size.iter().product::<usize>());
        [phases * self.unit.in_channels / self.strided.in_channels, plane]
    }

    /// Taps of the phases of a pair of channels, and of the pair.
    fn taps(&self) -> [usize; 2] {
        let [phases, kernel] = [self.unit, self.strided]
            .map(|shape| shape.spec.kernel.iter().product::<usize>() * shape.in_channels);
        [phases / self.strided.in_channels, kernel / self.strided.in_channels]
    }

    /// The plain products of the phases, as a share of the strided convolution's, and the cells that are copied for each of these.
    pub(super) fn cost(&self) -> [f64; 2] {
        let [phases, taps] = self.taps().map(|taps| taps as f64);
        let outputs = self.strided.output.iter().product::<usize>() * self.strided.out_channels;
        [phases / taps, self.planes()[0] as f64 / (outputs as f64 * taps)]
    }

    /// Elements of all phases, and of their weights.
    pub(super) fn held_len(&self) -> usize {
        self.unit.input_len().saturating_add(self.unit.weight_len())
    }

    /// The phases of the input.
    pub(super) fn split<T: Float>(&self, input: &[T]) -> Buffer<T> {
        let [phases_len, plane_len] = self.planes();
        let mut split = Buffer::for_overwrite(self.unit.input_len());
        let planes = input.par_chunks_exact(plane_len);
        let pairs = split.par_chunks_exact_mut(phases_len).zip(planes);
        pairs.for_each(|(phases, plane)| split_plane(self, plane, phases));
        split
    }

    /// Puts the phases of the input's gradient together. Cells that are in none become zero.
    pub(super) fn join<T: Float>(&self, split: &[T], grad_input: &mut [T]) {
        let [phases_len, plane_len] = self.planes();
        let planes = grad_input.par_chunks_exact_mut(plane_len);
        let pairs = planes.zip(split.par_chunks_exact(phases_len));
        pairs.for_each(|(plane, phases)| join_plane(self, phases, plane));
    }

    /// The weights of the phases.
    pub(super) fn split_weight<T: Float>(&self, weight: &[T]) -> Buffer<T> {
        let [phases_len, kernel_len] = self.taps();
        let mut split = Buffer::filled(self.unit.weight_len(), T::ZERO);
        let kernels = weight.par_chunks_exact(kernel_len);
        split.par_chunks_exact_mut(phases_len).zip(kernels).for_each(|(phases, kernel)| {
            self.tap_pairs(|phase, tap| phases[phase] = kernel[tap]);
        });
        split
    }

    /// The gradient of the weight, of that of the phases' weights.
    pub(super) fn join_weight<T: Float>(&self, split: &[T], grad_weight: &mut [T]) {
        let [phases_len, kernel_len] = self.taps();
        let kernels = grad_weight.par_chunks_exact_mut(kernel_len);
        kernels.zip(split.par_chunks_exact(phases_len)).for_each(|(kernel, phases)| {
            self.tap_pairs(|phase, tap| kernel[tap] = phases[phase]);
        });
    }

    /// Each tap among those of the phases, and of the kernel.
    fn tap_pairs(&self, mut pair: impl FnMut(usize, usize)) {
        let [_, down, across] = self.strided.spec.stride;
        let [[_, height, width], [_, rows, columns]] =
            [self.strided, self.unit].map(|shape| shape.spec.kernel);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let phase = y % down * across + x % across;
            pair((phase * rows + y / down) * columns + x / across, y * width + x);
        }
    }

    /// A row of those of all phases of a channel, one phase after the other; none if it is padding.
    #[inline(always)]
    fn row(&self, number: usize) -> Option<Row> {
        let [_, down, across] = self.strided.spec.stride;
        let [_, [above, _], [left, _]] = self.strided.spec.padding;
        let [[_, height, width], [_, rows, columns]] =
            [self.strided, self.unit].map(|shape| shape.input);
        let (phase, row) = (number / rows, number % rows);
        let y = (row * down + phase / across).checked_sub(above).filter(|&y| y < height)?;
        let column = phase % across;
        let start = left.saturating_sub(column).div_ceil(across).min(columns);
        let first = (start * across + column).saturating_sub(left).min(width);
        let count = (width - first).div_ceil(across).min(columns - start);
        Some(Row { cells: start..start + count, first: y * width + first })
    }
}

/// Where a phase's row has cells of the channel.
struct Row {
    /// Those that are not padding.
    cells: Range<usize>,
    /// The first of them in the channel's plane. The next ones are a stride apart.
    first: usize,
}

vectorized! {
    /// Takes the phases of a channel apart.
    fn split_plane[T: Float](by: &Phases, plane: &[T], phases: &mut [T]) {
        let stride = by.strided.spec.stride[2];
        for (number, to) in phases.chunks_exact_mut(by.unit.input[2]).enumerate() {
            let Some(Row { cells, first }) = by.row(number) else {
                to.fill(T::ZERO);
                continue;
            };
            to[..cells.start].fill(T::ZERO);
            to[cells.end..].fill(T::ZERO);
            let (to, from) = (&mut to[cells], &plane[first..]);
            // Vectors are made of pairs, of which the row may end within one.
            let mut done = 0;
            if stride == 2 {
                let pairs = from.as_chunks::<2>().0;
                to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                done = pairs.len().min(to.len());
            }
            for (i, to) in to.iter_mut().enumerate().skip(done) {
                *to = from[i * stride];
            }
        }
    }
}

vectorized! {
    /// Puts the phases of a channel together.
    fn join_plane[T: Float](by: &Phases, phases: &[T], plane: &mut [T]) {
        let stride = by.strided.spec.stride[2];
        plane.fill(T::ZERO);
        for (number, from) in phases.chunks_exact(by.unit.input[2]).enumerate() {
            if let Some(Row { cells, first }) = by.row(number) {
                let to = plane[first..].iter_mut().step_by(stride);
                to.zip(&from[cells]).for_each(|(to, &from)| *to = from);
            }
        }
    }
}
