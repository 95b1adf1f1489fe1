//! Reductions over axes.

use crate::backend::{AxisShape, Extreme, Reduce};
use crate::shape::resolve_axis;
use crate::{Axes, Error, Float, Result, Shape, Tensor};

impl<T: Float> Tensor<T> {
    /// The sum over `axes`; with `keepdim` they stay, as size 1.
    pub fn sum(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        let (sum, kept) = self.reduce("sum", Reduce::Sum, axes.into())?;
        let shape = Shape::from(self.shape());
        let sum = sum.record("sum", &[self], move |grad, _| Ok(vec![Some(grad.expand(shape)?)]));
        finish(sum, kept, keepdim)
    }

    /// The mean over `axes`.
    pub fn mean(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        let axes = axes.into();
        let count = self.count("mean", &axes)?;
        self.sum(axes, keepdim)? / count as f64
    }

    /// The variance over `axes`: the sum of squared deviations over `n - correction`; 1 is the unbiased
    /// estimate.
    pub fn var(&self, axes: impl Into<Axes>, correction: f64, keepdim: bool) -> Result<Self> {
        let axes = axes.into();
        let count = self.count("var", &axes)? as f64;
        let centred = (self - self.mean(axes.clone(), true)?)?;
        let squares = centred.powf(2.0)?.sum(axes, keepdim)?;
        squares / (count - correction).max(0.0)
    }

    /// The largest element over `axes`, NaN if any is; equal ones share the gradient.
    pub fn max(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        self.extreme("max", Reduce::Max, axes.into(), keepdim)
    }

    /// The smallest element over `axes`, NaN if any is; equal ones share the gradient.
    pub fn min(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        self.extreme("min", Reduce::Min, axes.into(), keepdim)
    }

    /// The index of the first largest element along `axis`, which is dropped.
    pub fn argmax(&self, axis: isize) -> Result<Tensor<i64>> {
        self.arg_extreme("argmax", Extreme::Max, axis)
    }

    /// The index of the first smallest element along `axis`, which is dropped.
    pub fn argmin(&self, axis: isize) -> Result<Tensor<i64>> {
        self.arg_extreme("argmin", Extreme::Min, axis)
    }

    /// `ln sum e^x` over `axes`, without overflow.
    pub fn logsumexp(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        let axes = axes.into();
        let (_, kept) = self.reduced_axes("logsumexp", &axes)?;
        // The shift cancels, so its gradient is not needed. Infinite maxima would make NaN of it.
        let shift = self.detach().max(axes.clone(), true)?;
        let limit = striate_conv::Float::to_f64(<T as striate_conv::Float>::MAX);
        let shift = shift.clamp(-limit, limit)?;
        let sum = (self - &shift)?.exp()?.sum(axes, true)?;
        finish((sum.ln()? + &shift)?, kept, keepdim)
    }

    /// How many elements each result of a reduction over `axes` is made of.
    fn count(&self, op: &str, axes: &Axes) -> Result<usize> {
        let axes = axes.resolve(op, self.rank())?;
        Ok(axes.iter().map(|&axis| self.shape()[axis]).product())
    }

    /// Which axes are reduced, and the shape without them.
    fn reduced_axes(&self, op: &str, axes: &Axes) -> Result<(Vec<bool>, Vec<usize>)> {
        let axes = axes.resolve(op, self.rank())?;
        let reduced: Vec<bool> = (0..self.rank()).map(|axis| axes.contains(&axis)).collect();
        let kept = (0..self.rank()).filter(|&axis| !reduced[axis]);
        Ok((reduced.clone(), kept.map(|axis| self.shape()[axis]).collect()))
    }

    /// The reduction with reduced axes kept as size 1, untracked, and the shape without them.
    fn reduce(&self, name: &str, op: Reduce, axes: Axes) -> Result<(Self, Vec<usize>)> {
        let (reduced, kept) = self.reduced_axes(name, &axes)?;
        let storage = self.kernels().reduce(op, self.storage(), self.shape(), &reduced)?;
        let sizes = self.shape().iter().zip(&reduced);
        let shape: Vec<usize> = sizes.map(|(&n, &reduced)| if reduced { 1 } else { n }).collect();
        Ok((self.sibling(storage, shape), kept))
    }

    fn extreme(&self, name: &'static str, op: Reduce, axes: Axes, keepdim: bool) -> Result<Self> {
        if self.count(name, &axes)? == 0 {
            return Err(nothing_to_compare(name, self.shape()));
        }
        let (y, kept) = self.reduce(name, op, axes.clone())?;
        let (x, extreme) = (self.detach(), y.clone());
        let y = y.record(name, &[self], move |grad, _| {
            let zero = Tensor::scalar(T::ZERO, grad.device())?;
            let one = Tensor::scalar(T::ONE, grad.device())?;
            let hits = x.eq(&extreme)?.choose(&one, &zero)?;
            let share = (grad / hits.sum(axes, true)?)?;
            Ok(vec![Some((hits * share)?)])
        });
        finish(y, kept, keepdim)
    }

    fn arg_extreme(&self, op: &str, extreme: Extreme, axis: isize) -> Result<Tensor<i64>> {
        let axis = resolve_axis(op, axis, self.rank())?;
        if self.shape()[axis] == 0 {
            return Err(nothing_to_compare(op, self.shape()));
        }
        let along = AxisShape::new(self.shape(), axis);
        let storage = self.kernels().arg_extreme(extreme, self.storage(), along)?;
        let mut shape = self.shape().to_vec();
        shape.remove(axis);
        Ok(self.sibling(storage, shape))
    }
}

fn nothing_to_compare(op: &str, shape: &[usize]) -> Error {
    Error::shape(op, format!("expected at least one element to reduce, got shape {shape:?}"))
}

/// Drops the reduced axes, unless they are to be kept.
fn finish<T: Float>(y: Tensor<T>, kept: Vec<usize>, keepdim: bool) -> Result<Tensor<T>> {
    if keepdim { Ok(y) } else { y.reshape(kept) }
}
