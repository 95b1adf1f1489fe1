//! Transforms with seven points, for kernels of four and five taps: infinity, and three numbers with either sign.
//!
//! Outputs and taps are coefficients of polynomials, whose values at the points are multiplied, and the cells of the input meet the
//! inverse of that evaluation (Toom and Cook's product of polynomials, turned around). With a pair of points, the even and the odd
//! coefficients are summed once: their sum is the value at one, their difference at the other. For the inverse, with `q` and `r` the
//! other two pairs, the polynomial that is zero at all points but `p` is `(x + p)(x^2 - q^2)(x^2 - r^2)`; by what it is at `p`, the
//! taps are divided.
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
    let mut values = [coefficients[N - 1]; 7];
    for (pair, powers) in POWERS.iter().enumerate() {
        let mut parts = [coefficients[0], coefficients[1] * T::from_f64(powers[1])];
        for i in 2..N {
            parts[i % 2] += coefficients[i] * T::from_f64(powers[i]);
        }
        values[2 * pair] = parts[0] + parts[1];
        values[2 * pair + 1] = parts[0] - parts[1];
    }
    values
}

/// The transpose of [`evaluate`].
#[inline(always)]
fn collect<T: Float, const N: usize>(values: [T; 7]) -> [T; N] {
    let mut coefficients = [T::ZERO; N];
    coefficients[N - 1] = values[6];
    for (pair, powers) in POWERS.iter().enumerate() {
        let [a, b] = [values[2 * pair], values[2 * pair + 1]];
        let parts = [a + b, a - b];
        for i in 0..N {
            coefficients[i] += parts[i % 2] * T::from_f64(powers[i]);
        }
    }
    coefficients
}

/// Values divided by what each polynomial is at its point.
#[inline(always)]
fn divide<T: Float>(mut values: [T; 7]) -> [T; 7] {
    for (pair, value) in VALUES.iter().enumerate() {
        values[2 * pair] *= T::from_f64(1.0 / value);
        values[2 * pair + 1] *= T::from_f64(-1.0 / value);
    }
    values
}

impl<const STEP: usize, const TAPS: usize> Transform<STEP, TAPS, 7> for Seven<STEP, TAPS> {
    #[inline(always)]
    fn input<T: Float>(cells: [T; 7]) -> [T; 7] {
        let mut values = [T::ZERO; 7];
        for (pair, lower) in OTHERS.iter().enumerate() {
            let [sum, product] = lower.map(T::from_f64);
            let [even, odd] =
                [0, 1].map(|i| cells[4 + i] + sum * cells[2 + i] + product * cells[i]);
            let even = T::from_f64(PAIRS[pair]) * even;
            values[2 * pair] = odd + even;
            values[2 * pair + 1] = odd - even;
        }
        let [a, b, c] = ALL.map(T::from_f64);
        values[6] = cells[6] + c * cells[4] + b * cells[2] + a * cells[0];
        values
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
    fn cells<T: Float>(products: [T; 7]) -> [T; 7] {
        let last = products[6];
        let mut cells = [T::ZERO; 7];
        for (cell, lower) in cells.iter_mut().step_by(2).zip(ALL) {
            *cell = T::from_f64(lower) * last;
        }
        cells[6] = last;
        for (pair, lower) in OTHERS.iter().enumerate() {
            let [a, b] = [products[2 * pair], products[2 * pair + 1]];
            let parts = [T::from_f64(PAIRS[pair]) * (a - b), a + b];
            let [sum, product] = lower.map(T::from_f64);
            for i in 0..2 {
                cells[i] += product * parts[i];
                cells[2 + i] += sum * parts[i];
                cells[4 + i] += parts[i];
            }
        }
        cells
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
