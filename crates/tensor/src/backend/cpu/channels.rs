//! What batch norm asks of each channel of `[outer, axis, inner]`: sums over it, and an affine function of its elements.
//!
//! A channel's planes lie apart, so visiting one channel after the other would wait for memory at every plane. All is read in
//! order instead, in pieces of some planes: a piece sums for each of its channels, and the sums of the pieces are joined.

use rayon::prelude::*;
use striate_conv::{Buffer, vectorize};

use super::elementwise::relu;
use super::fused::rows_per_task;
use super::reduce::Sums;
use crate::Float;
use crate::backend::AxisShape;

/// Planes of a piece. Where a piece holds several images, it holds whole ones.
fn planes_per_piece(shape: AxisShape) -> usize {
    let planes = rows_per_task(shape.inner);
    if planes > shape.axis { planes - planes % shape.axis } else { planes }
}

/// Planes one after another of two tensors of one shape, which are one task.
struct Piece<'a, T> {
    data: [&'a [T]; 2],
    /// The channel of the first plane. They follow each other, the first after the last.
    channel: usize,
    axis: usize,
    inner: usize,
}

impl<T: Float> Piece<'_, T> {
    /// The channel of the piece's `plane`-th plane.
    #[inline(always)]
    fn channel(&self, plane: usize) -> usize {
        (self.channel + plane) % self.axis
    }

    /// How many elements of a channel there are.
    fn share(&self) -> f64 {
        let planes = self.data[0].len() / self.inner;
        ((planes / self.axis).max(1) * self.inner) as f64
    }

    /// Sums over each channel of the functions that `of` gives for the number of its first plane.
    #[inline(always)]
    fn sums<const K: usize, F: Fn(T, T) -> [T; K] + Copy>(
        &self,
        of: impl Fn(usize) -> F,
    ) -> Vec<[f64; K]> {
        let [x, y] = self.data.map(|data| data.chunks_exact(self.inner));
        let mut sums: Vec<_> = (0..x.len().min(self.axis)).map(|_| Sums::new()).collect();
        vectorize!({
            for (plane, (x, y)) in x.zip(y).enumerate() {
                let first = plane % self.axis;
                sums[first].add([x, y], of(first));
            }
        });
        sums.into_iter().map(Sums::total).collect()
    }
}

/// What `find` finds for each channel of each piece, joined by channel in order.
fn by_channel<T: Float, R: Copy + Send>(
    shape: AxisShape,
    [x, y]: [&[T]; 2],
    nothing: R,
    find: impl Fn(&Piece<'_, T>) -> Vec<R> + Sync,
    join: impl Fn(R, R) -> R,
) -> Vec<R> {
    let mut totals = vec![nothing; shape.axis];
    if x.is_empty() {
        return totals;
    }
    let planes = planes_per_piece(shape);
    let pieces = x.par_chunks(planes * shape.inner).zip(y.par_chunks(planes * shape.inner));
    let found: Vec<_> = pieces
        .enumerate()
        .map(|(number, (x, y))| {
            let AxisShape { axis, inner, .. } = shape;
            let channel = number * planes % axis;
            (channel, find(&Piece { data: [x, y], channel, axis, inner }))
        })
        .collect();
    for (first, found) in found {
        for (channel, found) in (first..).zip(found) {
            let total = &mut totals[channel % shape.axis];
            *total = join(*total, found);
        }
    }
    totals
}

fn sums_by_channel<T: Float, const K: usize, F: Fn(T, T) -> [T; K] + Copy>(
    shape: AxisShape,
    data: [&[T]; 2],
    of_channel: impl Fn(usize) -> F + Sync,
) -> Vec<[f64; K]> {
    let find = |piece: &Piece<'_, T>| piece.sums(|plane| of_channel(piece.channel(plane)));
    let join = |a: [f64; K], b: [f64; K]| std::array::from_fn(|k| a[k] + b[k]);
    by_channel(shape, data, [0.0; K], find, join)
}

fn column<T: Float, const K: usize>(rows: &[[f64; K]], k: usize) -> Buffer<T> {
    Buffer::from_fn(rows.len(), |row| T::from_f64(rows[row][k]))
}

/// The sum over each channel.
pub(super) fn channel_sums<T: Float>(x: &[T], shape: AxisShape) -> Buffer<T> {
    column(&sums_by_channel(shape, [x, x], |_| |x, _| [x]), 0)
}

/// How many numbers there are, their mean, and the squares of their distances from it.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// That of two sets of numbers together (Chan, Golub and LeVeque 1979): the difference of large sums would lose the
    /// variance, and two passes over the whole would read memory twice.
    fn join(self, other: Self) -> Self {
        let count = self.count + other.count;
        let (weight, delta) = (other.count / count, other.mean - self.mean);
        Self {
            count,
            mean: self.mean + delta * weight,
            squares: self.squares + other.squares + delta * delta * self.count * weight,
        }
    }

    /// That of each channel of a piece, in two passes of which the second reads the cache.
    fn of_piece<T: Float>(piece: &Piece<'_, T>) -> Vec<Self> {
        let count = piece.share();
        let means: Vec<f64> = piece.sums(|_| |x, _| [x]).iter().map(|[sum]| sum / count).collect();
        let centers: Vec<T> = means.iter().map(|&mean| T::from_f64(mean)).collect();
        let about_centers = piece.sums(|plane| {
            let center = centers[plane];
            move |x, _| [(x - center) * (x - center)]
        });
        let spread = |((mean, center), [squares]): ((f64, T), [f64; 1])| {
            let rounding = mean - center.to_f64();
            Self { count, mean, squares: squares - count * rounding * rounding }
        };
        means.into_iter().zip(centers).zip(about_centers).map(spread).collect()
    }
}

