//! The innermost loop of every product, once for each instruction set.
//!
//! A microkernel multiplies a panel of `A` with a panel of `B` and keeps the whole result, a small tile
//! of `C`, in registers: for each step of the depth it loads one row of the panel of `B`, and multiplies it
//! with each of the panel of `A`'s values. With `rows * columns` multiply-adds for `rows + columns` loads, the
//! loads hide behind the arithmetic. The tile is as large as the register file asks for: 6 x 2 vectors of
//! accumulators out of AVX2's 16 registers, 8 x 1 out of AVX-512's 32 (Goto and van de Geijn 2008; Van Zee and van de Geijn
//! 2015). That is little for a processor that multiplies two vectors in a step and loads two: wherever there are two panels of
//! `B`, both are multiplied at a time.
//!
//! Which kernel a type uses is decided once, by what the processor has. Setting the environment variable
//! `STRIATE_KERNEL=portable` before the first product forces the one that every processor can run.

mod gather;
mod rows;
mod stack;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ptr;
use std::sync::OnceLock;

pub(crate) use self::gather::{Columns, Gathered, Offsets};
use self::gather::{Gather, PORTABLE_HALF, PORTABLE_LANES};
pub(crate) use self::rows::{Place, Rows};
pub(crate) use self::stack::{
    Columns as StackColumns, FEWEST_ROWS, MOST_TAPS, Places, Rows as StackRows,
};
use self::stack::{Stacks, stacks};
use crate::simd::{self, Level};

/// The most rows and columns of what any kernel computes at a time.
pub(crate) const LARGEST_TILE: usize = 8 * 32;

/// What a microkernel multiplies: a panel of `A`, `depth` steps of a value for each row, and panels of `B` of `depth` rows each.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a, T> {
    pub(crate) depth: usize,
    pub(crate) a: &'a [T],
    /// Elements from one step of `A` to the next.
    pub(crate) a_stride: usize,
    pub(crate) b: &'a [T],
    /// Panels of `B`.
    pub(crate) count: usize,
    /// Elements from one panel of `B` to the next, and from one row to the next.
    pub(crate) b_strides: [usize; 2],
    /// What the sums of each row start from; of none, from zero.
    pub(crate) from: &'a [T],
}

/// What a kernel is given, its lengths checked.
struct Raw<T> {
    depth: usize,
    a: *const T,
    a_stride: usize,
    b: *const T,
    b_strides: [usize; 2],
    c: *mut T,
    c_strides: [usize; 2],
    add: bool,
    /// What the sums of each row of `c` start from, if it is not zero.
    from: *const T,
    /// Where each row of `b` begins, where they are listed.
    offsets: *const usize,
}

/// `c = a b`, or `c += a b`.
type Run<T> = unsafe fn(&Raw<T>);

/// A microkernel and the tile that it computes.
#[derive(Debug)]
#[doc(hidden)]
pub struct Kernel<T: 'static> {
    /// What listings call it.
    pub name: &'static str,
    /// Rows of the tile: the width of a panel of `A`.
    pub rows: usize,
    /// Columns of the tile: the width of a panel of `B`.
    pub columns: usize,
    /// What copying and transforming cost beside multiply-adds, as a multiple of what the estimates' constants say of a Zen 4
    /// (`conv::Algorithm::costs`).
    pub moving: f64,
    /// For one panel of `B`, and for more.
    run: &'static [Run<T>],
    /// The same with the rows of `B` listed.
    run_listed: &'static [Run<T>],
    interleave: Interleave<T>,
    gather: Gather<T>,
    stacks: Stacks<T>,
}

/// `rows[k][i] = lanes[i][k]` for lanes of `steps` elements: `lanes, steps, rows`.
type Interleave<T> = unsafe fn(&[&[T]], usize, *mut T);

