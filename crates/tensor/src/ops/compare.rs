//! Comparisons, which give masks, and choosing by a mask.

use crate::backend::{Compare, View};
use crate::{Float, Result, Tensor, shape};

impl<T: Float> Tensor<T> {
    pub(crate) fn compare(&self, op: Compare, other: &Self) -> Result<Tensor<bool>> {
        self.expect_device("compare", other)?;
        let shape = shape::broadcast("compare", self.shape(), other.shape())?;
        let shape = shape.checked::<T>("compare")?;
        let layouts = [self, other].map(|x| x.layout().broadcast_to(&shape));
        let storage = self.kernels().compare(
            op,
            View::new(self.storage(), &layouts[0]),
            View::new(other.storage(), &layouts[1]),
        )?;
        Ok(self.sibling(storage, shape))
    }

    /// `a == b`; shapes broadcast.
    pub fn eq(&self, other: &Self) -> Result<Tensor<bool>> {
        self.compare(Compare::Eq, other)
    }

    /// `a != b`; shapes broadcast.
    pub fn ne(&self, other: &Self) -> Result<Tensor<bool>> {
        self.compare(Compare::Ne, other)
    }

    /// `a < b`; shapes broadcast.
    pub fn lt(&self, other: &Self) -> Result<Tensor<bool>> {
        self.compare(Compare::Lt, other)
    }

    /// `a <= b`; shapes broadcast.
    pub fn le(&self, other: &Self) -> Result<Tensor<bool>> {
        self.compare(Compare::Le, other)
    }

    /// `a > b`; shapes broadcast.
    pub fn gt(&self, other: &Self) -> Result<Tensor<bool>> {
        self.compare(Compare::Gt, other)
    }

    /// `a >= b`; shapes broadcast.
    pub fn ge(&self, other: &Self) -> Result<Tensor<bool>> {
        self.compare(Compare::Ge, other)
    }
}

impl Tensor<bool> {
    /// `a` where the mask holds, else `b` (numpy's `where`); shapes broadcast.
    ///
    /// ```
    /// use striate_tensor::{Device, Tensor};
    /// let x = Tensor::from_vec(vec![-2.0f32, 3.0], [2], &Device::cpu())?;
    /// let zero = Tensor::scalar(0.0, x.device())?;
    /// assert_eq!(x.gt(&zero)?.choose(&x, &zero)?.to_vec()?, [0.0, 3.0]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn choose<T: Float>(&self, a: &Tensor<T>, b: &Tensor<T>) -> Result<Tensor<T>> {
        a.expect_device("choose", b)?;
        self.expect_device("choose", a)?;
        let shape = shape::broadcast("choose", a.shape(), b.shape())?;
        let shape = shape::broadcast("choose", self.shape(), &shape)?.checked::<T>("choose")?;
        let storage = a.kernels().choose(
            View::new(self.storage(), &self.layout().broadcast_to(&shape)),
            View::new(a.storage(), &a.layout().broadcast_to(&shape)),
            View::new(b.storage(), &b.layout().broadcast_to(&shape)),
        )?;
        let y = a.sibling(storage, shape);
        let mask = self.clone();
        let shapes = [a.shape().to_vec(), b.shape().to_vec()];
        Ok(y.record("choose", &[a, b], move |grad, needs| {
            let zero = Tensor::scalar(T::ZERO, grad.device())?;
            let part = |side: usize| {
                let part = match side {
                    0 => mask.choose(grad, &zero)?,
                    _ => mask.choose(&zero, grad)?,
                };
                part.sum_to(&shapes[side])
            };
            (0..2).map(|side| needs[side].then(|| part(side)).transpose()).collect()
        }))
    }
}
