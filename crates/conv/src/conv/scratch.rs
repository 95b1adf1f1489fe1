//! What an operation holds beside its operands and its result.
//!
//! Weights that are packed, flipped or transformed live as long as a call, and so do the sums of the parts of a batch. What a task
//! holds for a block of its work is not counted: it is made to fit the caches.

use super::{Algorithm, Operation, im2col, indirect, is_sparse, winograd};
use crate::element::Float;
use crate::geometry::ConvShape;

/// More weights than these are on no machine that would convolve, and to count what becomes of them could take as long.
const MOST_WEIGHTS: usize = 1 << 30;

/// Elements that an operation holds for the length of a call, by the algorithm that [`Algorithm::of`] chooses; none are counted for
/// more than a thousand million weights.
pub fn scratch<T: Float>(operation: Operation, shape: &ConvShape) -> usize {
    let cells = [shape.input_len(), shape.output_len()];
    if cells.contains(&0) || shape.weight_len() > MOST_WEIGHTS {
        return 0;
    }
    let (algorithm, weight) = (Algorithm::of::<T>(operation, shape), shape.weight_len());
    match (algorithm, operation) {
        // Groups of a few weights.
        (Algorithm::Direct, _) => 0,
        (Algorithm::Winograd, _) => winograd::held_len::<T>(operation, shape),
        (Algorithm::Indirect, Operation::WeightGradient) => indirect::sums_len::<T>(shape),
        (_, Operation::WeightGradient) => im2col::partial_len::<T>(shape),
        // A group after the other is sorted, then packed.
        (Algorithm::Rows, Operation::Forward) => weight + weight / shape.spec.groups,
        (Algorithm::Rows, Operation::InputGradient) => 2 * weight + weight / shape.spec.groups,
        // Flipped, then packed; a single tap is packed at once.
        (Algorithm::Im2col, Operation::InputGradient)
            if shape.flipped().is_some() && !is_sparse(shape) && shape.spec.kernel != [1; 3] =>
        {
            2 * weight
        }
        (Algorithm::Im2col | Algorithm::Indirect, _) => weight,
    }
}
