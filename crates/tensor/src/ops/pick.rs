//! Picking along an axis by index.

use crate::backend::{AxisShape, Pick};
use crate::error::named;
use crate::shape::resolve_axis;
use crate::{Error, Float, Result, Shape, Tensor};

impl<T: Float> Tensor<T> {
    /// The slices of `axis` that `index` (one axis) lists; a slice may be listed more than once.
    pub fn index_select(&self, axis: isize, index: &Tensor<i64>) -> Result<Self> {
        let axis = resolve_axis("index_select", axis, self.rank())?;
        if index.rank() != 1 {
            return Err(Error::shape(
                "index_select",
                format!("expected indices with one axis, got shape {:?}", index.shape()),
            ));
        }
        let mut shape = self.shape().to_vec();
        shape[axis] = index.len();
        let pick = Pick {
            from: AxisShape::new(self.shape(), axis),
            count: index.len(),
            elementwise: false,
        };
        self.pick("index_select", pick, index, shape)
    }

    /// For each element of `index` the element of this tensor at that position along `axis` and the same
    /// position along all others. All other sizes must agree.
    pub fn gather(&self, axis: isize, index: &Tensor<i64>) -> Result<Self> {
        let axis = resolve_axis("gather", axis, self.rank())?;
        let agrees = index.rank() == self.rank()
            && (0..self.rank()).all(|i| i == axis || index.shape()[i] == self.shape()[i]);
        if !agrees {
            return Err(Error::shape(
                "gather",
                format!(
                    "expected indices of a shape that agrees with {:?} but for axis {axis}, got {:?}",
                    self.shape(),
                    index.shape()
                ),
            ));
        }
        let pick = Pick {
            from: AxisShape::new(self.shape(), axis),
            count: index.shape()[axis],
            elementwise: true,
        };
        self.pick("gather", pick, index, index.shape().to_vec())
    }

    fn pick(
        &self,
        op: &'static str,
        pick: Pick,
        index: &Tensor<i64>,
        shape: Vec<usize>,
    ) -> Result<Self> {
        self.expect_device(op, index)?;
        let shape = Shape::from(shape).checked::<T>(op)?;
        let storage = named(op, self.memory().pick(&pick, self.storage(), index.storage()))?;
        let (y, index) = (self.sibling(storage, shape), index.clone());
        let from = self.shape().to_vec();
        Ok(y.record(op, &[self], move |grad, _| {
            let storage = grad.kernels().pick_gradient(&pick, grad.storage(), index.storage())?;
            Ok(vec![Some(grad.sibling(storage, from))])
        }))
    }
}
