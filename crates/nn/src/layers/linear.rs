//! Affine maps of features.

use striate_tensor::{Error, ErrorContext, Float, Result, Tensor};

use super::python::boolean;
use crate::{FieldTrace, Init, Module, Parameter, Pass};

/// [`Tensor::linear`] or [`Tensor::linear_relu`].
type Map<T> = fn(&Tensor<T>, &Tensor<T>, Option<&Tensor<T>>) -> Result<Tensor<T>>;

/// `y = x W^T + b`: `[.., inputs]` to `[.., outputs]`.
#[derive(Debug)]
pub struct Linear<T: Float = f32> {
    path: String,
    weight: Parameter<T>,
    bias: Option<Parameter<T>>,
}

impl<T: Float> Linear<T> {
    /// A layer from `inputs` to `outputs` features. Fails if either is zero.
    pub fn new(init: &Init, inputs: usize, outputs: usize) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            let message = format!("expected features above zero, got {inputs} to {outputs}");
            return Err(Error::argument("linear", message)).at(init.path());
        }
        let (weight, bias) = init.weight_and_bias(&[outputs, inputs], outputs)?;
        Ok(Linear { path: init.path().into(), weight, bias: Some(bias) })
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Self {
        Linear { bias: None, ..self }
    }

    fn compute_by(&self, map: Map<T>, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let bias = self.bias.as_ref().map(|bias| bias.value(pass, x)).transpose()?;
        map(x, &self.weight.value(pass, x)?, bias.as_ref())
    }
}

impl<T: Float> Module<T> for Linear<T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        "Linear"
    }

    fn settings(&self) -> String {
        let [outputs, inputs] = [self.weight.shape()[0], self.weight.shape()[1]];
        let bias = boolean(self.bias.is_some());
        format!("in_features={inputs}, out_features={outputs}, bias={bias}")
    }

    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        [&self.weight].into_iter().chain(&self.bias).collect()
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        fields.sees_all(self)
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        self.compute_by(Tensor::linear, x, pass)
    }

    fn compute_relu(&self, x: &Tensor<T>, pass: &Pass<T>) -> Option<Result<Tensor<T>>> {
        Some(self.compute_by(Tensor::linear_relu, x, pass))
    }
}

/// All axes but the first as one.
#[derive(Debug)]
pub struct Flatten {
    path: String,
}

impl Flatten {
    /// `[batch, ..]` to `[batch, features]`.
    pub fn new(init: &Init) -> Self {
        let path = init.path().into();
        Flatten { path }
    }
}

impl<T: Float> Module<T> for Flatten {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        "Flatten"
    }

    fn settings(&self) -> String {
        "start_dim=1, end_dim=-1".into()
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        fields.sees_all::<T>(self)
    }

    fn compute(&self, x: &Tensor<T>, _: &Pass<T>) -> Result<Tensor<T>> {
        x.flatten(1, -1)
    }
}
