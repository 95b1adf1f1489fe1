//! Operations of a user's own.

use std::sync::Arc;

use crate::{Error, ErrorKind, Float, Result, Tensor};

/// An operation with its own gradient, for what the engine does not have.
///
/// ```
/// use striate_tensor::{Device, Result, Tensor, autograd::Operation};
///
/// /// Rounds forward, and passes the gradient straight through.
/// struct Round;
///
/// impl Operation<f32> for Round {
///     fn name(&self) -> &'static str {
///         "round"
///     }
///     fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
///         let rounded = inputs[0].to_vec()?.iter().map(|x| x.round()).collect();
///         Tensor::from_vec(rounded, inputs[0].shape(), inputs[0].device())
///     }
///     fn backward(&self, _: &[Tensor], _: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
///         Ok(vec![Some(grad.clone())])
///     }
/// }
///
/// let x = Tensor::from_vec(vec![0.4, 1.6], [2], &Device::cpu())?.tracked();
/// let loss = Tensor::apply(Round, &[&x])?.sum(.., false)?;
/// assert_eq!(loss.item()?, 2.0);
/// assert_eq!(loss.backward()?.get(&x).unwrap().to_vec()?, [1.0, 1.0]);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
pub trait Operation<T: Float>: Send + Sync + 'static {
    /// What errors call it.
    fn name(&self) -> &'static str;
    /// The result; the inputs are detached.
    fn forward(&self, inputs: &[Tensor<T>]) -> Result<Tensor<T>>;
    /// For each input its gradient, or `None` where it has none, from the inputs, the output and the
    /// output's gradient.
    fn backward(
        &self,
        inputs: &[Tensor<T>],
        output: &Tensor<T>,
        grad: &Tensor<T>,
    ) -> Result<Vec<Option<Tensor<T>>>>;
}

impl<T: Float> Tensor<T> {
    /// Runs an operation of a user's own and records its gradient.
    pub fn apply(operation: impl Operation<T>, inputs: &[&Tensor<T>]) -> Result<Tensor<T>> {
        let operation = Arc::new(operation);
        let saved: Vec<_> = inputs.iter().map(|input| input.detach()).collect();
        let output = operation.forward(&saved)?.detach();
        let value = output.clone();
        Ok(output.record(operation.name(), inputs, move |grad, _| {
            let gradients = operation.backward(&saved, &value, grad)?;
            for (number, (gradient, input)) in gradients.iter().zip(&saved).enumerate() {
                check(operation.name(), number, gradient.as_ref(), input)?;
            }
            Ok(gradients)
        }))
    }
}

/// Fails unless a gradient that a user computed has the shape and the device of its input.
fn check<T: Float>(
    op: &str,
    number: usize,
    gradient: Option<&Tensor<T>>,
    input: &Tensor<T>,
) -> Result<()> {
    let Some(gradient) = gradient else { return Ok(()) };
    gradient.device().expect_same(op, input.device())?;
    if gradient.shape() == input.shape() {
        return Ok(());
    }
    let (expected, got) = (input.shape(), gradient.shape());
    let message =
        format!("expected a gradient of shape {expected:?} for input {number}, got {got:?}");
    Err(Error::new(ErrorKind::Gradient, op, message))
}
