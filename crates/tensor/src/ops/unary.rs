//! Functions of one argument. Each keeps for its gradient what is smaller to keep: its input, its output, or
//! nothing. The derivatives themselves are the backend's `unary_gradient`, one table.

use crate::backend::Unary;
use crate::{Error, Float, Result, Tensor};

/// What the gradient of a function needs of its forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// The slope does not depend on the argument.
    Nothing,
    /// The argument.
    Input,
    /// The value, which the next operation usually holds anyway.
    Output,
}

impl Unary {
    /// What [`Kernels::unary_gradient`](crate::backend::Kernels::unary_gradient) is given.
    pub fn saves(self) -> Saved {
        match self {
            Unary::Affine { .. } => Saved::Nothing,
            Unary::Exp
            | Unary::Sqrt
            | Unary::Recip
            | Unary::Tanh
            | Unary::Sigmoid
            | Unary::Relu => Saved::Output,
            Unary::Abs
            | Unary::Ln
            | Unary::Pow(_)
            | Unary::LeakyRelu(_)
            | Unary::Elu(_)
            | Unary::Gelu
            | Unary::GeluTanh
            | Unary::Softplus
            | Unary::Silu
            | Unary::Clamp(..) => Saved::Input,
        }
    }

    /// The name of the tensor method.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Affine { .. } => "affine",
            Unary::Abs => "abs",
            Unary::Exp => "exp",
            Unary::Ln => "ln",
            Unary::Sqrt => "sqrt",
            Unary::Recip => "recip",
            Unary::Pow(_) => "powf",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Relu => "relu",
            Unary::LeakyRelu(_) => "leaky_relu",
            Unary::Elu(_) => "elu",
            Unary::Gelu => "gelu",
            Unary::GeluTanh => "gelu_tanh",
            Unary::Softplus => "softplus",
            Unary::Silu => "silu",
            Unary::Clamp(..) => "clamp",
        }
    }
}

impl<T: Float> Tensor<T> {
    fn unary(&self, op: Unary) -> Result<Self> {
        let y = self.sibling(self.kernels().unary(op, self.storage())?, self.shape());
        if !self.is_tracked() {
            return Ok(y);
        }
        let saved = match op.saves() {
            Saved::Input => Some(self.detach()),
            Saved::Output => Some(y.clone()),
            Saved::Nothing => None,
        };
        Ok(y.record(op.name(), &[self], move |grad, _| {
            // Where nothing is saved the slope does not depend on it, and any tensor stands in.
            let saved = saved.as_ref().unwrap_or(grad).storage();
            let storage = grad.kernels().unary_gradient(op, saved, grad.storage())?;
            Ok(vec![Some(grad.sibling(storage, grad.shape()))])
        }))
    }

    /// `scale x + shift`.
    pub fn affine(&self, scale: f64, shift: f64) -> Result<Self> {
        self.unary(Unary::Affine { scale, shift })
    }

    /// `|x|`; its slope at zero is taken as zero.
    pub fn abs(&self) -> Result<Self> {
        self.unary(Unary::Abs)
    }

    /// `e^x`.
    pub fn exp(&self) -> Result<Self> {
        self.unary(Unary::Exp)
    }

    /// The natural logarithm.
    pub fn ln(&self) -> Result<Self> {
        self.unary(Unary::Ln)
    }

    /// The square root.
    pub fn sqrt(&self) -> Result<Self> {
        self.unary(Unary::Sqrt)
    }

    /// `1 / x`.
    pub fn recip(&self) -> Result<Self> {
        self.unary(Unary::Recip)
    }

    /// `x^exponent` for a fixed exponent, with the values and slopes of PyTorch's `pow`, at zero, infinity and NaN, too:
    /// anything to the power of 0 is 1, even NaN, and flat; a finite negative number to the power of a fraction is NaN. The
    /// powers 0.5 and -0.5 are the square root and its reciprocal, so that minus infinity has none.
    pub fn powf(&self, exponent: f64) -> Result<Self> {
        self.unary(Unary::Pow(exponent))
    }

    /// The hyperbolic tangent.
    pub fn tanh(&self) -> Result<Self> {
        self.unary(Unary::Tanh)
    }

    /// `1 / (1 + e^-x)`.
    pub fn sigmoid(&self) -> Result<Self> {
        self.unary(Unary::Sigmoid)
    }

    /// `max(x, 0)`; its slope at zero is taken as zero.
    pub fn relu(&self) -> Result<Self> {
        self.unary(Unary::Relu)
    }

    /// `x` above zero, `slope x` below.
    pub fn leaky_relu(&self, slope: f64) -> Result<Self> {
        self.unary(Unary::LeakyRelu(slope))
    }

    /// `x` above zero, `alpha (e^x - 1)` below.
    pub fn elu(&self, alpha: f64) -> Result<Self> {
        self.unary(Unary::Elu(alpha))
    }

    /// `x Phi(x)`, with the distribution function of the normal distribution.
    pub fn gelu(&self) -> Result<Self> {
        self.unary(Unary::Gelu)
    }

    /// The approximation of [`Tensor::gelu`] by tanh.
    pub fn gelu_tanh(&self) -> Result<Self> {
        self.unary(Unary::GeluTanh)
    }

    /// `ln(1 + e^x)`, exact for large arguments too, where PyTorch answers `x` from 20 on.
    pub fn softplus(&self) -> Result<Self> {
        self.unary(Unary::Softplus)
    }

    /// `x sigmoid(x)`.
    pub fn silu(&self) -> Result<Self> {
        self.unary(Unary::Silu)
    }

    /// `x` limited to `[low, high]`; the slope at the limits is zero, as in PyTorch 2.15. Fails unless `low <= high`; PyTorch
    /// would answer `high`.
    pub fn clamp(&self, low: f64, high: f64) -> Result<Self> {
        if low > high || low.is_nan() || high.is_nan() {
            return Err(Error::argument(
                "clamp",
                format!("expected low <= high, got {low} and {high}"),
            ));
        }
        self.unary(Unary::Clamp(low, high))
    }
}
