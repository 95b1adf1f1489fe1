//! Max pooling.

use rayon::prelude::*;

use super::{Grid, check_lengths, is_halving, row_pairs};
use crate::element::Float;
use crate::geometry::PoolShape;
use crate::vectorize;

/// The largest cell of every window, `[planes, *input]` to `[planes, *output]`, and its flat index in
/// the plane.
///
/// Of equal cells the first counts. A window that holds NaN gives NaN.
///
/// ```
/// use striate_conv::{PoolShape, PoolSpec, pool};
///
/// let shape = PoolShape::sliding(&PoolSpec::new([2]), &[1, 1, 4])?;
/// let (mut output, mut indices) = ([0.0; 2], [0; 2]);
/// pool::max_forward(&shape, &[1.0, 3.0, 4.0, 2.0], &mut output, &mut indices);
/// assert_eq!((output, indices), ([3.0, 4.0], [1, 2]));
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
///
/// # Panics
/// If a slice is not as long as the shape says: [`PoolShape::input_len`], or [`PoolShape::output_len`]
/// for `output` and `indices`.
pub fn max_forward<T: Float>(
    shape: &PoolShape,
    input: &[T],
    output: &mut [T],
    indices: &mut [i64],
) {
    check_lengths(shape, input.len(), output.len());
    assert_eq!(indices.len(), output.len(), "indices of {shape:?}");
    (T::routines().max_forward)(shape, input, output, indices);
}

/// See [`max_forward`].
pub(crate) fn find<T: Float>(
    shape: &PoolShape,
    input: &[T],
    output: &mut [T],
    indices: &mut [i64],
) {
    if output.is_empty() {
        return;
    }
    let planes = output.len() / shape.planes;
    let (grid, halving) = (Grid::of(shape), is_halving(shape));
    output
        .par_chunks_exact_mut(planes)
        .zip(indices.par_chunks_exact_mut(planes))
        .zip(input.par_chunks_exact(input.len() / shape.planes))
        .for_each(|((output, indices), input)| {
            if halving {
                halve(shape, input, output, indices);
            } else {
                let mut results = output.iter_mut().zip(indices);
                grid.for_each_window(|window| {
                    let mut best = Best::none();
                    grid.for_each_cell(window, |cell| best.meet(input[cell], cell));
                    if let Some((output, index)) = results.next() {
                        (*output, *index) = (best.value, best.index as i64);
                    }
                });
            }
        });
}

/// The gradient of the input: each output's gradient goes to the cell that it came from.
///
/// # Panics
/// As [`max_forward`], or if an index is not in the plane.
pub fn max_backward<T: Float>(
    shape: &PoolShape,
    grad_output: &[T],
    indices: &[i64],
    grad_input: &mut [T],
) {
    check_lengths(shape, grad_input.len(), grad_output.len());
    assert_eq!(indices.len(), grad_output.len(), "indices of {shape:?}");
    (T::routines().max_backward)(shape, grad_output, indices, grad_input);
}

/// See [`max_backward`].
pub(crate) fn send_back<T: Float>(
    shape: &PoolShape,
    grad_output: &[T],
    indices: &[i64],
    grad_input: &mut [T],
) {
    if grad_output.is_empty() {
        return;
    }
    let (inputs, outputs) = (grad_input.len() / shape.planes, grad_output.len() / shape.planes);
    grad_input
        .par_chunks_exact_mut(inputs)
        .zip(grad_output.par_chunks_exact(outputs))
        .zip(indices.par_chunks_exact(outputs))
        .for_each(|((grad_input, grad_output), indices)| {
            grad_input.fill(T::ZERO);
            for (&grad, &index) in grad_output.iter().zip(indices) {
                grad_input[index as usize] += grad;
            }
        });
}

/// The largest cell so far.
struct Best<T> {
    value: T,
    index: usize,
}

impl<T: Float> Best<T> {
    fn none() -> Self {
        Self { value: T::NEG_INFINITY, index: usize::MAX }
    }

    #[inline]
    fn meet(&mut self, value: T, index: usize) {
        // The first cell is taken whatever it is, for it may be negative infinity.
        if value > self.value || value.is_nan() || self.index == usize::MAX {
            *self = Self { value, index };
        }
    }
}

/// The larger of two cells and their numbers in the window, the first of equal ones; as [`Best::meet`].
#[inline(always)]
fn larger<T: Float>(best: (T, u32), cell: (T, u32)) -> (T, u32) {
    let better = (cell.0 > best.0) | cell.0.is_nan();
    (if better { cell.0 } else { best.0 }, if better { cell.1 } else { best.1 })
}

/// Windows whose cells are compared before their places are written.
const WINDOWS: usize = 64;

/// 2x2 windows side by side. Without branches, which the data would take at random, and with the place in the window,
/// as wide as a single-precision number, until all are compared: vectors of numbers of one width are fast.
fn halve<T: Float>(shape: &PoolShape, input: &[T], output: &mut [T], indices: &mut [i64]) {
    let [_, _, width] = shape.input;
    let [_, _, columns] = shape.output;
    let rows = output.chunks_exact_mut(columns).zip(indices.chunks_exact_mut(columns));
    for ((first, upper, lower), (output, indices)) in row_pairs(shape, input).zip(rows) {
        let blocks = upper.chunks(2 * WINDOWS).zip(lower.chunks(2 * WINDOWS));
        let results = output.chunks_mut(WINDOWS).zip(indices.chunks_mut(WINDOWS));
        let firsts = (first..).step_by(2 * WINDOWS);
        for ((first, (upper, lower)), (output, indices)) in firsts.zip(blocks).zip(results) {
            halve_block(first as i64, width as i64, [upper, lower], (output, indices));
        }
    }
}

/// [`halve`] for some windows of a row, the upper left cell of whose first is `first`.
fn halve_block<T: Float>(
    first: i64,
    width: i64,
    rows: [&[T]; 2],
    (output, indices): (&mut [T], &mut [i64]),
) {
    let mut numbers = [0; WINDOWS];
    let numbers = &mut numbers[..output.len()];
    vectorize!({
        let [upper, lower] = rows.map(|row| row.as_chunks::<2>().0);
        let windows = upper.iter().zip(lower);
        let results = output.iter_mut().zip(&mut *numbers);
        for (([a, b], [c, d]), (output, number)) in windows.zip(results) {
            let best = larger(larger((*a, 0), (*b, 1)), (*c, 2));
            (*output, *number) = larger(best, (*d, 3));
        }
    });
    vectorize!({
        for ((x, index), &number) in (0..).zip(indices).zip(&*numbers) {
            *index = first + 2 * x + i64::from(number & 1) + width * i64::from(number >> 1);
        }
    });
}
