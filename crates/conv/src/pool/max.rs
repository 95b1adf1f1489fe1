//! Max pooling.

use rayon::prelude::*;

use super::halving::{self, Halving};
use super::{Grid, check_lengths};
use crate::element::Float;
use crate::geometry::PoolShape;

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
    (T::routines().max_forward)(shape, input, (output, indices), false);
}

/// The index of an output that no gradient passes.
pub const NOWHERE: i64 = -1;

/// [`max_forward`], then `max(y, 0)`. Where that is 0, the index is [`NOWHERE`].
///
/// ```
/// use striate_conv::{PoolShape, PoolSpec, pool};
///
/// let shape = PoolShape::sliding(&PoolSpec::new([2]), &[1, 1, 4])?;
/// let (mut output, mut indices) = ([0.0; 2], [0; 2]);
/// pool::max_relu_forward(&shape, &[-1.0, -3.0, 4.0, 2.0], &mut output, &mut indices);
/// assert_eq!((output, indices), ([0.0, 4.0], [pool::NOWHERE, 2]));
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
///
/// # Panics
/// As [`max_forward`].
pub fn max_relu_forward<T: Float>(
    shape: &PoolShape,
    input: &[T],
    output: &mut [T],
    indices: &mut [i64],
) {
    (T::routines().max_forward)(shape, input, (output, indices), true);
}

/// See [`max_forward`] and [`max_relu_forward`].
pub(crate) fn find<T: Float>(
    shape: &PoolShape,
    input: &[T],
    (output, indices): (&mut [T], &mut [i64]),
    relu: bool,
) {
    check_lengths(shape, input.len(), output.len());
    assert_eq!(indices.len(), output.len(), "indices of {shape:?}");
    if output.is_empty() {
        return;
    }
    let planes = output.len() / shape.planes;
    let (grid, halving) = (Grid::of(shape), Halving::of(shape));
    output
        .par_chunks_exact_mut(planes)
        .zip(indices.par_chunks_exact_mut(planes))
        .zip(input.par_chunks_exact(input.len() / shape.planes))
        .for_each(|((output, indices), input)| {
            if let Some(halving) = &halving {
                halving::largest(halving, input, output, indices, relu);
            } else {
                let mut results = output.iter_mut().zip(indices);
                grid.for_each_window(|window| {
                    let mut best = Best::none();
                    grid.for_each_cell(window, |cell| best.meet(input[cell], cell));
                    if let Some((output, index)) = results.next() {
                        (*output, *index) = match relu && best.value <= T::ZERO {
                            true => (T::ZERO, NOWHERE),
                            false => (best.value, best.index as i64),
                        };
                    }
                });
            }
        });
}

/// The gradient of the input: each output's gradient goes to the cell that it came from.
///
/// # Panics
/// As [`max_forward`], or if an index is not in the plane, and not [`NOWHERE`].
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
    let halving = Halving::of(shape);
    grad_input
        .par_chunks_exact_mut(inputs)
        .zip(grad_output.par_chunks_exact(outputs))
        .zip(indices.par_chunks_exact(outputs))
        .for_each(|((grad_input, grad_output), indices)| {
            if let Some(halving) = &halving {
                let mut elsewhere = false;
                halving::send_back(halving, grad_output, indices, grad_input, &mut elsewhere);
                if !elsewhere {
                    return;
                }
            }
            grad_input.fill(T::ZERO);
            for (&grad, &index) in grad_output.iter().zip(indices) {
                if index != NOWHERE {
                    grad_input[index as usize] += grad;
                }
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
