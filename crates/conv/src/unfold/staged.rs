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
pub(crate) struct Staged<'a, T: Float> {
    cells: Cells<'a, T>,
    /// Cells of a channel.
    channel: usize,
    /// The offset of each tap.
    taps: Vec<usize>,
    /// Neighbouring outputs of one row, in order: the offset of the first, and how many.
    runs: Vec<(usize, usize)>,
    /// From one of these to the next.
    step: usize,
}

/// Where the cells are.
enum Cells<'a, T: Float> {
    Copied(Buffer<T>),
    InPlace(&'a [T]),
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

/// The box of cells that some outputs read, and how its cells lie in memory.
struct Frame<'s> {
    shape: &'s ConvShape,
    /// The box of outputs.
    outputs: [Range<usize>; 3],
    /// The first cell on each axis, counted from the start of the padding.
    start: [usize; 3],
    /// How many cells there are.
    size: [usize; 3],
    /// Remainders by which the columns of a row are sorted.
    phases: usize,
}

impl<'s> Frame<'s> {
    /// Of outputs, of which there must be one.
    fn new(shape: &'s ConvShape, outputs: &Range<usize>, phases: usize) -> Self {
        let (outputs, extent) = (bounds(outputs, shape.output), shape.spec.extent());
        let start = [0, 1, 2].map(|axis| outputs[axis].start * shape.spec.stride[axis]);
        let size = [0, 1, 2]
            .map(|axis| (outputs[axis].len() - 1) * shape.spec.stride[axis] + extent[axis]);
        Self { shape, outputs, start, size, phases }
    }

    /// The input's cell that a cell is, unless it is padding.
    fn inside(&self, axis: usize, cell: usize) -> Option<usize> {
        let cell = (self.start[axis] + cell).checked_sub(self.shape.spec.padding[axis][0])?;
        (cell < self.shape.input[axis]).then_some(cell)
    }

    /// The input's cell that the first one is, if there is no padding.
    fn unpadded(&self) -> Option<[usize; 3]> {
        let first =
            |axis: usize| self.inside(axis, self.size[axis] - 1).and_then(|_| self.inside(axis, 0));
        Some([first(0)?, first(1)?, first(2)?])
    }

    /// Elements of a row, each phase as long as the longest.
    fn row_len(&self) -> usize {
        self.size[2].next_multiple_of(self.phases)
    }

    /// Copies the cells of some channels, and makes some more behind them.
    fn copy<T: Float>(&self, planes: &[T], channels: Range<usize>, slack: usize) -> Buffer<T> {
        let ([depth, height, _], input, row_len) = (self.size, self.shape.input, self.row_len());
        let len = channels.len() * depth * height * row_len;
        let mut cells = Buffer::for_overwrite(len + slack);
        let (staged, behind) = cells.split_at_mut(len);
        behind.fill(T::ZERO);
        let plane: usize = input.iter().product();
        let mut line = Line::new(self);
        // The rows of the next plane, unless they begin where these end.
        let read = (0..height).filter_map(|y| self.inside(1, y));
        let (first, count) = (read.clone().min().unwrap_or(0), read.count());
        let ahead = if depth == 1 && count < input[1] { count } else { 0 };
        let ahead = |channel| {
            let cells = planes.get((channels.start + channel) * plane + first * input[2]..);
            cells.and_then(|cells| cells.get(..ahead * input[2])).unwrap_or(&[])
        };
        let rows: Vec<_> = (0..depth * height)
            .map(|i| {
                let (z, y) = (self.inside(0, i / height)?, self.inside(1, i % height)?);
                Some((z * input[1] + y) * input[2])
            })
            .collect();
        for (channel, staged) in staged.chunks_exact_mut(depth * height * row_len).enumerate() {
            prefetch(ahead(channel + 1));
            line.stage_rows(&planes[(channels.start + channel) * plane..][..plane], &rows, staged);
        }
        cells
    }

    /// The cells with the offsets of the taps and of some outputs: from the first cell, with so many cells in a plane and
    /// in a row.
    fn staged<'a, T: Float>(
        &self,
        cells: Cells<'a, T>,
        outputs: Range<usize>,
        (first, [depth, height, row_len]): (usize, [usize; 3]),
    ) -> Staged<'a, T> {
        let spec = &self.shape.spec;
        let phase = row_len / self.phases;
        let [_, kernel_y, kernel_x] = spec.kernel;
        let taps = (0..spec.kernel.iter().product()).map(|tap| {
            let [z, y, x] = [tap / kernel_x / kernel_y, tap / kernel_x % kernel_y, tap % kernel_x];
            let [z, y, x] = [z * spec.dilation[0], y * spec.dilation[1], x * spec.dilation[2]];
            (z * height + y) * row_len + x % self.phases * phase + x / self.phases
        });
        let step = spec.stride[2] / self.phases;
        let mut runs = Vec::new();
        let mut next = outputs.start;
        let [_, out_height, out_width] = self.shape.output;
        while next < outputs.end {
            let (row, x) = (next / out_width, next % out_width);
            let z = row / out_height - self.outputs[0].start;
            let y = row % out_height - self.outputs[1].start;
            let len = (out_width - x).min(outputs.end - next);
            let line = z * spec.stride[0] * height + y * spec.stride[1];
            runs.push((first + line * row_len + (x - self.outputs[2].start) * step, len));
            next += len;
        }
        Staged { cells, channel: depth * height * row_len, taps: taps.collect(), runs, step }
    }
}

