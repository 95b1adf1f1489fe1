//! Joining tensors along an axis, and taking them apart again.

use crate::shape::resolve_axis;
use crate::{Error, Float, Layout, Result, Shape, Tensor};

impl<T: Float> Tensor<T> {
    /// The tensors one after another along `axis`; all other sizes must agree. As in PyTorch, tensors of shape `[0]` may
    /// stand among those of any rank.
    pub fn cat(tensors: &[&Tensor<T>], axis: isize) -> Result<Tensor<T>> {
        let Some(first) = tensors.iter().find(|x| x.shape() != [0]).or(tensors.first()) else {
            return Err(Error::shape("cat", "expected at least one tensor, got none"));
        };
        let axis = resolve_axis("cat", axis, first.rank())?;
        let shape = Self::joined_shape(tensors, first, axis)?;
        let whole = Layout::dense(&shape);
        let mut start = 0;
        let window = |tensor: &&Tensor<T>| {
            if tensor.shape() == [0] {
                return Layout::dense(&[0]);
            }
            let size = tensor.shape()[axis];
            start += size;
            whole.slice(axis, start - size, size, 1)
        };
        let windows: Vec<Layout> = tensors.iter().map(window).collect();
        let parts: Vec<_> = windows.iter().cloned().zip(tensors.iter().copied()).collect();
        let y = Tensor::written("cat", &shape, &parts, T::ZERO)?;
        Ok(y.record("cat", tensors, move |grad, needs| {
            let part = |(window, &need): (&Layout, &bool)| {
                need.then(|| grad.gathered("cat", window)).transpose()
            };
            windows.iter().zip(needs).map(part).collect()
        }))
    }

    /// The shape of `tensors` along `axis`, if they agree with `first` but for it.
    fn joined_shape(tensors: &[&Self], first: &Self, axis: usize) -> Result<Shape> {
        let mut shape = first.shape().to_vec();
        shape[axis] = 0;
        for tensor in tensors {
            first.expect_device("cat", tensor)?;
            if tensor.shape() == [0] {
                continue;
            }
            let agrees = tensor.rank() == first.rank()
                && (0..shape.len()).all(|i| i == axis || tensor.shape()[i] == shape[i]);
            if !agrees {
                return Err(Error::shape(
                    "cat",
                    format!(
                        "expected shapes that agree but for axis {axis}, got {:?} and {:?}",
                        first.shape(),
                        tensor.shape()
                    ),
                ));
            }
            shape[axis] = shape[axis].saturating_add(tensor.shape()[axis]);
        }
        Shape::from(shape).checked::<T>("cat")
    }

    /// The tensors, all of one shape, along a new axis at `axis`, counted in the result.
    pub fn stack(tensors: &[&Tensor<T>], axis: isize) -> Result<Tensor<T>> {
        if let Some(other) = tensors.iter().find(|tensor| tensor.shape() != tensors[0].shape()) {
            return Err(Error::shape(
                "stack",
                format!(
                    "expected tensors of one shape, got {:?} and {:?}",
                    tensors[0].shape(),
                    other.shape()
                ),
            ));
        }
        if tensors.is_empty() {
            return Err(Error::shape("stack", "expected at least one tensor, got none"));
        }
        let unsqueezed =
            tensors.iter().map(|tensor| tensor.unsqueeze(axis)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&unsqueezed.iter().collect::<Vec<_>>(), axis)
    }

    /// Pieces of the given sizes along `axis`, which must add up to its size.
    pub fn split(&self, sizes: &[usize], axis: isize) -> Result<Vec<Tensor<T>>> {
        let index = resolve_axis("split", axis, self.rank())?;
        let total = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        if total != Some(self.shape()[index]) {
            return Err(Error::shape(
                "split",
                format!("expected sizes that add up to {}, got {sizes:?}", self.shape()[index]),
            ));
        }
        let mut start = 0;
        sizes
            .iter()
            .map(|&size| {
                start += size;
                self.slice(axis, start - size..start, 1)
            })
            .collect()
    }
}
