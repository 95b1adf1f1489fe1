//! Softmax and its logarithm along one axis.

use crate::backend::AxisShape;
use crate::shape::resolve_axis;
use crate::{Float, Result, Tensor};

impl<T: Float> Tensor<T> {
    /// `x - ln sum e^x` along `axis`, without overflow.
    pub fn log_softmax(&self, axis: isize) -> Result<Self> {
        let along = self.along("log_softmax", axis)?;
        let storage = self.kernels().log_softmax(self.storage(), along)?;
        let y = self.sibling(storage, self.shape());
        let output = y.clone();
        Ok(y.record("log_softmax", &[self], move |grad, _| {
            let kernels = grad.kernels();
            let storage = kernels.log_softmax_gradient(output.storage(), grad.storage(), along)?;
            Ok(vec![Some(grad.sibling(storage, grad.shape()))])
        }))
    }

    /// `e^x / sum e^x` along `axis`, without overflow.
    pub fn softmax(&self, axis: isize) -> Result<Self> {
        self.along("softmax", axis)?;
        let y = self.detach().log_softmax(axis)?.exp()?;
        let output = y.clone();
        Ok(y.record("softmax", &[self], move |grad, _| {
            let flow = (grad * &output)?;
            let total = flow.sum(axis, true)?;
            Ok(vec![Some((flow - (&output * total)?)?)])
        }))
    }

    /// This tensor around an axis; a scalar is a row of one.
    fn along(&self, op: &str, axis: isize) -> Result<AxisShape> {
        let axis = resolve_axis(op, axis, self.rank().max(1))?;
        let row: &[usize] = if self.rank() == 0 { &[1] } else { self.shape() };
        Ok(AxisShape::new(row, axis))
    }
}
