//! Reductions over axes.

use crate::backend::{AxisShape, Extreme, Reduce};
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
        let freedom = (self.count("var", &axes)? as f64 - correction).max(0.0);
        let (_, kept) = self.reduced_axes("var", &axes)?;
        let x = self.detach();
        let centred = (&x - x.mean(axes.clone(), true)?)?;
        let squares = (&centred * &centred)?.sum(axes, true)? / freedom;
        // The deviations add up to nothing, so what goes by way of the mean does, too.
        let var = squares?.record("var", &[self], move |grad, _| {
            Ok(vec![Some((grad * (centred * (2.0 / freedom))?)?)])
        });
        finish(var, kept, keepdim)
    }

    /// The largest element over `axes`, NaN if any is; equal ones share the gradient.
    pub fn max(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        self.extreme("max", Reduce::Max, axes.into(), keepdim)
    }

    /// The smallest element over `axes`, NaN if any is; equal ones share the gradient.
    pub fn min(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        self.extreme("min", Reduce::Min, axes.into(), keepdim)
    }

    /// The index of the first largest element over `axes`, or of the first NaN; over several axes the index in a list of
    /// their elements in row-major order.
    pub fn argmax(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Tensor<i64>> {
        self.arg_extreme("argmax", Extreme::Max, axes.into(), keepdim)
    }

    /// The index of the first smallest element over `axes`, or of the first NaN, as in [`Tensor::argmax`].
    pub fn argmin(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Tensor<i64>> {
        self.arg_extreme("argmin", Extreme::Min, axes.into(), keepdim)
    }

    /// `ln sum e^x` over `axes`, without overflow.
    pub fn logsumexp(&self, axes: impl Into<Axes>, keepdim: bool) -> Result<Self> {
        let axes = axes.into();
        let (_, kept) = self.reduced_axes("logsumexp", &axes)?;
        if self.count("logsumexp", &axes)? == 0 {
            return finish(self.exp()?.sum(axes, true)?.ln()?, kept, keepdim);
        }
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
        Ok((self.sibling(storage, ones_where(self.shape(), &reduced)), kept))
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

    fn arg_extreme(
        &self,
        op: &str,
        extreme: Extreme,
        axes: Axes,
        keepdim: bool,
    ) -> Result<Tensor<i64>> {
        let count = self.count(op, &axes)?;
        if count == 0 {
            return Err(nothing_to_compare(op, self.shape()));
        }
        let (reduced, kept) = self.reduced_axes(op, &axes)?;
        // The searched axes side by side, where the first of them is: in place, unless another stands between them.
        let first = reduced.iter().position(|&reduced| reduced).unwrap_or(self.rank());
        let (searched, after): (Vec<usize>, Vec<usize>) =
            (first..self.rank()).partition(|&axis| reduced[axis]);
        let inner = after.iter().map(|&axis| self.shape()[axis]).product();
        let outer = self.shape()[..first].iter().product();
        let order: Vec<usize> = (0..first).chain(searched).chain(after).collect();
        let arranged = self.arranged(op, &order)?;
        let along = AxisShape { outer, axis: count, inner };
        let storage = self.kernels().arg_extreme(extreme, arranged.storage(), along)?;
        let shape = if keepdim { ones_where(self.shape(), &reduced) } else { kept };
        Ok(self.sibling(storage, shape))
    }
}

/// `shape` with size 1 for the reduced axes.
fn ones_where(shape: &[usize], reduced: &[bool]) -> Vec<usize> {
    shape.iter().zip(reduced).map(|(&size, &reduced)| if reduced { 1 } else { size }).collect()
}

fn nothing_to_compare(op: &str, shape: &[usize]) -> Error {
    Error::shape(op, format!("expected at least one element to reduce, got shape {shape:?}"))
}

/// Drops the reduced axes, unless they are to be kept.
fn finish<T: Float>(y: Tensor<T>, kept: Vec<usize>, keepdim: bool) -> Result<Tensor<T>> {
    if keepdim { Ok(y) } else { y.reshape(kept) }
}
