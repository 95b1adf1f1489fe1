//! Normalisation to zero mean and unit variance, per channel over a batch, or per sample over groups.
//!
//! All forms are one: elements are seen as `[outer, channel, inner]`, each channel is standardised, scaled
//! and shifted (Ioffe and Szegedy 2015). Group and layer normalisation make each sample's group a channel.
//! With `h = (x - mean) / sqrt(var + eps)` and `n` elements a channel, the gradient of the input is
//! `weight / sqrt(var + eps) (g - sum(g) / n - h sum(g h) / n)`.

use striate_conv::PoolShape;

use crate::backend::{AxisShape, ChannelAffine, Storage};
use crate::error::GeometryContext;
use crate::{Error, Float, PoolSpec, Result, Shape, Tensor};

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
        let seen = self.channels()?;
        self.batch_norm_then(seen, affine, using, eps)
    }

    /// [`Tensor::batch_norm`], then `max(y, 0)`, in the same sweeps over memory in both directions.
    pub fn batch_norm_relu(
        &self,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
    ) -> Result<(Self, Moments<T>)> {
        let seen = Seen { relu: true, ..self.channels()? };
        self.batch_norm_then(seen, affine, using, eps)
    }

    /// [`Tensor::batch_norm_relu`] of `[batch, channels, sizes..]`, then [`Tensor::max_pool`]. What is normalised does not change
    /// which element of a window is the largest, or makes the smallest of it where the weight is negative; so only these elements are
    /// normalised, and the whole is read as often as for its moments and its gradient. Where the weight is zero, all elements of a window
    /// become equal, and its gradient goes to the largest instead of the first.
    ///
    /// ```
    /// use striate_tensor::{Device, PoolSpec, Tensor, ops::Normalization};
    /// let cpu = Device::cpu();
    /// let x = Tensor::from_vec(vec![-1.0f32, 1.0, 1.0, -1.0], [1, 1, 2, 2], &cpu)?;
    /// let (weight, bias) = (Tensor::full([1], -2.0, &cpu)?, Tensor::full([1], 0.5, &cpu)?);
    /// let (affine, spec) = (Some([&weight, &bias]), PoolSpec::new([2, 2]));
    /// let (y, _) = x.batch_norm_relu_max_pool(affine, Normalization::Batch, 0.0, &spec)?;
    /// assert_eq!((y.shape(), y.to_vec()?), (&[1, 1, 1, 1][..], vec![2.5]));
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn batch_norm_relu_max_pool<const N: usize>(
        &self,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
        spec: &PoolSpec<N>,
    ) -> Result<(Self, Moments<T>)> {
        let seen = self.channels()?;
        let pool = PoolShape::sliding(spec, self.shape()).op(format!("max_pool{N}d"))?;
        if pool.output_len() == 0 {
            let (y, moments) = self.batch_norm_then(seen, affine, using, eps)?;
            return Ok((y.max_pool_relu(spec)?, moments));
        }
        let seen = Seen { relu: true, pool: Some(pool), ..seen };
        self.batch_norm_then(seen, affine, using, eps)
    }

    /// How batch norm sees it.
    fn channels(&self) -> Result<Seen> {
        if self.rank() < 2 {
            return Err(Error::shape(
                "batch_norm",
                format!("expected [batch, channels, ..], got {:?}", self.shape()),
            ));
        }
        Ok(Seen { shape: AxisShape::new(self.shape(), 1), relu: false, pool: None })
    }

    fn batch_norm_then(
        &self,
        seen: Seen,
        affine: Option<[&Tensor<T>; 2]>,
        using: Normalization<T>,
        eps: f64,
    ) -> Result<(Self, Moments<T>)> {
        let shape = seen.shape;
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
        let seen =
            Seen { shape: AxisShape { outer: 1, axis: rows, inner }, relu: false, pool: None };
        let (y, _) = self.standardize(op, seen, None, Normalization::Batch, eps)?;
        let Some(affine) = affine else { return Ok(y) };
        y * &affine[0].reshape(shape)? + &affine[1].reshape(shape)?
    }

    fn standardize(
        &self,
        op: &'static str,
        Seen { shape: seen, relu, pool }: Seen,
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
        let pooled = pool.map(|shape| self.extremes(shape, &scale)).transpose()?;
        let rule = Standardized {
            x: self.detach(),
            pooled,
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

impl<T: Float> Tensor<T> {
    /// Of each window of `shape` the element that a multiplication of the channels by `scale` makes the largest.
    fn extremes(&self, shape: PoolShape, scale: &Self) -> Result<Pooled<T>> {
        let (x, indices) = self.kernels().extreme_pool(&shape, self.storage(), scale.storage())?;
        let sizes = [&self.shape()[..2], &shape.output[5 - self.rank()..]].concat();
        Ok(Pooled { x: self.sibling(x, sizes), shape, indices })
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

/// How a normalisation sees its input, and what follows: a ReLU, and after it max pooling.
struct Seen {
    shape: AxisShape,
    relu: bool,
    pool: Option<PoolShape>,
}

/// What is left of the input where pooling follows.
struct Pooled<T: Float> {
    shape: PoolShape,
    /// The element of each window that becomes the largest.
    x: Tensor<T>,
    indices: Storage<i64>,
}

/// What the gradient of a normalisation keeps.
struct Standardized<T: Float> {
    x: Tensor<T>,
    /// What is left of it, if pooling follows.
    pooled: Option<Pooled<T>>,
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
    /// What is normalised.
    fn normalized(&self) -> &Tensor<T> {
        self.pooled.as_ref().map_or(&self.x, |pooled| &pooled.x)
    }

    /// Its normalisation as kernels see it.
    fn affine(&self) -> ChannelAffine<'_, T> {
        let [center, scale, shift] = [&self.mean, &self.scale, &self.shift].map(Tensor::storage);
        let AxisShape { outer, axis, .. } = self.seen;
        let shape = AxisShape { inner: self.normalized().len() / (outer * axis), ..self.seen };
        ChannelAffine { shape, center, scale, shift, relu: self.relu }
    }

    fn forward(&self) -> Result<Tensor<T>> {
        let x = self.normalized();
        Ok(x.sibling(x.kernels().channel_affine(&self.affine(), x.storage())?, x.shape()))
    }

    fn backward(&self, grad: &Tensor<T>, needs: &[bool]) -> Result<Vec<Option<Tensor<T>>>> {
        let inputs = [grad.storage(), self.normalized().storage()];
        let (sum, product) = grad.kernels().channel_gradient_sums(&self.affine(), inputs)?;
        let per_channel = |storage| grad.sibling(storage, [self.seen.axis]);
        let (bias, weight) = (per_channel(sum), (per_channel(product) * &self.inverse)?);
        let input = || self.input_gradient(grad, [&weight, &bias]);
        let mut gradients = vec![needs[0].then(input).transpose()?];
        if self.weighted {
            gradients.extend([Some(weight), Some(bias)]);
        }
        Ok(gradients)
    }

    /// The gradient of the input from that of the output and those of weight and bias.
    fn input_gradient(
        &self,
        grad: &Tensor<T>,
        [weight, bias]: [&Tensor<T>; 2],
    ) -> Result<Tensor<T>> {
        let (kernels, a) = (grad.kernels(), &self.scale);
        let inputs = [grad.storage(), self.normalized().storage()];
        let zero = Tensor::zeros([self.seen.axis], grad.device())?;
        if !self.own_moments && !self.relu {
            let [center, scale, shift] = [&zero, a, &zero].map(Tensor::storage);
            let scaled = ChannelAffine { center, scale, shift, ..self.affine() };
            return Ok(grad.sibling(kernels.channel_affine(&scaled, inputs[0])?, grad.shape()));
        }
        let (b, d) = match self.own_moments {
            false => (zero.clone(), zero.clone()),
            true => {
                let share = 1.0 / (self.seen.outer * self.seen.inner) as f64;
                let b = (a * &self.inverse * weight)?.affine(-share, 0.0)?;
                (b, (a * bias)?.affine(-share, 0.0)?)
            }
        };
        let [b, d, zero] = [&b, &d, &zero].map(Tensor::storage);
        let Some(Pooled { shape, indices, .. }) = &self.pooled else {
            let storage = kernels.channel_combine(&self.affine(), inputs, [b, d])?;
            return Ok(grad.sibling(storage, grad.shape()));
        };
        let passed = kernels.channel_combine(&self.affine(), inputs, [zero, zero])?;
        let storage = match self.own_moments {
            false => kernels.max_pool_gradient(shape, &passed, indices)?,
            true => {
                let share = ChannelAffine {
                    shape: self.seen,
                    scale: b,
                    shift: d,
                    relu: false,
                    ..self.affine()
                };
                let onto = (&share, self.x.storage());
                kernels.max_pool_gradient_onto(shape, (&passed, indices), onto)?
            }
        };
        Ok(grad.sibling(storage, self.x.shape()))
    }
}
