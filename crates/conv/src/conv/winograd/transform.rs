//! The transforms of Winograd's algorithm, each over sixteen tiles or channels at a time.
//!
//! A tile of six input cells and three taps make four outputs by six products instead of twelve: both are
//! evaluated as polynomials at six points, multiplied there, and interpolated (Winograd 1980; Lavin and Gray 2016).
//! The points are 0, infinity, and plus and minus the square roots of a half and of two: the powers of these are nearest
//! to one, and rounding errors least, of all that keep the transforms simple. In two dimensions the transform is applied along columns, then along rows, and
//! 36 products stand for 144. The weight gradient turns the same sum around: six input cells and four
//! output gradients make three taps. Without the point 0, five cells and three taps make three outputs.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::element::Float;
use crate::simd::vectorized;

/// Tiles or channels of a transform: the columns of the microkernel's tile.
pub(super) const LANES: usize = 16;
/// A square of numbers for each lane.
pub(super) type Square<T, const N: usize> = [[[T; LANES]; N]; N];

pub(super) const fn zeros<T: Float, const N: usize>() -> Square<T, N> {
    [[[T::ZERO; LANES]; N]; N]
}

/// `y = F x F^T`, where `f` multiplies a column with `F`.
#[inline(always)]
pub(super) fn sandwich<T: Float, const I: usize, const O: usize>(
    f: impl Fn([T; I]) -> [T; O],
    x: &Square<T, I>,
    y: &mut Square<T, O>,
) {
    let mut half = [[[T::ZERO; LANES]; I]; O];
    for j in 0..I {
        for lane in 0..LANES {
            let column = f(std::array::from_fn(|i| x[i][j][lane]));
            for (half, value) in half.iter_mut().zip(&column) {
                half[j][lane] = *value;
            }
        }
    }
    for (y, half) in y.iter_mut().zip(&half) {
        for lane in 0..LANES {
            let row = f(std::array::from_fn(|j| half[j][lane]));
            for (y, value) in y.iter_mut().zip(&row) {
                y[lane] = *value;
            }
        }
    }
}

/// The algorithm along one axis: `STEP` outputs from `TILE = STEP + TAPS - 1` cells and so many taps,
/// `y = A^T (B^T d * G g)`.
pub(super) trait Transform<const STEP: usize, const TAPS: usize, const TILE: usize>:
    Copy + Sync
{
    /// `B^T d`: cells of the input at the points.
    fn input<T: Float>(cells: [T; TILE]) -> [T; TILE];
    /// `G g`: taps at the points.
    fn weight<T: Float>(taps: [T; TAPS]) -> [T; TILE];
    /// `A^T m`: outputs from the products at the points.
    fn output<T: Float>(products: [T; TILE]) -> [T; STEP];
    /// `B p`: gradients of cells from the products at the points.
    fn cells<T: Float>(products: [T; TILE]) -> [T; TILE];
    /// `A y`: gradients of outputs at the points.
    fn gradient<T: Float>(gradients: [T; STEP]) -> [T; TILE];
    /// `G^T s`: taps from the sums at the points.
    fn taps<T: Float>(sums: [T; TILE]) -> [T; TAPS];
}

/// A sum over channels that is taken at the points: squares of `FROM` cells become those of `TO`.
pub(super) trait Direction<const FROM: usize, const TAPS: usize, const TILE: usize, const TO: usize>:
    Copy + Sync
{
    /// Whether the squares that are written overlap.
    const ADDS: bool;

    /// Cells at the points.
    fn read<T: Float>(cells: [T; FROM]) -> [T; TILE];
    /// Taps at the points.
    fn weight<T: Float>(taps: [T; TAPS]) -> [T; TILE];
    /// What the products at the points add to cells.
    fn write<T: Float>(products: [T; TILE]) -> [T; TO];
}

/// The convolution.
#[derive(Clone, Copy)]
pub(super) struct Forward<F>(pub(super) F);

impl<F: Transform<STEP, TAPS, TILE>, const STEP: usize, const TAPS: usize, const TILE: usize>
    Direction<TILE, TAPS, TILE, STEP> for Forward<F>
{
    const ADDS: bool = false;

    #[inline(always)]
    fn read<T: Float>(cells: [T; TILE]) -> [T; TILE] {
        F::input(cells)
    }

    #[inline(always)]
    fn weight<T: Float>(taps: [T; TAPS]) -> [T; TILE] {
        F::weight(taps)
    }

    #[inline(always)]
    fn write<T: Float>(products: [T; TILE]) -> [T; STEP] {
        F::output(products)
    }
}

/// Its adjoint, the gradient of the input, whose squares overlap where they are added.
#[derive(Clone, Copy)]
pub(super) struct Adjoint<F>(pub(super) F);

impl<F: Transform<STEP, TAPS, TILE>, const STEP: usize, const TAPS: usize, const TILE: usize>
    Direction<STEP, TAPS, TILE, TILE> for Adjoint<F>
{
    const ADDS: bool = true;

    #[inline(always)]
    fn read<T: Float>(cells: [T; STEP]) -> [T; TILE] {
        F::gradient(cells)
    }

    #[inline(always)]
    fn weight<T: Float>(taps: [T; TAPS]) -> [T; TILE] {
        F::weight(taps)
    }

    #[inline(always)]
    fn write<T: Float>(products: [T; TILE]) -> [T; TILE] {
        F::cells(products)
    }
}