impl<'a, T: Float> Staged<'a, T> {
    /// Stages what `outputs`, of which there must be one, read of `channels` of `planes`, `[channels, *input]`. From
    /// any offset of a cell that is read, `slack` cells may be read.
    pub(crate) fn new(
        shape: &ConvShape,
        planes: &[T],
        channels: Range<usize>,
        outputs: Range<usize>,
        slack: usize,
    ) -> Self {
        let frame = Frame::new(shape, &outputs, shape.spec.stride[2]);
        let cells = Cells::Copied(frame.copy(planes, channels, slack));
        let [depth, height, _] = frame.size;
        frame.staged(cells, outputs, (0, [depth, height, frame.row_len()]))
    }

    /// The same for who reads one cell at a time: the columns of a row keep their order, and where there is no padding nothing is
    /// copied.
    pub(crate) fn in_order(
        shape: &ConvShape,
        planes: &'a [T],
        channels: Range<usize>,
        outputs: Range<usize>,
    ) -> Self {
        let frame = Frame::new(shape, &outputs, 1);
        let [_, height, width] = shape.input;
        if let Some([z, y, x]) = frame.unpadded() {
            let plane: usize = shape.input.iter().product();
            let cells = Cells::InPlace(&planes[channels.start * plane..channels.end * plane]);
            let first = (z * height + y) * width + x;
            return frame.staged(cells, outputs, (first, shape.input));
        }
        let cells = Cells::Copied(frame.copy(planes, channels, 0));
        frame.staged(cells, outputs, (0, frame.size))
    }

    /// All cells.
    pub(crate) fn cells(&self) -> &[T] {
        match &self.cells {
            Cells::Copied(cells) => cells,
            Cells::InPlace(cells) => cells,
        }
    }

    /// Neighbouring outputs of one row, in order: the offset of the first, and how many. They read neighbouring cells, or with
    /// the columns in order cells that are a stride apart.
    pub(crate) fn runs(&self) -> &[(usize, usize)] {
        &self.runs
    }

    /// From what an output reads to what its neighbour does.
    pub(crate) fn step(&self) -> usize {
        self.step
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
        &self.cells()[channel * self.channel + self.taps[tap] + offset..][..LEN]
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
    fn new(frame: &Frame<'_>) -> Self {
        let (start, len) = (frame.start[2], frame.row_len());
        let (padding, width) = (frame.shape.spec.padding[2][0], frame.shape.input[2]);
        let low = padding.saturating_sub(start).min(len);
        let high = (padding + width).saturating_sub(start).clamp(low, len);
        // A row of nothing but padding begins beyond the input.
        let first = (start + low).saturating_sub(padding).min(width);
        Self { cells: vec![T::ZERO; len], inside: low..high, first, stride: frame.phases }
    }

    /// Copies the rows of a plane that begin at some of its cells, or are nothing but padding.
    fn stage_rows(&mut self, plane: &[T], rows: &[Option<usize>], staged: &mut [T]) {
        let inside = self.inside.len();
        if self.stride == 1 {
            let padding = [self.inside.start, self.cells.len() - self.inside.end];
            return stage_rows_in_order(plane, (rows, self.first, inside), padding, staged);
        }
        for (row, to) in rows.iter().zip(staged.chunks_exact_mut(self.cells.len())) {
            match row {
                Some(row) => self.sort(&plane[row + self.first..][..inside], to),
                None => to.fill(T::ZERO),
            }
        }
    }

    /// Copies a row with its padding, sorted by the remainder of a cell to the stride.
    fn sort(&mut self, source: &[T], row: &mut [T]) {
        let Self { cells, inside, stride, .. } = self;
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
    /// Copies rows between their paddings: `len` cells of each, from `first` cells after where it begins.
    fn stage_rows_in_order[T: Float](
        plane: &[T],
        places: (&[Option<usize>], usize, usize),
        padding: [usize; 2],
        staged: &mut [T],
    ) {
        let ((rows, first, len), [left, right]) = (places, padding);
        for (row, to) in rows.iter().zip(staged.chunks_exact_mut(left + len + right)) {
            match row {
                Some(row) => {
                    copy_row(&plane[row + first..][..len], &mut to[left..][..len]);
                    clear_row(&mut to[..left]);
                    clear_row(&mut to[left + len..]);
                }
                None => clear_row(to),
            }
        }
    }
}

/// Elements of a piece of a row.
const PIECE: usize = 16;

/// Copies a row. Most are too short for a call to be worth its time: in pieces of a fixed length, of which the last one reaches
/// back into the one before.
#[inline(always)]
pub(crate) fn copy_row<T: Float>(from: &[T], to: &mut [T]) {
    #[inline(always)]
    fn pieces<T: Copy, const LEN: usize>(from: &[T], to: &mut [T]) {
        for (to, from) in to.as_chunks_mut::<LEN>().0.iter_mut().zip(from.as_chunks::<LEN>().0) {
            *to = *from;
        }
        if let (Some(to), Some(from)) = (to.last_chunk_mut::<LEN>(), from.last_chunk::<LEN>()) {
            *to = *from;
        }
    }
    match from.len() {
        0..2 => pieces::<T, 1>(from, to),
        2..4 => pieces::<T, 2>(from, to),
        4..8 => pieces::<T, 4>(from, to),
        8..PIECE => pieces::<T, 8>(from, to),
        _ => pieces::<T, PIECE>(from, to),
    }
}

/// Fills a row with zeros, as [`copy_row`] copies one.
#[inline(always)]
fn clear_row<T: Float>(row: &mut [T]) {
    if row.len() > PIECE {
        return row.fill(T::ZERO);
    }
    copy_row(&[T::ZERO; PIECE][..row.len()], row);
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
