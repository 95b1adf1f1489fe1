//! Transforms with seven points, for kernels of four and five taps: infinity, and three numbers with either sign.
//!
//! Outputs and taps are coefficients of polynomials, whose values at the points are multiplied, and the cells of the input meet the
//! inverse of that evaluation (Toom and Cook's product of polynomials, turned around). With a pair of points, the even and the odd
//! coefficients are summed once: their sum is the value at one, their difference at the other. For the inverse, with `q` and `r` the
//! other two pairs, the polynomial that is zero at all points but `p` is `(x + p)(x^2 - q^2)(x^2 - r^2)`; by what it is at `p`, the
//! taps are divided.
//!
//! In straight lines: a debug build checks what iterators do, and would take ten times as long.
//!
//! More points cost accuracy. Of all triples of pairs in steps of 0.05, these had the smallest error: about twice that of six points.

use super::transform::Transform;
use crate::element::Float;

/// The points but infinity, each with both signs.
const PAIRS: [f64; 3] = [0.4, 0.85, 1.8];
/// Their powers, up to that of the last of five coefficients.
const POWERS: [[f64; 5]; 3] = powers();
/// `-(q^2 + r^2)` and `q^2 r^2`, the lower coefficients of `(x^2 - q^2)(x^2 - r^2)`.
const OTHERS: [[f64; 2]; 3] = [others(1, 2), others(0, 2), others(0, 1)];
/// What the polynomials are at their own points, `2 p (p^2 - q^2)(p^2 - r^2)`.
const VALUES: [f64; 3] = [value(0), value(1), value(2)];
/// The lower coefficients, of `x^0`, `x^2` and `x^4`, of the polynomial that is zero at all points but infinity.
const ALL: [f64; 3] = {
    let [sum, product] = OTHERS[0];
    let square = PAIRS[0] * PAIRS[0];
    [-square * product, product - square * sum, sum - square]
};

const fn powers() -> [[f64; 5]; 3] {
    let mut powers = [[1.0; 5]; 3];
    let mut pair = 0;
    while pair < 3 {
        let mut i = 1;
        while i < 5 {
            powers[pair][i] = powers[pair][i - 1] * PAIRS[pair];
            i += 1;
        }
        pair += 1;
    }
    powers
}

const fn others(i: usize, j: usize) -> [f64; 2] {
    let [q, r] = [PAIRS[i] * PAIRS[i], PAIRS[j] * PAIRS[j]];
    [-(q + r), q * r]
}

const fn value(pair: usize) -> f64 {
    let square = PAIRS[pair] * PAIRS[pair];
    2.0 * PAIRS[pair] * (square * square + OTHERS[pair][0] * square + OTHERS[pair][1])
}

/// F(STEP, TAPS) of seven cells.
#[derive(Clone, Copy)]
pub(super) struct Seven<const STEP: usize, const TAPS: usize>;

/// A polynomial's values at the points.
#[inline(always)]
fn evaluate<T: Float, const N: usize>(coefficients: [T; N]) -> [T; 7] {
    let [a, b] = at_pair::<T, N, 0>(&coefficients);
    let [c, d] = at_pair::<T, N, 1>(&coefficients);
    let [e, f] = at_pair::<T, N, 2>(&coefficients);
    [a, b, c, d, e, f, coefficients[N - 1]]
}

#[inline(always)]
fn at_pair<T: Float, const N: usize, const PAIR: usize>(coefficients: &[T; N]) -> [T; 2] {
    let (mut even, mut odd) = (coefficients[0], coefficients[1] * T::from_f64(POWERS[PAIR][1]));
    for i in 2..N {
        let term = coefficients[i] * T::from_f64(POWERS[PAIR][i]);
        if i % 2 == 0 {
            even += term;
        } else {
            odd += term;
        }
    }
    [even + odd, even - odd]
}

