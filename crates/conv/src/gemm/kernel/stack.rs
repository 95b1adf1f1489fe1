//! The kernels of depthwise convolution: rows of outputs that lie under each other.
//!
//! No other channel shares what an output reads, but the outputs around it do. Four rows of them, a stack, and a column of three taps make
//! twelve products of six vectors of cells, one from each row. Where taps are not as far apart as rows of outputs are, a column has one
//! tap. One kernel sums the outputs; the other, for the gradient of the weight, sums each tap's products with the outputs' gradients.
//!
//! Cells are read where they lie, with what stands beside a row in memory. What is not the row's is left out:
//! it may be no number, so that to multiply it with zero would not do.

// Several arrays are read at one place in each round, or at places apart by a tap.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::vector::Vector;
use super::{Kernel, PortableFloat};
use crate::simd::prefetch_at;

/// Rows of outputs.
pub(crate) const STACK: usize = 4;
/// The most taps of a column.
pub(crate) const MOST_TAPS: usize = 3;

/// What is the same for all rows of outputs and the rows of cells that they read.
pub(crate) struct Rows<T> {
    /// Vectors of a row of outputs. In a stack, rows are made up of whole ones.
    vectors: usize,
    /// Of these, those that read nothing but the row's cells, and those that hold nothing but the row's outputs.
    interior: Range<usize>,
    whole: usize,
    /// For each cell that is read, and for each output, one if it is the row's, or zero.
    cells: Vec<T>,
    outputs: Vec<T>,
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
    /// The rows of the stack.
    stack: *mut T,
    /// What the sums start from, if not from what is there.
    start: Option<T>,
    /// The weights, or the sums of their gradient.
    weights: *mut T,
}

type Run<T> = unsafe fn(&Raw<'_, T>);

/// The kernels for columns of one, two and three taps.
#[derive(Debug)]
pub(super) struct Stacks<T> {
    /// Elements of a vector.
    pub(super) lanes: usize,
    pub(super) sum: [Run<T>; MOST_TAPS],
    pub(super) dot: [Run<T>; MOST_TAPS],
}

impl<T: Copy + 'static> Kernel<T> {
    /// Outputs of a row that are summed at a time.
    pub(crate) fn stack_lanes(&self) -> usize {
        self.stacks.lanes
    }

    /// Rows of `outputs` outputs that read `len` cells each, of which those in a range are the row's; the windows are so wide.
    pub(crate) fn rows_of_stacks(
        &self,
        outputs: usize,
        (len, inside): (usize, Range<usize>),
        extent: usize,
        [zero, one]: [T; 2],
    ) -> Rows<T> {
        let (lanes, vectors) = (self.stacks.lanes, outputs.div_ceil(self.stacks.lanes));
        // The vectors that end before the last cell does.
        let last = (inside.end + 1).saturating_sub(lanes + extent - 1).div_ceil(lanes).min(vectors);
        let mark = |len: usize, marked: Range<usize>| {
            (0..len).map(|i| if marked.contains(&i) { one } else { zero }).collect()
        };
        Rows {
            vectors,
            interior: inside.start.div_ceil(lanes)..last,
            whole: outputs / lanes,
            cells: mark(len, inside),
            outputs: mark(vectors * lanes, 0..outputs),
        }
    }

    /// Adds the products of columns with their weights, `[columns][taps]`, to the outputs of a stack, or to a value that they start from.
    ///
    /// # Panics
    /// If something lies outside its slice.
    #[inline]
    pub(crate) fn sum_stack(
        &self,
        columns: &Columns<'_, T>,
        weights: &[T],
        start: Option<T>,
        stack: &mut [T],
    ) {
        let Columns { taps, places, cells, apart, rows } = *columns;
        self.check(columns, stack.len());
        assert!(weights.len() == places.len() * taps);
        let (places, cells, stack) = (&places.list[..], cells.as_ptr(), stack.as_mut_ptr());
        // The kernel only reads the weights.
        let weights = weights.as_ptr().cast_mut();
        let raw = Raw { places, cells, apart, rows, stack, start, weights };
        // SAFETY: all vectors lie in the cells and in the stack, there is a weight for each tap, and the kernel was
        // chosen for this processor.
        unsafe { self.stacks.sum[taps - 1](&raw) }
    }

    /// Adds to a vector for each tap, `[columns][taps][lanes]`, its products with the gradients of a stack of outputs. Their sum is the
    /// gradient of the weight.
    ///
    /// # Panics
    /// If something lies outside its slice.
    #[inline]
    pub(crate) fn dot_stack(&self, columns: &Columns<'_, T>, stack: &[T], sums: &mut [T]) {
        let Columns { taps, places, cells, apart, rows } = *columns;
        self.check(columns, stack.len());
        assert!(sums.len() == places.len() * taps * self.stacks.lanes);
        let (places, cells, weights) = (&places.list[..], cells.as_ptr(), sums.as_mut_ptr());
        // The kernel only reads the stack.
        let stack = stack.as_ptr().cast_mut();
        let raw = Raw { places, cells, apart, rows, stack, start: None, weights };
        // SAFETY: all vectors lie in the cells and in the stack, there is a vector of sums for each tap, and the kernel was
        // chosen for this processor.
        unsafe { self.stacks.dot[taps - 1](&raw) }
    }

    /// That all that is read lies in the cells and in what is known of them, and that the stack has its rows.
    fn check(&self, Columns { taps, places, cells, apart, rows }: &Columns<'_, T>, stack: usize) {
        let len = rows.vectors * self.stacks.lanes;
        let ([furthest, in_row], last) = (places.reach, (STACK + taps - 2) * apart + len);
        assert!(stack == STACK * len && rows.outputs.len() == len);
        assert!(places.len() == 0 || furthest + last <= cells.len());
        assert!(places.len() == 0 || in_row + len <= rows.cells.len());
    }
}

