//! Matrix products: the arithmetic that most convolutions come down to.
//!
//! Both factors are packed into panels (`pack`), which a microkernel (`kernel`) multiplies from registers;
//! between them stand the loops that keep blocks in the caches (`blocked`). All of that runs on one thread;
//! [`gemm`] spreads a product over threads by cutting `C` into tiles whose size depends on the product
//! alone, so that the bits do not depend on the number of cores. [`reference()`] is the same product by
//! [matrixmultiply](https://docs.rs/matrixmultiply), which the tests compare with.

mod blocked;
pub(crate) mod kernel;
mod matrix;
mod pack;

use rayon::prelude::*;

use crate::element::Float;
pub(crate) use blocked::{Start, product as multiply};
pub(crate) use matrix::cuts;
pub use matrix::{Matrix, MatrixMut, Tile};
pub(crate) use pack::{Factor, Packed, even};

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
    (T::routines().gemm)(a, b, update, c);
}

/// See [`gemm`].
pub(crate) fn by_tiles<T: Float>(a: Matrix<'_, T>, b: Matrix<'_, T>, update: Update, c: &mut [T]) {
    let ([m, k], [_, n]) = (a.dims(), b.dims());
    let mut c = MatrixMut::row_major(c, [m, n]);
    if m.saturating_mul(n).saturating_mul(k) < SERIAL_BELOW {
        return product(a, b, update, &mut c);
    }
    let (a, b) = (Packed::parallel(&a), b.transposed());
    let tiles: Vec<_> = c.tiles(tile_dims::<T>(m, n)).collect();
    tiles.into_par_iter().for_each(|Tile { rows, columns, mut matrix }| {
        multiply((&a, rows), (&b, columns), update, &mut matrix);
    });
}

/// Halves the columns of a tile until there are enough tiles or they get too small. Every tile packs its columns of `B` itself, so that
/// rows are cut only where there would be very few tiles: those of a tile are shared out among idle threads anyhow.
fn tile_dims<T: Float>(m: usize, n: usize) -> [usize; 2] {
    let kernel = T::kernel();
    let (mut dims, units) = ([m, n], [kernel.rows, kernel.columns]);
    for (side, tiles) in [(1, TILES), (0, TILES / 4)] {
        while m.div_ceil(dims[0]) * n.div_ceil(dims[1]) < tiles && dims[side] >= 2 * SMALLEST_TILE {
            dims[side] = dims[side].div_ceil(2).next_multiple_of(units[side]);
        }
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
    let ([m, _], [_, n]) = (a.dims(), b.dims());
    multiply((&Packed::new(&a), 0..m), (&b.transposed(), 0..n), update, c);
}

/// The same by matrixmultiply, on this thread: the reference that the fast product is tested against.
///
/// # Panics
/// If the dimensions do not fit together.
pub fn reference<T: Float>(a: Matrix<'_, T>, b: Matrix<'_, T>, update: Update, c: &mut [T]) {
    let ([m, k], [inner, n]) = (a.dims(), b.dims());
    assert!(
        k == inner && m.checked_mul(n) == Some(c.len()),
        "a product of [{m}, {k}] and [{inner}, {n}] does not make {} elements",
        c.len()
    );
    let beta = match update {
        Update::Overwrite => T::ZERO,
        Update::Add => T::ONE,
    };
    let ([row_a, column_a], [row_b, column_b]) = (a.strides(), b.strides());
    // SAFETY: `Matrix` holds only memory in which every element within its dimensions lies; the
    // dimensions agree; and `c` is a slice of the size of the product, borrowed exclusively.
    unsafe {
        #[rustfmt::skip]
        T::GEMM(
            m, k, n,
            T::ONE, a.as_ptr(), row_a, column_a,
            b.as_ptr(), row_b, column_b,
            beta, c.as_mut_ptr(), n as isize, 1,
        );
    }
}
