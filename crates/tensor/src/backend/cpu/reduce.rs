//! Reductions: fixed segments, partial results, a fixed order of combining. The bits do not depend on the
//! number of threads.
//!
//! Neighbouring axes that are both kept or both reduced are one axis. Sums over a channel are made in one go, otherwise each reduced axis is folded, the
//! last first, as `[outer, axis, inner] -> [outer, inner]`. Sums run in the element type over short
//! stretches, in lanes that the compiler turns into vectors, and those are added up in f64.

use rayon::prelude::*;
use striate_conv::Buffer;
use striate_conv::vectorize;

use super::channels::channel_sums;
use super::strided::TASK;
use crate::Float;
use crate::backend::{AxisShape, Extreme, Reduce};

pub(super) fn reduce<T: Float>(
    op: Reduce,
    x: &[T],
    shape: &[usize],
    reduced: &[bool],
) -> Buffer<T> {
    let mut groups: Vec<(usize, bool)> = Vec::new();
    for (&size, &reduced) in shape.iter().zip(reduced) {
        match groups.last_mut() {
            Some((total, same)) if *same == reduced => *total *= size,
            _ => groups.push((size, reduced)),
        }
    }
    // A plane is summed by one thread there. Larger ones are folded, which cuts them up.
    if let (Reduce::Sum, &[(outer, true), (axis, false), (inner, true)]) = (op, &groups[..])
        && inner <= LARGEST_PLANE
    {
        return channel_sums(x, AxisShape { outer, axis, inner });
    }
    let mut result: Option<Buffer<T>> = None;
    while let Some(at) = groups.iter().rposition(|&(_, reduced)| reduced) {
        let sizes: Vec<usize> = groups.iter().map(|&(size, _)| size).collect();
        let folded = fold_axis(op, result.as_deref().unwrap_or(x), AxisShape::new(&sizes, at));
        result = Some(folded);
        groups.remove(at);
    }
    result.unwrap_or_else(|| Buffer::from_slice(x))
}

/// Elements of the largest plane that is not cut up.
const LARGEST_PLANE: usize = 4 * TASK;

fn identity<T: Float>(op: Reduce) -> T {
    match op {
        Reduce::Sum => T::ZERO,
        Reduce::Max => T::NEG_INFINITY,
        Reduce::Min => T::INFINITY,
    }
}

/// Rows summed in the element type before f64 takes over.
const STRETCH: usize = 256;

fn fold_axis<T: Float>(op: Reduce, x: &[T], shape: AxisShape) -> Buffer<T> {
    let AxisShape { outer, axis, inner } = shape;
    let mut out = Buffer::filled(outer * inner, identity(op));
    if x.is_empty() || out.is_empty() {
        return out;
    }
    let segment = match inner {
        1 => 4 * TASK,
        _ => (4 * TASK / inner).clamp(16, STRETCH),
    };
    let segments = axis.div_ceil(segment);
    if segments == 1 {
        let rows = (TASK / (axis * inner)).max(1);
        out.par_chunks_mut(rows * inner).zip(x.par_chunks(rows * axis * inner)).for_each(
            |(out, x)| {
                let rows = out.chunks_mut(inner).zip(x.chunks(axis * inner));
                rows.for_each(|(out, x)| fold_segment(op, out, x));
            },
        );
        return out;
    }
    let mut partial = Buffer::filled(outer * segments * inner, identity::<T>(op));
    partial.par_chunks_mut(inner).enumerate().for_each(|(task, partial)| {
        let (block, number) = (task / segments, task % segments);
        let from = (block * axis + number * segment) * inner;
        let count = segment.min(axis - number * segment);
        fold_segment(op, partial, &x[from..][..count * inner]);
    });
    let blocks = out.chunks_mut(inner).zip(partial.chunks(segments * inner));
    blocks.for_each(|(out, partial)| combine(op, out, partial));
    out
}

/// Folds the rows of `x` onto `out`, one row long.
fn fold_segment<T: Float>(op: Reduce, out: &mut [T], x: &[T]) {
    match (op, out) {
        (Reduce::Sum, [out]) => *out = sum(x),
        (Reduce::Sum, out) => rows(out, x, |a, b| a + b),
        (Reduce::Max, [out]) => *out = extreme(x, T::NEG_INFINITY, |a, b| b > a),
        (Reduce::Max, out) => rows(out, x, |a, b| if b > a || b.is_nan() { b } else { a }),
        (Reduce::Min, [out]) => *out = extreme(x, T::INFINITY, |a, b| b < a),
        (Reduce::Min, out) => rows(out, x, |a, b| if b < a || b.is_nan() { b } else { a }),
    }
}

fn rows<T: Float>(out: &mut [T], x: &[T], f: impl Fn(T, T) -> T) {
    vectorize!({
        for row in x.chunks_exact(out.len()) {
            out.iter_mut().zip(row).for_each(|(o, &x)| *o = f(*o, x));
        }
    });
}

