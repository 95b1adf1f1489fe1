//! Pooling of 2x2 windows side by side, which is most of the pooling there is. A cell belongs to one window, so neither maxima
//! nor their gradients need a branch, which data would take at random.
//!
//! Windows are taken in blocks that fill the widest vector, over the ends of rows, since many maps are narrow. A block's cells are
//! copied from runs of windows side by side, whose length the compiler knows, and from there on all loops are of one length. Blocks run
//! over the ends of planes, too: some planes are taken together, as if they were one deep plane. Places are
//! computed with sums that wrap: none does, but a debug build would check each, and not by vectors.

use super::max::{NOWHERE, Sought};
use crate::element::Float;
use crate::geometry::{PoolShape, PoolSpec, Windows};
use crate::simd::vectorized;

/// Windows in a block.
const BLOCK: usize = 16;

/// The number of no cell in a window. Numbers are as wide as single-precision cells, and so are their vectors.
const NO_CELL: u32 = 4;

/// Cells of the planes that are taken together, unless one has more.
const TOGETHER: usize = 4096;

/// The windows of planes that are taken together.
pub(super) struct Halving {
    /// The upper left cell of each.
    corners: Vec<u32>,
    /// The same, counted from the beginning of its plane.
    places: Vec<u32>,
    /// Which of the planes it is in.
    plane: Vec<u32>,
    width: usize,
    /// How many windows each run has: a power of two that divides a row, up to [`BLOCK`].
    run: usize,
    /// Whether every cell is in a window.
    whole: bool,
    planes: usize,
}

impl Halving {
    /// None, if the windows are others.
    pub(super) fn of(shape: &PoolShape) -> Option<Self> {
        let Windows::Sliding(spec) = &shape.windows else {
            return None;
        };
        let PoolSpec { kernel, stride, padding, dilation, .. } = *spec;
        let ([depth, height, width], [_, rows, columns]) = (shape.input, shape.output);
        let fits =
            kernel == [1, 2, 2] && stride == kernel && padding == [0; 3] && dilation == [1; 3];
        let inside = 2 * rows <= height && 2 * columns <= width && columns > 0 && rows > 0;
        let cells = depth * height * width;
        if !fits || !inside || u32::try_from(cells.max(TOGETHER)).is_err() {
            return None;
        }
        let planes = (TOGETHER / cells).clamp(1, shape.planes.max(1));
        let first = |row: usize| (row / rows * height + row % rows * 2) * width;
        let corners: Vec<u32> = (0..planes * depth * rows)
            .flat_map(|row| (0..columns).map(move |column| (first(row) + 2 * column) as u32))
            .collect();
        let (places, plane) =
            corners.iter().map(|corner| (corner % cells as u32, corner / cells as u32)).unzip();
        let run = BLOCK.min(1 << columns.trailing_zeros());
        let whole = [2 * rows, 2 * columns] == [height, width];
        Some(Self { corners, places, plane, width, run, whole, planes })
    }

    /// How many planes are taken together. The last may be fewer.
    pub(super) fn planes(&self) -> usize {
        self.planes
    }

    /// Whether every cell is in a window, and so is written with it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// For the windows from `first` on, of `count` in all, what there is for their planes: something for each, or one thing for all.
    #[inline(always)]
    fn of_planes<T: Copy>(&self, (first, count): (usize, usize), each: &[T]) -> [T; BLOCK] {
        if each.len() == 1 {
            return [each[0]; BLOCK];
        }
        // A block that is filled up stays with the planes that it has.
        let plane = block(&self.plane[..count], first, self.plane[count - 1]);
        let mut found = [each[plane[0] as usize]; BLOCK];
        if plane[0] != plane[BLOCK - 1] {
            for i in 0..BLOCK {
                found[i] = each[plane[i] as usize];
            }
        }
        found
    }

