//! Fused operations in one pass over memory, where the composition would make several.

use rayon::prelude::*;
use striate_conv::Buffer;
use striate_conv::vectorize;

use super::elementwise::relu;
use super::reduce::{Sums, extreme, sum, sum_over};
use super::strided::TASK;
use crate::Float;
use crate::backend::{AxisShape, Update};

/// Rows of one task, so that short rows are not tasks of their own.
fn rows_per_task(width: usize) -> usize {
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

fn unzip<T: Float>(pairs: &[[f64; 2]]) -> (Buffer<T>, Buffer<T>) {
    let column = |i: usize| Buffer::from_fn(pairs.len(), |c| T::from_f64(pairs[c][i]));
    (column(0), column(1))
}

/// Elements of the planes that [`channel_moments`] takes together: they stay in the cache for its second pass.
const MOMENTS: usize = 4096;

/// Mean and biased variance of each channel. Those of some planes are taken in two passes, of which the second reads the
/// cache, and joined to those of the planes before them (Chan, Golub and LeVeque 1979): the difference of large sums
/// would lose the variance, and two passes over the whole would read memory twice.
pub(super) fn channel_moments<T: Float>(x: &[T], shape: AxisShape) -> (Buffer<T>, Buffer<T>) {
    let AxisShape { outer, axis, inner } = shape;
    let together = (MOMENTS / inner.max(1)).max(1);
    let channel = |c: usize| {
        let (mut mean, mut squares) = (0.0, 0.0);
        for first in (0..outer).step_by(together) {
            let chosen = first..outer.min(first + together);
            let planes = || chosen.clone().map(|n| &x[(n * axis + c) * inner..][..inner]);
            let share = (chosen.len() * inner) as f64;
            let own_mean = sum_over(planes(), |x| x) / share;
            let center = T::from_f64(own_mean);
            let about_center = sum_over(planes(), |x| (x - center) * (x - center));
            let rounding = own_mean - center.to_f64();
            let (before, delta) = ((first * inner) as f64, own_mean - mean);
            let weight = share / (before + share);
            mean += delta * weight;
            squares += about_center - share * rounding * rounding;
            squares += delta * delta * before * weight;
        }
        // Rounding may make nothing a little less, and NaN stays NaN.
        let squares = if squares < 0.0 { 0.0 } else { squares };
        [mean, squares / (outer * inner) as f64]
    };
    unzip(&(0..axis).into_par_iter().map(channel).collect::<Vec<_>>())
}

/// A [`ChannelAffine`](crate::backend::ChannelAffine) with its numbers at hand.
pub(super) struct Affine<'a, T> {
    pub(super) shape: AxisShape,
    pub(super) center: &'a [T],
    pub(super) scale: &'a [T],
    pub(super) shift: &'a [T],
    pub(super) relu: bool,
}

impl<T: Float> Affine<'_, T> {
    /// The centre of a channel, and the function from `x - center` to what passes of a gradient there.
    #[inline(always)]
    fn of(&self, channel: usize) -> (T, impl Fn(T, T) -> T + Copy + use<T>) {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        let relu = self.relu;
        let passes = move |centred: T, grad: T| {
            let inactive = scale * centred + shift <= T::ZERO;
            if relu & inactive { T::ZERO } else { grad }
        };
        (self.center[channel], passes)
    }
}

pub(super) fn channel_gradient_sums<T: Float>(
    norm: &Affine<'_, T>,
    [grad, x]: [&[T]; 2],
) -> (Buffer<T>, Buffer<T>) {
    let AxisShape { outer, axis, inner } = norm.shape;
    let channel = |c: usize| {
        let (center, passes) = norm.of(c);
        let mut sums = Sums::new();
        for n in 0..outer {
            let planes = [grad, x].map(|data| &data[(n * axis + c) * inner..][..inner]);
            sums.add(planes, |g, x| {
                let passed = passes(x - center, g);
                [passed, passed * (x - center)]
            });
        }
        sums.total()
    };
    unzip(&(0..axis).into_par_iter().map(channel).collect::<Vec<_>>())
}

/// Writes each plane of the output with its channel's number known.
fn by_plane<T: Float>(shape: AxisShape, f: impl Fn(usize, usize, &mut [T]) + Sync) -> Buffer<T> {
    let mut out = Buffer::for_overwrite(shape.len());
    if out.is_empty() {
        return out;
    }
    let planes = rows_per_task(shape.inner);
    out.par_chunks_mut(planes * shape.inner).enumerate().for_each(|(task, block)| {
        for (i, out) in block.chunks_mut(shape.inner).enumerate() {
            let plane = task * planes + i;
            f(plane % shape.axis, plane * shape.inner, out);
        }
    });
    out
}

pub(super) fn channel_affine<T: Float>(norm: &Affine<'_, T>, x: &[T]) -> Buffer<T> {
    by_plane(norm.shape, |channel, at, out| {
        let [center, scale, shift] = [norm.center, norm.scale, norm.shift].map(|c| c[channel]);
        let x = &x[at..][..out.len()];
        if norm.relu {
            vectorize!({
                let outputs = out.iter_mut().zip(x);
                outputs.for_each(|(o, &x)| *o = relu(scale * (x - center) + shift));
            });
        } else {
            vectorize!({
                out.iter_mut().zip(x).for_each(|(o, &x)| *o = scale * (x - center) + shift);
            });
        }
    })
}

pub(super) fn channel_combine<T: Float>(
    norm: &Affine<'_, T>,
    [grad, x]: [&[T]; 2],
    [b, d]: [&[T]; 2],
) -> Buffer<T> {
    by_plane(norm.shape, |channel, at, out| {
        let (center, passes) = norm.of(channel);
        let [a, b, d] = [norm.scale, b, d].map(|values| values[channel]);
        let inputs = grad[at..][..out.len()].iter().zip(&x[at..][..out.len()]);
        vectorize!({
            let outputs = out.iter_mut().zip(inputs);
            outputs.for_each(|(o, (&g, &x))| {
                *o = a * passes(x - center, g) + b * (x - center) + d;
            });
        });
    })
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
