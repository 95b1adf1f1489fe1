//! Normalisation to zero mean and unit variance, per channel over a batch, or per sample over groups.
//!
//! All forms are one: elements are seen as `[outer, channel, inner]`, each channel is standardised, scaled
//! and shifted (Ioffe and Szegedy 2015). Group and layer normalisation make each sample's group a channel.
//! With `h = (x - mean) / sqrt(var + eps)` and `n` elements a channel, the gradient of the input is
//! `weight / sqrt(var + eps) (g - sum(g) / n - h sum(g h) / n)`.

use crate::backend::{AxisShape, ChannelAffine};
use crate::{Error, Float, Result, Shape, Tensor};

/// Mean and biased variance of each channel.
#[derive(Debug, Clone)]
pub struct Moments<T: Float = f32> {
    /// `[channels]`
    pub mean: Tensor<T>,
    /// `[channels]`, the mean of squared deviations.
    pub variance: Tensor<T>,
}

/// Which moments a normalisation uses.
#[derive(Debug, Clone, Copy)]
pub enum Normalization<'a, T: Float = f32> {
    /// The batch's own: training.
    Batch,
    /// Given ones, constants for the gradient: evaluation.
    Fixed(&'a Moments<T>),
}

impl<T: Float> Tensor<T> {
    /// Standardises every channel of `[batch, channels, ..]`, then scales by `weight` and adds `bias`,
    /// `[channels]` each. Returns the moments that were used. Fails with the batch's own moments if it holds a single
    /// value a channel; without data, where a network is only asked for its shapes, it does not.
    ///
    /// ```
    /// use striate_tensor::{Device, Tensor, ops::Normalization};
    /// let x = Tensor::from_vec(vec![1.0f32, 3.0, 5.0, 9.0], [2, 2], &Device::cpu())?;
    /// let (y, moments) = x.batch_norm(None, Normalization::Batch, 0.0)?;
    /// assert_eq!(moments.mean.to_vec()?, [3.0, 6.0]);
    /// assert_eq!(y.to_vec()?, [-1.0, -1.0, 1.0, 1.0]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn batch_norm(
        &self,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
    ) -> Result<(Self, Moments<T>)> {
        self.batch_norm_then(false, affine, using, eps)
    }

    /// [`Tensor::batch_norm`], then `max(y, 0)`, in the same sweeps over memory in both directions.
    pub fn batch_norm_relu(
        &self,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
    ) -> Result<(Self, Moments<T>)> {
        self.batch_norm_then(true, affine, using, eps)
    }

    fn batch_norm_then(
        &self,
        relu: bool,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
    ) -> Result<(Self, Moments<T>)> {
        if self.rank() < 2 {
            return Err(Error::shape(
                "batch_norm",
                format!("expected [batch, channels, ..], got {:?}", self.shape()),
            ));
        }
        let shape = AxisShape::new(self.shape(), 1);
        let own = matches!(using, Normalization::Batch) && !self.device().is_meta();
        if own && shape.outer * shape.inner == 1 {
            return Err(Error::shape(
                "batch_norm",
                format!(
                    "expected more than one value a channel in training, got {:?}",
                    self.shape()
                ),
            ));
        }
        let seen = Seen { shape, relu };
        self.standardize("batch_norm", seen, affine, using, eps)
    }

    /// Standardises each of `groups` groups of channels of each sample of `[batch, channels, ..]`, then scales
    /// and shifts each channel (Wu and He 2018).
    pub fn group_norm(
        &self,
        groups: usize,
        affine: Option<[&Tensor<T>; 2]>,
        eps: f64,
    ) -> Result<Self> {
        let fits = self.rank() >= 2 && groups > 0 && self.shape()[1].is_multiple_of(groups);
        // A single sample whose groups are single elements is nothing but zeros.
        if !fits || self.shape()[1..].contains(&0) || self.len() == groups {
            return Err(Error::shape(
                "group_norm",
                format!(
                    "expected channels that {groups} groups divide into more than one element, got {:?}",
                    self.shape()
                ),
            ));
        }
        let rows = self.shape()[0] * groups;
        check_affine("group_norm", affine, &self.shape()[1..2])?;
        let mut channels = vec![1; self.rank() - 1];
        channels[0] = self.shape()[1];
        self.standardize_rows("group_norm", rows, affine, &channels, eps)
    }

    /// Standardises each sample over its last `shape.len()` axes, then scales and shifts each element
    /// (Ba et al. 2016).
    pub fn layer_norm(
        &self,
        shape: &[usize],
        affine: Option<[&Tensor<T>; 2]>,
        eps: f64,
    ) -> Result<Self> {
        if shape.is_empty() || !self.shape().ends_with(shape) {
            return Err(Error::shape(
                "layer_norm",
                format!("expected a shape that ends with {shape:?}, got {:?}", self.shape()),
            ));
        }
        let rows = self.shape()[..self.rank() - shape.len()].iter().product();
        check_affine("layer_norm", affine, shape)?;
        self.standardize_rows("layer_norm", rows, affine, shape, eps)
    }

    /// Standardises `rows` equal stretches, then scales and shifts by tensors seen as `shape`.
    fn standardize_rows(
        &self,
        op: &'static str,
        rows: usize,
        affine: Option<[&Tensor<T>; 2]>,
        shape: &[usize],
        eps: f64,
    ) -> Result<Self> {
        let inner = self.len().checked_div(rows).unwrap_or(0);
        let seen = Seen { shape: AxisShape { outer: 1, axis: rows, inner }, relu: false };
        let (y, _) = self.standardize(op, seen, None, Normalization::Batch, eps)?;
        let Some(affine) = affine else { return Ok(y) };
        y * &affine[0].reshape(shape)? + &affine[1].reshape(shape)?
    }

    fn standardize(
        &self,
        op: &'static str,
        Seen { shape: seen, relu }: Seen,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
    ) -> Result<(Self, Moments<T>)> {
        let channels = [seen.axis];
        let moments = match using {
            Normalization::Fixed(moments) => moments.clone(),
            // The mean of nothing.
            Normalization::Batch if self.is_empty() => {
                let mean = Tensor::full(channels, T::NAN, self.device())?;
                Moments { variance: mean.clone(), mean }
            }
            Normalization::Batch => {
                let (mean, variance) = self.kernels().channel_moments(self.storage(), seen)?;
                Moments {
                    mean: self.sibling(mean, channels),
                    variance: self.sibling(variance, channels),
                }
            }
        };
        let per_channel = affine.into_iter().flatten().chain([&moments.mean, &moments.variance]);
        for tensor in per_channel {
            self.expect_device(op, tensor)?;
            if tensor.shape() != channels {
                return Err(Error::shape(
                    op,
                    format!("expected parameters of shape {channels:?}, got {:?}", tensor.shape()),
                ));
            }
        }
        let parents: Vec<_> = [self].into_iter().chain(affine.into_iter().flatten()).collect();
        if self.is_empty() {
            return Ok((self.nothing_to_standardize(op, &parents)?, moments));
        }
        let inverse = (&moments.variance + eps)?.powf(-0.5)?;
        let (scale, shift) = match affine.map(|[weight, bias]| (weight.detach(), bias.detach())) {
            Some((weight, bias)) => ((weight * &inverse)?, bias),
            None => (inverse.clone(), inverse.affine(0.0, 0.0)?),
        };
        let rule = Standardized {
            x: self.detach(),
            seen,
            inverse,
            mean: moments.mean.clone(),
            scale,
            shift,
            weighted: affine.is_some(),
            own_moments: matches!(using, Normalization::Batch),
            relu,
        };
        let y = rule.forward()?;
        Ok((y.record(op, &parents, move |grad, needs| rule.backward(grad, needs)), moments))
    }
}