    /// The upper and the lower cells of the windows from `first` on, of `count` in all.
    #[inline(always)]
    fn cells<T: Float, const RUN: usize>(
        &self,
        (first, count): (usize, usize),
        planes: &[T],
    ) -> [[[T; 2]; BLOCK]; 2] {
        let mut cells = [[[T::ZERO; 2]; BLOCK]; 2];
        for at in 0..BLOCK / RUN {
            let at = at * RUN;
            let Some(&corner) = self.corners[..count].get(first + at) else {
                break;
            };
            for (row, cells) in cells.iter_mut().enumerate() {
                let (pairs, _) = planes[corner as usize + row * self.width..].as_chunks::<2>();
                if let Some(run) = pairs.first_chunk::<RUN>() {
                    cells[at..at + RUN].copy_from_slice(run);
                }
            }
        }
        cells
    }

    /// Writes them.
    #[inline(always)]
    fn write<T: Float, const RUN: usize>(
        &self,
        (first, count): (usize, usize),
        cells: &[[[T; 2]; BLOCK]; 2],
        planes: &mut [T],
    ) {
        for at in 0..BLOCK / RUN {
            let at = at * RUN;
            let Some(&corner) = self.corners[..count].get(first + at) else {
                break;
            };
            for (row, cells) in cells.iter().enumerate() {
                let (pairs, _) = planes[corner as usize + row * self.width..].as_chunks_mut::<2>();
                if let Some(run) = pairs.first_chunk_mut::<RUN>() {
                    run.copy_from_slice(&cells[at..at + RUN]);
                }
            }
        }
    }
}

/// The block from `first` on, filled up where the slice ends.
#[inline(always)]
fn block<T: Copy>(slice: &[T], first: usize, filling: T) -> [T; BLOCK] {
    let slice = &slice[first..];
    slice.first_chunk().copied().unwrap_or_else(
        #[inline(always)]
        || {
            let mut block = [filling; BLOCK];
            block[..slice.len()].copy_from_slice(slice);
            block
        },
    )
}

#[inline(always)]
fn put<T: Copy>(slice: &mut [T], first: usize, block: &[T; BLOCK]) {
    let slice = &mut slice[first..];
    match slice.first_chunk_mut() {
        Some(chunk) => *chunk = *block,
        None => slice.copy_from_slice(&block[..slice.len()]),
    }
}

/// Evaluates work with the length of runs as a constant.
macro_rules! by_run {
    ($run:expr, $constant:ident => $work:expr) => {
        match $run {
            16 => by_run!($constant = 16, $work),
            8 => by_run!($constant = 8, $work),
            4 => by_run!($constant = 4, $work),
            2 => by_run!($constant = 2, $work),
            _ => by_run!($constant = 1, $work),
        }
    };
    ($constant:ident = $run:literal, $work:expr) => {{
        const $constant: usize = $run;
        $work
    }};
}

vectorized! {
    /// The cells that are sought, and their places in their planes.
    pub(super) fn find[T: Float](
        halving: &Halving,
        input: &[T],
        output: &mut [T],
        indices: &mut [i64],
        sought: Sought<'_, T>,
    ) {
        let (relu, count) = (sought.relu, output.len());
        by_run!(halving.run, RUN => for first in (0..count).step_by(BLOCK) {
            let [upper, lower] = halving.cells::<T, RUN>((first, count), input);
            let signs = halving.of_planes((first, count), sought.signs);
            let (mut values, mut numbers) = ([T::ZERO; BLOCK], [NO_CELL; BLOCK]);
            for i in 0..BLOCK {
                let sign = signs[i];
                let best = larger((sign * upper[i][0], 0), (sign * upper[i][1], 1));
                let best = larger(larger(best, (sign * lower[i][0], 2)), (sign * lower[i][1], 3));
                let nothing = relu & (best.0 <= T::ZERO);
                values[i] = if nothing { T::ZERO } else { sign * best.0 };
                numbers[i] = if nothing { NO_CELL } else { best.1 };
            }
            let corners = block(&halving.places, first, 0);
            let mut places = [NOWHERE; BLOCK];
            for i in 0..BLOCK {
                let row = if numbers[i] & 2 == 0 { 0 } else { halving.width as i64 };
                let column = i64::from(numbers[i] & 1);
                let place = i64::from(corners[i]).wrapping_add(row).wrapping_add(column);
                places[i] = if numbers[i] == NO_CELL { NOWHERE } else { place };
            }
            put(output, first, &values);
            put(indices, first, &places);
        });
    }
}

