//! Normalisation layers.

use striate_conv::PoolShape;
use striate_tensor::ops::{Moments, Normalization};
use striate_tensor::{Error, ErrorContext, Float, PoolSpec, Result, Tensor};

use super::python::{float, tuple};
use crate::{Distribution, FieldTrace, Init, Mode, Module, Parameter, Pass, RunningValue};

/// Batch normalisation of `[batch, channels]` or `[batch, channels, length]`.
pub type BatchNorm1d<T = f32> = BatchNorm<1, T>;
/// Batch normalisation of `[batch, channels, height, width]`.
pub type BatchNorm2d<T = f32> = BatchNorm<2, T>;
/// Batch normalisation of `[batch, channels, depth, height, width]`.
pub type BatchNorm3d<T = f32> = BatchNorm<3, T>;

/// Standardises each channel over the batch, then scales and shifts it (Ioffe and Szegedy 2015).
///
/// In training the running moments follow the batch's: `running += momentum (batch - running)`, with the unbiased
/// variance, as PyTorch keeps them. In evaluation they take the batch's place.
#[derive(Debug)]
pub struct BatchNorm<const N: usize, T: Float = f32> {
    path: String,
    weight: Parameter<T>,
    bias: Parameter<T>,
    mean: RunningValue<T>,
    variance: RunningValue<T>,
    batches: RunningValue<T>,
    momentum: f64,
    eps: f64,
}

impl<const N: usize, T: Float> BatchNorm<N, T> {
    /// A layer for `channels` channels, momentum 0.1 and epsilon 1e-5.
    pub fn new(init: &Init, channels: usize) -> Result<Self> {
        const { assert!(1 <= N && N <= 3, "batch norm is for one to three axes") };
        let (weight, bias) = scale_and_shift(init, &[channels])?;
        Ok(BatchNorm {
            path: init.path().into(),
            weight,
            bias,
            mean: init.running("running_mean", &[channels], 0.0)?,
            variance: init.running("running_var", &[channels], 1.0)?,
            batches: init.running("num_batches_tracked", &[], 0.0)?,
            momentum: 0.1,
            eps: 1e-5,
        })
    }

    /// The same layer with another share of the newest batch in the running moments.
    pub fn momentum(self, momentum: f64) -> Self {
        BatchNorm { momentum, ..self }
    }

    /// The same layer with another number added to the variance.
    pub fn eps(self, eps: f64) -> Self {
        BatchNorm { eps, ..self }
    }

    /// The output by an operation on weight and bias, moments and epsilon: the normalisation alone, or with what follows.
    fn compute_by(
        &self,
        x: &Tensor<T>,
        pass: &Pass<T>,
        batch_norm: impl Fn(
            Option<[&Tensor<T>; 2]>,
            Normalization<'_, T>,
            f64,
        ) -> Result<(Tensor<T>, Moments<T>)>,
    ) -> Result<Tensor<T>> {
        self.check(x)?;
        let (weight, bias) = (self.weight.value(pass, x)?, self.bias.value(pass, x)?);
        let affine = Some([&weight, &bias]);
        if pass.mode() == Mode::Train || x.device().is_meta() {
            let (y, moments) = batch_norm(affine, Normalization::Batch, self.eps)?;
            if !x.device().is_meta() {
                self.follow(&moments, x.len() / self.weight.len())?;
            }
            return Ok(y);
        }
        let moments = Moments { mean: self.mean.tensor(), variance: self.variance.tensor() };
        Ok(batch_norm(affine, Normalization::Fixed(&moments), self.eps)?.0)
    }

    fn check(&self, x: &Tensor<T>) -> Result<()> {
        let rank = x.rank() == N + 2 || (N == 1 && x.rank() == 2);
        let channels = self.weight.len();
        if !rank || x.shape()[1] != channels {
            return Err(Error::shape(
                format!("batch_norm{N}d"),
                format!("expected [batch, {channels}, {N} sizes], got {:?}", x.shape()),
            ));
        }
        Ok(())
    }

    /// Moves the running moments towards the batch's.
    fn follow(&self, moments: &Moments<T>, count: usize) -> Result<()> {
        self.batches.set(&(self.batches.tensor() + 1.0)?)?;
        if count == 0 {
            // An empty batch says nothing of the moments; like PyTorch's, it counts as one.
            return Ok(());
        }
        let unbiased = (&moments.variance * (count as f64 / (count - 1) as f64))?;
        for (running, batch) in [(&self.mean, &moments.mean), (&self.variance, &unbiased)] {
            let old = running.tensor();
            running.set(&((&old * (1.0 - self.momentum))? + &(batch * self.momentum)?)?)?;
        }
        Ok(())
    }
}