impl<T: 'static> Kernel<T> {
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

    /// The most panels of `B` that are multiplied at a time.
    pub(crate) fn panels(&self) -> usize {
        self.run.len()
    }

    /// Multiplies panels into as many tiles of `c`, of which the first starts at its first element. The tiles are
    /// `strides[0]` apart, and their rows `strides[1]`.
    ///
    /// # Panics
    /// If a slice is too short for the panels or for the tiles, or there are more than [`Self::panels`].
    #[inline]
    pub(crate) fn tile(&self, panels: Panels<'_, T>, c: &mut [T], strides: [usize; 2], add: bool) {
        let last = (panels.count - 1) * strides[0] + (self.rows - 1) * strides[1];
        assert!(strides[1] >= self.columns && c.len() >= last + self.columns);
        // SAFETY: the tiles' rows lie in `c`, which is borrowed exclusively.
        unsafe { self.tile_at(panels, c.as_mut_ptr(), strides, add) }
    }

    /// The same with the tiles behind a pointer, for matrices that share their rows with other threads.
    ///
    /// # Safety
    /// `rows` rows of `columns` elements of every tile must be the caller's to write.
    #[inline]
    pub(crate) unsafe fn tile_at(
        &self,
        Panels { depth, a, a_stride, b, count, b_strides, from }: Panels<'_, T>,
        c: *mut T,
        c_strides: [usize; 2],
        add: bool,
    ) {
        let steps = depth.saturating_sub(1);
        let last = [steps * a_stride, (count - 1) * b_strides[0] + steps * b_strides[1]];
        let inside = a.len() >= last[0] + self.rows && b.len() >= last[1] + self.columns;
        assert!(depth == 0 || inside);
        assert!(from.is_empty() || from.len() >= self.rows);
        let (a, b) = (a.as_ptr(), b.as_ptr());
        let from = if from.is_empty() { ptr::null() } else { from.as_ptr() };
        // SAFETY: the panels hold `depth` rows each, there is a start for each row or none, the caller vouches for the tiles,
        // and the kernel was chosen because this processor has the instructions that it uses.
        unsafe {
            self.run[count - 1](&Raw {
                depth,
                a,
                a_stride,
                b,
                b_strides,
                c,
                c_strides,
                add,
                from,
                offsets: ptr::null(),
            })
        }
    }
}

/// The kernel for `f32` on this processor.
pub(crate) fn f32_kernel() -> &'static Kernel<f32> {
    static KERNEL: OnceLock<Kernel<f32>> = OnceLock::new();
    KERNEL.get_or_init(|| f32_kernel_for(simd::level()))
}

/// The kernel for `f64` on this processor.
pub(crate) fn f64_kernel() -> &'static Kernel<f64> {
    static KERNEL: OnceLock<Kernel<f64>> = OnceLock::new();
    KERNEL.get_or_init(|| f64_kernel_for(simd::level()))
}

/// What moving costs with vectors of 512 bits. A processor with two units for them, as a Zen 5, multiplies twice as fast as a Zen 4 and moves
/// no faster: of 61 layers there, 1.3 to 1.6 chose best. By the Zen 4's own estimates its choices are then one per cent off.
#[cfg(target_arch = "x86_64")]
const AVX512_MOVING: f64 = 1.4;

/// The kernel for `f32` on a processor of a level.
fn f32_kernel_for(level: Level) -> Kernel<f32> {
    let name = level.name();
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => Kernel {
            name,
            rows: 8,
            columns: 16,
            moving: AVX512_MOVING,
            run: x86::AVX512_F32[0],
            run_listed: x86::AVX512_F32[1],
            interleave: x86::avx512_interleave,
            gather: x86::avx512_f32_gather(),
            stacks: x86::avx512_f32_stacks(),
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Kernel {
            name,
            rows: 6,
            columns: 16,
            moving: 1.0,
            run: x86::AVX2_F32[0],
            run_listed: x86::AVX2_F32[1],
            interleave: x86::avx2_interleave,
            gather: x86::avx2_f32_gather(),
            stacks: x86::avx2_f32_stacks(),
        },
        Level::Portable => portable(),
    }
}

/// The kernel for `f64` on a processor of a level.
fn f64_kernel_for(level: Level) -> Kernel<f64> {
    let (name, interleave) = (level.name(), interleave::<f64>);
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => Kernel {
            name,
            rows: 8,
            columns: 8,
            moving: AVX512_MOVING,
            run: x86::AVX512_F64[0],
            run_listed: x86::AVX512_F64[1],
            interleave,
            gather: x86::avx512_f64_gather(),
            stacks: x86::avx512_f64_stacks(),
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Kernel {
            name,
            rows: 6,
            columns: 8,
            moving: 1.0,
            run: x86::AVX2_F64[0],
            run_listed: x86::AVX2_F64[1],
            interleave,
            gather: x86::avx2_f64_gather(),
            stacks: x86::avx2_f64_stacks(),
        },
        Level::Portable => portable(),
    }
}

