//! The loops around the microkernel.
//!
//! The depth is cut so that a panel of each factor fits the first-level cache, and the rows of `A` and the
//! columns of `B` so that a block of each fits the second. A panel of `B` then meets every panel of `A`'s
//! block while it stays in the first level (Goto and van de Geijn 2008).

use std::ops::Range;

use rayon::prelude::*;

use super::kernel::{LARGEST_TILE, Panels};
use super::pack::{Factor, Packed, even};
use super::{MatrixMut, Tile, Update, cuts};
use crate::buffer::Buffer;
use crate::element::Float;

/// Bytes of a block of `A`, and of one of `B`: both together leave a part of a 512 KiB cache to `C`.
const A_BYTES: usize = 144 << 10;
const B_BYTES: usize = 256 << 10;

/// What the sums of a product start from.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    Zero,
    /// What is in `c`.
    Result,
    /// A value for each row, and for those that fill the last panel.
    Rows(&'a [T]),
}

impl<T> From<Update> for Start<'_, T> {
    fn from(update: Update) -> Self {
        match update {
            Update::Overwrite => Self::Zero,
            Update::Add => Self::Result,
        }
    }
}

/// Multiplies some rows of a factor with some columns of another: `c = start + a b`. A block of `B` is packed by this
/// thread, and met by the blocks of `A` on all that have nothing else to do.
///
/// # Panics
/// If the dimensions do not fit together.
pub(crate) fn product<'b, T: Float>(
    (a, rows): (&Packed<T>, Range<usize>),
    (b, columns): (&impl Factor<T>, Range<usize>),
    start: impl Into<Start<'b, T>>,
    c: &mut MatrixMut<'_, T>,
) {
    assert!(
        a.depth() == b.depth()
            && rows.end <= a.lanes()
            && columns.end <= b.lanes()
            && c.dims() == [rows.len(), columns.len()],
        "a product of [{rows:?}, {}] and [{}, {columns:?}] does not make {:?}",
        a.depth(),
        b.depth(),
        c.dims()
    );
    let kernel = T::kernel();
    let (add, from) = match start.into() {
        Start::Zero => (false, &[][..]),
        Start::Result => (true, &[][..]),
        Start::Rows(from) => (false, from),
    };
    let padded = rows.len().next_multiple_of(kernel.rows);
    assert!(from.is_empty() || from.len() == padded, "a start for each row");
    if a.depth() == 0 && !add {
        let from = |row| from.get(row).copied().unwrap_or(T::ZERO);
        (0..rows.len()).for_each(|row| c.row_mut(row).fill(from(row)));
    }
    let depth = a.blocks().next().map_or(1, |block| block.len());
    let block_rows = even(rows.len(), A_BYTES / size_of::<T>() / depth, kernel.rows);
    let block_columns = even(columns.len(), B_BYTES / size_of::<T>() / depth, kernel.columns);
    let mut b_panels = Buffer::for_overwrite(block_columns * depth + kernel.columns);
    for place in cuts(columns.len(), block_columns) {
        for steps in a.blocks() {
            let len = place.len().next_multiple_of(kernel.columns) * steps.len();
            let b_columns = columns.start + place.start..columns.start + place.end;
            b.pack(b_columns, steps.clone(), kernel.columns, &mut b_panels);
            let (add, from) = if steps.start > 0 { (true, &[][..]) } else { (add, from) };
            let panels = &b_panels[..len];
            let c = c.block(0..rows.len(), place.clone());
            let tiles: Vec<_> = c.tiles([block_rows, place.len()]).collect();
            tiles.into_par_iter().for_each(|Tile { rows: block_rows, matrix: mut c, .. }| {
                let a_rows = rows.start + block_rows.start..rows.start + block_rows.end;
                let panels = [a.panels(a_rows, &steps), panels];
                let from = from.get(block_rows.start..).unwrap_or(&[]);
                block(steps.len(), panels, (add, from), &mut c);
            });
        }
    }
}

/// Multiplies blocks that are packed, adds to what is there or not, and to a value for each row, if there are any.
fn block<T: Float>(
    depth: usize,
    [a, b]: [&[T]; 2],
    (add, from): (bool, &[T]),
    c: &mut MatrixMut<'_, T>,
) {
    let (kernel, [m, n]) = (T::kernel(), c.dims());
    let row_stride = c.row_stride() as usize;
    let b_len = depth * kernel.columns;
    let together = kernel.panels() * kernel.columns;
    for (b, column) in b.chunks(kernel.panels() * b_len).zip((0..n).step_by(together)) {
        for (a, row) in a.chunks_exact(depth * kernel.rows).zip((0..m).step_by(kernel.rows)) {
            let count = b.len() / b_len;
            let (a_stride, b_strides) = (kernel.rows, [b_len, kernel.columns]);
            let from = from.get(row..).unwrap_or(&[]);
            let panels = Panels { depth, a, a_stride, b, count, b_strides, from };
            let width = count * kernel.columns;
            let (rows, columns) = (kernel.rows.min(m - row), width.min(n - column));
            if (rows, columns) == (kernel.rows, width) {
                // SAFETY: the tiles lie within the dimensions of `c`, which is borrowed exclusively.
                unsafe {
                    let place = c.as_mut_ptr().add(row * row_stride + column);
                    kernel.tile_at(panels, place, [kernel.columns, row_stride], add);
                }
                continue;
            }
            let mut tile = [T::ZERO; LARGEST_TILE];
            kernel.tile(panels, &mut tile, [kernel.columns, width], false);
            for (i, sums) in tile.chunks_exact(width).take(rows).enumerate() {
                let target = &mut c.row_mut(row + i)[column..][..columns];
                for (target, &sum) in target.iter_mut().zip(sums) {
                    *target = if add { *target + sum } else { sum };
                }
            }
        }
    }
}
