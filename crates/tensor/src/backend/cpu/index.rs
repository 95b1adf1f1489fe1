//! Picking along an axis by index, and its adjoint.

use rayon::prelude::*;
use striate_conv::Buffer;

use crate::backend::{Pick, room};
use crate::{Element, Error, Float, Result};

/// Fails on the first index outside the axis.
fn check(pick: &Pick, index: &[i64]) -> Result<()> {
    let size = pick.from.axis;
    match index.iter().find(|&&i| i < 0 || i as u64 >= size as u64) {
        None => Ok(()),
        Some(i) => Err(Error::argument(
            "index",
            format!("expected indices below {size}, the size of the axis, got {i}"),
        )),
    }
}

/// The row of the axis that the picked element `[outer, at, column]` comes from.
#[inline]
fn row(pick: &Pick, index: &[i64], outer: usize, at: usize, column: usize) -> usize {
    let position = match pick.elementwise {
        true => (outer * pick.count + at) * pick.from.inner + column,
        false => at,
    };
    index[position] as usize
}

pub(super) fn pick<T: Element>(pick: &Pick, x: &[T], index: &[i64]) -> Result<Buffer<T>> {
    check(pick, index)?;
    let (axis, inner) = (pick.from.axis, pick.from.inner);
    let mut out = room("pick", pick.len())?;
    if out.is_empty() {
        return Ok(out);
    }
    out.par_chunks_mut(inner).enumerate().for_each(|(task, out)| {
        let (outer, at) = (task / pick.count, task % pick.count);
        let x = &x[outer * axis * inner..][..axis * inner];
        if pick.elementwise {
            for (column, out) in out.iter_mut().enumerate() {
                *out = x[row(pick, index, outer, at, column) * inner + column];
            }
        } else {
            out.copy_from_slice(&x[row(pick, index, outer, at, 0) * inner..][..inner]);
        }
    });
    Ok(out)
}

/// Each task owns one outer block, inside which elements are added in order.
pub(super) fn pick_gradient<T: Float>(pick: &Pick, grad: &[T], index: &[i64]) -> Result<Buffer<T>> {
    check(pick, index)?;
    let (axis, inner) = (pick.from.axis, pick.from.inner);
    let mut out = room("pick_gradient", pick.from.len())?;
    out.fill(T::ZERO);
    if out.is_empty() || grad.is_empty() {
        return Ok(out);
    }
    out.par_chunks_mut(axis * inner).zip(grad.par_chunks(pick.count * inner)).enumerate().for_each(
        |(outer, (out, grad))| {
            for (at, grad) in grad.chunks(inner).enumerate() {
                for (column, &grad) in grad.iter().enumerate() {
                    out[row(pick, index, outer, at, column) * inner + column] += grad;
                }
            }
        },
    );
    Ok(out)
}
