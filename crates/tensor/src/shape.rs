//! Shapes and axes: what a caller writes, and what it is resolved to.

use crate::{Error, Result};

/// The sizes of a tensor's axes, outermost first. A scalar has none.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The number of elements: the product of the sizes.
    pub fn volume(&self) -> usize {
        self.0.iter().product()
    }

    /// Fails if the number of elements, in bytes of `T`, cannot be addressed.
    pub(crate) fn checked<T>(self, op: &str) -> Result<Self> {
        // Less than can be addressed, so that an aligned block of it can be, too.
        let limit = (isize::MAX as usize - 4096) / size_of::<T>().max(1);
        // Sizes of zero make any product small; the others alone must be addressable too,
        // since strides are computed from them.
        let volume = self
            .0
            .iter()
            .filter(|&&size| size > 0)
            .try_fold(1usize, |volume, &size| volume.checked_mul(size));
        match volume {
            Some(volume) if volume <= limit => Ok(self),
            _ => Err(Error::shape(
                op,
                format!("expected a shape that fits into memory, got {self:?}"),
            )),
        }
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Vec<usize>> for Shape {
    fn from(sizes: Vec<usize>) -> Self {
        Shape(sizes)
    }
}

impl From<&[usize]> for Shape {
    fn from(sizes: &[usize]) -> Self {
        Shape(sizes.to_vec())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(sizes: [usize; N]) -> Self {
        Shape(sizes.to_vec())
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl From<usize> for Shape {
    fn from(size: usize) -> Self {
        Shape(vec![size])
    }
}

impl From<()> for Shape {
    fn from((): ()) -> Self {
        Shape(Vec::new())
    }
}

/// Which axes an operation runs over: `1`, `-1`, `[0, 2]`, or `..` for all of them.
/// Negative axes count from the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axes {
    /// Every axis.
    All,
    /// The listed ones.
    List(Vec<isize>),
}

impl Axes {
    /// The axes as ascending indices for a tensor of `rank` axes; errors name `op`. As in PyTorch, a scalar may be
    /// reduced over an axis 0 that it does not have.
    pub(crate) fn resolve(&self, op: &str, rank: usize) -> Result<Vec<usize>> {
        let Axes::List(list) = self else {
            return Ok((0..rank).collect());
        };
        let mut axes = Vec::with_capacity(list.len());
        for &axis in list {
            let axis = resolve_axis(op, axis, rank.max(1))?;
            if axes.contains(&axis) {
                return Err(Error::argument(op, format!("expected each axis once, got {list:?}")));
            }
            axes.push(axis);
        }
        axes.sort_unstable();
        axes.truncate(rank);
        Ok(axes)
    }
}

/// One axis, counted from the end if negative, as an index below `rank`.
pub(crate) fn resolve_axis(op: &str, axis: isize, rank: usize) -> Result<usize> {
    let index = if axis < 0 { axis.checked_add_unsigned(rank) } else { Some(axis) };
    match index {
        Some(index) if index >= 0 && (index as usize) < rank => Ok(index as usize),
        _ => Err(Error::argument(
            op,
            format!("expected an axis of a tensor of rank {rank}, got {axis}"),
        )),
    }
}

impl From<std::ops::RangeFull> for Axes {
    fn from(_: std::ops::RangeFull) -> Self {
        Axes::All
    }
}

impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Self {
        Axes::List(axes.to_vec())
    }
}

impl From<Vec<isize>> for Axes {
    fn from(axes: Vec<isize>) -> Self {
        Axes::List(axes)
    }
}

macro_rules! axes_from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Axes {
            fn from(axis: $integer) -> Self {
                Axes::from([axis])
            }
        }

        impl<const N: usize> From<[$integer; N]> for Axes {
            fn from(axes: [$integer; N]) -> Self {
                // What does not fit is no axis of any tensor, and is refused as such.
                let axis = |&axis: &$integer| isize::try_from(axis).unwrap_or(isize::MAX);
                Axes::List(axes.iter().map(axis).collect())
            }
        }
    )*};
}
axes_from_integer!(i32, isize, usize);

/// The shape that `a` and `b` broadcast to: aligned at the last axis, equal or 1.
pub(crate) fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Result<Shape> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |index| shape[index])
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Error::shape(
                op,
                format!("expected shapes that broadcast, got {a:?} and {b:?}"),
            )),
        })
        .collect::<Result<Vec<_>>>()
        .map(Shape)
}
