//! Max pooling.

use std::ops::Range;

use rayon::prelude::*;

use super::halving::{self, Halving};
use super::{Grid, check_lengths};
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
    (T::routines().max_forward)(shape, input, (output, indices), Choice::Largest);
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
    (T::routines().max_forward)(shape, input, (output, indices), Choice::LargestPositive);
}

/// [`max_forward`], but the smallest cell in channels whose `scale` is negative: where the largest of `scale x` comes from.
/// There is a number in `scale` for each channel, and the planes are those of the channels in turns.
///
/// ```
/// use striate_conv::{PoolShape, PoolSpec, pool};
///
/// let shape = PoolShape::sliding(&PoolSpec::new([2]), &[1, 2, 2])?;
/// let (mut output, mut indices) = ([0.0; 2], [0; 2]);
/// pool::extreme_forward(&shape, &[1.0, 3.0, 4.0, 2.0], &[0.5, -2.0], &mut output, &mut indices);
/// assert_eq!((output, indices), ([3.0, 2.0], [1, 1]));
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
///
/// # Panics
/// As [`max_forward`], or if the planes are no whole number of times the channels.
pub fn extreme_forward<T: Float>(
    shape: &PoolShape,
    input: &[T],
    scale: &[T],
    output: &mut [T],
    indices: &mut [i64],
) {
    check_channels(shape, [scale]);
    (T::routines().max_forward)(shape, input, (output, indices), Choice::Extreme(scale));
}

/// Which cell of a window is sought.
#[derive(Clone, Copy)]
pub(crate) enum Choice<'a, T> {
    Largest,
    /// The largest, unless it is not positive.
    LargestPositive,
    /// For each channel the largest or, where the number is negative, the smallest.
    Extreme(&'a [T]),
}

/// What is sought in planes: cells with the largest product with the sign of their plane or that of all, and only positive ones if
/// a ReLU follows.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a, T> {
    pub(super) signs: &'a [T],
    pub(super) relu: bool,
}

impl<T: Float> Choice<'_, T> {
    /// The signs of planes.
    fn signs(self, planes: Range<usize>) -> Vec<T> {
        match self {
            Choice::Extreme(scale) => {
                let negative = |plane: usize| scale[plane % scale.len()] < T::ZERO;
                planes.map(|plane| if negative(plane) { -T::ONE } else { T::ONE }).collect()
            }
            _ => vec![T::ONE],
        }
    }
}

/// See [`max_forward`], [`max_relu_forward`] and [`extreme_forward`].
pub(crate) fn find<T: Float>(
    shape: &PoolShape,
    input: &[T],
    (output, indices): (&mut [T], &mut [i64]),
    choice: Choice<'_, T>,
) {
    check_lengths(shape, input.len(), output.len());
    assert_eq!(indices.len(), output.len(), "indices of {shape:?}");
    if output.is_empty() {
        return;
    }
    let (inputs, outputs) = (input.len() / shape.planes, output.len() / shape.planes);
    let (grid, halving) = (Grid::of(shape), Halving::of(shape));
    let together = halving.as_ref().map_or(1, Halving::planes);
    output
        .par_chunks_mut(together * outputs)
        .zip(indices.par_chunks_mut(together * outputs))
        .zip(input.par_chunks(together * inputs))
        .enumerate()
        .for_each(|(group, ((output, indices), input))| {
            let first = group * together;
            let signs = choice.signs(first..first + output.len() / outputs);
            let sought = Sought { signs: &signs, relu: matches!(choice, Choice::LargestPositive) };
            match &halving {
                Some(halving) => halving::find(halving, input, output, indices, sought),
                None => find_in_plane(&grid, input, (output, indices), sought),
            }
        });
}