/// The kernel that every processor can run.
pub(crate) fn portable<T: PortableFloat>() -> Kernel<T> {
    Kernel {
        name: Level::Portable.name(),
        rows: 4,
        columns: 8,
        moving: 1.0,
        run: const { &[portable_tile::<T, false>] },
        run_listed: const { &[portable_tile::<T, true>] },
        interleave: interleave::<T>,
        gather: Gather {
            lanes: PORTABLE_LANES,
            half: PORTABLE_HALF,
            run: [
                [
                    gather::portable::<T, PORTABLE_LANES, { 2 * PORTABLE_HALF }>,
                    gather::portable::<T, { 2 * PORTABLE_LANES }, { 2 * PORTABLE_HALF }>,
                ],
                [
                    gather::portable::<T, PORTABLE_LANES, PORTABLE_HALF>,
                    gather::portable::<T, { 2 * PORTABLE_LANES }, PORTABLE_HALF>,
                ],
            ],
        },
        stacks: T::stacks(),
    }
}

/// What the portable kernel needs of a number.
pub(crate) trait PortableFloat:
    Copy + std::ops::Mul<Output = Self> + std::ops::AddAssign + Default + PartialEq + 'static
{
    /// The portable kernels of stacks.
    #[allow(private_interfaces)]
    fn stacks() -> Stacks<Self>;
}
impl PortableFloat for f32 {
    #[allow(private_interfaces)]
    fn stacks() -> Stacks<Self> {
        stacks!(f32, [f32; 8], [false])
    }
}
impl PortableFloat for f64 {
    #[allow(private_interfaces)]
    fn stacks() -> Stacks<Self> {
        stacks!(f64, [f64; 8], [false])
    }
}

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
unsafe fn portable_tile<T: PortableFloat, const LISTED: bool>(raw: &Raw<T>) {
    let &Raw { depth, a, a_stride, b, b_strides: [_, b_stride], .. } = raw;
    let &Raw { c, c_strides: [_, row_stride], add, .. } = raw;
    let mut sums = [[T::default(); 8]; 4];
    if !raw.from.is_null() {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: there is a value for each of 4 rows.
            *sums = [unsafe { *raw.from.add(i) }; 8];
        }
    }
    for k in 0..depth {
        // SAFETY: the panels hold `depth` steps of 4 and of 8 elements, or as many rows are listed.
        let (a, b) = unsafe {
            let row = if LISTED { *raw.offsets.add(k) } else { b_stride * k };
            (*a.add(a_stride * k).cast::<[T; 4]>(), *b.add(row).cast::<[T; 8]>())
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Float;

    /// Against the definition, on integers, for which the order of a sum does not matter.
    fn check<T: Float>(kernel: &Kernel<T>) {
        let Kernel { rows, columns, .. } = *kernel;
        assert!(rows * columns <= LARGEST_TILE, "{} has too large a tile", kernel.name);
        let value = |i: usize| T::from_f64((i * 37 % 19) as f64 - 9.0);
        for (depth, count) in
            [0, 1, 2, 7, 193].into_iter().flat_map(|d| [(d, 1), (d, kernel.panels())])
        {
            for (add, gap, starts) in [(false, 0, 0), (true, 3, rows), (false, 1, rows)] {
                let row_strides = [2, 1].map(|n| columns + n * gap);
                let b_strides = [depth * row_strides[0] + gap, row_strides[0]];
                let c_strides = [rows * row_strides[1] + 5 * gap, row_strides[1]];
                let a_stride = rows + gap;
                let a: Vec<T> = (0..depth * a_stride).map(value).collect();
                let b: Vec<T> = (0..count * b_strides[0]).map(|i| value(i + 5)).collect();
                let mut c: Vec<T> = (0..count * c_strides[0]).map(|i| value(i + 11)).collect();
                let before = c.clone();
                let from: Vec<T> = (0..starts).map(|i| value(i + 3)).collect();
                let panels =
                    Panels { depth, a: &a, a_stride, b: &b, count, b_strides, from: &from };
                kernel.tile(panels, &mut c, c_strides, add);
                for (i, (&c, &before)) in c.iter().zip(&before).enumerate() {
                    let (panel, rest) = (i / c_strides[0], i % c_strides[0]);
                    let (row, column) = (rest / c_strides[1], rest % c_strides[1]);
                    let inside = row < rows && column < columns;
                    let b = |k| b[panel * b_strides[0] + k * b_strides[1] + column];
                    let steps = 0..if inside { depth } else { 0 };
                    let sum: T = steps.map(|k| a[k * a_stride + row] * b(k)).sum();
                    let from = from.get(row).copied().unwrap_or(T::ZERO);
                    let start = from + if add { before } else { T::ZERO };
                    let expected = if inside { start + sum } else { before };
                    assert_eq!(c, expected, "{} at {i}, {count} of depth {depth}", kernel.name);
                }
            }
        }
    }

    fn check_interleaving<T: Float>(kernel: &Kernel<T>) {
        for width in [kernel.rows, kernel.columns, 1, 2, 3, 4, 5, 9, 12, 32, 48] {
            for steps in [1, 7, 8, 9, 10, 14, 16, 23, 64] {
                let value = |i: usize, k: usize| T::from_f64((100 * i + k) as f64);
                let lanes: Vec<Vec<T>> =
                    (0..width).map(|i| (0..steps).map(|k| value(i, k)).collect()).collect();
                let lanes: Vec<&[T]> = lanes.iter().map(|lane| &lane[..]).collect();
                let mut panel = vec![T::NAN; width * steps + 8];
                let (panel, behind) = panel.split_at_mut(width * steps);
                kernel.interleave(&lanes, panel);
                assert!(behind.iter().all(|x| x.is_nan()), "{} {width} {steps}", kernel.name);
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

    fn check_gathering<T: Float>(kernel: &Kernel<T>) {
        let Gather { lanes, half, .. } = kernel.gather;
        let value = |i: usize| T::from_f64((i * 37 % 19) as f64 - 9.0);
        let cells: Vec<T> = (0..500).map(value).collect();
        let depths = [0, 1, 2, 7, 93].into_iter();
        // A half tile, a whole one, and both.
        let cases =
            depths.flat_map(|d| [1, 2, 3].into_iter().flat_map(move |n| [(d, n, 1), (d, n, 2)]));
        for (depth, halves, vectors) in cases {
            let (columns, width) = (halves * half, vectors * lanes);
            let sources: Vec<_> = (0..columns).map(|j| j * 61 % 250).collect();
            let targets: Vec<_> = (0..columns).map(|j| (j + 3) % columns).collect();
            let list: Vec<_> = (0..depth).map(|k| k * 83 % 250).collect();
            let panel: Vec<T> = (0..depth * width).map(|i| value(i + 5)).collect();
            let before: Vec<T> = (0..columns * width).map(|i| value(i + 11)).collect();
            for add in [false, true].into_iter().take(if depth == 0 { 1 } else { 2 }) {
                let mut c = before.clone();
                let factors =
                    Gathered { panel: &panel, width, offsets: Offsets::new(&list), cells: &cells };
                let to = Columns { sources: &sources, targets: &targets };
                kernel.gather(factors, to, &mut c, add);
                for (j, lane) in (0..columns).flat_map(|j| (0..width).map(move |lane| (j, lane))) {
                    let sum: T = (0..depth)
                        .map(|k| panel[k * width + lane] * cells[sources[j] + list[k]])
                        .sum();
                    let at = targets[j] * width + lane;
                    let expected = if add { before[at] } else { T::ZERO } + sum;
                    assert_eq!(c[at], expected, "{} [{lane}, {j}], depth {depth}", kernel.name);
                }
            }
        }
    }

    #[test]
    fn every_kernel_gathers() {
        for level in Level::available() {
            check_gathering::<f32>(&f32_kernel_for(level));
            check_gathering::<f64>(&f64_kernel_for(level));
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn cells_outside_their_memory_are_refused() {
        let kernel = portable::<f32>();
        let offsets = Offsets::new(&[0, 3]);
        let factors = Gathered { panel: &[0.0; 16], width: 8, offsets, cells: &[0.0; 8] };
        let to = Columns { sources: &[0, 1, 2, 3, 4, 5], targets: &[0, 1, 2, 3, 4, 5] };
        kernel.gather(factors, to, &mut [0.0; 48], false);
    }

    #[test]
    fn every_kernel_interleaves() {
        for level in Level::available() {
            check_interleaving::<f32>(&f32_kernel_for(level));
            check_interleaving::<f64>(&f64_kernel_for(level));
        }
    }

    #[test]
    fn every_kernel_multiplies() {
        for level in Level::available() {
            check::<f32>(&f32_kernel_for(level));
            check::<f64>(&f64_kernel_for(level));
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn short_panels_are_refused() {
        let kernel = portable::<f32>();
        let [a, b] = [&[0.0; 8][..], &[0.0; 15][..]];
        let panels =
            Panels { depth: 2, a, a_stride: 4, b, count: 1, b_strides: [16, 8], from: &[] };
        kernel.tile(panels, &mut [0.0; 32], [32, 8], false);
    }
}
