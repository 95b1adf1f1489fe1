//! The patches that a convolution reads, as columns, and the adjoint, which adds columns back up.

use striate_conv::ConvShape;

use crate::error::GeometryContext;
use crate::{ConvSpec, Error, Float, Result, Tensor};

impl<T: Float> Tensor<T> {
    /// Every window of `[batch, channels, sizes..]` as a column: `[batch, channels * kernel, positions]`.
    pub fn unfold<const N: usize>(&self, spec: &ConvSpec<N>) -> Result<Self> {
        let shape = ConvShape::windows(spec, self.shape()).op(format!("unfold{N}d"))?;
        let storage = self.kernels().unfold(&shape, self.storage())?;
        let y = self.sibling(storage, columns_shape(&shape));
        let from = self.shape().to_vec();
        Ok(y.record("unfold", &[self], move |grad, _| {
            let storage = grad.kernels().fold(&shape, grad.storage())?;
            Ok(vec![Some(grad.sibling(storage, from))])
        }))
    }

    /// The sum of columns `[batch, channels * kernel, positions]` at the windows that they came from, in
    /// `[batch, channels, size..]`.
    pub fn fold<const N: usize>(&self, spec: &ConvSpec<N>, size: [usize; N]) -> Result<Self> {
        let op = format!("fold{N}d");
        let taps = spec.kernel.iter().fold(1usize, |taps, &size| taps.saturating_mul(size)).max(1);
        let &[batch, rows, _] = self.shape() else {
            return Err(expected(&op, "[batch, channels * kernel, positions]", self));
        };
        let to = [&[batch, rows / taps], &size[..]].concat();
        let shape = ConvShape::windows(spec, &to).op(op.as_str())?;
        if self.shape() != columns_shape(&shape) {
            return Err(expected(&op, &format!("{:?}", columns_shape(&shape)), self));
        }
        let storage = self.kernels().fold(&shape, self.storage())?;
        let y = self.sibling(storage, to);
        let from = self.shape().to_vec();
        Ok(y.record("fold", &[self], move |grad, _| {
            let storage = grad.kernels().unfold(&shape, grad.storage())?;
            Ok(vec![Some(grad.sibling(storage, from))])
        }))
    }
}

fn columns_shape(shape: &ConvShape) -> [usize; 3] {
    [shape.batch, shape.weight_len(), shape.output.iter().product()]
}

fn expected<T: Float>(op: &str, columns: &str, got: &Tensor<T>) -> Error {
    Error::shape(op, format!("expected columns of shape {columns}, got {:?}", got.shape()))
}
