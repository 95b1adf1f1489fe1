//! The product with rows of cells that stay where they lie.
//!
//! Where neighbouring outputs read neighbouring cells, a row of a panel of `B` is a piece of a row of cells, and need not be copied into
//! a panel: the microkernel loads it from where the step's offset says. Copying would pay only if many channels read the copy.

use super::gather::Offsets;
use super::{Kernel, LARGEST_TILE, Raw};
use crate::element::Float;
use crate::gemm::MatrixMut;

/// What the microkernel multiplies: a panel of `A`, `[depth][rows]`, with pieces of rows of cells.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub(crate) a: &'a [T],
    /// Where the row of each step is, from where a panel begins.
    pub(crate) offsets: Offsets<'a>,
    pub(crate) cells: &'a [T],
    /// Where the first panel begins in them, and how far the next is from it.
    pub(crate) first: usize,
    pub(crate) apart: usize,
    /// How many panels there are.
    pub(crate) count: usize,
    /// What the sums of each row start from.
    pub(crate) from: &'a [T],
}

/// The tiles that are written: from a row and a column on, so many columns of each. The next one is so far from the first.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) column: usize,
    pub(crate) columns: usize,
    pub(crate) apart: usize,
}

impl<T: Float> Kernel<T> {
    /// Multiplies into as many tiles of `c` as there are panels. They may overlap. Rows that `c` does not have are left out.
    ///
    /// # Panics
    /// If something lies outside its slice or the matrix, or there are more panels than [`Self::panels`].
    #[inline]
    pub(crate) fn tile_of_rows(&self, rows: Rows<'_, T>, c: &mut MatrixMut<'_, T>, place: Place) {
        let ([height, width], row_stride) = (c.dims(), c.row_stride() as usize);
        let (Place { row, column, columns, apart }, count) = (place, rows.count);
        let height = self.rows.min(height - row);
        assert!(columns <= self.columns && column + (count - 1) * apart + columns <= width);
        if (height, columns) == (self.rows, self.columns) {
            // SAFETY: the tiles lie within the dimensions of `c`, which is borrowed exclusively.
            unsafe {
                let tile = c.as_mut_ptr().add(row * row_stride + column);
                return self.tile_of_rows_at(rows, tile, [apart, row_stride]);
            }
        }
        let mut tile = [T::ZERO; LARGEST_TILE];
        let tile_width = count * self.columns;
        // SAFETY: the largest tile has room for the tiles of every kernel.
        unsafe { self.tile_of_rows_at(rows, tile.as_mut_ptr(), [self.columns, tile_width]) }
        for (i, sums) in tile.chunks_exact(tile_width).take(height).enumerate() {
            let target = &mut c.row_mut(row + i)[column..];
            for (number, sums) in sums.chunks_exact(self.columns).enumerate() {
                target[number * apart..][..columns].copy_from_slice(&sums[..columns]);
            }
        }
    }

    /// Multiplies into tiles of whole rows, which are `strides[0]` apart, and their rows `strides[1]`.
    ///
    /// # Safety
    /// `rows` rows of `columns` elements of every tile must be the caller's to write.
    unsafe fn tile_of_rows_at(
        &self,
        Rows { a, offsets, cells, first, apart, count, from }: Rows<'_, T>,
        c: *mut T,
        c_strides: [usize; 2],
    ) {
        let depth = offsets.len();
        let last = first + (count - 1) * apart + offsets.reach();
        assert!(a.len() >= depth * self.rows && (depth == 0 || last + self.columns <= cells.len()));
        assert!(from.len() >= self.rows);
        let raw = Raw {
            depth,
            a: a.as_ptr(),
            a_stride: self.rows,
            b: cells.as_ptr().wrapping_add(first),
            b_strides: [apart, 0],
            c,
            c_strides,
            add: false,
            from: from.as_ptr(),
            offsets: offsets.as_ptr(),
        };
        // SAFETY: the panel holds `depth` rows, every piece lies in the cells, there is a start for each row, the caller
        // vouches for the tiles, and the kernel was chosen because this processor has the instructions that it uses.
        unsafe { self.run_listed[count - 1](&raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::kernel::{f32_kernel_for, f64_kernel_for};
    use crate::simd::Level;

    fn value<T: Float>(i: usize) -> T {
        T::from_f64((i * 37 % 19) as f64 - 9.0)
    }

    /// Some panels, and tiles of so many rows and columns, against the definition: on integers, for which the order of a sum does not
    /// matter.
    fn check<T: Float>(kernel: &Kernel<T>, [depth, count]: [usize; 2], tile: [usize; 3]) {
        let (rows, [height, width, apart]) = (kernel.rows, tile);
        let cells: Vec<T> = (0..600).map(value).collect();
        let list: Vec<_> = (0..depth).map(|k| k * 83 % 250).collect();
        let a: Vec<T> = (0..depth * rows).map(|i| value(i + 5)).collect();
        let from: Vec<T> = (0..rows).map(|i| value(i + 3)).collect();
        let dims = [height, 2 + apart + kernel.columns];
        let before: Vec<T> = (0..dims[0] * dims[1]).map(|i| value(i + 11)).collect();
        let mut c = before.clone();
        let offsets = Offsets::new(&list);
        let factors = Rows { a: &a, offsets, cells: &cells, first: 4, apart, count, from: &from };
        let place = Place { row: 0, column: 2, columns: width, apart };
        kernel.tile_of_rows(factors, &mut MatrixMut::row_major(&mut c, dims), place);
        for (at, (&c, &before)) in c.iter().zip(&before).enumerate() {
            let (row, column) = (at / dims[1], at % dims[1]);
            let mut tiles = (0..count).map(|number| number * apart + 2);
            let written = row < rows && tiles.any(|first| (first..first + width).contains(&column));
            let product = |k: usize| a[k * rows + row] * cells[4 + list[k] + column - 2];
            let expected = if written { from[row] + (0..depth).map(product).sum() } else { before };
            assert_eq!(c, expected, "{} at {row}, {column}, {depth} steps", kernel.name);
        }
    }

    fn check_all<T: Float>(kernel: &Kernel<T>) {
        let Kernel { rows, columns, .. } = *kernel;
        // Tiles that overlap, and that are cut off on the right and below.
        for tile in [[rows + 1, columns, columns - 3], [rows, 3, 5], [rows - 1, columns, columns]] {
            for (depth, count) in [(0, 1), (1, kernel.panels()), (7, 1), (93, kernel.panels())] {
                check(kernel, [depth, count], tile);
            }
        }
    }

    #[test]
    fn every_kernel_multiplies_rows() {
        for level in Level::available() {
            check_all(&f32_kernel_for(level));
            check_all(&f64_kernel_for(level));
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn rows_outside_their_memory_are_refused() {
        let (kernel, offsets) = (crate::gemm::kernel::portable::<f32>(), Offsets::new(&[0, 3]));
        let (a, cells, from) = (&[0.0; 8], &[0.0; 10], &[0.0; 4]);
        let factors = Rows { a, offsets, cells, first: 0, apart: 0, count: 1, from };
        let place = Place { row: 0, column: 0, columns: 8, apart: 0 };
        kernel.tile_of_rows(factors, &mut MatrixMut::row_major(&mut [0.0; 32], [4, 8]), place);
    }
}