/// Fails unless weight and bias, if there are any, have the shape `expected`.
fn check_affine<T: Float>(
    op: &str,
    affine: Option<[&Tensor<T>; 2]>,
    expected: &[usize],
) -> Result<()> {
    match affine.into_iter().flatten().find(|tensor| tensor.shape() != expected) {
        None => Ok(()),
        Some(tensor) => Err(Error::shape(
            op,
            format!("expected a weight and a bias of shape {expected:?}, got {:?}", tensor.shape()),
        )),
    }
}

impl<T: Float> Tensor<T> {
    /// An empty batch stays what it is, and no parameter has a share in it.
    fn nothing_to_standardize(&self, op: &'static str, parents: &[&Self]) -> Result<Self> {
        let shapes: Vec<Shape> = parents.iter().map(|parent| parent.shape().into()).collect();
        Ok(self.detach().record(op, parents, move |grad, _| {
            let zeros = |shape| Tensor::zeros(shape, grad.device()).map(Some);
            shapes.into_iter().map(zeros).collect()
        }))
    }
}

/// How a normalisation sees its input, and whether a ReLU follows.
struct Seen {
    shape: AxisShape,
    relu: bool,
}

/// What the gradient of a normalisation keeps.
struct Standardized<T: Float> {
    x: Tensor<T>,
    seen: AxisShape,
    /// `1 / sqrt(var + eps)`
    inverse: Tensor<T>,
    mean: Tensor<T>,
    /// The factor on `x - mean`: `weight / sqrt(var + eps)`.
    scale: Tensor<T>,
    /// The bias.
    shift: Tensor<T>,
    /// Whether there are a weight and a bias.
    weighted: bool,
    /// Whether the moments depend on the input.
    own_moments: bool,
    /// Whether a ReLU follows.
    relu: bool,
}