/// Mean and biased variance of each channel.
pub(super) fn channel_moments<T: Float>(x: &[T], shape: AxisShape) -> (Buffer<T>, Buffer<T>) {
    let spreads = by_channel(shape, [x, x], Spread::default(), Spread::of_piece, Spread::join);
    let moments: Vec<_> = spreads
        .into_iter()
        .map(|Spread { count, mean, squares }| {
            // Rounding may make nothing a little less, and NaN stays NaN.
            let squares = if squares < 0.0 { 0.0 } else { squares };
            [mean, squares / count]
        })
        .collect();
    (column(&moments, 0), column(&moments, 1))
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

/// Of each channel, the sum of the gradient that passes, and that of its products with `x - center`.
pub(super) fn channel_gradient_sums<T: Float>(
    norm: &Affine<'_, T>,
    [grad, x]: [&[T]; 2],
) -> (Buffer<T>, Buffer<T>) {
    let sums = sums_by_channel(norm.shape, [grad, x], |channel| {
        let (center, passes) = norm.of(channel);
        move |g, x| {
            let passed = passes(x - center, g);
            [passed, passed * (x - center)]
        }
    });
    (column(&sums, 0), column(&sums, 1))
}

/// Makes each element of two of its place, by the function that `of_channel` gives.
fn map_by_channel<T: Float, F: Fn(T, T) -> T + Copy>(
    shape: AxisShape,
    [x, y]: [&[T]; 2],
    of_channel: impl Fn(usize) -> F + Sync,
) -> Buffer<T> {
    let mut out = Buffer::for_overwrite(shape.len());
    if out.is_empty() {
        return out;
    }
    let AxisShape { axis, inner, .. } = shape;
    let planes = rows_per_task(inner);
    let inputs = x.par_chunks(planes * inner).zip(y.par_chunks(planes * inner));
    let pieces = out.par_chunks_mut(planes * inner).zip(inputs);
    pieces.enumerate().for_each(|(piece, (out, (x, y)))| {
        vectorize!({
            let inputs = x.chunks_exact(inner).zip(y.chunks_exact(inner));
            for (plane, (out, (x, y))) in out.chunks_exact_mut(inner).zip(inputs).enumerate() {
                let f = of_channel((piece * planes + plane) % axis);
                for (out, (&x, &y)) in out.iter_mut().zip(x.iter().zip(y)) {
                    *out = f(x, y);
                }
            }
        });
    });
    out
}

pub(super) fn channel_affine<T: Float>(norm: &Affine<'_, T>, x: &[T]) -> Buffer<T> {
    let of_channel = |channel: usize| {
        let numbers = [norm.center, norm.scale, norm.shift];
        numbers.map(|numbers| numbers[channel])
    };
    match norm.relu {
        true => map_by_channel(norm.shape, [x, x], |channel| {
            let [center, scale, shift] = of_channel(channel);
            move |x, _| relu(scale * (x - center) + shift)
        }),
        false => map_by_channel(norm.shape, [x, x], |channel| {
            let [center, scale, shift] = of_channel(channel);
            move |x, _| scale * (x - center) + shift
        }),
    }
}

/// `scale * passed + b * (x - center) + d`
pub(super) fn channel_combine<T: Float>(
    norm: &Affine<'_, T>,
    [grad, x]: [&[T]; 2],
    [b, d]: [&[T]; 2],
) -> Buffer<T> {
    map_by_channel(norm.shape, [grad, x], |channel| {
        let (center, passes) = norm.of(channel);
        let [a, b, d] = [norm.scale, b, d].map(|numbers| numbers[channel]);
        move |g, x| a * passes(x - center, g) + b * (x - center) + d
    })
}
