//! Elementwise functions as layers.

use striate_tensor::{Float, Result, Tensor};

use super::python::float;
use crate::{FieldTrace, Init, Module, Pass};

/// Which function an [`Activation`] applies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// `max(x, 0)`
    Relu,
    /// `x`, or `slope x` below zero.
    LeakyRelu(f64),
    /// `x`, or `alpha (e^x - 1)` below zero.
    Elu(f64),
    /// `x Phi(x)`
    Gelu,
    /// Its approximation by tanh.
    GeluTanh,
    /// `x sigmoid(x)`
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
    /// `e^x / sum e^x` along an axis.
    Softmax(isize),
    /// `x - ln sum e^x` along an axis.
    LogSoftmax(isize),
}

/// A layer without parameters that applies a [`Function`].
#[derive(Debug)]
pub struct Activation {
    path: String,
    function: Function,
}

impl Activation {
    /// `function` as a layer.
    pub fn new(init: &Init, function: Function) -> Self {
        Activation { path: init.path().into(), function }
    }

    /// `max(x, 0)` as a layer.
    pub fn relu(init: &Init) -> Self {
        Self::new(init, Function::Relu)
    }
}

impl<T: Float> Module<T> for Activation {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        match self.function {
            Function::Relu => "ReLU",
            Function::LeakyRelu(_) => "LeakyReLU",
            Function::Elu(_) => "ELU",
            Function::Gelu | Function::GeluTanh => "GELU",
            Function::Silu => "SiLU",
            Function::Tanh => "Tanh",
            Function::Sigmoid => "Sigmoid",
            Function::Softplus => "Softplus",
            Function::Softmax(_) => "Softmax",
            Function::LogSoftmax(_) => "LogSoftmax",
        }
    }

    fn is_relu(&self) -> bool {
        matches!(self.function, Function::Relu)
    }

    fn settings(&self) -> String {
        match self.function {
            Function::LeakyRelu(slope) => format!("negative_slope={}", float(slope)),
            Function::Elu(alpha) => format!("alpha={}", float(alpha)),
            Function::Gelu => "approximate='none'".into(),
            Function::GeluTanh => "approximate='tanh'".into(),
            Function::Softplus => "beta=1.0".into(),
            Function::Softmax(axis) | Function::LogSoftmax(axis) => format!("dim={axis}"),
            _ => String::new(),
        }
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        match self.function {
            // Along the channels, of which each cell has its own.
            Function::Softmax(axis) | Function::LogSoftmax(axis) if axis != 1 => {
                fields.sees_all::<T>(self)
            }
            _ => Ok(()),
        }
    }

    fn compute(&self, x: &Tensor<T>, _: &Pass<T>) -> Result<Tensor<T>> {
        match self.function {
            Function::Relu => x.relu(),
            Function::LeakyRelu(slope) => x.leaky_relu(slope),
            Function::Elu(alpha) => x.elu(alpha),
            Function::Gelu => x.gelu(),
            Function::GeluTanh => x.gelu_tanh(),
            Function::Silu => x.silu(),
            Function::Tanh => x.tanh(),
            Function::Sigmoid => x.sigmoid(),
            Function::Softplus => x.softplus(),
            Function::Softmax(axis) => x.softmax(axis),
            Function::LogSoftmax(axis) => x.log_softmax(axis),
        }
    }
}
