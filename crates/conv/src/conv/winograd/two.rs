//! Transforms for two taps, at the points of those for three: F(5, 2) with six cells and F(4, 2) with five.
//!
//! The points say how cells are transformed; how the coefficients are shared out between outputs and taps does not matter there. So
//! one tap less is one output more, with the next power of the points. Infinity belongs to the last of each.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::transform::{Four, Three, Transform};
use crate::element::Float;

/// The powers of the points that the last outputs have, of the near and of the far ones.
const FOURTH_POWERS: [f64; 2] = [0.25, 4.0];
const CUBES: [f64; 2] = [0.5 * FRAC_1_SQRT_2, 2.0 * SQRT_2];

/// One output more and one tap less than `F`.
#[derive(Clone, Copy)]
pub(super) struct Two<F>(pub(super) F);

impl Transform<5, 2, 6> for Two<Four> {
    #[inline(always)]
    fn input<T: Float>(cells: [T; 6]) -> [T; 6] {
        Four::input(cells)
    }

    #[inline(always)]
    fn weight<T: Float>([a, b]: [T; 2]) -> [T; 6] {
        let [zero, near, minus_near, far, minus_far, _] = Four::weight([a, b, T::ZERO]);
        [zero, near, minus_near, far, minus_far, b]
    }

    #[inline(always)]
    fn output<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 5] {
        let [near, far] = FOURTH_POWERS.map(T::from_f64);
        let [first, second, third, fourth] = Four::output([a, b, c, d, e, T::ZERO]);
        [first, second, third, fourth, near * (b + c) + far * (d + e) + f]
    }

    #[inline(always)]
    fn cells<T: Float>(products: [T; 6]) -> [T; 6] {
        Four::cells(products)
    }

    #[inline(always)]
    fn gradient<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 6] {
        let [near, far] = FOURTH_POWERS.map(|power| T::from_f64(power) * e);
        let [zero, plus_near, minus_near, plus_far, minus_far, _] = Four::gradient([a, b, c, d]);
        [zero, plus_near + near, minus_near + near, plus_far + far, minus_far + far, e]
    }

    #[inline(always)]
    fn taps<T: Float>([a, b, c, d, e, f]: [T; 6]) -> [T; 2] {
        let [first, second, _] = Four::taps([a, b, c, d, e, T::ZERO]);
        [first, second + f]
    }
}

impl Transform<4, 2, 5> for Two<Three> {
    #[inline(always)]
    fn input<T: Float>(cells: [T; 5]) -> [T; 5] {
        Three::input(cells)
    }

    #[inline(always)]
    fn weight<T: Float>([a, b]: [T; 2]) -> [T; 5] {
        let [near, minus_near, far, minus_far, _] = Three::weight([a, b, T::ZERO]);
        [near, minus_near, far, minus_far, b]
    }

    #[inline(always)]
    fn output<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 4] {
        let [near, far] = CUBES.map(T::from_f64);
        let [first, second, third] = Three::output([a, b, c, d, T::ZERO]);
        [first, second, third, near * (a - b) + far * (c - d) + e]
    }

    #[inline(always)]
    fn cells<T: Float>(products: [T; 5]) -> [T; 5] {
        Three::cells(products)
    }

    #[inline(always)]
    fn gradient<T: Float>([a, b, c, d]: [T; 4]) -> [T; 5] {
        let [near, far] = CUBES.map(|power| T::from_f64(power) * d);
        let [plus_near, minus_near, plus_far, minus_far, _] = Three::gradient([a, b, c]);
        [plus_near + near, minus_near - near, plus_far + far, minus_far - far, d]
    }

    #[inline(always)]
    fn taps<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 2] {
        let [first, second, _] = Three::taps([a, b, c, d, T::ZERO]);
        [first, second + e]
    }
}
