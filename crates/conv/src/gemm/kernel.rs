//! The innermost loop of every product, once for each instruction set.
//!
//! A microkernel multiplies a panel of `A` with a panel of `B` and keeps the whole result, a small tile
//! of `C`, in registers: for each step of the depth it loads one row of the panel of `B`, and multiplies it
//! with each of the panel of `A`'s values. With `rows * columns` multiply-adds for `rows + columns` loads, the
//! loads hide behind the arithmetic. The tile is as large as the register file allows: 6 x 2 vectors of
//! accumulators out of AVX2's 16 registers (Goto and van de Geijn 2008; Van Zee and van de Geijn 2015).
//!
//! Which kernel a type uses is decided once, by what the processor has. Setting the environment variable
//! `STRIATE_KERNEL=portable` before the first product forces the one that every processor can run.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::simd;

/// The most rows and columns of a tile of any kernel.
pub(crate) const LARGEST_TILE: usize = 6 * 16;

/// `c = a b`, or `c += a b`, of a panel `[depth][rows]`, a panel `[depth][columns]` and a tile whose rows are
/// `row_stride` apart: `depth, a, b, c, row_stride, add`.
type Run<T> = unsafe fn(usize, *const T, *const T, *mut T, usize, bool);

/// A microkernel and the tile that it computes.
#[derive(Debug)]
#[doc(hidden)]
pub struct Kernel<T> {
    /// What listings call it.
    pub name: &'static str,
    /// Rows of the tile: the width of a panel of `A`.
    pub rows: usize,
    /// Columns of the tile: the width of a panel of `B`.
    pub columns: usize,
    run: Run<T>,
    interleave: Interleave<T>,
}

/// `rows[k][i] = lanes[i][k]` for lanes of `steps` elements: `lanes, steps, rows`.
type Interleave<T> = unsafe fn(&[&[T]], usize, *mut T);

impl<T> Kernel<T> {
    /// Writes a panel from its lanes, as many as it is wide: `panel[k][i] = lanes[i][k]`.
    ///
    /// # Panics
    /// If the lanes are not all of one length, or the panel is not of their size.
    #[inline]
    pub(crate) fn interleave(&self, lanes: &[&[T]], panel: &mut [T]) {
        let steps = lanes[0].len();
        assert!(lanes.iter().all(|lane| lane.len() == steps) && panel.len() == steps * lanes.len());
        // SAFETY: the lanes have `steps` elements each, and the panel has room for all of them.
        unsafe { (self.interleave)(lanes, steps, panel.as_mut_ptr()) }
    }

    /// Multiplies two panels into the tile of `c` that starts at its first element.
    ///
    /// # Panics
    /// If a slice is too short for the panels of `depth` or for the tile.
    #[inline]
    pub(crate) fn tile(
        &self,
        depth: usize,
        [a, b]: [&[T]; 2],
        c: &mut [T],
        row_stride: usize,
        add: bool,
    ) {
        assert!(a.len() >= depth * self.rows && b.len() >= depth * self.columns);
        assert!(
            row_stride >= self.columns && c.len() >= (self.rows - 1) * row_stride + self.columns
        );
        // SAFETY: the panels hold `depth` rows each, the tile's rows lie in `c`, and the kernel was chosen
        // because this processor has the instructions that it uses.
        unsafe { (self.run)(depth, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), row_stride, add) }
    }

    /// The same with the tile behind a pointer, for matrices that share their rows with other threads.
    ///
    /// # Safety
    /// `rows` rows of `columns` elements, `row_stride` apart from `c`, must be the caller's to write.
    #[inline]
    pub(crate) unsafe fn tile_at(
        &self,
        depth: usize,
        [a, b]: [&[T]; 2],
        c: *mut T,
        row_stride: usize,
        add: bool,
    ) {
        assert!(a.len() >= depth * self.rows && b.len() >= depth * self.columns);
        // SAFETY: as in `tile`; the caller vouches for the tile.
        unsafe { (self.run)(depth, a.as_ptr(), b.as_ptr(), c, row_stride, add) }
    }
}

/// The kernel for `f32` on this processor.
pub(crate) fn f32_kernel() -> &'static Kernel<f32> {
    static KERNEL: OnceLock<Kernel<f32>> = OnceLock::new();
    KERNEL.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        if simd::available() {
            return Kernel {
                name: "avx2",
                rows: avx2::ROWS,
                columns: 16,
                run: avx2::f32,
                interleave: avx2::interleave,
            };
        }
        portable()
    })
}

/// The kernel for `f64` on this processor.
pub(crate) fn f64_kernel() -> &'static Kernel<f64> {
    static KERNEL: OnceLock<Kernel<f64>> = OnceLock::new();
    KERNEL.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        if simd::available() {
            return Kernel {
                name: "avx2",
                rows: avx2::ROWS,
                columns: 8,
                run: avx2::f64,
                interleave: interleave::<f64>,
            };
        }
        portable()
    })
}

