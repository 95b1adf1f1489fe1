//! Stochastic gradient descent, plain, with momentum, or with Nesterov's.

use serde::{Deserialize, Serialize};
use striate_tensor::backend::Update;

/// Stochastic gradient descent.
///
/// With gradient `g`, weight `w` and momentum buffer `m`, a step is
///
/// ```text
/// g <- g + weight_decay w
/// m <- momentum m + (1 - dampening) g        the first time: m <- g
/// w <- w - lr m                              nesterov: w <- w - lr (g + momentum m)
/// ```
///
/// and without momentum `w <- w - lr g`. Defaults and arithmetic are those of PyTorch's `SGD`, whose momentum is
/// Sutskever et al. 2013 with the rate outside of the buffer.
///
/// ```
/// use striate_nn::{Parameter, optim::{Optimizer, Sgd}};
/// use striate_tensor::{Device, Tensor};
///
/// let x = Parameter::new("x", &Tensor::from_vec(vec![3.0f64], [1], &Device::cpu())?)?;
/// let mut sgd = Optimizer::over([x.clone()], Sgd::new(0.1).momentum(0.5));
/// let mut path = Vec::new();
/// for _ in 0..2 {
///     let loss = (&x.tensor() * &x.tensor())?.sum(.., false)?; // gradient 2 x
///     sgd.step(&loss.backward()?)?;
///     path.push(x.tensor().item()?);
/// }
/// // m = 6, x = 3 - 0.6; then m = 3 + 4.8, x = 2.4 - 0.78.
/// assert!((path[0] - 2.4).abs() < 1e-15 && (path[1] - 1.62).abs() < 1e-15);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    pub(super) lr: f64,
    pub(super) momentum: f64,
    pub(super) dampening: f64,
    pub(super) nesterov: bool,
    pub(super) weight_decay: f64,
}

impl Sgd {
    /// Plain descent with learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Sgd { lr, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// How much of the last step is taken again. Default 0.
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// How much of the gradient is kept out of the momentum. Default 0.
    pub fn dampening(self, dampening: f64) -> Self {
        Sgd { dampening, ..self }
    }

    /// Steps along the momentum as it will be. Needs momentum and no dampening.
    pub fn nesterov(self) -> Self {
        Sgd { nesterov: true, ..self }
    }

    /// L2 penalty: this much of the weight is added to its gradient. Default 0.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }

    pub(super) fn update(&self, fresh: bool) -> Update {
        Update::Sgd {
            rate: self.lr,
            momentum: self.momentum,
            // A new buffer starts as the whole gradient.
            gain: if fresh { 1.0 } else { 1.0 - self.dampening },
            decay: self.weight_decay,
            nesterov: self.nesterov,
        }
    }
}