/// What is sought in a plane.
fn find_in_plane<T: Float>(
    grid: &Grid,
    input: &[T],
    (output, indices): (&mut [T], &mut [i64]),
    Sought { signs, relu }: Sought<'_, T>,
) {
    let (sign, mut results) = (signs[0], output.iter_mut().zip(indices));
    grid.for_each_window(|window| {
        let mut best = Best::none();
        grid.for_each_cell(window, |cell| best.meet(sign * input[cell], cell));
        if let Some((output, index)) = results.next() {
            (*output, *index) = match relu && best.value <= T::ZERO {
                true => (T::ZERO, NOWHERE),
                false => (sign * best.value, best.index as i64),
            };
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
    (T::routines().max_backward)(shape, (grad_output, indices), None, grad_input);
}

/// What a gradient is added to: of each input `x` in channel `c` the number `scale[c] (x - center[c]) + shift[c]`.
#[derive(Clone, Copy, Debug)]
pub struct Onto<'a, T> {
    /// The pooling's input.
    pub input: &'a [T],
    /// For each channel, what is subtracted.
    pub center: &'a [T],
    /// For each channel, the factor.
    pub scale: &'a [T],
    /// For each channel, the summand.
    pub shift: &'a [T],
}

/// [`max_backward`] added to another share of the gradient, in the same sweep. The planes are those of the channels in turns.
///
/// ```
/// use striate_conv::{PoolShape, PoolSpec, pool};
///
/// let shape = PoolShape::sliding(&PoolSpec::new([2]), &[1, 1, 4])?;
/// let onto = pool::Onto { input: &[1.0, 3.0, 4.0, 2.0], center: &[1.0], scale: &[2.0], shift: &[0.5] };
/// let mut grad_input = [0.0; 4];
/// pool::max_backward_onto(&shape, &[10.0, 20.0], &[1, 2], onto, &mut grad_input);
/// assert_eq!(grad_input, [0.5, 14.5, 26.5, 2.5]);
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
///
/// # Panics
/// As [`max_backward`], if `onto.input` is not as long as the input, or if the planes are no whole number of times the channels.
pub fn max_backward_onto<T: Float>(
    shape: &PoolShape,
    grad_output: &[T],
    indices: &[i64],
    onto: Onto<'_, T>,
    grad_input: &mut [T],
) {
    check_lengths(shape, grad_input.len(), grad_output.len());
    check_lengths(shape, onto.input.len(), indices.len());
    check_channels(shape, [onto.center, onto.scale, onto.shift]);
    (T::routines().max_backward)(shape, (grad_output, indices), Some(onto), grad_input);
}

/// Fails unless each has a number for every channel, and the planes are those of channels in turns.
fn check_channels<T, const K: usize>(shape: &PoolShape, numbers: [&[T]; K]) {
    let channels = numbers[0].len();
    let fits = shape.planes == 0 || channels > 0 && shape.planes.is_multiple_of(channels);
    let equal = numbers.iter().all(|numbers| numbers.len() == channels);
    assert!(fits && equal, "channels of {shape:?}: {:?}", numbers.map(<[T]>::len));
}

/// See [`max_backward`] and [`max_backward_onto`].
pub(crate) fn send_back<T: Float>(
    shape: &PoolShape,
    (grad_output, indices): (&[T], &[i64]),
    onto: Option<Onto<'_, T>>,
    grad_input: &mut [T],
) {
    if grad_input.is_empty() {
        return;
    }
    let (inputs, outputs) = (grad_input.len() / shape.planes, grad_output.len() / shape.planes);
    let halving = Halving::of(shape);
    let together = halving.as_ref().map_or(1, Halving::planes);
    grad_input.par_chunks_mut(together * inputs).enumerate().for_each(|(group, grad_input)| {
        let (first, planes) = (group * together, grad_input.len() / inputs);
        let range = first * outputs..(first + planes) * outputs;
        let (grad_output, indices) = (&grad_output[range.clone()], &indices[range]);
        let mut elsewhere = halving.is_none();
        if let Some(halving) = &halving {
            if onto.is_some() || !halving.is_whole() {
                write_base(onto, first, inputs, grad_input);
            }
            let (outputs, add) = ((grad_output, indices), onto.is_some());
            halving::send_back(halving, outputs, grad_input, add, &mut elsewhere);
        }
        if elsewhere {
            write_base(onto, first, inputs, grad_input);
            for (i, (&grad, &index)) in grad_output.iter().zip(indices).enumerate() {
                if index != NOWHERE {
                    grad_input[i / outputs * inputs..][..inputs][index as usize] += grad;
                }
            }
        }
    });
}

/// What the gradient of planes of `cells` cells is added to, from the plane `first` on.
fn write_base<T: Float>(
    onto: Option<Onto<'_, T>>,
    first: usize,
    cells: usize,
    grad_input: &mut [T],
) {
    let Some(Onto { input, center, scale, shift }) = onto else {
        return grad_input.fill(T::ZERO);
    };
    let planes = grad_input.chunks_exact_mut(cells).zip(input[first * cells..].chunks_exact(cells));
    vectorize!({
        for (plane, (grad_input, input)) in planes.enumerate() {
            let channel = (first + plane) % scale.len();
            let (center, scale, shift) = (center[channel], scale[channel], shift[channel]);
            for (grad, &x) in grad_input.iter_mut().zip(input) {
                *grad = scale * (x - center) + shift;
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