/// The kernel that every processor can run.
pub(crate) fn portable<T: PortableFloat>() -> Kernel<T> {
    Kernel {
        name: "portable",
        rows: 4,
        columns: 8,
        run: portable_tile::<T>,
        interleave: interleave::<T>,
    }
}

/// What the portable kernel needs of a number.
pub(crate) trait PortableFloat:
    Copy + std::ops::Mul<Output = Self> + std::ops::AddAssign + Default
{
}
impl PortableFloat for f32 {}
impl PortableFloat for f64 {}

/// Interleaves element by element.
///
/// # Safety
/// See [`Interleave`].
unsafe fn interleave<T: Copy>(lanes: &[&[T]], steps: usize, rows: *mut T) {
    // SAFETY: there are `steps` rows as wide as there are lanes.
    let rows = unsafe { std::slice::from_raw_parts_mut(rows, steps * lanes.len()) };
    for (k, row) in rows.chunks_exact_mut(lanes.len()).enumerate() {
        for (to, lane) in row.iter_mut().zip(lanes) {
            *to = lane[k];
        }
    }
}

/// # Safety
/// See [`Run`].
unsafe fn portable_tile<T: PortableFloat>(
    depth: usize,
    a: *const T,
    b: *const T,
    c: *mut T,
    row_stride: usize,
    add: bool,
) {
    let mut sums = [[T::default(); 8]; 4];
    for k in 0..depth {
        // SAFETY: the panels hold `depth` rows of 4 and of 8 elements.
        let (a, b) = unsafe { (*a.add(4 * k).cast::<[T; 4]>(), *b.add(8 * k).cast::<[T; 8]>()) };
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    for (i, sums) in sums.into_iter().enumerate() {
        // SAFETY: the tile has 4 rows of 8 elements, `row_stride` apart.
        let row = unsafe { &mut *c.add(i * row_stride).cast::<[T; 8]>() };
        for (c, sum) in row.iter_mut().zip(sums) {
            if add {
                *c += sum;
            } else {
                *c = sum;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! AVX2 with fused multiply-add: 12 accumulators, two vectors of `B`, one broadcast value of `A`.

    use std::arch::x86_64::*;

    pub(super) const ROWS: usize = 6;

    /// Interleaves in blocks of eight lanes by eight steps, which are transposed in registers.
    ///
    /// # Safety
    /// See [`super::Interleave`]; the processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn interleave(lanes: &[&[f32]], steps: usize, rows: *mut f32) {
        let width = lanes.len();
        for (block, lanes) in lanes.chunks(8).enumerate() {
            let mut k = 0;
            // A store writes eight lanes, or four. Where there are others, it runs over into the next row, which is
            // written later; so that there is one, the last steps are left to the loop below, and so are the last
            // lanes of rows that begin with other blocks.
            let whole = matches!(lanes.len(), 4 | 8);
            while (k + 8 <= steps && whole) || (k + 8 < steps && block == 0) {
                // SAFETY: every lane has elements `k..k + 8`; a missing one stands for the first. Row `k + 7`
                // is followed by another, or has just the lanes that are stored.
                unsafe {
                    let load = |i: usize| {
                        _mm256_loadu_ps(lanes.get(i).unwrap_or(&lanes[0]).as_ptr().add(k))
                    };
                    let block_rows = transpose([0, 1, 2, 3, 4, 5, 6, 7].map(load));
                    for (i, row) in block_rows.into_iter().enumerate() {
                        let place = rows.add((k + i) * width + 8 * block);
                        match lanes.len() {
                            4 => _mm_storeu_ps(place, _mm256_castps256_ps128(row)),
                            _ => _mm256_storeu_ps(place, row),
                        }
                    }
                }
                k += 8;
            }
            for k in k..steps {
                for (i, lane) in lanes.iter().enumerate() {
                    // SAFETY: the row is there.
                    unsafe { *rows.add(k * width + 8 * block + i) = lane[k] };
                }
            }
        }
    }

    /// Eight rows of eight become columns.
    #[target_feature(enable = "avx2")]
    fn transpose(rows: [__m256; 8]) -> [__m256; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        let pairs = [(a, b), (c, d), (e, f), (g, h)]
            .map(|(x, y)| (_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y)));
        let quads = [(pairs[0], pairs[1]), (pairs[2], pairs[3])].map(|((xl, xh), (yl, yh))| {
            [
                _mm256_shuffle_ps::<0b01_00_01_00>(xl, yl),
                _mm256_shuffle_ps::<0b11_10_11_10>(xl, yl),
                _mm256_shuffle_ps::<0b01_00_01_00>(xh, yh),
                _mm256_shuffle_ps::<0b11_10_11_10>(xh, yh),
            ]
        });
        let low = [0, 1, 2, 3].map(|i| _mm256_permute2f128_ps::<0x20>(quads[0][i], quads[1][i]));
        let high = [0, 1, 2, 3].map(|i| _mm256_permute2f128_ps::<0x31>(quads[0][i], quads[1][i]));
        [low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]]
    }

    macro_rules! kernel {
        ($type:ident, $lanes:literal, $zero:ident, $load:ident, $store:ident, $splat:ident, $add:ident, $fma:ident) => {
            /// # Safety
            /// See [`super::Run`]; the processor must have AVX2 and FMA.
            #[target_feature(enable = "avx2,fma")]
            pub(super) unsafe fn $type(
                depth: usize,
                mut a: *const $type,
                mut b: *const $type,
                c: *mut $type,
                row_stride: usize,
                add: bool,
            ) {
                let mut sums = [[$zero(); 2]; ROWS];
                for _ in 0..depth {
                    // SAFETY: the panels hold `depth` rows of `ROWS` elements and of two vectors.
                    unsafe {
                        let [low, high] = [$load(b), $load(b.add($lanes))];
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let value = $splat(&*a.add(i));
                            sums[0] = $fma(value, low, sums[0]);
                            sums[1] = $fma(value, high, sums[1]);
                        }
                        a = a.add(ROWS);
                        b = b.add(2 * $lanes);
                    }
                }
                for (i, sums) in sums.into_iter().enumerate() {
                    for (j, mut sum) in sums.into_iter().enumerate() {
                        // SAFETY: the tile has `ROWS` rows of two vectors, `row_stride` apart.
                        unsafe {
                            let place = c.add(i * row_stride + j * $lanes);
                            if add {
                                sum = $add($load(place), sum);
                            }
                            $store(place, sum);
                        }
                    }
                }
            }
        };
    }
    kernel!(
        f32,
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_broadcast_ss,
        _mm256_add_ps,
        _mm256_fmadd_ps
    );
    kernel!(
        f64,
        4,
        _mm256_setzero_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_broadcast_sd,
        _mm256_add_pd,
        _mm256_fmadd_pd
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Float;

    /// Against the definition, on integers, for which the order of a sum does not matter.
    fn check<T: Float>(kernel: &Kernel<T>) {
        let Kernel { rows, columns, .. } = *kernel;
        assert!(rows * columns <= LARGEST_TILE, "{} has too large a tile", kernel.name);
        let value = |i: usize| T::from_f64((i * 37 % 19) as f64 - 9.0);
        for depth in [0, 1, 2, 7, 193] {
            let a: Vec<T> = (0..depth * rows).map(value).collect();
            let b: Vec<T> = (0..depth * columns).map(|i| value(i + 5)).collect();
            for (add, gap) in [(false, 0), (true, 3)] {
                let stride = columns + gap;
                let mut c: Vec<T> = (0..rows * stride).map(|i| value(i + 11)).collect();
                let before = c.clone();
                kernel.tile(depth, [&a, &b], &mut c, stride, add);
                for (i, (&c, &before)) in c.iter().zip(&before).enumerate() {
                    let (row, column) = (i / stride, i % stride);
                    let sum: T = (0..depth)
                        .map(|k| a[k * rows + row] * b[k * columns + column.min(columns - 1)])
                        .sum();
                    let start = if add { before } else { T::ZERO };
                    let expected = if column < columns { start + sum } else { before };
                    assert_eq!(c, expected, "{} at [{row}, {column}], depth {depth}", kernel.name);
                }
            }
        }
    }

    fn check_interleaving<T: Float>(kernel: &Kernel<T>) {
        for width in [kernel.rows, kernel.columns, 4, 9, 12] {
            for steps in [1, 7, 8, 9, 16, 23, 64] {
                let value = |i: usize, k: usize| T::from_f64((100 * i + k) as f64);
                let lanes: Vec<Vec<T>> =
                    (0..width).map(|i| (0..steps).map(|k| value(i, k)).collect()).collect();
                let lanes: Vec<&[T]> = lanes.iter().map(|lane| &lane[..]).collect();
                let mut panel = vec![T::NAN; width * steps];
                kernel.interleave(&lanes, &mut panel);
                for (at, &got) in panel.iter().enumerate() {
                    assert_eq!(
                        got,
                        value(at % width, at / width),
                        "{} {width} {steps}",
                        kernel.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_kernel_interleaves() {
        check_interleaving::<f32>(&portable());
        check_interleaving::<f64>(&portable());
        check_interleaving::<f32>(f32_kernel());
        check_interleaving::<f64>(f64_kernel());
    }

    #[test]
    fn every_kernel_multiplies() {
        check::<f32>(&portable());
        check::<f64>(&portable());
        check::<f32>(f32_kernel());
        check::<f64>(f64_kernel());
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn short_panels_are_refused() {
        let kernel = portable::<f32>();
        kernel.tile(2, [&[0.0; 8], &[0.0; 15]], &mut [0.0; 32], 8, false);
    }
}
