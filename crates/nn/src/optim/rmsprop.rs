//! RMSProp: descent with each element's rate divided by the size of its recent gradients.

use serde::{Deserialize, Serialize};
use striate_tensor::backend::Update;

/// RMSProp (Tieleman and Hinton 2012).
///
/// With gradient `g`, weight `w`, mean square `v` and momentum buffer `m`, a step is
///
/// ```text
/// g <- g + weight_decay w
/// v <- alpha v + (1 - alpha) g^2
/// m <- momentum m + g / (sqrt(v) + eps)
/// w <- w - lr m
/// ```
///
/// Defaults and arithmetic are those of PyTorch's `RMSprop`, not centred.
///
/// ```
/// use striate_nn::{Parameter, optim::{Optimizer, RmsProp}};
/// use striate_tensor::{Device, Tensor};
///
/// let x = Parameter::new("x", &Tensor::from_vec(vec![3.0f64], [1], &Device::cpu())?)?;
/// let mut rmsprop = Optimizer::over([x.clone()], RmsProp::new(0.1).alpha(0.75).eps(0.0));
/// let loss = (&x.tensor() * &x.tensor())?.sum(.., false)?;
/// rmsprop.step(&loss.backward()?)?;
/// // v = g^2 / 4, so the step is twice the rate.
/// assert!((x.tensor().item()? - 2.8).abs() < 1e-15);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RmsProp {
    pub(super) lr: f64,
    pub(super) alpha: f64,
    pub(super) eps: f64,
    pub(super) momentum: f64,
    pub(super) weight_decay: f64,
}

impl RmsProp {
    /// RMSProp with learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        RmsProp { lr, alpha: 0.99, eps: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }

    /// How slowly the mean square forgets. Default 0.99.
    pub fn alpha(self, alpha: f64) -> Self {
        RmsProp { alpha, ..self }
    }

    /// Added to the root of the mean square. Default 1e-8.
    pub fn eps(self, eps: f64) -> Self {
        RmsProp { eps, ..self }
    }

    /// How much of the last step is taken again. Default 0.
    pub fn momentum(self, momentum: f64) -> Self {
        RmsProp { momentum, ..self }
    }

    /// L2 penalty: this much of the weight is added to its gradient. Default 0.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        RmsProp { weight_decay, ..self }
    }

    pub(super) fn update(&self) -> Update {
        Update::RmsProp {
            rate: self.lr,
            alpha: self.alpha,
            eps: self.eps,
            momentum: self.momentum,
            decay: self.weight_decay,
        }
    }
}
