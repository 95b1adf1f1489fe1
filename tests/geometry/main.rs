//! Every small geometry, against the definitions.
//!
//! One axis is gone through in full: every size, kernel, stride, padding, dilation and output padding up to a
//! bound, in f64. Two and three axes are drawn at random. A geometry is refused exactly where the definitions
//! have no result; where they have one, values agree, and gradients are held to the adjoint identities: for
//! `y = conv(x, w) + b` and any `g`,
//!
//! `<y - b, g> = <x, dx> = <w, dw>`,  `db = sum(g)`
//!
//! whose sides are computed from different kernels. A part of the geometries is checked by central
//! differences as well.

#[path = "../common/mod.rs"]
mod common;
mod convolution;
mod naive;
mod pooling;
mod random;

use striate::tensor::Tensor;

/// Whether two lists of numbers agree up to rounding: sums of some dozens of products of size one.
fn assert_close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() < 1e-12, "{what}: element {i} is {got}, not {expected}");
    }
}

fn inner(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.to_vec().unwrap().iter().zip(b.to_vec().unwrap()).map(|(a, b)| a * b).sum()
}
