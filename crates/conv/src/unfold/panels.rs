//! Windows as a factor of a matrix product: their columns are packed into panels without ever being a matrix.
//!
//! The cells that a block of windows reads are staged first ([`Staged`]), after which a panel's row is a copy or
//! two of a fixed length. Such a copy may write more than its piece has; what it writes too much is overwritten by the
//! next. This is why panels are written from front to back, and why [`Factor::pack`] is given some memory
//! behind them. Windows of a single cell are packed where they lie.

use std::ops::Range;

use super::{Patches, Staged};
use crate::element::Float;
use crate::gemm::Factor;
use crate::simd::vectorized;

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

/// Stages what some rows of the column matrix read for some outputs, and some cells of slack.
fn stage<'a, T: Float>(
    patches: &Patches<'_>,
    planes: &'a [T],
    rows: Range<usize>,
    (outputs, slack): (Range<usize>, usize),
) -> Staged<'a, T> {
    let channels = rows.start / patches.taps()..rows.end.div_ceil(patches.taps());
    Staged::new(patches.shape(), planes, channels, outputs, slack)
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
        if let Some(columns) = self.patches.in_place(self.planes) {
            return columns.transposed().pack(lanes, depth, width, panels);
        }
        let staged = stage(self.patches, self.planes, depth.clone(), (lanes, width));
        let rows = staged.rows(self.patches.taps(), depth);
        match width {
            8 => deal::<T, 8>(&staged, &rows, panels),
            16 => deal::<T, 16>(&staged, &rows, panels),
            _ => unreachable!("no kernel takes {width} columns"),
        }
    }
}

/// Writes panels whose lanes are the outputs.
fn deal<T: Float, const WIDTH: usize>(staged: &Staged<'_, T>, rows: &[usize], panels: &mut [T]) {
    // The pieces of runs that make up a panel: offset, lane.
    let mut pieces: Vec<(usize, usize)> = Vec::with_capacity(WIDTH);
    let (mut filled, mut panel) = (0, 0);
    let mut flush = |pieces: &mut Vec<(usize, usize)>| {
        let place = panels[panel * WIDTH * rows.len()..].as_chunks_mut::<WIDTH>().0;
        deal_panel(staged.cells(), rows, pieces, place);
        pieces.clear();
        panel += 1;
    };
    for &(mut offset, mut len) in staged.runs() {
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

vectorized! {
    /// Writes a panel from the pieces of runs that make it up.
    fn deal_panel[T: Float, const WIDTH: usize](
        cells: &[T],
        rows: &[usize],
        pieces: &[(usize, usize)],
        panel: &mut [[T; WIDTH]],
    ) {
        let read = |at: usize| -> [T; WIDTH] { *cells[at..].first_chunk().expect("slack") };
        match *pieces {
            // Most panels are of one run or of two.
            [(offset, _)] => panel.iter_mut().zip(rows).for_each(|(place, row)| *place = read(row + offset)),
            [(offset, _), (next, lane)] => {
                let panel = panel.as_flattened_mut();
                for (k, &row) in rows.iter().enumerate() {
                    let place = &mut panel[k * WIDTH..][..2 * WIDTH];
                    place[..WIDTH].copy_from_slice(&read(row + offset));
                    place[lane..][..WIDTH].copy_from_slice(&read(row + next));
                }
            }
            _ => {
                let panel = panel.as_flattened_mut();
                for (k, &row) in rows.iter().enumerate() {
                    for &(offset, lane) in pieces {
                        panel[k * WIDTH + lane..][..WIDTH].copy_from_slice(&read(row + offset));
                    }
                }
            }
        }
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
        let outputs = self.outputs.start + depth.start..self.outputs.start + depth.end;
        if let Some(columns) = self.patches.in_place(self.planes) {
            return columns.pack(lanes, outputs, width, panels);
        }
        let staged = stage(self.patches, self.planes, lanes.clone(), (outputs, 0));
        let rows = staged.rows(self.patches.taps(), lanes);
        match width {
            8 => deal_transposed::<T, 8>(&staged, &rows, panels),
            16 => deal_transposed::<T, 16>(&staged, &rows, panels),
            _ => unreachable!("no kernel takes {width} columns"),
        }
    }
}

/// Writes panels whose lanes are the rows of the column matrix.
fn deal_transposed<T: Float, const WIDTH: usize>(
    staged: &Staged<'_, T>,
    rows: &[usize],
    panels: &mut [T],
) {
    let steps: usize = staged.runs().iter().map(|(_, len)| len).sum();
    let panels = panels.chunks_exact_mut(WIDTH * steps);
    for (panel, rows) in panels.zip(rows.chunks(WIDTH)) {
        let mut panel = panel;
        for &(offset, len) in staged.runs() {
            let (run, rest) = panel.split_at_mut(len * WIDTH);
            // A panel that has more lanes than rows are left repeats the first.
            let lanes: [&[T]; WIDTH] = std::array::from_fn(|i| {
                &staged.cells()[rows.get(i).unwrap_or(&rows[0]) + offset..][..len]
            });
            T::kernel().interleave(&lanes, run);
            panel = rest;
        }
    }
}
