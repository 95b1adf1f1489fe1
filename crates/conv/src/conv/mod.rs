//! Convolution and its two gradients.
//!
//! With `x` the input, `w` the weight and `y` the output, each a sum over the channels `c` of a group
//! and the taps `t`, at the input cell `i = o s + t d - p`:
//!
//! * forward: `y[m, o] = b[m] + sum over c, t of w[m, c, t] x[c, i]`
//! * input gradient: `dx[c, i] = sum over m, t, o with i = o s + t d - p of w[m, c, t] dy[m, o]`
//! * weight gradient: `dw[m, c, t] = sum over images and o of dy[m, o] x[c, i]`
//!
//! All three are one sum of products read in another order, and so all three can be a matrix product
//! with the unfolded input (`im2col`). Where a group has few channels, that product has few rows and
//! little depth, and plain loops along rows do better (`direct`).
//!
//! The gradients are written for the shape that the forward pass had: input cells that no window
//! covers get a gradient of zero.

mod direct;
mod im2col;

use crate::element::Float;
use crate::geometry::ConvShape;

/// Pairs of an input and an output channel in a group for which a matrix product does not pay.
const FEW_PAIRS: usize = 4;

/// The ways to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// A matrix product with the unfolded input.
    Im2col,
    /// Loops along rows, one pair of channels at a time.
    Direct,
}

impl Method {
    /// The better method for a shape.
    fn of(shape: &ConvShape) -> Self {
        let group =
            shape.weight_len() / shape.spec.kernel.iter().product::<usize>() / shape.spec.groups;
        if group <= FEW_PAIRS { Self::Direct } else { Self::Im2col }
    }
}

/// The convolution: input `[batch, in_channels, *input]` and weight
/// `[out_channels, in_channels / groups, *kernel]` to output `[batch, out_channels, *output]`, plus
/// one bias for each output channel.
///
/// # Panics
/// If a slice is not as long as the shape says ([`ConvShape::input_len`] and its like).
pub fn forward<T: Float>(
    shape: &ConvShape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    output: &mut [T],
) {
    check_lengths(shape, input.len(), weight.len(), output.len());
    if let Some(bias) = bias {
        assert_eq!(bias.len(), shape.out_channels, "bias of {shape:?}");
    }
    if output.is_empty() {
        return;
    }
    match Method::of(shape) {
        Method::Im2col => im2col::forward(shape, input, weight, bias, output),
        Method::Direct => direct::forward(shape, input, weight, bias, output),
    }
}

/// The gradient of the input, `[batch, in_channels, *input]`; also the transposed convolution.
///
/// # Panics
/// As [`forward`].
pub fn input_gradient<T: Float>(
    shape: &ConvShape,
    grad_output: &[T],
    weight: &[T],
    grad_input: &mut [T],
) {
    check_lengths(shape, grad_input.len(), weight.len(), grad_output.len());
    if grad_input.is_empty() {
        return;
    }
    match Method::of(shape) {
        Method::Im2col => im2col::input_gradient(shape, grad_output, weight, grad_input),
        Method::Direct => direct::input_gradient(shape, grad_output, weight, grad_input),
    }
}

/// The gradient of the weight, `[out_channels, in_channels / groups, *kernel]`, summed over the batch.
///
/// # Panics
/// As [`forward`].
pub fn weight_gradient<T: Float>(
    shape: &ConvShape,
    input: &[T],
    grad_output: &[T],
    grad_weight: &mut [T],
) {
    check_lengths(shape, input.len(), grad_weight.len(), grad_output.len());
    if input.is_empty() {
        return grad_weight.fill(T::ZERO);
    }
    match Method::of(shape) {
        Method::Im2col => im2col::weight_gradient(shape, input, grad_output, grad_weight),
        Method::Direct => direct::weight_gradient(shape, input, grad_output, grad_weight),
    }
}

fn check_lengths(shape: &ConvShape, input: usize, weight: usize, output: usize) {
    assert_eq!(input, shape.input_len(), "input of {shape:?}");
    assert_eq!(weight, shape.weight_len(), "weight of {shape:?}");
    assert_eq!(output, shape.output_len(), "output of {shape:?}");
}
