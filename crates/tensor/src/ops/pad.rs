//! Padding. Constants are written around the tensor; the other modes pick along one axis after another.

use crate::backend::room;
use crate::{Error, Float, Layout, Result, Shape, Tensor};

/// What stands in the margin.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zeros,
    /// Any other value.
    Constant(f64),
    /// The tensor mirrored at its edge elements, which are not repeated.
    Reflect,
    /// The edge elements repeated.
    Replicate,
    /// The tensor repeated.
    Circular,
}

impl<T: Float> Tensor<T> {
    /// A margin of `[before, after]` elements around the last `padding.len()` axes, outermost first.
    /// `Reflect` needs a margin below the size of its axis, `Circular` one not above it.
    pub fn pad(&self, padding: &[[usize; 2]], mode: PadMode) -> Result<Self> {
        let Some(first) = self.rank().checked_sub(padding.len()) else {
            return Err(Error::shape(
                "pad",
                format!(
                    "expected a tensor of rank {} or more, got {:?}",
                    padding.len(),
                    self.shape()
                ),
            ));
        };
        match mode {
            PadMode::Zeros => self.pad_constant(first, padding, 0.0),
            PadMode::Constant(value) => self.pad_constant(first, padding, value),
            _ => (first..).zip(padding).try_fold(self.clone(), |x, (axis, &margin)| match margin {
                [0, 0] => Ok(x),
                margin => x.pad_axis(axis, margin, mode),
            }),
        }
    }

    fn pad_constant(&self, first: usize, padding: &[[usize; 2]], value: f64) -> Result<Self> {
        let mut shape = self.shape().to_vec();
        for (size, [before, after]) in shape[first..].iter_mut().zip(padding) {
            let padded = size.checked_add(*before).and_then(|size| size.checked_add(*after));
            *size = padded.ok_or_else(|| {
                Error::argument(
                    "pad",
                    format!("expected a margin that fits into memory, got {padding:?}"),
                )
            })?;
        }
        let shape = Shape::from(shape).checked::<T>("pad")?;
        let mut window = Layout::dense(&shape);
        for (axis, [before, _]) in (first..).zip(padding) {
            window = window.slice(axis, *before, self.shape()[axis], 1);
        }
        let y = Tensor::written("pad", &shape, &[(window.clone(), self)], T::from_f64(value))?;
        Ok(y.record("pad", &[self], move |grad, _| Ok(vec![Some(grad.gathered("pad", &window)?)])))
    }

    fn pad_axis(&self, axis: usize, [before, after]: [usize; 2], mode: PadMode) -> Result<Self> {
        let size = self.shape()[axis];
        let (limit, rule) = match mode {
            PadMode::Reflect => (size.saturating_sub(1), "below the size of its axis"),
            PadMode::Circular => (size, "not above the size of its axis"),
            _ if size == 0 => (0, "of an axis that is not empty"),
            _ => (usize::MAX / 4, "that fits into memory"),
        };
        if before.max(after) > limit {
            return Err(Error::argument(
                "pad",
                format!("expected a margin {rule} ({size}), got [{before}, {after}]"),
            ));
        }
        let mut padded = self.shape().to_vec();
        padded[axis] = size.saturating_add(before).saturating_add(after);
        let count = padded[axis];
        Shape::from(padded).checked::<T>("pad")?;
        let size = size as isize;
        let source = |i: isize| match mode {
            PadMode::Reflect if i < 0 => -i,
            PadMode::Reflect if i >= size => 2 * (size - 1) - i,
            PadMode::Circular => i.rem_euclid(size),
            _ => i.clamp(0, size - 1),
        };
        let mut indices = room("pad", count)?;
        let cells = -(before as isize)..size + after as isize;
        cells.zip(&mut indices[..]).for_each(|(i, index)| *index = source(i) as i64);
        let index = Tensor::from_buffer(indices, count, self.device())?;
        self.index_select(axis as isize, &index)
    }
}
