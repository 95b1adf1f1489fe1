//! Pooling over windows that slide or that divide the input into equal parts.

use striate_conv::{GeometryError, PoolShape};

use crate::error::GeometryContext;
use crate::{Float, PoolSpec, Result, Shape, Tensor};

impl<T: Float> Tensor<T> {
    /// The maximum of each window over the last `N` axes of `[batch, channels, sizes..]`.
    pub fn max_pool<const N: usize>(&self, spec: &PoolSpec<N>) -> Result<Self> {
        Ok(self.max_pool_with_indices(spec)?.0)
    }

    /// The same, and where each maximum stood: its flat index within its plane.
    pub fn max_pool_with_indices<const N: usize>(
        &self,
        spec: &PoolSpec<N>,
    ) -> Result<(Self, Tensor<i64>)> {
        self.max_over::<N>("max_pool", PoolShape::sliding(spec, self.shape()))
    }

    /// The mean of each window over the last `N` axes of `[batch, channels, sizes..]`.
    ///
    /// A window may be larger than the input if the padding makes up for it; over three axes not even then, as in PyTorch.
    pub fn avg_pool<const N: usize>(&self, spec: &PoolSpec<N>) -> Result<Self> {
        self.average_over::<N>("avg_pool", PoolShape::sliding_average(spec, self.shape()))
    }

    /// The maximum of each of `output` parts of the last `N` axes, as equal as whole numbers allow.
    pub fn adaptive_max_pool<const N: usize>(&self, output: [usize; N]) -> Result<Self> {
        let shape = PoolShape::adaptive(output, self.shape());
        Ok(self.max_over::<N>("adaptive_max_pool", shape)?.0)
    }

    /// [`Tensor::max_pool`], then `max(y, 0)`, in the same sweeps over memory in both directions.
    pub fn max_pool_relu<const N: usize>(&self, spec: &PoolSpec<N>) -> Result<Self> {
        let shape = PoolShape::sliding(spec, self.shape()).op(format!("max_pool{N}d"))?;
        let (storage, indices) = self.kernels().max_pool_relu(&shape, self.storage())?;
        let y = self.sibling(storage, self.pooled_shape::<N>(&shape));
        let (from, output) = (self.shape().to_vec(), y.detach());
        Ok(y.record("max_pool_relu", &[self], move |grad, _| {
            let chosen = (output.storage(), &indices);
            let kernels = grad.kernels();
            let storage = kernels.max_pool_relu_gradient(&shape, grad.storage(), chosen)?;
            Ok(vec![Some(grad.sibling(storage, from))])
        }))
    }

    /// The mean of each of `output` parts of the last `N` axes, as equal as whole numbers allow.
    pub fn adaptive_avg_pool<const N: usize>(&self, output: [usize; N]) -> Result<Self> {
        self.average_over::<N>("adaptive_avg_pool", PoolShape::adaptive(output, self.shape()))
    }

    /// `[batch, channels, sizes..]` of a pooling's output.
    fn pooled_shape<const N: usize>(&self, shape: &PoolShape) -> Shape {
        [&self.shape()[..self.rank() - N], &shape.output[3 - N..]].concat().into()
    }

    fn max_over<const N: usize>(
        &self,
        op: &'static str,
        shape: Result<PoolShape, GeometryError>,
    ) -> Result<(Self, Tensor<i64>)> {
        let shape = shape.op(format!("{op}{N}d"))?;
        let (storage, indices) = self.kernels().max_pool(&shape, self.storage())?;
        let indices: Tensor<i64> = self.sibling(indices, self.pooled_shape::<N>(&shape));
        let y = self.sibling(storage, self.pooled_shape::<N>(&shape));
        let (from, chosen) = (self.shape().to_vec(), indices.clone());
        let y = y.record(op, &[self], move |grad, _| {
            let kernels = grad.kernels();
            let storage = kernels.max_pool_gradient(&shape, grad.storage(), chosen.storage())?;
            Ok(vec![Some(grad.sibling(storage, from))])
        });
        Ok((y, indices))
    }

    fn average_over<const N: usize>(
        &self,
        op: &'static str,
        shape: Result<PoolShape, GeometryError>,
    ) -> Result<Self> {
        let shape = shape.op(format!("{op}{N}d"))?;
        let storage = self.kernels().average_pool(&shape, self.storage())?;
        let y = self.sibling(storage, self.pooled_shape::<N>(&shape));
        let from = self.shape().to_vec();
        Ok(y.record(op, &[self], move |grad, _| {
            let storage = grad.kernels().average_pool_gradient(&shape, grad.storage())?;
            Ok(vec![Some(grad.sibling(storage, from))])
        }))
    }
}
