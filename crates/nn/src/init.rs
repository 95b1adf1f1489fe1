//! How parameters begin: where, under which path, drawn how.
//!
//! Each parameter is drawn with a key of its own path, so the weights of a layer do not depend on which
//! layers were made before it.

use striate_tensor::random::{Key, Purpose};
use striate_tensor::{Device, Float, Result, Tensor};

use crate::{Parameter, RunningValue};

/// What initial values are drawn from. `fan_in` is the number of inputs that one output sums over, `fan_out` the
/// number of outputs that one input reaches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// One value everywhere.
    Constant(f64),
    /// Uniform in `[low, high)`.
    Uniform(f64, f64),
    /// Normal with mean and standard deviation.
    Normal(f64, f64),
    /// PyTorch's default for linear and convolution layers: uniform within `1 / sqrt(fan_in)`.
    LeCunUniform,
    /// Normal with variance `2 / fan_in`, which keeps the signal through ReLU (He et al. 2015).
    HeNormal,
    /// Uniform with variance `2 / fan_in`.
    HeUniform,
    /// Normal with variance `2 / (fan_in + fan_out)` (Glorot and Bengio 2010).
    XavierNormal,
    /// Uniform with variance `2 / (fan_in + fan_out)`.
    XavierUniform,
}

impl Distribution {
    fn draw<T: Float>(self, shape: &[usize], key: &Key, device: &Device) -> Result<Tensor<T>> {
        // In f64: a shape too large to exist is refused where the tensor is made, not here.
        let taps: f64 = shape.iter().skip(2).map(|&size| size as f64).product();
        let fan = |axis: usize| (shape.get(axis).map_or(1.0, |&size| size as f64) * taps).max(1.0);
        let (fan_in, fan_out) = (fan(1), fan(0));
        let uniform = |bound: f64| Tensor::uniform(shape, (-bound, bound), key, device);
        let normal = |std: f64| Tensor::normal(shape, (0.0, std), key, device);
        match self {
            Distribution::Constant(value) => Tensor::full(shape, T::from_f64(value), device),
            Distribution::Uniform(low, high) => Tensor::uniform(shape, (low, high), key, device),
            Distribution::Normal(mean, std) => Tensor::normal(shape, (mean, std), key, device),
            Distribution::LeCunUniform => uniform((1.0 / fan_in).sqrt()),
            Distribution::HeNormal => normal((2.0 / fan_in).sqrt()),
            Distribution::HeUniform => uniform((6.0 / fan_in).sqrt()),
            Distribution::XavierNormal => normal((2.0 / (fan_in + fan_out)).sqrt()),
            Distribution::XavierUniform => uniform((6.0 / (fan_in + fan_out)).sqrt()),
        }
    }
}

/// Where and how the parameters of a layer are made.
///
/// ```
/// use striate_nn::{Init, Module, layers::Linear};
/// let init = Init::seed(1);
/// let layer: Linear = Linear::new(&init.at("head"), 64, 10)?;
/// assert_eq!(layer.parameters()[0].path(), "head.weight");
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Init {
    seed: u64,
    path: String,
    device: Device,
    weights: Option<Distribution>,
}

impl Init {
    /// Parameters on the CPU, drawn with `seed`.
    pub fn seed(seed: u64) -> Self {
        Init { seed, path: String::new(), device: Device::cpu(), weights: None }
    }

    /// The same on another device.
    pub fn on(&self, device: &Device) -> Self {
        Init { device: device.clone(), ..self.clone() }
    }

    /// The same with every layer's weight drawn from `distribution` instead of the layer's default, and
    /// biases zero.
    pub fn weights(&self, distribution: Distribution) -> Self {
        Init { weights: Some(distribution), ..self.clone() }
    }

    /// The same one level further in.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        };
        Init { path, ..self.clone() }
    }

    /// The path of what is made here.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A parameter called `name` drawn from exactly `distribution`.
    pub fn parameter<T: Float>(
        &self,
        name: &str,
        shape: &[usize],
        distribution: Distribution,
    ) -> Result<Parameter<T>> {
        let path = self.at(name).path;
        let key = Key::new(self.seed, Purpose::Init).path(&path);
        Parameter::new(path, &distribution.draw(shape, &key, &self.device)?)
    }

    /// The weight and the bias of a layer: from [`Init::weights`] and zero, or by PyTorch's default for linear and
    /// convolution layers, both uniform within `1 / sqrt(fan_in)` of the weight.
    pub(crate) fn weight_and_bias<T: Float>(
        &self,
        weight: &[usize],
        outputs: usize,
    ) -> Result<(Parameter<T>, Parameter<T>)> {
        let fan_in: f64 = weight[1..].iter().map(|&size| size as f64).product();
        let bound = 1.0 / fan_in.max(1.0).sqrt();
        let (weights, biases) = match self.weights {
            Some(distribution) => (distribution, Distribution::Constant(0.0)),
            None => (Distribution::LeCunUniform, Distribution::Uniform(-bound, bound)),
        };
        Ok((
            self.parameter("weight", weight, weights)?,
            self.parameter("bias", &[outputs], biases)?,
        ))
    }

    /// A running value called `name` that starts as `value` everywhere.
    pub fn running<T: Float>(
        &self,
        name: &str,
        shape: &[usize],
        value: f64,
    ) -> Result<RunningValue<T>> {
        let values = Tensor::full(shape, T::from_f64(value), &self.device)?;
        Ok(RunningValue::new(self.at(name).path, &values))
    }
}
