//! The cells that a block of windows reads, copied so that no window is special.
//!
//! They are copied with their padding, and with the columns of each row sorted by their remainder to the stride.
//! After that, what a tap reads for neighbouring outputs of a row lies side by side, at an offset that is the sum of
//! one number for the channel, one for the tap and one for the output.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::element::Float;
use crate::geometry::ConvShape;
use crate::simd::{prefetch, vectorized};

/// The cells that some outputs read of some channels.
pub(crate) struct Staged<T: Float> {
    cells: Buffer<T>,
    /// Cells of a channel.
    channel: usize,
    /// The offset of each tap.
    taps: Vec<usize>,
    /// Neighbouring outputs of one row, in order: the offset of the first, and how many.
    runs: Vec<(usize, usize)>,
}

/// The smallest box of outputs that holds a range of them.
fn bounds(outputs: &Range<usize>, [_, height, width]: [usize; 3]) -> [Range<usize>; 3] {
    let place = |i: usize| [i / width / height, i / width % height, i % width];
    let (first, last) = (place(outputs.start), place(outputs.end - 1));
    let [z, y, x] = [0, 1, 2].map(|axis| first[axis]..last[axis] + 1);
    match (z.len() > 1, y.len() > 1 || z.len() > 1) {
        (true, _) => [z, 0..height, 0..width],
        (false, true) => [z, y, 0..width],
        (false, false) => [z, y, x],
    }
}

impl<T: Float> Staged<T> {
    /// Stages what `outputs`, of which there must be one, read of `channels` of `planes`, `[channels, *input]`. From
    /// any offset of a cell that is read, `slack` cells may be read.
    pub(crate) fn new(
        shape: &ConvShape,
        planes: &[T],
        channels: Range<usize>,
        outputs: Range<usize>,
        slack: usize,
    ) -> Self {
        let spec = &shape.spec;
        let bounds = bounds(&outputs, shape.output);
        // The first cell on each axis, counted from the start of the padding, and how many there are.
        let start = [0, 1, 2].map(|axis| bounds[axis].start * spec.stride[axis]);
        let extent = spec.extent();
        let [depth, height, width] =
            [0, 1, 2].map(|axis| (bounds[axis].len() - 1) * spec.stride[axis] + extent[axis]);
        let stride = spec.stride[2];
        let phase = width.div_ceil(stride);
        let row_len = phase * stride;
        let rows = channels.len() * depth * height;
        let mut cells = Buffer::for_overwrite(rows * row_len + slack);
        let (staged, behind) = cells.split_at_mut(rows * row_len);
        behind.fill(T::ZERO);
        let plane: usize = shape.input.iter().product();
        let inside = |axis: usize, cell: usize| {
            let cell = (start[axis] + cell).checked_sub(spec.padding[axis][0])?;
            (cell < shape.input[axis]).then_some(cell)
        };
        let mut line = Line::new(shape, start[2], row_len);
        // The rows of the next plane, unless they begin where these end.
        let read = (0..height).filter_map(|y| inside(1, y));
        let (first, count) = (read.clone().min().unwrap_or(0), read.count());
        let ahead = if depth == 1 && count < shape.input[1] { count } else { 0 };
        let ahead = |channel| {
            let cells = planes.get((channels.start + channel) * plane + first * shape.input[2]..);
            cells.and_then(|cells| cells.get(..ahead * shape.input[2])).unwrap_or(&[])
        };
        for (channel, rows) in staged.chunks_exact_mut(depth * height * row_len).enumerate() {
            prefetch(ahead(channel + 1));
            for (i, row) in rows.chunks_exact_mut(row_len).enumerate() {
                if let (Some(z), Some(y)) = (inside(0, i / height), inside(1, i % height)) {
                    let source = (channels.start + channel) * plane;
                    let source = source + (z * shape.input[1] + y) * shape.input[2];
                    line.stage(&planes[source..][..shape.input[2]], row);
                } else {
                    row.fill(T::ZERO);
                }
            }
        }

        let [_, kernel_y, kernel_x] = spec.kernel;
        let taps = (0..spec.kernel.iter().product()).map(|tap| {
            let [z, y, x] = [tap / kernel_x / kernel_y, tap / kernel_x % kernel_y, tap % kernel_x];
            let [z, y, x] = [z * spec.dilation[0], y * spec.dilation[1], x * spec.dilation[2]];
            (z * height + y) * row_len + x % stride * phase + x / stride
        });
        let mut runs = Vec::new();
        let mut next = outputs.start;
        let [_, out_height, out_width] = shape.output;
        while next < outputs.end {
            let (row, x) = (next / out_width, next % out_width);
            let z = row / out_height - bounds[0].start;
            let y = row % out_height - bounds[1].start;
            let len = (out_width - x).min(outputs.end - next);
            let line = z * spec.stride[0] * height + y * spec.stride[1];
            runs.push((line * row_len + x - bounds[2].start, len));
            next += len;
        }
        Self { cells, channel: depth * height * row_len, taps: taps.collect(), runs }
    }