/// # Safety
/// See [`Kernel::sum_stack`]; the processor must have the vectors.
#[inline(always)]
pub(super) unsafe fn sum<T: PortableFloat, V: Vector<T>, const TAPS: usize>(raw: &Raw<'_, T>) {
    for vector in 0..raw.rows.vectors {
        // SAFETY: as said there.
        unsafe {
            match vector >= raw.rows.interior.start && vector < raw.rows.interior.end {
                true => sum_vector::<T, V, TAPS, false>(raw, vector * V::LEN),
                false => sum_vector::<T, V, TAPS, true>(raw, vector * V::LEN),
            }
        }
    }
}

/// Sums a vector of each row.
///
/// # Safety
/// See [`sum`].
#[inline(always)]
unsafe fn sum_vector<T: PortableFloat, V: Vector<T>, const TAPS: usize, const EDGE: bool>(
    raw: &Raw<'_, T>,
    x: usize,
) {
    let row = raw.rows.vectors * V::LEN;
    // SAFETY: everything that is read and written lies in its slice, as `sum_stack` has checked.
    unsafe {
        let stack = raw.stack.add(x);
        let mut sums = [V::splat(T::default()); STACK];
        prefetch_rows(raw, x, STACK + TAPS - 1);
        for i in 0..STACK {
            sums[i] = match raw.start {
                Some(start) => V::splat(start),
                None => V::load(stack.add(i * row)),
            };
        }
        for (column, &place) in raw.places.iter().enumerate() {
            let lines = load_lines::<T, V, TAPS, EDGE>(raw, place, x);
            for tap in 0..TAPS {
                let weight = V::splat(*raw.weights.add(column * TAPS + tap));
                for i in 0..STACK {
                    sums[i] = sums[i].plus_product(weight, lines[i + tap]);
                }
            }
        }
        for i in 0..STACK {
            sums[i].store(stack.add(i * row));
        }
    }
}

