//! Rearranging: the same elements in another shape or order.
//!
//! Only a reshape shares memory; the others copy through a layout, so that tensors stay dense and every other
//! kernel stays simple.

use std::ops::Range;

use crate::backend::View;
use crate::error::named;
use crate::shape::resolve_axis;
use crate::{Axes, Element, Error, Float, Layout, Result, Shape, Tensor, shape};

impl<T: Element> Tensor<T> {
    /// What `layout` visits of this tensor. Untracked.
    pub(crate) fn gathered(&self, op: &str, layout: &Layout) -> Result<Tensor<T>> {
        let storage = named(op, self.memory().copy(View::new(self.storage(), layout)))?;
        Ok(self.sibling(storage, layout.shape.clone()))
    }

    /// The axes in another order; itself where that is the order they have. Untracked.
    pub(crate) fn arranged(&self, op: &str, order: &[usize]) -> Result<Tensor<T>> {
        match order.is_sorted() {
            true => Ok(self.clone()),
            false => self.gathered(op, &self.layout().permute(order)),
        }
    }

    /// A copy with `source` written where `target` points. Untracked.
    pub(crate) fn written(
        op: &str,
        shape: &[usize],
        parts: &[(Layout, &Tensor<T>)],
        fill: T,
    ) -> Result<Self> {
        let device = match parts {
            [(_, first), ..] => first.device().clone(),
            [] => return Err(Error::shape(op, "expected at least one tensor")),
        };
        let volume = Shape::from(shape).checked::<T>(op)?.volume();
        let memory = T::memory(device.backend());
        let mut storage = named(op, memory.fill(volume, fill))?;
        for (target, source) in parts {
            memory.assign(&mut storage, target, View::new(source.storage(), &source.layout()))?;
        }
        Ok(Tensor::from_storage(storage, shape, &device))
    }
}