/// The transpose of [`evaluate`].
#[inline(always)]
fn collect<T: Float, const N: usize>([a, b, c, d, e, f, last]: [T; 7]) -> [T; N] {
    let (sums, differences) = ([a + b, c + d, e + f], [a - b, c - d, e - f]);
    let mut coefficients = [T::ZERO; N];
    for i in 0..N {
        let parts = if i % 2 == 0 { sums } else { differences };
        coefficients[i] = parts[0] * T::from_f64(POWERS[0][i])
            + parts[1] * T::from_f64(POWERS[1][i])
            + parts[2] * T::from_f64(POWERS[2][i]);
    }
    coefficients[N - 1] += last;
    coefficients
}

/// Values divided by what each polynomial is at its point.
#[inline(always)]
fn divide<T: Float>([a, b, c, d, e, f, last]: [T; 7]) -> [T; 7] {
    let near = T::from_f64(1.0 / VALUES[0]);
    let middle = T::from_f64(1.0 / VALUES[1]);
    let far = T::from_f64(1.0 / VALUES[2]);
    [near * a, -near * b, middle * c, -middle * d, far * e, -far * f, last]
}

/// Cells at a pair of points.
#[inline(always)]
fn cells_at_pair<T: Float, const PAIR: usize>([a, b, c, d, e, f, _]: [T; 7]) -> [T; 2] {
    let (sum, product) = (T::from_f64(OTHERS[PAIR][0]), T::from_f64(OTHERS[PAIR][1]));
    let even = T::from_f64(PAIRS[PAIR]) * (e + sum * c + product * a);
    let odd = f + sum * d + product * b;
    [odd + even, odd - even]
}

/// The transpose: what two products add to the even and to the odd cells, times the coefficients of [`OTHERS`].
#[inline(always)]
fn pair_at_cells<T: Float, const PAIR: usize>([a, b]: [T; 2]) -> [[T; 3]; 2] {
    let (sum, product) = (T::from_f64(OTHERS[PAIR][0]), T::from_f64(OTHERS[PAIR][1]));
    let (even, odd) = (T::from_f64(PAIRS[PAIR]) * (a - b), a + b);
    [[product * even, sum * even, even], [product * odd, sum * odd, odd]]
}

impl<const STEP: usize, const TAPS: usize> Transform<STEP, TAPS, 7> for Seven<STEP, TAPS> {
    #[inline(always)]
    fn input<T: Float>(cells: [T; 7]) -> [T; 7] {
        let [a, b] = cells_at_pair::<T, 0>(cells);
        let [c, d] = cells_at_pair::<T, 1>(cells);
        let [e, f] = cells_at_pair::<T, 2>(cells);
        let last = cells[6]
            + T::from_f64(ALL[2]) * cells[4]
            + T::from_f64(ALL[1]) * cells[2]
            + T::from_f64(ALL[0]) * cells[0];
        [a, b, c, d, e, f, last]
    }

    #[inline(always)]
    fn weight<T: Float>(taps: [T; TAPS]) -> [T; 7] {
        divide(evaluate(taps))
    }

    #[inline(always)]
    fn output<T: Float>(products: [T; 7]) -> [T; STEP] {
        collect(products)
    }

    #[inline(always)]
    fn cells<T: Float>([a, b, c, d, e, f, last]: [T; 7]) -> [T; 7] {
        let [even_near, odd_near] = pair_at_cells::<T, 0>([a, b]);
        let [even_middle, odd_middle] = pair_at_cells::<T, 1>([c, d]);
        let [even_far, odd_far] = pair_at_cells::<T, 2>([e, f]);
        let even =
            |i: usize| even_near[i] + even_middle[i] + even_far[i] + T::from_f64(ALL[i]) * last;
        let odd = |i: usize| odd_near[i] + odd_middle[i] + odd_far[i];
        [even(0), odd(0), even(1), odd(1), even(2), odd(2), last]
    }

    #[inline(always)]
    fn gradient<T: Float>(gradients: [T; STEP]) -> [T; 7] {
        evaluate(gradients)
    }

    #[inline(always)]
    fn taps<T: Float>(sums: [T; 7]) -> [T; TAPS] {
        collect(divide(sums))
    }
}
