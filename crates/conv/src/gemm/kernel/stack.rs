//! The kernels of depthwise convolution: rows of outputs that lie under each other.
//!
//! No other channel shares what an output reads, but the outputs around it do. Four rows of them, a stack, and a column of three taps make
//! twelve products of six vectors of cells, one from each row; eight rows, for which AVX-512 has the registers, twenty-four of ten.
//! Where taps are not as far apart as rows of outputs are, a column has one tap. One kernel sums the outputs; the other, for the gradient
//! of the weight, sums each tap's products with the outputs' gradients.
//!
//! Cells are read where they lie, with what stands beside a row in memory. What is not the row's is left out:
//! it may be no number, so that to multiply it with zero would not do. Outputs have nothing beside them: the last vector of a row
//! reaches back into the one before.

// Several arrays are read at one place in each round, or at places apart by a tap.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::vector::Vector;
use super::{Kernel, PortableFloat};
use crate::simd::prefetch_at;

/// Rows of outputs of a stack, and of a tall one.
const HEIGHTS: [usize; 2] = [4, 8];
/// The rows of outputs that stacks are for.
pub(crate) const FEWEST_ROWS: usize = HEIGHTS[0];
/// The most taps of a column.
pub(crate) const MOST_TAPS: usize = 3;

/// What is the same for all stacks of rows of outputs and the rows of cells that they read.
pub(crate) struct Rows<T> {
    /// Whether stacks are tall.
    tall: bool,
    /// Vectors of a row of outputs, and where the last one begins.
    vectors: usize,
    last: usize,
    /// Of these, those that read nothing but the row's cells, and have outputs that are the row's and theirs alone.
    interior: Range<usize>,
    /// For each cell that is read, one if it is the row's, or zero.
    cells: Vec<T>,
    /// For each output of the last vector, one if it is the row's and not in the vector before, or zero.
    outputs: Vec<T>,
}

impl<T> Rows<T> {
    /// Rows of outputs in a stack.
    pub(crate) fn count(&self) -> usize {
        HEIGHTS[usize::from(self.tall)]
    }

    /// Elements of a row that is not shorter than a vector.
    pub(crate) fn len(&self) -> usize {
        self.last + self.outputs.len()
    }
}

/// Columns of so many taps each, at some places of a kernel, over some rows of cells.
pub(crate) struct Columns<'a, T> {
    pub(crate) taps: usize,
    pub(crate) places: &'a Places,
    pub(crate) cells: &'a [T],
    /// From the row that a row of outputs reads with a tap to that of the next row, or of the next tap.
    pub(crate) apart: usize,
    pub(crate) rows: &'a Rows<T>,
}

/// For each column, where its first tap is: how far from the first row, and from the first cell of a row.
#[derive(Debug)]
pub(crate) struct Places {
    list: Vec<[usize; 2]>,
    /// The furthest, and the furthest within a row.
    reach: [usize; 2],
}

impl Places {
    pub(crate) fn new(list: Vec<[usize; 2]>) -> Self {
        let furthest = list.iter().map(|[row, cell]| row + cell).max().unwrap_or(0);
        let in_row = list.iter().map(|[_, cell]| *cell).max().unwrap_or(0);
        Self { list, reach: [furthest, in_row] }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

/// What a kernel is given, its lengths checked.
pub(super) struct Raw<'a, T> {
    places: &'a [[usize; 2]],
    cells: *const T,
    apart: usize,
    rows: &'a Rows<T>,
    /// The first row of the stack, and how far the others are from each other.
    stack: *mut T,
    row: usize,
    /// What the sums start from, if not from what is there.
    start: Option<T>,
    /// The weights, or the sums of their gradient.
    weights: *mut T,
}

type Run<T> = unsafe fn(&Raw<'_, T>);

/// The kernels for stacks, and for tall ones where there are the registers.
#[derive(Debug)]
pub(super) struct Stacks<T: 'static> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    pub(super) runs: &'static [Runs<T>],
}

/// Those for columns of one, two and three taps.
#[derive(Debug)]
pub(super) struct Runs<T> {
    pub(super) sum: [Run<T>; MOST_TAPS],
    pub(super) dot: [Run<T>; MOST_TAPS],
}

impl<T: Copy + 'static> Kernel<T> {
    /// Outputs of a row that are summed at a time.
    pub(crate) fn stack_lanes(&self) -> usize {
        self.stacks.lanes
    }

