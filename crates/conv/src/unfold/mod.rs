//! Windows as columns of a matrix, and back.
//!
//! Unfolding copies what each window of a convolution sees into one column, which turns the
//! convolution into a matrix product ("im2col"). Folding is its adjoint: it adds every column back to
//! the cells that it came from.

mod panels;
mod patches;
mod staged;

use rayon::prelude::*;

use crate::element::Float;
use crate::geometry::ConvShape;
pub(crate) use panels::{Taps, Windows};
pub(crate) use patches::Patches;
pub(crate) use staged::{Staged, copy_row};

/// Copies every window of `input` into a column: `[batch, channels, *spatial]` to
/// `[batch, channels * prod(kernel), prod(output)]`, the layout of PyTorch's `nn.Unfold`.
///
/// `columns[b, c k + t, o] = input[b, c, o s + t d - p]`, or zero where that is padding.
///
/// ```
/// use striate_conv::{ConvShape, ConvSpec, unfold::unfold};
///
/// let shape = ConvShape::windows(&ConvSpec::new([2]), &[1, 1, 4])?;
/// let mut columns = [0.0; 6];
/// unfold(&shape, &[1.0, 2.0, 3.0, 4.0], &mut columns);
/// assert_eq!(columns, [1.0, 2.0, 3.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
///
/// # Panics
/// If `input` is not [`ConvShape::input_len`] elements or `columns` not [`columns_len`].
pub fn unfold<T: Float>(shape: &ConvShape, input: &[T], columns: &mut [T]) {
    check_lengths(shape, input.len(), columns.len());
    (T::routines().unfold)(shape, input, columns);
}

/// See [`unfold`].
pub(crate) fn gather<T: Float>(shape: &ConvShape, input: &[T], columns: &mut [T]) {
    let Some([plane, column]) = channel_lens(shape) else {
        return;
    };
    let patches = Patches::new(shape);
    let outputs = 0..shape.output.iter().product();
    columns
        .par_chunks_exact_mut(column)
        .zip(input.par_chunks_exact(plane))
        .for_each(|(columns, plane)| patches.gather(plane, outputs.clone(), columns));
}

/// Adds every column to the cells that its window covers: the adjoint of [`unfold`], overwriting
/// `input`. PyTorch's `nn.Fold`.
///
/// # Panics
/// As [`unfold`].
pub fn fold<T: Float>(shape: &ConvShape, columns: &[T], input: &mut [T]) {
    check_lengths(shape, input.len(), columns.len());
    (T::routines().fold)(shape, columns, input);
}

/// See [`fold`].
pub(crate) fn scatter<T: Float>(shape: &ConvShape, columns: &[T], input: &mut [T]) {
    let Some([plane, column]) = channel_lens(shape) else {
        return;
    };
    let patches = Patches::new(shape);
    let outputs = 0..shape.output.iter().product();
    input.par_chunks_exact_mut(plane).zip(columns.par_chunks_exact(column)).for_each(
        |(plane, columns)| {
            plane.fill(T::ZERO);
            patches.scatter((columns, outputs.len()), outputs.clone(), plane);
        },
    );
}

/// Elements of the columns of a shape: `batch * in_channels * prod(kernel) * prod(output)`.
///
/// Saturates at `usize::MAX`, which is no slice's length.
pub fn columns_len(shape: &ConvShape) -> usize {
    [shape.batch, shape.in_channels]
        .iter()
        .chain(&shape.spec.kernel)
        .chain(&shape.output)
        .fold(1, |product: usize, &size| product.saturating_mul(size))
}

/// Elements of one channel: of its plane, and of its columns. `None` if there is no image.
fn channel_lens(shape: &ConvShape) -> Option<[usize; 2]> {
    let channels = shape.batch * shape.in_channels;
    (channels > 0).then(|| [shape.input_len() / channels, columns_len(shape) / channels])
}

fn check_lengths(shape: &ConvShape, input: usize, columns: usize) {
    assert_eq!(input, shape.input_len(), "input of {shape:?}");
    assert_eq!(columns, columns_len(shape), "columns of {shape:?}");
}