vectorized! {
    /// `y = F x F^T` of whole vectors.
    pub(super) fn transform[
        T: Float, F: Fn([T; I]) -> [T; O], const I: usize, const O: usize
    ](f: F, x: &Square<T, I>, y: &mut Square<T, O>) {
        sandwich(f, x, y);
    }
}

/// F(4, 3) at 0, the square roots and infinity.
#[derive(Clone, Copy)]
pub(super) struct Four;

impl Transform<4, 3, 6> for Four {
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

    #[inline(always)]
    fn weight<T: Float>([a, b, c]: [T; 3]) -> [T; 6] {
        let [third, sixth, two_thirds] = [1.0 / 3.0, 1.0 / 6.0, 2.0 / 3.0].map(T::from_f64);
        let [near, far] = [SQRT_2 / 3.0, SQRT_2 / 6.0].map(T::from_f64);
        let (even_near, odd_near) = (-two_thirds * a - third * c, -near * b);
        let (even_far, odd_far) = (sixth * a + third * c, far * b);
        [a, even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, c]
    }

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

    #[inline(always)]
    fn cells<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 6] {
        let [half, two, sum] = [0.5, 2.0, 2.5].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (sum_near, difference_near) = (b + c, near * (b - c));
        let (sum_far, difference_far) = (d + e, far * (d - e));
        [
            a,
            f - two * difference_near - half * difference_far,
            -sum * a - two * sum_near - half * sum_far,
            difference_near + difference_far - sum * f,
            a + sum_near + sum_far,
            f,
        ]
    }

    #[inline(always)]
    fn gradient<T: Float>([a, b, c, d]: [T; 4]) -> [T; 6] {
        let [half, two] = [0.5, 2.0].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (even_near, odd_near) = (a + half * c, near * (b + half * d));
        let (even_far, odd_far) = (a + two * c, far * (b + two * d));
        [a, even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, d]
    }

    #[inline(always)]
    fn taps<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 3] {
        let [third, sixth, two_thirds] = [1.0 / 3.0, 1.0 / 6.0, 2.0 / 3.0].map(T::from_f64);
        let [near, far] = [SQRT_2 / 3.0, SQRT_2 / 6.0].map(T::from_f64);
        let (sum_near, sum_far) = (b + c, d + e);
        [
            a - two_thirds * sum_near + sixth * sum_far,
            far * (d - e) - near * (b - c),
            third * (sum_far - sum_near) + f,
        ]
    }
}

/// F(3, 3) at the square roots and infinity.
#[derive(Clone, Copy)]
pub(super) struct Three;

impl Transform<3, 3, 5> for Three {
    #[inline(always)]
    fn input<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 5] {
        let [half, two, sum] = [0.5, 2.0, 2.5].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (odd_near, even_near) = (d - two * b, near * (c - two * a));
        let (odd_far, even_far) = (d - half * b, far * (c - half * a));
        [
            odd_near + even_near,
            odd_near - even_near,
            odd_far + even_far,
            odd_far - even_far,
            a - sum * c + e,
        ]
    }

    #[inline(always)]
    fn weight<T: Float>([a, b, c]: [T; 3]) -> [T; 5] {
        let [half, two, third] = [0.5, 2.0, 1.0 / 3.0].map(T::from_f64);
        let [near, far] = [SQRT_2 / 3.0, SQRT_2 / 6.0].map(T::from_f64);
        let (even_near, even_far) = (near * (a + half * c), far * (a + two * c));
        let odd = third * b;
        [-even_near - odd, even_near - odd, even_far + odd, odd - even_far, c]
    }

    #[inline(always)]
    fn output<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 3] {
        let [half, two] = [0.5, 2.0].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (sum_near, sum_far) = (a + b, c + d);
        [sum_near + sum_far, near * (a - b) + far * (c - d), half * sum_near + two * sum_far + e]
    }

    #[inline(always)]
    fn cells<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 5] {
        let [half, two, sum] = [0.5, 2.0, 2.5].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (sum_near, difference_near) = (a + b, near * (a - b));
        let (sum_far, difference_far) = (c + d, far * (c - d));
        [
            e - two * difference_near - half * difference_far,
            -two * sum_near - half * sum_far,
            difference_near + difference_far - sum * e,
            sum_near + sum_far,
            e,
        ]
    }

    #[inline(always)]
    fn gradient<T: Float>([a, b, c]: [T; 3]) -> [T; 5] {
        let [half, two] = [0.5, 2.0].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (even_near, odd_near) = (a + half * c, near * b);
        let (even_far, odd_far) = (a + two * c, far * b);
        [even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, c]
    }

    #[inline(always)]
    fn taps<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 3] {
        let [half, two, third] = [0.5, 2.0, 1.0 / 3.0].map(T::from_f64);
        let [near, far] = [SQRT_2 / 3.0, SQRT_2 / 6.0].map(T::from_f64);
        let (even_near, even_far) = (near * (b - a), far * (c - d));
        [even_near + even_far, third * (c + d - a - b), half * even_near + two * even_far + e]
    }
}
