//! Fused operations in one pass over memory, where the composition would make several.

use rayon::prelude::*;
use striate_conv::Buffer;
use striate_conv::vectorize;

use super::reduce::{extreme, sum, sum_over};
use super::strided::TASK;
use crate::Float;
use crate::backend::Update;

/// Rows of one task, so that short rows are not tasks of their own.
pub(super) fn rows_per_task(width: usize) -> usize {
    (TASK / width.max(1)).max(1)
}

/// Along the last axis (`inner` is 1).
pub(super) fn log_softmax<T: Float>(x: &[T], width: usize) -> Buffer<T> {
    let mut out = Buffer::for_overwrite(x.len());
    let block = rows_per_task(width) * width.max(1);
    out.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(out, x)| {
        for (out, x) in out.chunks_mut(width).zip(x.chunks(width)) {
            let max = extreme(x, T::NEG_INFINITY, |a, b| b > a);
            let total = T::from_f64(sum_over([x], |x| (x - max).exp()));
            let log = total.ln();
            out.iter_mut().zip(x).for_each(|(o, &x)| *o = x - max - log);
        }
    });
    out
}

pub(super) fn log_softmax_gradient<T: Float>(y: &[T], grad: &[T], width: usize) -> Buffer<T> {
    let mut out = Buffer::for_overwrite(y.len());
    let block = rows_per_task(width) * width.max(1);
    out.par_chunks_mut(block).zip(y.par_chunks(block).zip(grad.par_chunks(block))).for_each(
        |(out, (y, grad))| {
            let inputs = y.chunks(width).zip(grad.chunks(width));
            for (out, (y, grad)) in out.chunks_mut(width).zip(inputs) {
                let total = sum(grad);
                let inputs = y.iter().zip(grad);
                out.iter_mut().zip(inputs).for_each(|(o, (&y, &g))| *o = g - y.exp() * total);
            }
        },
    );
    out
}

pub(super) fn accumulate<T: Float>(target: &mut [T], source: &[T]) {
    let pairs = target.par_chunks_mut(TASK).zip(source.par_chunks(TASK));
    pairs.for_each(|(t, s)| vectorize!(t.iter_mut().zip(s).for_each(|(t, &s)| *t += s)));
}

/// One sweep over weight, gradient and state.
pub(super) fn update<T: Float>(
    rule: &Update,
    weight: &mut [T],
    grad: &[T],
    state: &mut [&mut [T]],
) {
    let c = T::from_f64;
    match (*rule, state) {
        (Update::Sgd { rate, momentum, gain, decay, nesterov }, state) => {
            let [rate, momentum, gain, decay] = [rate, momentum, gain, decay].map(c);
            match state {
                [velocity] => sweep([weight, velocity], grad, move |[w, m], g| {
                    let g = g + decay * w;
                    let m = momentum * m + gain * g;
                    [w - rate * if nesterov { g + momentum * m } else { m }, m]
                }),
                _ => sweep([weight], grad, move |[w], g| [w - rate * (g + decay * w)]),
            }
        }
        (Update::Adam { step, root, betas, eps, decay, shrink }, [m, v]) => {
            let [step, root, eps, decay, shrink] = [step, 1.0 / root, eps, decay, shrink].map(c);
            let [b1, b2] = betas.map(c);
            let [c1, c2] = betas.map(|beta| c(1.0 - beta));
            sweep([weight, m, v], grad, move |[w, m, v], g| {
                let g = g + decay * w;
                let m = b1 * m + c1 * g;
                let v = b2 * v + c2 * g * g;
                [shrink * w - step * m / (v.sqrt() * root + eps), m, v]
            });
        }
        (Update::RmsProp { rate, alpha, eps, momentum, decay }, [v, rest @ ..]) => {
            let [rate, eps, momentum, decay] = [rate, eps, momentum, decay].map(c);
            let (keep, gain) = (c(alpha), c(1.0 - alpha));
            let scaled = move |w: T, v: T, g: T| {
                let g = g + decay * w;
                let v = keep * v + gain * g * g;
                (v, g / (v.sqrt() + eps))
            };
            match rest {
                [m] => sweep([weight, v, m], grad, move |[w, v, m], g| {
                    let (v, direction) = scaled(w, v, g);
                    let m = momentum * m + direction;
                    [w - rate * m, v, m]
                }),
                _ => sweep([weight, v], grad, move |[w, v], g| {
                    let (v, direction) = scaled(w, v, g);
                    [w - rate * direction, v]
                }),
            }
        }
        // The caller provides the state that the rule asks for.
        _ => {}
    }
}

/// Elements that [`sweep`] holds at a time.
const BLOCK: usize = 64;

/// Replaces the `i`-th element of each slice by what `rule` makes of them and the gradient's, in parallel pieces.
fn sweep<T: Float, const N: usize>(
    slices: [&mut [T]; N],
    grad: &[T],
    rule: impl Fn([T; N], T) -> [T; N] + Copy + Sync,
) {
    let mut pieces: Vec<([&mut [T]; N], &[T])> = Vec::new();
    let mut rest = slices;
    for grad in grad.chunks(TASK) {
        let mut piece = rest.each_mut().map(std::mem::take);
        let head = piece.each_mut().map(|slice| {
            let (head, tail) = std::mem::take(slice).split_at_mut(grad.len());
            *slice = tail;
            head
        });
        rest = piece;
        pieces.push((head, grad));
    }
    pieces.into_par_iter().for_each(|(mut slices, grad)| {
        vectorize!({
            // Copies, which the compiler knows to be apart from each other, and whose length it knows; of the numbers in `rule`, too,
            // or it would think that they may change on the way.
            let f = rule;
            let (blocks, rest) = grad.as_chunks::<BLOCK>();
            for (number, grad) in blocks.iter().enumerate() {
                let places = number * BLOCK..(number + 1) * BLOCK;
                let mut values = [[T::ONE; BLOCK]; N];
                for (values, slice) in values.iter_mut().zip(&slices) {
                    values.copy_from_slice(&slice[places.clone()]);
                }
                for (i, &grad) in grad.iter().enumerate() {
                    let next = f(std::array::from_fn(|n| values[n][i]), grad);
                    for (values, next) in values.iter_mut().zip(next) {
                        values[i] = next;
                    }
                }
                for (values, slice) in values.iter().zip(&mut slices) {
                    slice[places.clone()].copy_from_slice(values);
                }
            }
            let first = blocks.len() * BLOCK;
            for (i, &grad) in (first..).zip(rest) {
                let next = f(std::array::from_fn(|n| slices[n][i]), grad);
                for (slice, next) in slices.iter_mut().zip(next) {
                    slice[i] = next;
                }
            }
        });
    });
}
