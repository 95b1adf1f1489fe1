//! An operation by an algorithm: the public functions of [`super`], once their arguments are known to fit.

use super::{Algorithm, direct, im2col, indirect, is_sparse, rows, winograd};
use crate::element::Float;
use crate::geometry::ConvShape;

/// See [`super::forward_by`].
pub(crate) fn forward<T: Float>(
    algorithm: Algorithm,
    shape: &ConvShape,
    [input, weight]: [&[T]; 2],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    if output.is_empty() {
        return;
    }
    match algorithm {
        Algorithm::Im2col => im2col::forward(shape, input, weight, bias, output),
        Algorithm::Indirect => indirect::forward(shape, input, weight, bias, output),
        Algorithm::Rows => rows::forward(shape, input, weight, bias, output),
        Algorithm::Direct => direct::forward(shape, input, weight, bias, output),
        Algorithm::Winograd => winograd::forward(shape, input, weight, bias, output),
    }
}

/// See [`super::input_gradient_by`].
pub(crate) fn input_gradient<T: Float>(
    algorithm: Algorithm,
    shape: &ConvShape,
    [grad_output, weight]: [&[T]; 2],
    grad_input: &mut [T],
) {
    if grad_input.is_empty() {
        return;
    }
    match (algorithm, shape.flipped()) {
        (Algorithm::Indirect, _) => {
            indirect::input_gradient(shape, grad_output, weight, grad_input);
        }
        (Algorithm::Direct, _) => direct::input_gradient(shape, grad_output, weight, grad_input),
        (Algorithm::Rows, Some(flipped)) => {
            rows::input_gradient(&flipped, grad_output, weight, grad_input);
        }
        (Algorithm::Winograd, _) => {
            winograd::input_gradient(shape, grad_output, weight, grad_input);
        }
        (_, Some(flipped)) if !is_sparse(shape) => {
            im2col::convolve_flipped(&flipped, grad_output, weight, grad_input);
        }
        _ => im2col::input_gradient(shape, grad_output, weight, grad_input),
    }
}

/// See [`super::weight_gradient_by`].
pub(crate) fn weight_gradient<T: Float>(
    algorithm: Algorithm,
    shape: &ConvShape,
    [input, grad_output]: [&[T]; 2],
    grad_weight: &mut [T],
) {
    if input.is_empty() {
        return grad_weight.fill(T::ZERO);
    }
    match algorithm {
        Algorithm::Im2col => im2col::weight_gradient(shape, input, grad_output, grad_weight),
        Algorithm::Rows => unreachable!("rows have no weight gradient"),
        Algorithm::Indirect => indirect::weight_gradient(shape, input, grad_output, grad_weight),
        Algorithm::Direct => direct::weight_gradient(shape, input, grad_output, grad_weight),
        Algorithm::Winograd => winograd::weight_gradient(shape, input, grad_output, grad_weight),
    }
}