impl<T: Float> Standardized<T> {
    /// The normalisation as kernels see it.
    fn affine(&self) -> ChannelAffine<'_, T> {
        let [center, scale, shift] = [&self.mean, &self.scale, &self.shift].map(Tensor::storage);
        ChannelAffine { shape: self.seen, center, scale, shift, relu: self.relu }
    }

    fn forward(&self) -> Result<Tensor<T>> {
        let storage = self.x.kernels().channel_affine(&self.affine(), self.x.storage())?;
        Ok(self.x.sibling(storage, self.x.shape()))
    }

    fn backward(&self, grad: &Tensor<T>, needs: &[bool]) -> Result<Vec<Option<Tensor<T>>>> {
        let kernels = grad.kernels();
        let inputs = [grad.storage(), self.x.storage()];
        let (sum, product) = kernels.channel_gradient_sums(&self.affine(), inputs)?;
        let per_channel = |storage| grad.sibling(storage, [self.seen.axis]);
        let (bias, weight) = (per_channel(sum), (per_channel(product) * &self.inverse)?);
        let input = || -> Result<_> {
            let a = &self.scale;
            let zero = Tensor::zeros([self.seen.axis], grad.device())?;
            if !self.own_moments && !self.relu {
                let [center, scale, shift] = [&zero, a, &zero].map(Tensor::storage);
                let scaled = ChannelAffine { center, scale, shift, ..self.affine() };
                return Ok(grad.sibling(kernels.channel_affine(&scaled, inputs[0])?, grad.shape()));
            }
            let (b, d) = match self.own_moments {
                false => (zero.clone(), zero),
                true => {
                    let share = 1.0 / (self.seen.outer * self.seen.inner) as f64;
                    let b = (a * &self.inverse * &weight)?.affine(-share, 0.0)?;
                    (b, (a * &bias)?.affine(-share, 0.0)?)
                }
            };
            let coefficients = [b.storage(), d.storage()];
            let storage = kernels.channel_combine(&self.affine(), inputs, coefficients)?;
            Ok(grad.sibling(storage, grad.shape()))
        };
        let mut gradients = vec![needs[0].then(input).transpose()?];
        if self.weighted {
            gradients.extend([Some(weight), Some(bias)]);
        }
        Ok(gradients)
    }
}