/// The larger of two cells and their numbers in the window, the first of equal ones; NaN if either is.
#[inline(always)]
fn larger<T: Float>(best: (T, u32), cell: (T, u32)) -> (T, u32) {
    let better = (cell.0 > best.0) | cell.0.is_nan();
    (if better { cell.0 } else { best.0 }, if better { cell.1 } else { best.1 })
}

vectorized! {
    /// The gradients of cells that are in windows, which may be added to what is there. Notes whether an index is that of a cell
    /// outside its window, whose gradient is then left out.
    pub(super) fn send_back[T: Float](
        halving: &Halving,
        outputs: (&[T], &[i64]),
        grad_input: &mut [T],
        add: bool,
        outside: &mut bool,
    ) {
        let (grad_output, indices) = outputs;
        let count = grad_output.len();
        by_run!(halving.run, RUN => for first in (0..count).step_by(BLOCK) {
            let grad = block(grad_output, first, T::ZERO);
            let indices = block(indices, first, NOWHERE);
            let corners = block(&halving.places, first, 0);
            let mut numbers = [NO_CELL; BLOCK];
            let mut strays = 0;
            for i in 0..BLOCK {
                let place = indices[i].wrapping_sub(i64::from(corners[i]));
                let lower = place >= halving.width as i64;
                let column = place.wrapping_sub(if lower { halving.width as i64 } else { 0 });
                let inside = (column == 0) | (column == 1);
                let number = (column as u32).wrapping_add(if lower { 2 } else { 0 });
                numbers[i] = if inside { number } else { NO_CELL };
                strays |= u32::from(!inside & (indices[i] != NOWHERE));
            }
            *outside |= strays != 0;
            let mut cells = [[[T::ZERO; 2]; BLOCK]; 2];
            if add {
                cells = halving.cells::<T, RUN>((first, count), grad_input);
            }
            for (row, cells) in cells.iter_mut().enumerate() {
                let left = 2 * row as u32;
                for i in 0..BLOCK {
                    let grad = grad[i];
                    cells[i][0] += if numbers[i] == left { grad } else { T::ZERO };
                    cells[i][1] += if numbers[i] == left + 1 { grad } else { T::ZERO };
                }
            }
            halving.write::<T, RUN>((first, count), &cells, grad_input);
        });
    }
}

vectorized! {
    /// The sums of windows over `divisor`.
    pub(super) fn mean[T: Float](halving: &Halving, divisor: T, input: &[T], output: &mut [T]) {
        let count = output.len();
        by_run!(halving.run, RUN => for first in (0..count).step_by(BLOCK) {
            let [upper, lower] = halving.cells::<T, RUN>((first, count), input);
            let mut means = [T::ZERO; BLOCK];
            for i in 0..BLOCK {
                means[i] = (upper[i][0] + upper[i][1] + lower[i][0] + lower[i][1]) / divisor;
            }
            put(output, first, &means);
        });
    }
}

vectorized! {
    /// Writes a `divisor`-th of each window's gradient to its four cells.
    pub(super) fn spread[T: Float](
        halving: &Halving,
        divisor: T,
        grad_output: &[T],
        grad_input: &mut [T],
    ) {
        if !halving.whole {
            grad_input.fill(T::ZERO);
        }
        let count = grad_output.len();
        by_run!(halving.run, RUN => for first in (0..count).step_by(BLOCK) {
            let grad = block(grad_output, first, T::ZERO);
            let mut cells = [[T::ZERO; 2]; BLOCK];
            for i in 0..BLOCK {
                cells[i] = [grad[i] / divisor; 2];
            }
            halving.write::<T, RUN>((first, count), &[cells; 2], grad_input);
        });
    }
}