    /// The rows of a map of outputs, `[height, width]`, that read `len` cells each, of which those in a range are the row's; the windows
    /// are so wide. There are no stacks where the map has fewer rows than one of them.
    pub(crate) fn rows_of_stacks(
        &self,
        [height, width]: [usize; 2],
        (len, inside): (usize, Range<usize>),
        extent: usize,
        [zero, one]: [T; 2],
    ) -> Rows<T> {
        let (lanes, vectors) = (self.stacks.lanes, width.div_ceil(self.stacks.lanes));
        let last = width.saturating_sub(lanes);
        // The vectors that end before the last cell does, and the last output.
        let end =
            (inside.end + 1).saturating_sub(lanes + extent - 1).div_ceil(lanes).min(width / lanes);
        let start = inside.start.div_ceil(lanes);
        let mark = |cells: Range<usize>, marked: Range<usize>| {
            cells.map(|i| if marked.contains(&i) { one } else { zero }).collect()
        };
        Rows {
            tall: self.stacks.runs.len() > 1 && tall_pays(height),
            vectors,
            last,
            interior: start.min(end)..end,
            cells: mark(0..len, inside),
            outputs: mark(last..last + lanes, (vectors - 1) * lanes..width),
        }
    }

    /// Adds the products of columns with their weights, `[columns][taps]`, to the outputs of a stack, or to a value that they start from.
    /// The stack's rows are so far from each other.
    ///
    /// # Panics
    /// If something lies outside its slice.
    #[inline]
    pub(crate) fn sum_stack(
        &self,
        columns: &Columns<'_, T>,
        weights: &[T],
        start: Option<T>,
        (stack, row): (&mut [T], usize),
    ) {
        let Columns { taps, places, cells, apart, rows } = *columns;
        self.check(columns, (stack.len(), row));
        assert!(weights.len() == places.len() * taps);
        let (places, cells, stack) = (&places.list[..], cells.as_ptr(), stack.as_mut_ptr());
        // The kernel only reads the weights.
        let weights = weights.as_ptr().cast_mut();
        let raw = Raw { places, cells, apart, rows, stack, row, start, weights };
        // SAFETY: all vectors lie in the cells and in the stack, there is a weight for each tap, and the kernel was
        // chosen for this processor.
        unsafe { self.stacks.runs[usize::from(rows.tall)].sum[taps - 1](&raw) }
    }

    /// Adds to a vector for each tap, `[columns][taps][lanes]`, its products with the gradients of a stack of outputs, whose rows are so far
    /// from each other. Their sum is the gradient of the weight.
    ///
    /// # Panics
    /// If something lies outside its slice.
    #[inline]
    pub(crate) fn dot_stack(
        &self,
        columns: &Columns<'_, T>,
        (stack, row): (&[T], usize),
        sums: &mut [T],
    ) {
        let Columns { taps, places, cells, apart, rows } = *columns;
        self.check(columns, (stack.len(), row));
        assert!(sums.len() == places.len() * taps * self.stacks.lanes);
        let (places, cells, weights) = (&places.list[..], cells.as_ptr(), sums.as_mut_ptr());
        // The kernel only reads the stack.
        let stack = stack.as_ptr().cast_mut();
        let raw = Raw { places, cells, apart, rows, stack, row, start: None, weights };
        // SAFETY: all vectors lie in the cells and in the stack, there is a vector of sums for each tap, and the kernel was
        // chosen for this processor.
        unsafe { self.stacks.runs[usize::from(rows.tall)].dot[taps - 1](&raw) }
    }