    /// All cells.
    pub(crate) fn cells(&self) -> &[T] {
        &self.cells
    }

    /// Neighbouring outputs of one row, in order: the offset of the first, and how many.
    pub(crate) fn runs(&self) -> &[(usize, usize)] {
        &self.runs
    }

    /// Cells of a channel.
    pub(crate) fn channel(&self) -> usize {
        self.channel
    }

    /// The offset of a tap of a channel.
    pub(crate) fn offset(&self, channel: usize, tap: usize) -> usize {
        channel * self.channel + self.taps[tap]
    }

    /// The offsets of some taps of each of some channels.
    pub(crate) fn offsets(&self, channels: Range<usize>, taps: &[usize]) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(channels.len() * taps.len());
        for channel in channels {
            offsets.extend(taps.iter().map(|&tap| channel * self.channel + self.taps[tap]));
        }
        offsets
    }

    /// The offsets of some rows of the column matrix, whose first channel is the first that was staged.
    pub(crate) fn rows(&self, taps: usize, rows: Range<usize>) -> Vec<usize> {
        let first = rows.start / taps;
        rows.map(|row| (row / taps - first) * self.channel + self.taps[row % taps]).collect()
    }

    /// What a tap reads of a channel for `LEN` outputs, from the one with this offset on.
    #[inline(always)]
    pub(crate) fn read<const LEN: usize>(&self, channel: usize, tap: usize, offset: usize) -> &[T] {
        &self.cells[channel * self.channel + self.taps[tap] + offset..][..LEN]
    }
}

/// What is the same for all rows that are staged.
struct Line<T> {
    /// A row with its padding, before it is sorted.
    cells: Vec<T>,
    /// Where the input's cells lie in it.
    inside: Range<usize>,
    /// The first of these in a row of the input.
    first: usize,
    stride: usize,
}

impl<T: Float> Line<T> {
    /// For rows of `len` cells from the cell `start` after the padding begins.
    fn new(shape: &ConvShape, start: usize, len: usize) -> Self {
        let (stride, padding) = (shape.spec.stride[2], shape.spec.padding[2][0]);
        let low = padding.saturating_sub(start).min(len);
        let high = (padding + shape.input[2]).saturating_sub(start).clamp(low, len);
        // A row of nothing but padding begins beyond the input.
        let first = (start + low).saturating_sub(padding).min(shape.input[2]);
        Self { cells: vec![T::ZERO; len], inside: low..high, first, stride }
    }

    /// Copies a row of the input with its padding, sorted by the remainder of a cell to the stride.
    fn stage(&mut self, input: &[T], row: &mut [T]) {
        let Self { cells, inside, first, stride } = self;
        let source = &input[*first..][..inside.len()];
        if *stride == 1 {
            row[..inside.start].fill(T::ZERO);
            row[inside.clone()].copy_from_slice(source);
            row[inside.end..].fill(T::ZERO);
            return;
        }
        // The padding stays zero.
        cells[inside.clone()].copy_from_slice(source);
        match *stride {
            2 => sort_phases::<T, 2>(cells.as_chunks().0, row),
            3 => sort_phases::<T, 3>(cells.as_chunks().0, row),
            4 => sort_phases::<T, 4>(cells.as_chunks().0, row),
            stride => {
                for (p, phase) in row.chunks_exact_mut(cells.len() / stride).enumerate() {
                    let source = cells[p..].iter().step_by(stride);
                    phase.iter_mut().zip(source).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }
}

vectorized! {
    /// `phases[p][q] = groups[q][p]`.
    fn sort_phases[T: Float, const STRIDE: usize](groups: &[[T; STRIDE]], phases: &mut [T]) {
        // One phase after another: with all at once the compiler cannot tell that they do not overlap.
        for (p, phase) in phases.chunks_exact_mut(groups.len()).enumerate() {
            phase.iter_mut().zip(groups).for_each(|(to, group)| *to = group[p]);
        }
    }
}
