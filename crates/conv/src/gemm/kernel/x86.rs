//! Microkernels for the vector extensions of x86.
//!
//! AVX2: 6 rows of two vectors fill 12 of 16 registers; two more hold a row of `B`, one a broadcast value of `A`. AVX-512:
//! 8 rows, which most numbers of channels are multiples of, of one vector or of two.
//! The kernels that gather (`gather.rs`) have tiles of 6 and 14 columns, and halves of these.

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem;

use super::Run;
use super::gather::{self, Gather};
use super::stack::{Stacks, stacks};
use super::vector::Pair;

/// Interleaves in blocks of eight lanes by eight steps, which are transposed in registers.
///
/// # Safety
/// See [`super::Interleave`]; the processor must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn avx2_interleave(lanes: &[&[f32]], steps: usize, rows: *mut f32) {
    let width = lanes.len();
    for (block, lanes) in lanes.chunks(8).enumerate() {
        let mut k = 0;
        // A store writes eight lanes, or four. Where there are others, it runs over into the next row, which is
        // written later; so that there is one, the last steps are left to the loop below, and so are the last
        // lanes of rows that begin with other blocks, and rows of less than half as many lanes.
        let whole = matches!(lanes.len(), 4 | 8);
        while (k + 8 <= steps && whole) || (k + 8 < steps && block == 0 && width >= 4) {
            // SAFETY: every lane has elements `k..k + 8`; a missing one stands for the first. Row `k + 7`
            // is followed by another, or has just the lanes that are stored.
            unsafe {
                let load =
                    |i: usize| _mm256_loadu_ps(lanes.get(i).unwrap_or(&lanes[0]).as_ptr().add(k));
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

/// The same in blocks of sixteen, if the lanes are blocks of sixteen.
///
/// # Safety
/// See [`super::Interleave`]; the processor must have AVX-512.
#[target_feature(enable = "avx512f,avx2")]
pub(super) unsafe fn avx512_interleave(lanes: &[&[f32]], steps: usize, rows: *mut f32) {
    let (blocks, rest) = lanes.as_chunks::<16>();
    if !rest.is_empty() {
        // SAFETY: the caller's promises are those of the other.
        return unsafe { avx2_interleave(lanes, steps, rows) };
    }
    let mut k = 0;
    while k < steps {
        let count = (steps - k).min(16);
        let mask = (0xffff_u32 >> (16 - count)) as u16;
        for (block, lanes16) in blocks.iter().enumerate() {
            // SAFETY: every lane has elements `k..k + count`, and there are as many rows from the row `k` on.
            unsafe {
                let mut columns = [_mm512_setzero_ps(); 16];
                for (i, column) in columns.iter_mut().enumerate() {
                    *column = _mm512_maskz_loadu_ps(mask, lanes16[i].as_ptr().wrapping_add(k));
                }
                let place = rows.wrapping_add(k * lanes.len() + 16 * block);
                for (i, row) in transpose_16(columns).iter().enumerate().take(count) {
                    _mm512_storeu_ps(place.wrapping_add(i.wrapping_mul(lanes.len())), *row);
                }
            }
        }
        k += count;
    }
}

/// Sixteen rows of sixteen become columns: pairs, then fours of rows are interleaved within quarters of a vector, which are then
/// exchanged.
#[target_feature(enable = "avx512f")]
fn transpose_16(rows: [__m512; 16]) -> [__m512; 16] {
    let mut quads = [_mm512_setzero_ps(); 16];
    for i in (0..16).step_by(4) {
        let [a, b, c, d] = [rows[i], rows[i + 1], rows[i + 2], rows[i + 3]];
        let low = [_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d)];
        let high = [_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d)];
        quads[i] = _mm512_shuffle_ps::<0b01_00_01_00>(low[0], low[1]);
        quads[i + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(low[0], low[1]);
        quads[i + 2] = _mm512_shuffle_ps::<0b01_00_01_00>(high[0], high[1]);
        quads[i + 3] = _mm512_shuffle_ps::<0b11_10_11_10>(high[0], high[1]);
    }
    // `quads[4 r + i]` has in its quarter `q` the column `4 q + i` of the rows `4 r` to `4 r + 3`.
    let mut columns = [_mm512_setzero_ps(); 16];
    for i in 0..4 {
        let [a, b, c, d] = [quads[i], quads[4 + i], quads[8 + i], quads[12 + i]];
        let even = [
            _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
            _mm512_shuffle_f32x4::<0b10_00_10_00>(c, d),
        ];
        let odd = [
            _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d),
        ];
        columns[i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(even[0], even[1]);
        columns[4 + i] = _mm512_shuffle_f32x4::<0b10_00_10_00>(odd[0], odd[1]);
        columns[8 + i] = _mm512_shuffle_f32x4::<0b11_01_11_01>(even[0], even[1]);
        columns[12 + i] = _mm512_shuffle_f32x4::<0b11_01_11_01>(odd[0], odd[1]);
    }
    columns
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

/// A copy of what lies unaligned in memory.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<V>(V);

/// Reads a vector, or a number. Through a reference: a debug build checks every pointer that it follows, which in the innermost loops
/// takes as long as the products.
///
/// # Safety
/// A `V` must lie there.
#[inline(always)]
#[allow(clippy::transmute_ptr_to_ref)]
unsafe fn read<V: Copy, T>(place: *const T) -> V {
    // SAFETY: the caller's, and a packed structure lies anywhere.
    unsafe { mem::transmute::<*const T, &Unaligned<V>>(place).0 }
}

macro_rules! kernel {
    ($name:ident, $gather:ident, $type:ty, $features:literal,
     [$rows:literal; $vectors:literal; $lanes:literal; $half:literal], [$($panels:literal),+],
     $register:ident, $broadcast:literal, $multiply_add:literal,
     $zero:ident, $load:ident, $store:ident, $splat:ident, $add:ident, $fma:ident) => {
        pub(super) const $name: [&[Run<$type>]; 2] = {
            /// # Safety
            /// See [`super::Run`]; the processor must have the features.
            #[target_feature(enable = $features)]
            unsafe fn run<const PANELS: usize, const LISTED: bool>(raw: &super::Raw<$type>) {
                let &super::Raw { depth, mut a, a_stride, mut b, b_strides, .. } = raw;
                let &super::Raw { c, c_strides, add, .. } = raw;
                const ZEROS: [$type; $rows] = [0.0; $rows];
                let from = if raw.from.is_null() { ZEROS.as_ptr() } else { raw.from };
                let mut sums = [[[$zero(); $vectors]; PANELS]; $rows];
                for (i, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: there is a value for each row.
                    *sums = [[$splat(unsafe { *from.add(i) }); $vectors]; PANELS];
                }
                // The tile is fetched while the products are summed: what is added to it, and what it shares a
                // cache line with, may be far away.
                for i in 0..$rows {
                    for panel in 0..PANELS {
                        let row = c.wrapping_add(panel * c_strides[0] + i * c_strides[1]);
                        _mm_prefetch::<_MM_HINT_T0>(row.cast());
                        _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add($vectors * $lanes - 1).cast());
                    }
                }
                for k in 0..depth {
                    // SAFETY: the panels hold `depth` steps of `$rows` elements and of `$vectors` vectors, or as many rows
                    // are listed.
                    unsafe {
                        if LISTED {
                            b = raw.b.add(*raw.offsets.add(k));
                        }
                        let mut columns = [[$zero(); $vectors]; PANELS];
                        for (panel, columns) in columns.iter_mut().enumerate() {
                            for (j, column) in columns.iter_mut().enumerate() {
                                *column = read(b.wrapping_add(panel * b_strides[0] + j * $lanes));
                            }
                        }
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let value = $splat(read(a.wrapping_add(i)));
                            let sums = sums.as_flattened_mut().iter_mut();
                            for (sum, &column) in sums.zip(columns.as_flattened()) {
                                *sum = $fma(value, column, *sum);
                            }
                        }
                        a = a.wrapping_add(a_stride);
                        if !LISTED {
                            // The last step may be the last row of its memory.
                            b = b.wrapping_add(b_strides[1]);
                        }
                    }
                }
                for (i, sums) in sums.into_iter().enumerate() {
                    for (panel, sums) in sums.into_iter().enumerate() {
                        for (j, mut sum) in sums.into_iter().enumerate() {
                            // SAFETY: the tiles have `$rows` rows of `$vectors` vectors.
                            unsafe {
                                let tile = c.add(panel * c_strides[0]);
                                let place = tile.add(i * c_strides[1] + j * $lanes);
                                if add {
                                    sum = $add($load(place), sum);
                                }
                                $store(place, sum);
                            }
                        }
                    }
                }
            }
            [&[$(run::<$panels, false>),+], &[$(run::<$panels, true>),+]]
        };

        /// The kernels that gather.
        pub(super) fn $gather() -> Gather<$type> {
            /// # Safety
            /// See [`super::Kernel::gather`]; the processor must have the features.
            #[target_feature(enable = $features)]
            unsafe fn run<const VECTORS: usize, const COLUMNS: usize>(
                raw: &gather::Raw<$type>,
            ) {
                // SAFETY: the sources lie in the memory.
                let cells: [*const $type; COLUMNS] =
                    std::array::from_fn(|j| unsafe { raw.cells.add(*raw.sources.add(j)) });
                let mut sums = [[$zero(); VECTORS]; COLUMNS];
                let mut a = raw.panel;
                for k in 0..raw.depth {
                    // SAFETY: the panel and the offsets have `depth` steps, and every cell lies in the memory.
                    unsafe {
                        let offset = *raw.offsets.add(k);
                        let mut row = [$zero(); VECTORS];
                        for (i, row) in row.iter_mut().enumerate() {
                            *row = read(a.wrapping_add(i * $lanes));
                        }
                        for (sums, cell) in sums.iter_mut().zip(cells) {
                            if let ([first, second], [a, b]) = (&mut sums[..], &row[..]) {
                                // In this order: a compiler loads all cells first, which pushes sums out of the registers.
                                asm!(
                                    concat!($broadcast, " {value}, [{cell} + {offset} * {size}]"),
                                    concat!($multiply_add, " {first}, {a}, {value}"),
                                    concat!($multiply_add, " {second}, {b}, {value}"),
                                    cell = in(reg) cell,
                                    offset = in(reg) offset,
                                    size = const size_of::<$type>(),
                                    a = in($register) *a,
                                    b = in($register) *b,
                                    value = out($register) _,
                                    first = inout($register) *first,
                                    second = inout($register) *second,
                                    options(nostack, preserves_flags, readonly),
                                );
                            } else {
                                let value = $splat(read(cell.wrapping_add(offset)));
                                for (sum, row) in sums.iter_mut().zip(row) {
                                    *sum = $fma(value, row, *sum);
                                }
                            }
                        }
                        a = a.wrapping_add(VECTORS * $lanes);
                    }
                }
                for (j, sums) in sums.into_iter().enumerate() {
                    for (i, mut sum) in sums.into_iter().enumerate() {
                        // SAFETY: the target is a row of so many vectors.
                        unsafe {
                            let target = *raw.targets.add(j) * VECTORS + i;
                            let place = raw.c.add(target * $lanes);
                            if raw.add {
                                sum = $add($load(place), sum);
                            }
                            $store(place, sum);
                        }
                    }
                }
            }
            Gather {
                lanes: $lanes,
                half: $half,
                run: [
                    [run::<1, { 2 * $half }>, run::<2, { 2 * $half }>],
                    [run::<1, $half>, run::<2, $half>],
                ],
            }
        }
    };
}

#[rustfmt::skip]
kernel!(
    AVX2_F32, avx2_f32_gather, f32, "avx2,fma", [6; 2; 8; 3], [1],
    ymm_reg, "vbroadcastss", "vfmadd231ps",
    _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_add_ps, _mm256_fmadd_ps
);
#[rustfmt::skip]
kernel!(
    AVX2_F64, avx2_f64_gather, f64, "avx2,fma", [6; 2; 4; 3], [1],
    ymm_reg, "vbroadcastsd", "vfmadd231pd",
    _mm256_setzero_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_set1_pd, _mm256_add_pd, _mm256_fmadd_pd
);
#[rustfmt::skip]
kernel!(
    AVX512_F32, avx512_f32_gather, f32, "avx512f", [8; 1; 16; 7], [1, 2],
    zmm_reg, "vbroadcastss", "vfmadd231ps",
    _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_add_ps, _mm512_fmadd_ps
);
#[rustfmt::skip]
kernel!(
    AVX512_F64, avx512_f64_gather, f64, "avx512f", [8; 1; 8; 7], [1, 2],
    zmm_reg, "vbroadcastsd", "vfmadd231pd",
    _mm512_setzero_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_set1_pd, _mm512_add_pd, _mm512_fmadd_pd
);

/// The kernels of stacks.
pub(super) fn avx2_f32_stacks() -> Stacks<f32> {
    stacks!(f32, Pair<__m256>, [false], "avx2,fma")
}

/// The same for the other types and levels.
pub(super) fn avx2_f64_stacks() -> Stacks<f64> {
    stacks!(f64, Pair<__m256d>, [false], "avx2,fma")
}

pub(super) fn avx512_f32_stacks() -> Stacks<f32> {
    stacks!(f32, __m512, [false, true], "avx512f")
}

pub(super) fn avx512_f64_stacks() -> Stacks<f64> {
    stacks!(f64, __m512d, [false, true], "avx512f")
}