    /// That all that is read lies in the cells and in what is known of them, and that the stack has its rows.
    fn check(&self, columns: &Columns<'_, T>, (stack, row): (usize, usize)) {
        let Columns { taps, places, cells, apart, rows } = columns;
        let len = rows.len();
        let ([furthest, in_row], last) = (places.reach, (rows.count() + taps - 2) * apart + len);
        assert!(rows.outputs.len() == self.stacks.lanes && (rows.count() - 1) * row + len <= stack);
        assert!(places.len() == 0 || furthest + last <= cells.len());
        assert!(places.len() == 0 || in_row + len <= rows.cells.len());
    }
}

/// Whether a map of so many rows is better cut into tall stacks. These take an eighth less time for a row, but the last one may
/// repeat more of them.
fn tall_pays(height: usize) -> bool {
    let [low, tall] = HEIGHTS.map(|rows| height.next_multiple_of(rows));
    height >= HEIGHTS[1] && tall * 7 < low * 8
}

/// # Safety
/// See [`Kernel::sum_stack`]; the processor must have the vectors.
#[inline(always)]
pub(super) unsafe fn sum<T: PortableFloat, V: Vector<T>, const TALL: bool, const TAPS: usize>(
    raw: &Raw<'_, T>,
) {
    for vector in 0..raw.rows.vectors {
        let x = vector * V::LEN;
        // SAFETY: as said there.
        unsafe {
            match raw.rows.interior.contains(&vector) {
                true => sum_vector::<T, V, TALL, TAPS, false>(raw, x),
                false => sum_vector::<T, V, TALL, TAPS, true>(raw, x.min(raw.rows.last)),
            }
        }
    }
}

/// Sums a vector of each row.
///
/// # Safety
/// See [`sum`].
#[inline(always)]
unsafe fn sum_vector<
    T: PortableFloat,
    V: Vector<T>,
    const TALL: bool,
    const TAPS: usize,
    const EDGE: bool,
>(
    raw: &Raw<'_, T>,
    x: usize,
) {
    let rows = HEIGHTS[usize::from(TALL)];
    // SAFETY: everything that is read and written lies in its slice, as `sum_stack` has checked.
    unsafe {
        let stack = raw.stack.add(x);
        let mut sums = [V::splat(T::default()); HEIGHTS[1]];
        prefetch_rows(raw, x, rows, TAPS);
        for i in 0..rows {
            sums[i] = match raw.start {
                Some(start) => V::splat(start),
                None => V::load(stack.add(i * raw.row)),
            };
        }
        for (column, &place) in raw.places.iter().enumerate() {
            let mut lines = load_lines::<T, V, TALL, TAPS, EDGE>(raw, place, x);
            if EDGE && raw.start.is_none() {
                only_own_outputs::<T, V>(raw, x, &mut lines[..rows + TAPS - 1]);
            }
            for tap in 0..TAPS {
                let weight = V::splat(*raw.weights.add(column * TAPS + tap));
                for i in 0..rows {
                    sums[i] = sums[i].plus_product(weight, lines[i + tap]);
                }
            }
        }
        for i in 0..rows {
            sums[i].store(stack.add(i * raw.row));
        }
    }
}

