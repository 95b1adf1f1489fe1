//! Adam, and AdamW, which differs only in where weight decay enters.

use serde::{Deserialize, Serialize};
use striate_conv::Float;
use striate_tensor::backend::Update;

/// Adam (Kingma and Ba 2014), and with [`Adam::decoupled`] AdamW (Loshchilov and Hutter 2017).
///
/// With gradient `g`, weight `w`, moments `m` and `v`, the `t`-th step of a parameter is
///
/// ```text
/// g <- g + weight_decay w                    decoupled: w <- w - lr weight_decay w
/// m <- beta1 m + (1 - beta1) g
/// v <- beta2 v + (1 - beta2) g^2
/// w <- w - lr / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
///
/// Defaults and arithmetic are those of PyTorch's `Adam` (whose `AdamW` has a weight decay of 0.01 by default).
/// When a schedule moves beta1, the correction uses its present value, as PyTorch's and fastai's do.
///
/// ```
/// use striate_nn::{Parameter, optim::{Adam, Optimizer}};
/// use striate_tensor::{Device, Tensor};
///
/// let x = Parameter::new("x", &Tensor::from_vec(vec![3.0f64, -0.2], [2], &Device::cpu())?)?;
/// let mut adam = Optimizer::over([x.clone()], Adam::new(0.1));
/// let loss = (&x.tensor() * &x.tensor())?.sum(.., false)?;
/// adam.step(&loss.backward()?)?;
/// // Whatever the gradient's size, the first step is as long as the learning rate.
/// let x = x.tensor().to_vec()?;
/// assert!((x[0] - 2.9).abs() < 1e-8 && (x[1] + 0.1).abs() < 1e-8);
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[doc(alias = "AdamW")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    pub(super) lr: f64,
    pub(super) betas: [f64; 2],
    pub(super) eps: f64,
    pub(super) weight_decay: f64,
    pub(super) decoupled: bool,
}

impl Adam {
    /// Adam with learning rate `lr`.
    pub fn new(lr: f64) -> Self {
        Adam { lr, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }

    /// How slowly the means of gradient and squared gradient forget, each in `[0, 1)`. Default 0.9 and 0.999.
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        Adam { betas: [beta1, beta2], ..self }
    }

    /// Added to the root of the second moment. Default 1e-8.
    pub fn eps(self, eps: f64) -> Self {
        Adam { eps, ..self }
    }

    /// How strongly weights are pulled to zero. Default 0.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Adam { weight_decay, ..self }
    }

    /// AdamW: decay shrinks the weight itself, and is not divided by the second moment along with the gradient.
    #[doc(alias = "AdamW")]
    pub fn decoupled(self) -> Self {
        Adam { decoupled: true, ..self }
    }

    /// Whether this is AdamW.
    pub fn is_decoupled(&self) -> bool {
        self.decoupled
    }

    pub(super) fn update(&self, step: u64) -> Update {
        let [bias1, bias2] = self.betas.map(|beta| 1.0 - Float::powf(beta, step as f64));
        let (decay, shrink) = match self.decoupled {
            true => (0.0, 1.0 - self.lr * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        Update::Adam {
            step: self.lr / bias1,
            root: bias2.sqrt(),
            betas: self.betas,
            eps: self.eps,
            decay,
            shrink,
        }
    }
}
