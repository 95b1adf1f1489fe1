//! Windows as a factor of a matrix product: their columns are packed into panels without ever being a matrix.
//!
//! The cells that a block of windows reads are first staged: copied with their padding, and with the columns of
//! each row sorted by their remainder to the stride. After that no window is special. What a tap reads for
//! neighbouring outputs of a row lies side by side, at an offset that is the sum of one number for the tap
//! and one for the output, so that a panel's row is a copy or two of a fixed length.
//!
//! Such a copy may write more than its piece has; what it writes too much is overwritten by the next. This is
//! why panels are written from front to back, and why [`Factor::pack`] is given some memory behind them.

use std::ops::Range;

use super::Patches;
use crate::buffer::Buffer;
use crate::element::Float;
use crate::gemm::{Factor, interleave};
use crate::geometry::ConvShape;

/// The columns of some planes with the outputs as lanes: the right factor of a convolution.
pub(crate) struct Windows<'a, T> {
    pub(crate) patches: &'a Patches<'a>,
    /// `[channels, *input]`
    pub(crate) planes: &'a [T],
}

/// The same columns with the channels and taps as lanes, over some of the outputs: the right factor of a
/// weight gradient.
pub(crate) struct Taps<'a, T> {
    pub(crate) patches: &'a Patches<'a>,
    /// `[channels, *input]`
    pub(crate) planes: &'a [T],
    pub(crate) outputs: Range<usize>,
}

/// The cells that some rows of the column matrix read for some outputs.
struct Staged<T: crate::element::Element> {
    cells: Buffer<T>,
    /// For each row, where its cell for the output of offset zero is.
    rows: Vec<usize>,
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
    /// Stages what `rows` of the column matrix of `planes` read for `outputs`; `slack` more cells may be read.
    fn new(
        shape: &ConvShape,
        planes: &[T],
        rows: Range<usize>,
        outputs: Range<usize>,
        slack: usize,
    ) -> Self {
        let (spec, taps) = (&shape.spec, shape.spec.kernel.iter().product::<usize>());
        let channels = rows.start / taps..rows.end.div_ceil(taps);
        let bounds = bounds(&outputs, shape.output);
        // The first cell on each axis, counted from the start of the padding, and how many there are.
        let start = [0, 1, 2].map(|axis| bounds[axis].start * spec.stride[axis]);
        let extent = spec.extent();
        let [depth, height, width] =
            [0, 1, 2].map(|axis| (bounds[axis].len() - 1) * spec.stride[axis] + extent[axis]);
        let stride = spec.stride[2];
        let phase = width.div_ceil(stride);
        let row_len = phase * stride;

        let mut cells = Buffer::for_overwrite(channels.len() * depth * height * row_len + slack);
        let plane: usize = shape.input.iter().product();
        for (i, row) in
            cells.chunks_exact_mut(row_len).enumerate().take(channels.len() * depth * height)
        {
            let (channel, z, y) = (i / height / depth, i / height % depth, i % height);
            let inside = |axis: usize, cell: usize| {
                (start[axis] + cell)
                    .checked_sub(spec.padding[axis][0])
                    .filter(|&cell| cell < shape.input[axis])
            };
            let (Some(z), Some(y)) = (inside(0, z), inside(1, y)) else {
                row.fill(T::ZERO);
                continue;
            };
            let source =
                (channels.start + channel) * plane + (z * shape.input[1] + y) * shape.input[2];
            stage_row(
                &planes[source..][..shape.input[2]],
                start[2],
                spec.padding[2][0],
                stride,
                row,
            );
        }

        let [_, kernel_y, kernel_x] = spec.kernel;
        let rows = rows.map(|row| {
            let (channel, tap) = (row / taps - channels.start, row % taps);
            let [z, y, x] = [tap / kernel_x / kernel_y, tap / kernel_x % kernel_y, tap % kernel_x];
            let [z, y, x] = [z * spec.dilation[0], y * spec.dilation[1], x * spec.dilation[2]];
            ((channel * depth + z) * height + y) * row_len + x % stride * phase + x / stride
        });
        let rows = rows.collect();
        let mut runs = Vec::new();
        let mut next = outputs.start;
        while next < outputs.end {
            let (z, y, x) = (
                next / shape.output[2] / shape.output[1] - bounds[0].start,
                next / shape.output[2] % shape.output[1] - bounds[1].start,
                next % shape.output[2],
            );
            let len = (shape.output[2] - x).min(outputs.end - next);
            let line = z * spec.stride[0] * height + y * spec.stride[1];
            runs.push((line * row_len + x - bounds[2].start, len));
            next += len;
        }
        Self { cells, rows, runs }
    }
}