/// Adds up partial rows in f64.
fn combine<T: Float>(op: Reduce, out: &mut [T], partial: &[T]) {
    if op != Reduce::Sum {
        return fold_segment(op, out, partial);
    }
    let width = out.len();
    for (i, out) in out.iter_mut().enumerate() {
        let column = partial[i..].iter().step_by(width);
        *out = T::from_f64(column.map(|x| x.to_f64()).sum());
    }
}

/// The sum of a slice: in lanes over stretches, added up in f64.
pub(super) fn sum<T: Float>(x: &[T]) -> T {
    T::from_f64(sum_over([x], |x| x))
}

/// The sum of `f(x)` over slices one after another, in f64.
pub(super) fn sum_over<'a, T: Float>(
    slices: impl IntoIterator<Item = &'a [T]>,
    f: impl Fn(T) -> T + Copy,
) -> f64 {
    let mut sums = Sums::new();
    for x in slices {
        vectorize!(sums.add([x, x], |x, _| [f(x)]));
    }
    let [sum] = sums.total();
    sum
}

/// Two vectors of the widest kind, so that a sum need not wait for the one before it.
const LANES: usize = 32;

/// Sums of `K` functions, over pairs of slices that are given one after another: short ones share their lanes, which are emptied into
/// f64 when they have seen enough.
pub(super) struct Sums<T, const K: usize> {
    lanes: [[T; LANES]; K],
    rows: usize,
    totals: [f64; K],
}

impl<T: Float, const K: usize> Sums<T, K> {
    pub(super) fn new() -> Self {
        Self { lanes: [[T::ZERO; LANES]; K], rows: 0, totals: [0.0; K] }
    }

    /// Adds `f(x, y)` over two slices of one length. For [`vectorize`].
    #[inline(always)]
    pub(super) fn add(&mut self, [x, y]: [&[T]; 2], f: impl Fn(T, T) -> [T; K] + Copy) {
        for (x, y) in x.chunks(LANES * STRETCH).zip(y.chunks(LANES * STRETCH)) {
            if self.rows + x.len().div_ceil(LANES) > STRETCH {
                self.empty();
            }
            self.rows += x.len().div_ceil(LANES);
            add_in_lanes(&mut self.lanes, [x, y], f);
        }
    }

    pub(super) fn total(mut self) -> [f64; K] {
        self.empty();
        self.totals
    }

    fn empty(&mut self) {
        for (lanes, total) in self.lanes.iter_mut().zip(&mut self.totals) {
            let mut sums = lanes.map(T::to_f64);
            let mut half = LANES / 2;
            while half > 0 {
                for lane in 0..half {
                    sums[lane] += sums[lane + half];
                }
                half /= 2;
            }
            *total += sums[0];
            *lanes = [T::ZERO; LANES];
        }
        self.rows = 0;
    }
}

#[inline(always)]
fn add_in_lanes<T: Float, const K: usize>(
    lanes: &mut [[T; LANES]; K],
    [x, y]: [&[T]; 2],
    f: impl Fn(T, T) -> [T; K],
) {
    let (xs, x_tail) = x.as_chunks::<LANES>();
    let (ys, y_tail) = y.as_chunks::<LANES>();
    if !xs.is_empty() {
        // A copy, which the compiler may keep in registers.
        let mut sums = *lanes;
        for (x, y) in xs.iter().zip(ys) {
            for lane in 0..LANES {
                let values = f(x[lane], y[lane]);
                for (sums, value) in sums.iter_mut().zip(values) {
                    sums[lane] += value;
                }
            }
        }
        *lanes = sums;
    }
    for (lane, (&x, &y)) in x_tail.iter().zip(y_tail).enumerate() {
        let values = f(x, y);
        for (lanes, value) in lanes.iter_mut().zip(values) {
            lanes[lane] += value;
        }
    }
}

/// The extreme of a slice; NaN if any is.
pub(super) fn extreme<T: Float>(x: &[T], start: T, better: impl Fn(T, T) -> bool) -> T {
    let fold = |best: T, &x: &T| if better(best, x) || x.is_nan() { x } else { best };
    // Once NaN, no comparison is true and only another NaN replaces it.
    x.iter().fold(start, fold)
}

pub(super) fn arg_extreme<T: Float>(which: Extreme, x: &[T], shape: AxisShape) -> Buffer<i64> {
    let AxisShape { outer, axis, inner } = shape;
    let mut out = Buffer::filled(outer * inner, 0);
    let better = |a: T, b: T| match which {
        Extreme::Max => b > a,
        Extreme::Min => b < a,
    };
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(inner).zip(x.par_chunks(axis * inner)).for_each(|(out, x)| {
        for (column, out) in out.iter_mut().enumerate() {
            let mut best = 0;
            for row in 1..axis {
                let (a, b) = (x[best * inner + column], x[row * inner + column]);
                if better(a, b) || (b.is_nan() && !a.is_nan()) {
                    best = row;
                }
            }
            *out = best as i64;
        }
    });
    out
}
