//! From cells of a map to the points of its tiles, sixteen tiles at a time.
//!
//! A row of cells that neighbouring tiles read lies in memory as it is needed, but for one thing: a lane wants the cells of its
//! own tile, which are `STEP` apart. So each row is copied, as runs of neighbouring tiles, in two lines, one of each tile's first
//! `STEP` cells and one of those behind them; the lines are sorted by the place in the tile, and transformed.

use super::transform::{LANES, Square, zeros};
use crate::element::Float;
use crate::gemm::MatrixMut;
use crate::simd::vectorized;
use crate::unfold::{Staged, copy_row};

/// Neighbouring tiles of a panel, whose rows are staged one after another.
pub(super) struct Run {
    piece: usize,
    /// The offset of the first one in what is staged of the piece.
    offset: usize,
    /// Its lane.
    lane: usize,
    count: usize,
}

/// The runs of all panels of the tiles that are staged.
pub(super) fn panels_of<T: Float>(staged: &[Staged<'_, T>]) -> Vec<Vec<Run>> {
    let (mut panels, mut lane) = (Vec::new(), LANES);
    for (piece, staged) in staged.iter().enumerate() {
        for &(mut offset, mut len) in staged.runs() {
            while len > 0 {
                if lane == LANES {
                    panels.push(Vec::new());
                    lane = 0;
                }
                let count = len.min(LANES - lane);
                if let Some(panel) = panels.last_mut() {
                    panel.push(Run { piece, offset, lane, count });
                }
                offset += count * staged.step();
                (len, lane) = (len - count, lane + count);
            }
        }
    }
    panels
}

/// Room for a row of cells of sixteen tiles: tile by tile, and sorted by the place in the tile.
pub(super) struct Rows<T, const STEP: usize> {
    lines: [[[T; STEP]; LANES]; 2],
    sorted: [[[T; LANES]; STEP]; 2],
}

impl<T: Float, const STEP: usize> Rows<T, STEP> {
    pub(super) fn new() -> Self {
        let (line, sorted) = ([[T::ZERO; STEP]; LANES], [[T::ZERO; LANES]; STEP]);
        Self { lines: [line; 2], sorted: [sorted; 2] }
    }
}

vectorized! {
    /// The points of a panel of tiles of one channel, `N` cells wide: transforms their rows and columns with `f` and writes every
    /// point to a row of a matrix, the first and how many rows apart.
    pub(super) fn points_of_panel[
        T: Float, F: Fn([T; N]) -> [T; M], const STEP: usize, const N: usize, const M: usize
    ](
        f: F,
        places: (&[Staged<'_, T>], &[Run], usize),
        rows: &mut Rows<T, STEP>,
        matrix: &mut MatrixMut<'_, T>,
        to: [usize; 2],
    ) {
        let (staged, runs, channel) = places;
        let mut half = [[[T::ZERO; LANES]; M]; N];
        let lines = N.div_ceil(STEP);
        for (y, half) in half.iter_mut().enumerate() {
            for run in runs {
                let cells = staged[run.piece].from(channel, y * N, run.offset);
                for (number, line) in rows.lines[..lines].iter_mut().enumerate() {
                    let line = line[run.lane..][..run.count].as_flattened_mut();
                    copy_row(&cells[number * STEP..][..line.len()], line);
                }
            }
            for (line, sorted) in rows.lines[..lines].iter().zip(&mut rows.sorted) {
                for (lane, cells) in line.iter().enumerate() {
                    for (place, cell) in cells.iter().enumerate() {
                        sorted[place][lane] = *cell;
                    }
                }
            }
            let cells = rows.sorted.as_flattened();
            for lane in 0..LANES {
                let points = f(std::array::from_fn(|x| cells[x][lane]));
                for (half, point) in half.iter_mut().zip(points) {
                    half[lane] = point;
                }
            }
        }
        let mut points: Square<T, M> = zeros();
        for x in 0..M {
            for lane in 0..LANES {
                let column = f(std::array::from_fn(|y| half[y][x][lane]));
                for (points, point) in points.iter_mut().zip(column) {
                    points[x][lane] = point;
                }
            }
        }
        for (point, values) in points.as_flattened().iter().enumerate() {
            matrix.row_mut(to[0] + point * to[1])[..LANES].copy_from_slice(values);
        }
    }
}
