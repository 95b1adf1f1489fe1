//! Average pooling.

use rayon::prelude::*;

use super::halving::{Halving, mean, spread};
use super::{Grid, check_lengths};
use crate::element::Float;
use crate::geometry::{Cells, PoolShape, Windows};

/// The mean of every window, `[planes, *input]` to `[planes, *output]`: the sum of its cells over
/// the number of them, of which padding inside the padded input is a part if the specification says so,
/// or over the divisor that the specification puts in its place.
///
/// ```
/// use striate_conv::{PoolShape, pool};
///
/// let shape = PoolShape::adaptive([2], &[1, 1, 3])?;
/// let mut output = [0.0; 2];
/// pool::average_forward(&shape, &[1.0, 3.0, 4.0], &mut output);
/// assert_eq!(output, [2.0, 3.5]);
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
///
/// # Panics
/// If a slice is not as long as the shape says.
pub fn average_forward<T: Float>(shape: &PoolShape, input: &[T], output: &mut [T]) {
    check_lengths(shape, input.len(), output.len());
    (T::routines().average_forward)(shape, input, output);
}

/// See [`average_forward`].
pub(crate) fn average<T: Float>(shape: &PoolShape, input: &[T], output: &mut [T]) {
    if output.is_empty() {
        return;
    }
    let (grid, divisor) = (Grid::of(shape), Divisor::of(shape));
    let (inputs, outputs) = (input.len() / shape.planes, output.len() / shape.planes);
    if let Some(halving) = Halving::of(shape) {
        let [inputs, outputs] = [inputs, outputs].map(|cells| cells * halving.planes());
        return output
            .par_chunks_mut(outputs)
            .zip(input.par_chunks(inputs))
            .for_each(|(output, input)| mean(&halving, divisor.of_four(), input, output));
    }
    output.par_chunks_exact_mut(outputs).zip(input.par_chunks_exact(inputs)).for_each(
        |(output, input)| {
            let mut output = output.iter_mut();
            grid.for_each_window(|window| {
                // A window may be a whole map: f32 would lose the last of its cells.
                let mut sum = 0.0;
                grid.for_each_cell(window, |cell| sum += input[cell].to_f64());
                if let Some(output) = output.next() {
                    *output = T::from_f64(sum) / divisor.at(window);
                }
            });
        },
    );
}

/// The gradient of the input: each output's gradient, divided likewise, goes to every cell of its
/// window.
///
/// # Panics
/// As [`average_forward`].
pub fn average_backward<T: Float>(shape: &PoolShape, grad_output: &[T], grad_input: &mut [T]) {
    check_lengths(shape, grad_input.len(), grad_output.len());
    (T::routines().average_backward)(shape, grad_output, grad_input);
}

/// See [`average_backward`].
pub(crate) fn share<T: Float>(shape: &PoolShape, grad_output: &[T], grad_input: &mut [T]) {
    if grad_output.is_empty() {
        return;
    }
    let (grid, divisor) = (Grid::of(shape), Divisor::of(shape));
    let (inputs, outputs) = (grad_input.len() / shape.planes, grad_output.len() / shape.planes);
    if let Some(halving) = Halving::of(shape) {
        let [inputs, outputs] = [inputs, outputs].map(|cells| cells * halving.planes());
        return grad_input.par_chunks_mut(inputs).zip(grad_output.par_chunks(outputs)).for_each(
            |(grad_input, grad_output)| {
                spread(&halving, divisor.of_four(), grad_output, grad_input)
            },
        );
    }
    grad_input.par_chunks_exact_mut(inputs).zip(grad_output.par_chunks_exact(outputs)).for_each(
        |(grad_input, grad_output)| {
            grad_input.fill(T::ZERO);
            let mut grad_output = grad_output.iter();
            grid.for_each_window(|window| {
                if let Some(&grad) = grad_output.next() {
                    let share = grad / divisor.at(window);
                    grid.for_each_cell(window, |cell| grad_input[cell] += share);
                }
            });
        },
    );
}

/// What sums are divided by.
struct Divisor {
    /// The same for every window, or else the number of its cells.
    fixed: Option<usize>,
}

impl Divisor {
    fn of(shape: &PoolShape) -> Self {
        match &shape.windows {
            Windows::Sliding(spec) => Self { fixed: spec.divisor_override },
            Windows::Adaptive => Self { fixed: None },
        }
    }

    /// That of windows of four cells.
    fn of_four<T: Float>(&self) -> T {
        T::from_f64(self.fixed.unwrap_or(4) as f64)
    }

    fn at<T: Float>(&self, window: [&Cells; 3]) -> T {
        let cells = || window.iter().map(|cells| cells.counted).product();
        T::from_f64(self.fixed.unwrap_or_else(cells) as f64)
    }
}
