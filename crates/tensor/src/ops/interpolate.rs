//! Resizing by interpolation, one axis after another: a picked neighbour, or the weighted mean of two. The
//! gradient is that of picking and weighting.

use crate::backend::room;
use crate::{Element, Error, Float, Result, Shape, Tensor};

/// How values between samples are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The sample that the cell's origin falls on: `floor(i in / out)`. PyTorch rounds `in / out` to the element type first,
    /// and with f32 picks the neighbour for a few sizes, such as 14 to 46.
    Nearest,
    /// Linear along each axis: bilinear over two.
    Linear(Corners),
}

/// Where samples lie when resizing linearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corners {
    /// Samples are the centres of cells: `x = (i + 1/2) in / out - 1/2`, at least 0.
    Free,
    /// The first and the last sample stay where they are: `x = i (in - 1) / (out - 1)`.
    Aligned,
}

impl<T: Float> Tensor<T> {
    /// The last `N` axes of `[batch, channels, sizes..]` resized to `size`.
    pub fn interpolate<const N: usize>(
        &self,
        size: [usize; N],
        interpolation: Interpolation,
    ) -> Result<Self> {
        let spatial = self.shape().get(2..).unwrap_or_default();
        if spatial.len() != N || spatial.contains(&0) || size.contains(&0) {
            return Err(Error::shape(
                "interpolate",
                format!(
                    "expected [batch, channels] and {N} sizes above zero, got {:?} to {size:?}",
                    self.shape()
                ),
            ));
        }
        Shape::from([&self.shape()[..2], &size].concat()).checked::<T>("interpolate")?;
        (2..).zip(size).try_fold(self.clone(), |x, (axis, to)| match interpolation {
            Interpolation::Nearest => x.resize_nearest(axis, to),
            Interpolation::Linear(corners) => x.resize_linear(axis, to, corners),
        })
    }

    /// `count` values of `f` on this tensor's device.
    fn tabulated<U: Element>(&self, count: usize, f: impl Fn(usize) -> U) -> Result<Tensor<U>> {
        let mut values = room("interpolate", count)?;
        values.iter_mut().enumerate().for_each(|(i, value)| *value = f(i));
        Tensor::from_buffer(values, count, self.device())
    }

    fn resize_nearest(&self, axis: usize, to: usize) -> Result<Self> {
        let from = self.shape()[axis];
        let source = |i: usize| (i as u128 * from as u128 / to as u128) as i64;
        self.index_select(axis as isize, &self.tabulated(to, source)?)
    }

    fn resize_linear(&self, axis: usize, to: usize, corners: Corners) -> Result<Self> {
        let from = self.shape()[axis];
        if from == to {
            return Ok(self.clone());
        }
        let position = |i: usize| match corners {
            Corners::Free => ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0),
            Corners::Aligned if to == 1 => 0.0,
            Corners::Aligned => i as f64 * (from - 1) as f64 / (to - 1) as f64,
        };
        let low = |i: usize| (position(i).floor() as usize).min(from - 1);
        let pick = |source: &dyn Fn(usize) -> usize| {
            let index = self.tabulated(to, |i| source(i) as i64)?;
            self.index_select(axis as isize, &index)
        };
        let weights = self.tabulated(to, |i| T::from_f64(position(i) - low(i) as f64))?;
        let mut shape = vec![1; self.rank()];
        shape[axis] = to;
        let weight = weights.reshape(shape)?;
        let (left, right) = (pick(&low)?, pick(&|i| (low(i) + 1).min(from - 1))?);
        (1.0 - &weight)? * &left + (weight * right)?
    }
}
