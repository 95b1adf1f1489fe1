//! Picking along an axis by index.

use crate::backend::{AxisShape, Pick};
use crate::error::named;
use crate::shape::resolve_axis;
use crate::{Error, Float, Result, Shape, Tensor};

impl<T: Float> Tensor<T> {
    /// The slices of `axis` that `index` (one axis) lists; a slice may be listed more than once.
    pub fn index_select(&self, axis: isize, index: &Tensor<i64>) -> Result<Self> {
        let axis = resolve_axis("index_select", axis, self.rank().max(1))?;
        if index.rank() != 1 {
            return Err(Error::shape(
                "index_select",
                format!("expected indices with one axis, got shape {:?}", index.shape()),
            ));
        }
        if self.rank() == 0 && index.len() == 1 {
            return self.reshape([1])?.index_select(0, index)?.reshape(());
        }
        let mut shape = self.shape().to_vec();
        let Some(size) = shape.get_mut(axis) else {
            return Err(Error::shape("index_select", "expected one index for a scalar"));
        };
        *size = index.len();
        let pick = Pick {
            from: AxisShape::new(self.shape(), axis),
            count: index.len(),
            elementwise: false,
        };
        self.pick("index_select", pick, index, shape)
    }

    /// For each element of `index` the element of this tensor at that position along `axis` and the same
    /// position along all others, where `index` may be shorter.
    pub fn gather(&self, axis: isize, index: &Tensor<i64>) -> Result<Self> {
        let axis = resolve_axis("gather", axis, self.rank().max(1))?;
        if self.rank() == 0 && index.rank() == 0 {
            let index = index.sibling(index.storage().clone(), [1]);
            return self.reshape([1])?.gather(0, &index)?.reshape(());
        }
        let others = || (0..self.rank()).filter(|&i| i != axis);
        let fits =
            index.rank() == self.rank() && others().all(|i| index.shape()[i] <= self.shape()[i]);
        if !fits {
            return Err(Error::shape(
                "gather",
                format!(
                    "expected indices of a shape within {:?} but for axis {axis}, got {:?}",
                    self.shape(),
                    index.shape()
                ),
            ));
        }
        if let Some(i) = others().find(|&i| index.shape()[i] < self.shape()[i]) {
            let narrowed = self.slice(i as isize, 0..index.shape()[i], 1)?;
            return narrowed.gather(axis as isize, index);
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
