//! The transforms of F(4x4, 3x3), each over sixteen tiles or channels at a time.
//!
//! A tile of six input cells and three taps make four outputs by six products instead of twelve: both are
//! evaluated as polynomials at six points, multiplied there, and interpolated (Winograd 1980; Lavin and Gray 2016).
//! The points are 0, infinity, and plus and minus the square roots of a half and of two: the powers of these are nearest
//! to one, and rounding errors least, of all that keep the transforms simple. In two dimensions the transform is applied along columns, then along rows, and
//! 36 products stand for 144. The weight gradient turns the same sum around: six input cells and four
//! output gradients make three taps.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::element::Float;
use crate::simd::vectorized;

/// Tiles or channels of a transform: the columns of the microkernel's tile.
pub(super) const LANES: usize = 16;
/// Cells of an input tile along an axis, and outputs.
pub(super) const TILE: usize = 6;
pub(super) const STEP: usize = 4;
/// Products of a tile.
pub(super) const POINTS: usize = TILE * TILE;

/// A square of numbers for each lane.
pub(super) type Square<T, const N: usize> = [[[T; LANES]; N]; N];

pub(super) const fn zeros<T: Float, const N: usize>() -> Square<T, N> {
    [[[T::ZERO; LANES]; N]; N]
}

/// `y = F x F^T`, where `f` multiplies a column with `F`.
#[inline(always)]
fn sandwich<T: Float, const I: usize, const O: usize>(
    f: impl Fn([T; I]) -> [T; O],
    x: &Square<T, I>,
    y: &mut Square<T, O>,
) {
    let mut half = [[[T::ZERO; LANES]; I]; O];
    for j in 0..I {
        for lane in 0..LANES {
            let column = f(std::array::from_fn(|i| x[i][j][lane]));
            for (half, value) in half.iter_mut().zip(column) {
                half[j][lane] = value;
            }
        }
    }
    for (y, half) in y.iter_mut().zip(&half) {
        for lane in 0..LANES {
            let row = f(std::array::from_fn(|j| half[j][lane]));
            for (y, value) in y.iter_mut().zip(row) {
                y[lane] = value;
            }
        }
    }
}

vectorized! {
    /// The points of tiles of the input, from their cells.
    pub(super) fn input_points[T: Float](cells: &Square<T, 6>, points: &mut Square<T, 6>) {
        sandwich(input, cells, points);
    }
}

vectorized! {
    /// The points of kernels, from their taps.
    pub(super) fn weight_points[T: Float](taps: &Square<T, 3>, points: &mut Square<T, 6>) {
        sandwich(weight, taps, points);
    }
}

vectorized! {
    /// The outputs of tiles, from the products at the points.
    pub(super) fn outputs_of[T: Float](products: &Square<T, 6>, outputs: &mut Square<T, 4>) {
        sandwich(output, products, outputs);
    }
}

vectorized! {
    /// The points of tiles of the output's gradient.
    pub(super) fn gradient_points[T: Float](cells: &Square<T, 4>, points: &mut Square<T, 6>) {
        sandwich(gradient, cells, points);
    }
}

vectorized! {
    /// The gradients of taps, from the sums at the points.
    pub(super) fn taps_of[T: Float](sums: &Square<T, 6>, taps: &mut Square<T, 3>) {
        sandwich(taps_from, sums, taps);
    }
}

/// `B^T d`: six cells of the input at the six points.
#[inline(always)]
fn input<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 6] {
    let [half, two, sum] = [0.5, 2.0, 2.5].map(T::from_f64);
    let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
    let (even_near, odd_near) = (e - two * c, near * (d - two * b));
    let (even_far, odd_far) = (e - half * c, far * (d - half * b));
    [
        a - sum * c + e,
        even_near + odd_near,
        even_near - odd_near,
        even_far + odd_far,
        even_far - odd_far,
        b - sum * d + f,
    ]
}

/// `G g`: three taps at the six points.
#[inline(always)]
fn weight<T: Float>([a, b, c]: [T; 3]) -> [T; 6] {
    let [third, sixth, two_thirds] = [1.0 / 3.0, 1.0 / 6.0, 2.0 / 3.0].map(T::from_f64);
    let [near, far] = [SQRT_2 / 3.0, SQRT_2 / 6.0].map(T::from_f64);
    let (even_near, odd_near) = (-two_thirds * a - third * c, -near * b);
    let (even_far, odd_far) = (sixth * a + third * c, far * b);
    [a, even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, c]
}

/// `A^T m`: four outputs from the products at the six points.
#[inline(always)]
fn output<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 4] {
    let [half, two] = [0.5, 2.0].map(T::from_f64);
    let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
    let (sum_near, difference_near) = (b + c, near * (b - c));
    let (sum_far, difference_far) = (d + e, far * (d - e));
    [
        a + sum_near + sum_far,
        difference_near + difference_far,
        half * sum_near + two * sum_far,
        half * difference_near + two * difference_far + f,
    ]
}

/// `A y`, the transpose of [`output`]: four gradients at the six points.
#[inline(always)]
fn gradient<T: Float>([a, b, c, d]: [T; 4]) -> [T; 6] {
    let [half, two] = [0.5, 2.0].map(T::from_f64);
    let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
    let (even_near, odd_near) = (a + half * c, near * (b + half * d));
    let (even_far, odd_far) = (a + two * c, far * (b + two * d));
    [a, even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, d]
}

/// `G^T s`, the transpose of [`weight`]: three taps from the sums at the six points.
#[inline(always)]
fn taps_from<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 3] {
    let [third, sixth, two_thirds] = [1.0 / 3.0, 1.0 / 6.0, 2.0 / 3.0].map(T::from_f64);
    let [near, far] = [SQRT_2 / 3.0, SQRT_2 / 6.0].map(T::from_f64);
    let (sum_near, sum_far) = (b + c, d + e);
    [
        a - two_thirds * sum_near + sixth * sum_far,
        far * (d - e) - near * (b - c),
        third * (sum_far - sum_near) + f,
    ]
}
