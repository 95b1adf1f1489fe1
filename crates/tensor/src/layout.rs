//! How the elements of a view lie in memory: sizes, strides and an offset, in elements.
//!
//! Tensors are always dense. A layout is a passing argument: it lets one kernel read a buffer as if it
//! were permuted, sliced, flipped or broadcast, and it means the same on every device.

use crate::Shape;

/// Sizes, strides (elements, may be zero or negative) and the offset of the first element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Size of each axis.
    pub shape: Vec<usize>,
    /// Distance between neighbours along each axis.
    pub strides: Vec<isize>,
    /// Position of the element whose indices are all zero.
    pub offset: usize,
}

impl Layout {
    /// The row-major layout of a dense tensor.
    pub fn dense(shape: &[usize]) -> Self {
        let mut strides = vec![0; shape.len()];
        let mut stride = 1isize;
        for (slot, &size) in strides.iter_mut().zip(shape).rev() {
            *slot = stride;
            stride *= size.max(1) as isize;
        }
        Layout { shape: shape.to_vec(), strides, offset: 0 }
    }

    /// The number of elements that the layout visits.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it visits none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it visits the first `len()` elements of its buffer in order.
    pub fn is_dense(&self) -> bool {
        let dense = Layout::dense(&self.shape);
        let strides = self.shape.iter().zip(&self.strides).zip(&dense.strides);
        self.offset == 0 && (strides.into_iter().all(|((&n, a), b)| n <= 1 || a == b))
    }

    /// The same elements repeated to `shape`, which must be a broadcast of this one.
    pub fn broadcast_to(&self, shape: &Shape) -> Self {
        let missing = shape.len() - self.shape.len();
        let strides = (0..shape.len()).map(|axis| match axis.checked_sub(missing) {
            Some(own) if self.shape[own] == shape[axis] => self.strides[own],
            _ => 0,
        });
        Layout { strides: strides.collect(), shape: shape.to_vec(), offset: self.offset }
    }

    /// The axes in another order.
    pub fn permute(&self, order: &[usize]) -> Self {
        Layout {
            shape: order.iter().map(|&axis| self.shape[axis]).collect(),
            strides: order.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    /// Along `axis`, `count` elements from `start`, `step` apart.
    pub fn slice(&self, axis: usize, start: usize, count: usize, step: usize) -> Self {
        let mut layout = self.clone();
        if count > 0 {
            layout.offset =
                layout.offset.saturating_add_signed(start as isize * layout.strides[axis]);
        }
        layout.shape[axis] = count;
        if count > 1 {
            // Further than that no step leads, and the product need not be a number.
            layout.strides[axis] *= step as isize;
        }
        layout
    }

    /// The same elements with `axis` reversed.
    pub fn flip(&self, axis: usize) -> Self {
        let mut layout = self.clone();
        let last = layout.shape[axis].saturating_sub(1) as isize;
        layout.offset = layout.offset.saturating_add_signed(last * layout.strides[axis]);
        layout.strides[axis] = -layout.strides[axis];
        layout
    }
}
