//! Matrix products: the arithmetic that most convolutions come down to.
//!
//! The product itself is [matrixmultiply](https://docs.rs/matrixmultiply)'s, which packs both factors
//! into panels and multiplies those from registers. It runs on one thread here; [`gemm`] spreads a
//! product over threads by cutting `C` into tiles whose size depends on the product alone, so that the
//! bits do not depend on the machine's cores.

mod matrix;

use rayon::prelude::*;

use crate::element::Float;
pub(crate) use matrix::cuts;
pub use matrix::{Matrix, MatrixMut, Tile};

/// What a product does to the memory that it is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// `C = A B`. What was there is not read.
    Overwrite,
    /// `C = A B + C`.
    Add,
}

/// The signature of matrixmultiply's `sgemm` and `dgemm`:
/// `m, k, n, alpha, a, rsa, csa, b, rsb, csb, beta, c, rsc, csc`.
#[doc(hidden)]
#[rustfmt::skip]
pub type RawGemm<T> = unsafe fn(
    usize, usize, usize,
    T, *const T, isize, isize,
    *const T, isize, isize,
    T, *mut T, isize, isize,
);

/// Multiply-adds below which a product is not worth handing to other threads.
const SERIAL_BELOW: usize = 1 << 18;
/// Tiles to aim for: enough to keep the cores of a workstation evenly busy.
const TILES: usize = 16;
/// The least rows and columns of a tile. Every tile packs its own part of both factors, and that has to
/// stay small beside multiplying them.
const SMALLEST_TILE: usize = 96;

/// The product of two matrices of any strides, on all threads, into row-major `c`.
///
/// ```
/// use striate_conv::gemm::{Matrix, Update, gemm};
///
/// let a = Matrix::row_major(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
/// let mut c = [0.0; 4];
/// gemm(a, a.transposed(), Update::Overwrite, &mut c);
/// assert_eq!(c, [5.0, 11.0, 11.0, 25.0]);
/// ```
///
/// # Panics
/// If the inner dimensions differ or `c` is not the size of the product.
pub fn gemm<T: Float>(a: Matrix<'_, T>, b: Matrix<'_, T>, update: Update, c: &mut [T]) {
    let ([m, k], [_, n]) = (a.dims(), b.dims());
    let mut c = MatrixMut::row_major(c, [m, n]);
    if m.saturating_mul(n).saturating_mul(k) < SERIAL_BELOW {
        return product(a, b, update, &mut c);
    }
    let tiles: Vec<_> = c.tiles(tile_dims(m, n)).collect();
    tiles.into_par_iter().for_each(|Tile { rows, columns, mut matrix }| {
        product(a.rows(rows), b.columns(columns), update, &mut matrix);
    });
}

/// Halves the longer side of the tile until there are enough tiles or they get too small.
fn tile_dims(m: usize, n: usize) -> [usize; 2] {
    let mut dims = [m, n];
    while m.div_ceil(dims[0]) * n.div_ceil(dims[1]) < TILES {
        let longer = if dims[0] > dims[1] { 0 } else { 1 };
        if dims[longer] < 2 * SMALLEST_TILE {
            break;
        }
        // Whole blocks of eight, the rows and columns that the microkernel takes at a time.
        dims[longer] = dims[longer].div_ceil(2).next_multiple_of(8);
    }
    dims
}

/// The product of two matrices, on this thread.
///
/// # Panics
/// If the dimensions do not fit together.
pub(crate) fn product<T: Float>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    update: Update,
    c: &mut MatrixMut<'_, T>,
) {
    let ([m, k], [inner, n]) = (a.dims(), b.dims());
    assert!(
        k == inner && c.dims() == [m, n],
        "a product of [{m}, {k}] and [{inner}, {n}] does not make {:?}",
        c.dims()
    );
    let beta = match update {
        Update::Overwrite => T::ZERO,
        Update::Add => T::ONE,
    };
    let ([row_a, column_a], [row_b, column_b]) = (a.strides(), b.strides());
    // SAFETY: `Matrix` and `MatrixMut` hold only memory in which every element within their dimensions
    // lies; the dimensions agree; and `c` is borrowed exclusively, with rows that do not overlap.
    unsafe {
        #[rustfmt::skip]
        T::GEMM(
            m, k, n,
            T::ONE, a.as_ptr(), row_a, column_a,
            b.as_ptr(), row_b, column_b,
            beta, c.as_mut_ptr(), c.row_stride(), 1,
        );
    }
}