impl<T: Float> Tensor<T> {
    /// The same elements, in order, in another shape of as many elements. Shares memory.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into().checked::<T>("reshape")?;
        if shape.volume() != self.len() {
            return Err(Error::shape(
                "reshape",
                format!(
                    "expected a shape of {} elements like {:?}, got {shape:?}",
                    self.len(),
                    self.shape()
                ),
            ));
        }
        let y = self.sibling(self.storage().clone(), shape);
        let from = Shape::from(self.shape());
        Ok(y.record("reshape", &[self], move |grad, _| Ok(vec![Some(grad.reshape(from)?)])))
    }

    /// Axes `start..` up to and including `end` as one; negative axes count from the end.
    pub fn flatten(&self, start: isize, end: isize) -> Result<Self> {
        if self.rank() == 0 {
            return self.reshape([1]);
        }
        let first = resolve_axis("flatten", start, self.rank())?;
        let last = resolve_axis("flatten", end, self.rank())?;
        if first > last {
            return Err(Error::argument(
                "flatten",
                format!("expected the first axis before the last, got {start} and {end}"),
            ));
        }
        let merged = self.shape()[first..=last].iter().product();
        self.reshape([&self.shape()[..first], &[merged], &self.shape()[last + 1..]].concat())
    }

    /// Without the axes `axes`, each of size 1. Fails on a listed axis of another size, which PyTorch leaves alone.
    pub fn squeeze(&self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        let all = axes == Axes::All;
        let listed = axes.resolve("squeeze", self.rank())?;
        if let (false, Some(&axis)) = (all, listed.iter().find(|&&axis| self.shape()[axis] != 1)) {
            return Err(Error::shape(
                "squeeze",
                format!("expected axis {axis} to have size 1, shape is {:?}", self.shape()),
            ));
        }
        let dropped = |axis: usize| listed.contains(&axis) && self.shape()[axis] == 1;
        let kept = (0..self.rank()).filter(|&axis| !dropped(axis));
        self.reshape(kept.map(|axis| self.shape()[axis]).collect::<Vec<_>>())
    }

    /// With a new axis of size 1 at `axis`, counted in the result.
    pub fn unsqueeze(&self, axis: isize) -> Result<Self> {
        let axis = resolve_axis("unsqueeze", axis, self.rank() + 1)?;
        let mut shape = self.shape().to_vec();
        shape.insert(axis, 1);
        self.reshape(shape)
    }

    /// The axes in another order: axis `i` of the result is axis `order[i]` of this one.
    pub fn permute(&self, order: impl Into<Axes>) -> Result<Self> {
        let Axes::List(order) = order.into() else {
            return Ok(self.clone());
        };
        let order = order
            .iter()
            .map(|&axis| resolve_axis("permute", axis, self.rank()))
            .collect::<Result<Vec<_>>>()?;
        let mut inverse = vec![usize::MAX; self.rank()];
        for (to, &from) in order.iter().enumerate() {
            inverse[from] = to;
        }
        if order.len() != self.rank() || inverse.contains(&usize::MAX) {
            return Err(Error::argument(
                "permute",
                format!("expected each of {} axes once, got {order:?}", self.rank()),
            ));
        }
        let y = self.gathered("permute", &self.layout().permute(&order))?;
        Ok(y.record("permute", &[self], move |grad, _| {
            Ok(vec![Some(grad.permute(inverse.iter().map(|&i| i as isize).collect::<Vec<_>>())?)])
        }))
    }

    /// Two axes exchanged.
    pub fn transpose(&self, a: isize, b: isize) -> Result<Self> {
        let a = resolve_axis("transpose", a, self.rank().max(1))?;
        let b = resolve_axis("transpose", b, self.rank().max(1))?;
        if a == b {
            return Ok(self.clone());
        }
        let mut order: Vec<isize> = (0..self.rank() as isize).collect();
        order.swap(a, b);
        self.permute(order)
    }

    /// Repeated to `shape`, to which this one must broadcast.
    pub fn expand(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into().checked::<T>("expand")?;
        if shape::broadcast("expand", self.shape(), &shape)? != shape {
            return Err(Error::shape(
                "expand",
                format!("expected a shape that {:?} broadcasts to, got {shape:?}", self.shape()),
            ));
        }
        if *shape == *self.shape() {
            return Ok(self.clone());
        }
        let y = self.gathered("expand", &self.layout().broadcast_to(&shape))?;
        let from = self.shape().to_vec();
        Ok(y.record("expand", &[self], move |grad, _| Ok(vec![Some(grad.clone().sum_to(&from)?)])))
    }

    /// Along `axis`, the elements of `range`, every `step`-th. Fails on a range beyond the axis, which PyTorch shortens.
    pub fn slice(&self, axis: isize, range: Range<usize>, step: usize) -> Result<Self> {
        let axis = resolve_axis("slice", axis, self.rank())?;
        let size = self.shape()[axis];
        if range.start > range.end || range.end > size || step == 0 {
            return Err(Error::argument(
                "slice",
                format!(
                    "expected a range within 0..{size} and a step of at least 1, got {range:?} and {step}"
                ),
            ));
        }
        let count = range.len().div_ceil(step);
        let window = self.layout().slice(axis, range.start, count, step);
        let y = self.gathered("slice", &window)?;
        let shape = self.shape().to_vec();
        Ok(y.record("slice", &[self], move |grad, _| {
            Ok(vec![Some(Tensor::written("slice", &shape, &[(window, grad)], T::ZERO)?)])
        }))
    }

    /// The same elements with `axes` reversed.
    pub fn flip(&self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        let reversed = axes.resolve("flip", self.rank())?;
        let layout = reversed.iter().fold(self.layout(), |layout, &axis| layout.flip(axis));
        let y = self.gathered("flip", &layout)?;
        Ok(y.record("flip", &[self], move |grad, _| Ok(vec![Some(grad.flip(axes)?)])))
    }
}
