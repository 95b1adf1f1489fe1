//! Walking several strided operands together, row by row.
//!
//! Axes along which all operands continue are merged first, so the usual cases (equal shapes, a bias over
//! channels, a row vector) become one or two loops, and the innermost loop is specialised for the strides 1
//! and 0. The output is cut into pieces of a fixed size, which are the tasks of the thread pool.

use rayon::prelude::*;
use striate_conv::vectorize;

use crate::Layout;

/// Elements per task: large enough to outweigh handing it over, small enough to share evenly.
pub(super) const TASK: usize = 1 << 14;

/// `N` operands over one shape, with mergeable axes merged. Has at least one axis.
pub(super) struct Walk<const N: usize> {
    shape: Vec<usize>,
    strides: Vec<[isize; N]>,
    offsets: [usize; N],
}

impl<const N: usize> Walk<N> {
    pub(super) fn new(layouts: [&Layout; N]) -> Self {
        let mut shape: Vec<usize> = Vec::new();
        let mut strides: Vec<[isize; N]> = Vec::new();
        for (axis, &size) in layouts[0].shape.iter().enumerate() {
            if size == 1 {
                continue;
            }
            let stride = layouts.map(|layout| layout.strides[axis]);
            match (shape.last_mut(), strides.last_mut()) {
                (Some(outer), Some(step))
                    if (0..N).all(|i| step[i] == stride[i] * size as isize) =>
                {
                    *outer *= size;
                    *step = stride;
                }
                _ => {
                    shape.push(size);
                    strides.push(stride);
                }
            }
        }
        if shape.is_empty() {
            shape.push(1);
            strides.push([1; N]);
        }
        let offsets = layouts.map(|layout| layout.offset);
        Walk { shape, strides, offsets }
    }

    /// The strides of the innermost axis.
    pub(super) fn inner(&self) -> [isize; N] {
        self.strides[self.strides.len() - 1]
    }

    /// Calls `row(start, count, offsets)` for each stretch of the innermost axis that the elements
    /// `from..to` (in row-major order) consist of.
    pub(super) fn rows(
        &self,
        from: usize,
        to: usize,
        mut row: impl FnMut(usize, usize, [usize; N]),
    ) {
        if from == to {
            return;
        }
        let last = self.shape.len() - 1;
        let width = self.shape[last];
        let mut index = self.index_of(from / width.max(1));
        let (mut position, mut column) = (from, from % width.max(1));
        while position < to {
            let count = (width - column).min(to - position);
            row(position, count, self.offsets_at(&index, column));
            position += count;
            column = 0;
            for axis in (0..last).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }

    /// The indices of the outer axes for a row number.
    fn index_of(&self, mut row: usize) -> Vec<usize> {
        let outer = &self.shape[..self.shape.len() - 1];
        let mut index = vec![0; outer.len()];
        for (slot, &size) in index.iter_mut().zip(outer).rev() {
            *slot = row % size;
            row /= size;
        }
        index
    }

    fn offsets_at(&self, index: &[usize], column: usize) -> [usize; N] {
        let inner = self.inner();
        std::array::from_fn(|i| {
            let outer = index.iter().zip(&self.strides);
            let steps: isize = outer.map(|(&at, step)| at as isize * step[i]).sum();
            self.offsets[i].wrapping_add_signed(steps + column as isize * inner[i])
        })
    }
}

/// `out[i] = f(a, b)` over two walked operands.
pub(super) fn zip<A, B, O>(
    out: &mut [O],
    walk: &Walk<2>,
    a: &[A],
    b: &[B],
    f: impl Fn(A, B) -> O + Sync + Copy,
) where
    A: Copy + Sync,
    B: Copy + Sync,
    O: Send,
{
    out.par_chunks_mut(TASK).enumerate().for_each(|(task, out)| {
        let from = task * TASK;
        walk.rows(from, from + out.len(), |position, count, offsets| {
            let out = &mut out[position - from..][..count];
            vectorize!(zip_row(out, walk.inner(), (a, offsets[0]), (b, offsets[1]), f));
        });
    });
}

/// Some neighbouring elements, of operands from some elements on with some strides.
#[inline(always)]
fn zip_row<A: Copy, B: Copy, O>(
    out: &mut [O],
    strides: [isize; 2],
    (a, i): (&[A], usize),
    (b, j): (&[B], usize),
    f: impl Fn(A, B) -> O,
) {
    match strides {
        [1, 1] => {
            let pairs = a[i..][..out.len()].iter().zip(&b[j..][..out.len()]);
            out.iter_mut().zip(pairs).for_each(|(o, (&a, &b))| *o = f(a, b));
        }
        [1, 0] => {
            let (a, b) = (&a[i..][..out.len()], b[j]);
            out.iter_mut().zip(a).for_each(|(o, &a)| *o = f(a, b));
        }
        [0, 1] => {
            let (a, b) = (a[i], &b[j..][..out.len()]);
            out.iter_mut().zip(b).for_each(|(o, &b)| *o = f(a, b));
        }
        [s, t] => {
            for (n, o) in out.iter_mut().enumerate() {
                *o = f(a[along(i, n, s)], b[along(j, n, t)]);
            }
        }
    }
}

/// The position `n` steps of `stride` away from `start`.
#[inline]
pub(super) fn along(start: usize, n: usize, stride: isize) -> usize {
    start.wrapping_add_signed(n as isize * stride)
}

/// `out[i] = f(x)` over one walked operand.
pub(super) fn map<A: Copy + Sync, O: Send>(
    out: &mut [O],
    walk: &Walk<1>,
    x: &[A],
    f: impl Fn(A) -> O + Sync + Copy,
) {
    out.par_chunks_mut(TASK).enumerate().for_each(|(task, out)| {
        let from = task * TASK;
        walk.rows(from, from + out.len(), |position, count, [i]| {
            let out = &mut out[position - from..][..count];
            match walk.inner() {
                [1] => {
                    let x = &x[i..][..count];
                    out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x));
                }
                [s] => {
                    for (n, o) in out.iter_mut().enumerate() {
                        *o = f(x[along(i, n, s)]);
                    }
                }
            }
        });
    });
}
