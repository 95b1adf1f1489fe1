//! Gradients against central differences, in f64: `(f(x + h) - f(x - h)) / 2h`.
//!
//! The check is public, so that a user's own [`Operation`](crate::autograd::Operation) can be held to the same
//! standard as ours.
//!
//! ```
//! use striate_tensor::{Device, Tensor, gradcheck::gradcheck};
//! let x = Tensor::from_vec(vec![0.3, -1.2, 2.0], [3], &Device::cpu())?;
//! gradcheck(&[x], |inputs| inputs[0].tanh()?.powf(2.0)).unwrap();
//! # Ok::<(), striate_tensor::Error>(())
//! ```

use std::fmt;

use crate::random::{Key, Purpose};
use crate::{Error, Result, Tensor};

/// How the differences are taken and what passes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The distance `h`, about the cube root of the rounding error.
    pub step: f64,
    /// The largest difference that passes, relative to the larger of 1 and the two values.
    pub tolerance: f64,
}

impl Default for Options {
    fn default() -> Self {
        Options { step: 1e-5, tolerance: 1e-6 }
    }
}

/// Why a check failed.
#[derive(Debug)]
pub enum Failure {
    /// The function itself failed.
    Error(Error),
    /// A gradient differs from the difference quotient.
    Mismatch {
        /// Which input.
        input: usize,
        /// Which of its elements, in row-major order.
        index: usize,
        /// What the gradient rule gives.
        analytic: f64,
        /// What the difference quotient gives.
        numeric: f64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Error(error) => error.fmt(f),
            Failure::Mismatch { input, index, analytic, numeric } => write!(
                f,
                "gradcheck: the gradient of input {input} at element {index} is {analytic}, \
                 central differences give {numeric}"
            ),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

/// Checks the gradient of `f`, whose result may have any shape, with respect to every element of every input.
pub fn gradcheck(
    inputs: &[Tensor<f64>],
    f: impl Fn(&[Tensor<f64>]) -> Result<Tensor<f64>>,
) -> Result<(), Failure> {
    gradcheck_with(Options::default(), inputs, f)
}

/// [`gradcheck`] with another step or tolerance.
///
/// The result is contracted with fixed random weights, so that no error in one element can hide behind
/// another's.
pub fn gradcheck_with(
    options: Options,
    inputs: &[Tensor<f64>],
    f: impl Fn(&[Tensor<f64>]) -> Result<Tensor<f64>>,
) -> Result<(), Failure> {
    let contract = |y: &Tensor<f64>| -> Result<f64> {
        let weights = weights_like(y)?.to_vec()?;
        Ok(y.to_vec()?.iter().zip(weights).map(|(y, w)| y * w).sum())
    };
    let leaves: Vec<_> = inputs.iter().map(Tensor::tracked).collect();
    let result = f(&leaves)?;
    let gradients = match result.is_tracked() {
        true => Some(result.backward_with(&weights_like(&result)?)?),
        false => None,
    };
    for (number, leaf) in leaves.iter().enumerate() {
        let analytic = match gradients.as_ref().and_then(|gradients| gradients.get(leaf)) {
            Some(gradient) => gradient.to_vec()?,
            None => vec![0.0; leaf.len()],
        };
        for (index, &analytic) in analytic.iter().enumerate() {
            let moved = |distance: f64| -> Result<f64> {
                let mut inputs = inputs.to_vec();
                let mut values = inputs[number].to_vec()?;
                values[index] += distance;
                let (shape, device) = (inputs[number].shape(), inputs[number].device());
                inputs[number] = Tensor::from_vec(values, shape, device)?;
                contract(&f(&inputs)?)
            };
            let numeric = (moved(options.step)? - moved(-options.step)?) / (2.0 * options.step);
            let scale = analytic.abs().max(numeric.abs()).max(1.0);
            let difference = (analytic - numeric).abs();
            if difference > options.tolerance * scale || !difference.is_finite() {
                return Err(Failure::Mismatch { input: number, index, analytic, numeric });
            }
        }
    }
    Ok(())
}

fn weights_like(y: &Tensor<f64>) -> Result<Tensor<f64>> {
    let key = Key::new(0, Purpose::Other(0)).path("gradcheck");
    Tensor::uniform(y.shape(), (0.5, 1.5), &key, y.device())
}