/// A weight of ones and a bias of zeros.
fn scale_and_shift<T: Float>(init: &Init, shape: &[usize]) -> Result<(Parameter<T>, Parameter<T>)> {
    Ok((
        init.parameter("weight", shape, Distribution::Constant(1.0))?,
        init.parameter("bias", shape, Distribution::Constant(0.0))?,
    ))
}

impl<const N: usize, T: Float> Module<T> for BatchNorm<N, T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"][N - 1]
    }

    fn settings(&self) -> String {
        let [eps, momentum] = [self.eps, self.momentum].map(float);
        let channels = self.weight.len();
        format!(
            "{channels}, eps={eps}, momentum={momentum}, affine=True, bias=True, track_running_stats=True"
        )
    }

    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        vec![&self.weight, &self.bias]
    }

    fn own_running(&self) -> Vec<&RunningValue<T>> {
        vec![&self.mean, &self.variance, &self.batches]
    }

    fn trace(&self, _: &mut FieldTrace) -> Result<()> {
        Ok(())
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        self.compute_by(x, pass, |affine, using, eps| x.batch_norm(affine, using, eps))
    }

    fn compute_relu(&self, x: &Tensor<T>, pass: &Pass<T>) -> Option<Result<Tensor<T>>> {
        Some(self.compute_by(x, pass, |affine, using, eps| x.batch_norm_relu(affine, using, eps)))
    }

    fn compute_relu_max_pool2d(
        &self,
        x: &Tensor<T>,
        windows: &PoolSpec<2>,
        pass: &Pass<T>,
    ) -> Option<Result<Tensor<T>>> {
        // A pooling that does not fit reports itself.
        PoolShape::sliding(windows, x.shape()).ok()?;
        Some(self.compute_by(x, pass, |affine, using, eps| {
            x.batch_norm_relu_max_pool(affine, using, eps, windows)
        }))
    }
}

/// Standardises each sample over its last axes, then scales and shifts each element (Ba et al. 2016).
#[derive(Debug)]
pub struct LayerNorm<T: Float = f32> {
    path: String,
    weight: Parameter<T>,
    bias: Parameter<T>,
}

impl<T: Float> LayerNorm<T> {
    /// A layer over the last axes, of sizes `shape`.
    pub fn new(init: &Init, shape: &[usize]) -> Result<Self> {
        let (weight, bias) = scale_and_shift(init, shape)?;
        let path = init.path().into();
        Ok(LayerNorm { path, weight, bias })
    }
}

/// What PyTorch adds to the variance by default.
const EPS: f64 = 1e-5;

impl<T: Float> Module<T> for LayerNorm<T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        "LayerNorm"
    }

    fn settings(&self) -> String {
        let shape = tuple(self.weight.shape());
        format!("{shape}, eps={}, elementwise_affine=True, bias=True", float(EPS))
    }

    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        vec![&self.weight, &self.bias]
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        fields.sees_all(self)
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let affine = [self.weight.value(pass, x)?, self.bias.value(pass, x)?];
        x.layer_norm(self.weight.shape(), Some(affine.each_ref()), EPS)
    }
}

/// Standardises groups of channels of each sample, then scales and shifts each channel (Wu and He 2018).
#[derive(Debug)]
pub struct GroupNorm<T: Float = f32> {
    path: String,
    groups: usize,
    weight: Parameter<T>,
    bias: Parameter<T>,
}

impl<T: Float> GroupNorm<T> {
    /// A layer for `channels` channels in `groups` groups.
    pub fn new(init: &Init, groups: usize, channels: usize) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            let message = format!("expected channels that {groups} groups divide, got {channels}");
            return Err(Error::argument("group_norm", message)).at(init.path());
        }
        let (weight, bias) = scale_and_shift(init, &[channels])?;
        Ok(GroupNorm { path: init.path().into(), groups, weight, bias })
    }
}

impl<T: Float> Module<T> for GroupNorm<T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        "GroupNorm"
    }

    fn settings(&self) -> String {
        let channels = self.weight.len();
        format!("{}, {channels}, eps={}, affine=True, bias=True", self.groups, float(EPS))
    }

    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        vec![&self.weight, &self.bias]
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        fields.sees_all(self)
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let affine = [self.weight.value(pass, x)?, self.bias.value(pass, x)?];
        x.group_norm(self.groups, Some(affine.each_ref()), EPS)
    }
}