/// Copies a row of the input with its padding, from the cell `start` after the padding begins, sorted by the
/// remainder of a cell to the stride.
fn stage_row<T: Float>(input: &[T], start: usize, padding: usize, stride: usize, row: &mut [T]) {
    let len = row.len() / stride;
    for (phase, row) in row.chunks_exact_mut(len).enumerate() {
        // Cell `q` of this phase is input cell `first + q stride`, counted from the padding.
        let first = start + phase;
        let low = padding.saturating_sub(first).div_ceil(stride).min(len);
        let high = (padding + input.len()).saturating_sub(first).div_ceil(stride).clamp(low, len);
        row[..low].fill(T::ZERO);
        row[high..].fill(T::ZERO);
        if low < high {
            let source = &input[first + low * stride - padding..];
            if stride == 1 {
                row[low..high].copy_from_slice(&source[..high - low]);
            } else {
                let source = source.iter().step_by(stride);
                row[low..high].iter_mut().zip(source).for_each(|(to, &from)| *to = from);
            }
        }
    }
}

impl<T: Float> Factor<T> for Windows<'_, T> {
    fn lanes(&self) -> usize {
        self.patches.outputs()
    }

    fn depth(&self) -> usize {
        self.patches.rows(self.planes.len())
    }

    fn pack(&self, lanes: Range<usize>, depth: Range<usize>, width: usize, panels: &mut [T]) {
        if lanes.is_empty() || depth.is_empty() {
            return;
        }
        let staged = Staged::new(self.patches.shape(), self.planes, depth, lanes, width);
        match width {
            8 => deal::<T, 8>(&staged, panels),
            16 => deal::<T, 16>(&staged, panels),
            _ => unreachable!("no kernel takes {width} columns"),
        }
    }
}

/// Writes panels whose lanes are the outputs.
fn deal<T: Float, const WIDTH: usize>(staged: &Staged<T>, panels: &mut [T]) {
    // The pieces of runs that make up a panel: offset, lane.
    let mut pieces: Vec<(usize, usize)> = Vec::with_capacity(WIDTH);
    let (mut filled, mut panel) = (0, 0);
    let mut flush = |pieces: &mut Vec<(usize, usize)>| {
        let rows = &mut panels[panel * WIDTH * staged.rows.len()..];
        for (k, &row) in staged.rows.iter().enumerate() {
            for &(offset, lane) in pieces.iter() {
                let cells: &[T; WIDTH] = staged.cells[row + offset..].first_chunk().expect("slack");
                rows[k * WIDTH + lane..][..WIDTH].copy_from_slice(cells);
            }
        }
        pieces.clear();
        panel += 1;
    };
    for &(mut offset, mut len) in &staged.runs {
        while len > 0 {
            let count = len.min(WIDTH - filled);
            pieces.push((offset, filled));
            (offset, len, filled) = (offset + count, len - count, filled + count);
            if filled == WIDTH {
                flush(&mut pieces);
                filled = 0;
            }
        }
    }
    if filled > 0 {
        flush(&mut pieces);
    }
}

impl<T: Float> Factor<T> for Taps<'_, T> {
    fn lanes(&self) -> usize {
        self.patches.rows(self.planes.len())
    }

    fn depth(&self) -> usize {
        self.outputs.len()
    }

    fn pack(&self, lanes: Range<usize>, depth: Range<usize>, width: usize, panels: &mut [T]) {
        if lanes.is_empty() || depth.is_empty() {
            return;
        }
        let steps = depth.len();
        let outputs = self.outputs.start + depth.start..self.outputs.start + depth.end;
        let staged = Staged::new(self.patches.shape(), self.planes, lanes, outputs, 0);
        match width {
            8 => deal_transposed::<T, 8>(&staged, steps, panels),
            16 => deal_transposed::<T, 16>(&staged, steps, panels),
            _ => unreachable!("no kernel takes {width} columns"),
        }
    }
}

/// Writes panels whose lanes are the rows of the column matrix.
fn deal_transposed<T: Float, const WIDTH: usize>(
    staged: &Staged<T>,
    steps: usize,
    panels: &mut [T],
) {
    let panels = panels.chunks_exact_mut(WIDTH * steps);
    for (panel, rows) in panels.zip(staged.rows.chunks(WIDTH)) {
        let mut panel = panel.as_chunks_mut::<WIDTH>().0;
        for &(offset, len) in &staged.runs {
            let (run, rest) = panel.split_at_mut(len);
            // A panel that has more lanes than rows are left repeats the first.
            let lanes: [&[T]; WIDTH] = std::array::from_fn(|i| {
                &staged.cells[rows.get(i).unwrap_or(&rows[0]) + offset..][..len]
            });
            interleave(&lanes, run);
            panel = rest;
        }
    }
}