/// # Safety
/// See [`Kernel::dot_stack`]; the processor must have the vectors.
#[inline(always)]
pub(super) unsafe fn dot<T: PortableFloat, V: Vector<T>, const TALL: bool, const TAPS: usize>(
    raw: &Raw<'_, T>,
) {
    let Rows { vectors, last, ref interior, .. } = *raw.rows;
    for (column, &place) in raw.places.iter().enumerate() {
        // SAFETY: as said there.
        unsafe {
            // Two sums for each tap, so that one need not wait for the other.
            let mut sums = [[V::splat(T::default()); 2]; TAPS];
            if column == 0 {
                for vector in 0..vectors {
                    prefetch_rows(raw, vector * V::LEN, HEIGHTS[usize::from(TALL)], TAPS);
                }
            }
            for vector in interior.clone() {
                dot_vector::<T, V, TALL, TAPS, false>(raw, place, vector * V::LEN, &mut sums);
            }
            for vector in (0..interior.start).chain(interior.end..vectors) {
                let x = (vector * V::LEN).min(last);
                dot_vector::<T, V, TALL, TAPS, true>(raw, place, x, &mut sums);
            }
            for (tap, [even, odd]) in sums.into_iter().enumerate() {
                let target = raw.weights.add((column * TAPS + tap) * V::LEN);
                V::load(target).plus(even.plus(odd)).store(target);
            }
        }
    }
}

/// Adds the products of a vector of each row.
///
/// # Safety
/// See [`dot`].
#[inline(always)]
unsafe fn dot_vector<
    T: PortableFloat,
    V: Vector<T>,
    const TALL: bool,
    const TAPS: usize,
    const EDGE: bool,
>(
    raw: &Raw<'_, T>,
    place: [usize; 2],
    x: usize,
    sums: &mut [[V; 2]; TAPS],
) {
    let rows = HEIGHTS[usize::from(TALL)];
    // SAFETY: everything that is read lies in its slice, as `dot_stack` has checked.
    unsafe {
        let mut lines = load_lines::<T, V, TALL, TAPS, EDGE>(raw, place, x);
        if EDGE {
            only_own_outputs::<T, V>(raw, x, &mut lines[..rows + TAPS - 1]);
        }
        for i in 0..rows {
            let grad = V::load(raw.stack.add(i * raw.row + x));
            for tap in 0..TAPS {
                sums[tap][i % 2] = sums[tap][i % 2].plus_product(grad, lines[i + tap]);
            }
        }
    }
}

/// Asks for what the next stack reads of the rows from one on, beyond those that this one does. A processor does not foresee them.
#[inline(always)]
fn prefetch_rows<T>(raw: &Raw<'_, T>, x: usize, rows: usize, taps: usize) {
    for i in 0..rows {
        prefetch_at(raw.cells.wrapping_add((rows + taps - 1 + i) * raw.apart + x));
    }
}

/// Vectors of cells, one of each row that a column of a tall stack may read; a column reads the first of them.
type Lines<V> = [V; HEIGHTS[1] + MOST_TAPS - 1];

/// A vector of each row of cells that a column reads, without what is not the row's.
///
/// # Safety
/// See [`sum`] and [`dot`].
#[inline(always)]
unsafe fn load_lines<
    T: PortableFloat,
    V: Vector<T>,
    const TALL: bool,
    const TAPS: usize,
    const EDGE: bool,
>(
    raw: &Raw<'_, T>,
    [line, cell]: [usize; 2],
    x: usize,
) -> Lines<V> {
    let count = HEIGHTS[usize::from(TALL)] + TAPS - 1;
    // SAFETY: by the caller's promise.
    unsafe {
        let mut lines = [V::splat(T::default()); HEIGHTS[1] + MOST_TAPS - 1];
        let cells = raw.cells.add(line + cell + x);
        for i in 0..count {
            lines[i] = V::load(cells.add(i * raw.apart));
        }
        if EDGE {
            let inside = V::load(raw.rows.cells.as_ptr().add(cell + x));
            for i in 0..count {
                lines[i] = lines[i].only_where(inside);
            }
        }
        lines
    }
}

/// Leaves out of the last vector what is not the row's, or in the vector before. Zeros take its place, so that a weight or a gradient that
/// is infinite makes no number of the sum that it would have made infinite; what is finite stays so.
///
/// # Safety
/// See [`sum`] and [`dot`].
#[inline(always)]
unsafe fn only_own_outputs<T: PortableFloat, V: Vector<T>>(
    raw: &Raw<'_, T>,
    x: usize,
    lines: &mut [V],
) {
    if x == raw.rows.last {
        // SAFETY: there is a mark for each output of the last vector.
        let outputs = unsafe { V::load(raw.rows.outputs.as_ptr()) };
        for line in lines {
            // SAFETY: the processor has the vectors, by the caller's promise.
            *line = unsafe { line.only_where(outputs) };
        }
    }
}