/// # Safety
/// See [`Kernel::dot_stack`]; the processor must have the vectors.
#[inline(always)]
pub(super) unsafe fn dot<T: PortableFloat, V: Vector<T>, const TAPS: usize>(raw: &Raw<'_, T>) {
    let interior = raw.rows.interior.start..raw.rows.interior.end.min(raw.rows.whole);
    for (column, &place) in raw.places.iter().enumerate() {
        // SAFETY: as said there.
        unsafe {
            // Two sums for each tap, so that one need not wait for the other.
            let mut sums = [[V::splat(T::default()); 2]; TAPS];
            for vector in 0..raw.rows.vectors {
                if column == 0 {
                    prefetch_rows(raw, vector * V::LEN, STACK + TAPS - 1);
                }
                match vector >= interior.start && vector < interior.end {
                    true => dot_vector::<T, V, TAPS, false>(raw, place, vector * V::LEN, &mut sums),
                    false => dot_vector::<T, V, TAPS, true>(raw, place, vector * V::LEN, &mut sums),
                }
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
unsafe fn dot_vector<T: PortableFloat, V: Vector<T>, const TAPS: usize, const EDGE: bool>(
    raw: &Raw<'_, T>,
    place: [usize; 2],
    x: usize,
    sums: &mut [[V; 2]; TAPS],
) {
    let row = raw.rows.vectors * V::LEN;
    // SAFETY: everything that is read lies in its slice, as `dot_stack` has checked.
    unsafe {
        let mut lines = load_lines::<T, V, TAPS, EDGE>(raw, place, x);
        if EDGE {
            let outputs = V::load(raw.rows.outputs.as_ptr().add(x));
            for line in &mut lines {
                *line = line.only_where(outputs);
            }
        }
        for i in 0..STACK {
            let grad = V::load(raw.stack.add(i * row + x));
            for tap in 0..TAPS {
                sums[tap][i % 2] = sums[tap][i % 2].plus_product(grad, lines[i + tap]);
            }
        }
    }
}

/// Asks for what the next stack reads of the rows from one on, beyond those that this one does. A processor does not foresee them.
#[inline(always)]
fn prefetch_rows<T>(raw: &Raw<'_, T>, x: usize, first: usize) {
    for i in 0..STACK {
        prefetch_at(raw.cells.wrapping_add((first + i) * raw.apart + x));
    }
}

/// A vector of each row of cells that a column reads, without what is not the row's; there are as many as a column may read.
///
/// # Safety
/// See [`sum`] and [`dot`].
#[inline(always)]
unsafe fn load_lines<T: PortableFloat, V: Vector<T>, const TAPS: usize, const EDGE: bool>(
    raw: &Raw<'_, T>,
    [line, cell]: [usize; 2],
    x: usize,
) -> [V; STACK + MOST_TAPS - 1] {
    // SAFETY: by the caller's promise.
    unsafe {
        let mut lines = [V::splat(T::default()); STACK + MOST_TAPS - 1];
        let cells = raw.cells.add(line + cell + x);
        for i in 0..STACK + TAPS - 1 {
            lines[i] = V::load(cells.add(i * raw.apart));
        }
        if EDGE {
            let inside = V::load(raw.rows.cells.as_ptr().add(cell + x));
            for i in 0..STACK + TAPS - 1 {
                lines[i] = lines[i].only_where(inside);
            }
        }
        lines
    }
}

/// The kernels of vectors that a processor has if it has some features.
macro_rules! stacks {
    ($type:ty, $vector:ty $(, $features:literal)?) => {{
        use $crate::gemm::kernel::stack::{self, Raw, Stacks};
        use $crate::gemm::kernel::vector::Vector;
        /// # Safety
        /// See [`super::Kernel::sum_stack`]; the processor must have the features.
        $(#[target_feature(enable = $features)])?
        unsafe fn sum<const TAPS: usize>(raw: &Raw<'_, $type>) {
            // SAFETY: as above.
            unsafe { stack::sum::<$type, $vector, TAPS>(raw) }
        }
        /// # Safety
        /// See [`super::Kernel::dot_stack`]; the processor must have the features.
        $(#[target_feature(enable = $features)])?
        unsafe fn dot<const TAPS: usize>(raw: &Raw<'_, $type>) {
            // SAFETY: as above.
            unsafe { stack::dot::<$type, $vector, TAPS>(raw) }
        }
        Stacks {
            lanes: <$vector as Vector<$type>>::LEN,
            sum: [sum::<1>, sum::<2>, sum::<3>],
            dot: [dot::<1>, dot::<2>, dot::<3>],
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
    /// the left, and NaN outside.
    fn check<T: Float>(kernel: &Kernel<T>, taps: usize, outputs: usize) {
        let lanes = kernel.stack_lanes();
        let row = outputs.next_multiple_of(lanes);
        let (apart, inside) = (row + 2, 1..outputs + 1);
        let lines = STACK + taps;
        let cell = |line: usize, x: usize| match inside.contains(&x) {
            true => value::<T>(line * apart + x),
            false => T::ZERO,
        };
        let cells: Vec<T> = (0..lines * apart)
            .map(|i| if inside.contains(&(i % apart)) { value(i) } else { T::NAN })
            .collect();
        let list = [[0, 0], [apart, 1], [0, 2]];
        let rows = kernel.rows_of_stacks(outputs, (apart, inside.clone()), 3, [T::ZERO, T::ONE]);
        let places = &Places::new(list.to_vec());
        let columns = Columns { taps, places, cells: &cells, apart, rows: &rows };
        let read = |column: usize, tap: usize, [y, x]: [usize; 2]| {
            cell(list[column][0] / apart + y + tap, list[column][1] + x)
        };
        let name = |what| format!("{what} by {}, {taps} taps, {outputs} outputs", kernel.name);

        let weights: Vec<T> = (0..list.len() * taps).map(|i| value(i + 3)).collect();
        for start in [None, Some(T::from_f64(5.0))] {
            let before: Vec<T> = (0..STACK * row).map(|i| value(i + 7)).collect();
            let mut stack = before.clone();
            kernel.sum_stack(&columns, &weights, start, &mut stack);
            for (y, x) in (0..STACK).flat_map(|y| (0..outputs).map(move |x| (y, x))) {
                let product = |i: usize| weights[i] * read(i / taps, i % taps, [y, x]);
                let sum: T = (0..weights.len()).map(product).sum();
                let expected = start.unwrap_or(before[y * row + x]) + sum;
                assert_eq!(stack[y * row + x], expected, "{} at {y}, {x}", name("sum"));
            }
        }

        let grad = |y: usize, x: usize| if x < outputs { value(y * row + x) } else { T::ZERO };
        let stack: Vec<T> = (0..STACK * row).map(|i| grad(i / row, i % row)).collect();
        let mut sums = vec![T::ONE; weights.len() * lanes];
        kernel.dot_stack(&columns, &stack, &mut sums);
        for (i, sums) in sums.chunks(lanes).enumerate() {
            let places = (0..STACK).flat_map(|y| (0..outputs).map(move |x| [y, x]));
            let product = |[y, x]: [usize; 2]| grad(y, x) * read(i / taps, i % taps, [y, x]);
            let expected = T::from_f64(lanes as f64) + places.map(product).sum();
            assert_eq!(sums.iter().copied().sum::<T>(), expected, "{} at {i}", name("dot"));
        }
    }

    #[test]
    fn every_kernel_takes_stacks() {
        for level in Level::available() {
            for (taps, outputs) in (1..=MOST_TAPS).flat_map(|t| [3, 16, 37, 64].map(|o| (t, o))) {
                check(&f32_kernel_for(level), taps, outputs);
                check(&f64_kernel_for(level), taps, outputs);
            }
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn rows_outside_their_memory_are_refused() {
        let kernel = crate::gemm::kernel::portable::<f32>();
        let rows = kernel.rows_of_stacks(8, (8, 0..8), 1, [0.0, 1.0]);
        let places = &Places::new(vec![[1, 0]]);
        let columns = Columns { taps: 1, places, cells: &[0.0; 32], apart: 8, rows: &rows };
        kernel.sum_stack(&columns, &[1.0], None, &mut [0.0; 32]);
    }
}