/// The kernels of vectors that a processor has if it has some features, for stacks that are tall or not.
macro_rules! stacks {
    ($type:ty, $vector:ty, [$($tall:literal),+] $(, $features:literal)?) => {{
        use $crate::gemm::kernel::stack::{self, Raw, Runs, Stacks};
        use $crate::gemm::kernel::vector::Vector;
        /// # Safety
        /// See [`super::Kernel::sum_stack`]; the processor must have the features.
        $(#[target_feature(enable = $features)])?
        unsafe fn sum<const TALL: bool, const TAPS: usize>(raw: &Raw<'_, $type>) {
            // SAFETY: as above.
            unsafe { stack::sum::<$type, $vector, TALL, TAPS>(raw) }
        }
        /// # Safety
        /// See [`super::Kernel::dot_stack`]; the processor must have the features.
        $(#[target_feature(enable = $features)])?
        unsafe fn dot<const TALL: bool, const TAPS: usize>(raw: &Raw<'_, $type>) {
            // SAFETY: as above.
            unsafe { stack::dot::<$type, $vector, TALL, TAPS>(raw) }
        }
        const fn runs<const TALL: bool>() -> Runs<$type> {
            Runs {
                sum: [sum::<TALL, 1>, sum::<TALL, 2>, sum::<TALL, 3>],
                dot: [dot::<TALL, 1>, dot::<TALL, 2>, dot::<TALL, 3>],
            }
        }
        Stacks {
            lanes: <$vector as Vector<$type>>::LEN,
            runs: const { &[$(runs::<$tall>()),+] },
        }
    }};
}
pub(super) use stacks;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Float;
    use crate::gemm::kernel::{f32_kernel_for, f64_kernel_for};
    use crate::simd::Level;

    fn value<T: Float>(i: usize) -> T {
        T::from_f64((i * 37 % 19) as f64 - 9.0)
    }

    /// Both kernels against the definition, on integers, for which the order of a sum does not matter. Rows have a cell of padding on
    /// the left, and NaN outside. A cell, a weight and a gradient are some other number.
    fn check<T: Float>(kernel: &Kernel<T>, taps: usize, [height, outputs]: [usize; 2], some: T) {
        let lanes = kernel.stack_lanes();
        let row = outputs.max(lanes) + 1;
        let (apart, inside) = (row + 2, 1..outputs + 1);
        let rows =
            kernel.rows_of_stacks([height, outputs], (apart, inside.clone()), 3, [T::ZERO, T::ONE]);
        let (count, lines) = (rows.count(), rows.count() + taps);
        // An output that the last two vectors of a row may hold.
        let shared = outputs.saturating_sub(lanes - 1);
        let mut cells: Vec<T> = (0..lines * apart)
            .map(|i| if inside.contains(&(i % apart)) { value(i) } else { T::NAN })
            .collect();
        cells[2 * apart + 1 + shared] = some;
        let cell = |line: usize, x: usize| match inside.contains(&x) {
            true => cells[line * apart + x],
            false => T::ZERO,
        };
        let list = [[0, 0], [apart, 1], [0, 2]];
        let places = &Places::new(list.to_vec());
        let columns = Columns { taps, places, cells: &cells, apart, rows: &rows };
        let read = |column: usize, tap: usize, [y, x]: [usize; 2]| {
            cell(list[column][0] / apart + y + tap, list[column][1] + x)
        };
        let name = |what| format!("{what} by {}, {taps} taps, {count} x {outputs}", kernel.name);
        let outside = |i: usize| i % row >= rows.len();

        // Zeros stand for outputs of the vector before, so that what is infinite may become no number.
        let infinite = |x: T| !x.to_f64().is_finite();
        let same = |got: T, expected: T| got == expected || infinite(got) && infinite(expected);
        let mut weights: Vec<T> = (0..list.len() * taps).map(|i| value(i + 3)).collect();
        weights[taps] = some;
        for start in [None, Some(T::from_f64(5.0))] {
            let before: Vec<T> = (0..count * row).map(|i| value(i + 7)).collect();
            let mut stack = before.clone();
            kernel.sum_stack(&columns, &weights, start, (&mut stack, row));
            for (y, x) in (0..count).flat_map(|y| (0..outputs).map(move |x| (y, x))) {
                let product = |i: usize| weights[i] * read(i / taps, i % taps, [y, x]);
                let sum: T = (0..weights.len()).map(product).sum();
                let expected = start.unwrap_or(before[y * row + x]) + sum;
                let got = stack[y * row + x];
                assert!(same(got, expected), "{} at {y}, {x}: {got:?}", name("sum"));
            }
            let kept = |i: usize| !outside(i) || stack[i] == before[i];
            assert!((0..stack.len()).all(kept), "{} beside the rows", name("sum"));
        }

        // What a vector holds beyond a shorter row is zero, what lies behind a row is not the kernel's to read.
        let grad = |i: usize| match outside(i) {
            true => T::NAN,
            false if i % row < outputs => value(i),
            false => T::ZERO,
        };
        let mut stack: Vec<T> = (0..count * row).map(grad).collect();
        stack[row + shared] = some;
        let mut sums = vec![T::ONE; weights.len() * lanes];
        kernel.dot_stack(&columns, (&stack, row), &mut sums);
        for (i, sums) in sums.chunks(lanes).enumerate() {
            let places = (0..count).flat_map(|y| (0..outputs).map(move |x| [y, x]));
            let product =
                |[y, x]: [usize; 2]| stack[y * row + x] * read(i / taps, i % taps, [y, x]);
            let expected = T::from_f64(lanes as f64) + places.map(product).sum();
            let got = sums.iter().copied().sum::<T>();
            assert!(same(got, expected), "{} at {i}: {got:?}", name("dot"));
        }
    }

    #[test]
    fn every_kernel_takes_stacks() {
        let sizes = HEIGHTS.into_iter().flat_map(|y| [3, 16, 37, 64].map(|x| [y, x]));
        let cases = (1..=MOST_TAPS).flat_map(|taps| sizes.clone().map(move |size| (taps, size)));
        for level in Level::available() {
            for (taps, size) in cases.clone() {
                for some in [4.0, f32::INFINITY] {
                    check(&f32_kernel_for(level), taps, size, some);
                    check(&f64_kernel_for(level), taps, size, some.into());
                }
            }
        }
    }

    #[test]
    fn tall_stacks_are_for_maps_that_they_fit() {
        let tall = [7, 8, 9, 12, 14, 16, 28, 32, 56, 112].map(tall_pays);
        assert_eq!(tall, [false, true, false, false, true, true, false, true, true, true]);
    }

    /// Sums one tap at a place of four rows of eight cells, into a stack of so many outputs.
    fn sum_of_eight(place: [usize; 2], outputs: usize) {
        let kernel = crate::gemm::kernel::portable::<f32>();
        let rows = kernel.rows_of_stacks([4, 8], (8, 0..8), 1, [0.0, 1.0]);
        let places = &Places::new(vec![place]);
        let columns = Columns { taps: 1, places, cells: &[0.0; 32], apart: 8, rows: &rows };
        kernel.sum_stack(&columns, &[1.0], None, (&mut vec![0.0; outputs], 8));
    }

    #[test]
    fn rows_that_fill_their_memory_are_taken() {
        sum_of_eight([0, 0], 32);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn rows_outside_their_memory_are_refused() {
        sum_of_eight([1, 0], 32);
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_stack_of_too_few_rows_is_refused() {
        sum_of_eight([0, 0], 31);
    }
}
