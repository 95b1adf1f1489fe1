//! Transforms for two taps, at the points of those for three: F(5, 2) with six cells and F(4, 2) with five.
//!
//! The points say how cells are transformed; how the coefficients are shared out between outputs and taps does not matter there. So
//! one tap less is one output more, with the next power of the points. Infinity belongs to the last of each.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::transform::{Four, Three, Transform};
use crate::element::Float;

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
        let [quarter, four] = [0.25, 4.0].map(T::from_f64);
        let [first, second, third, fourth] = Four::output([a, b, c, d, e, T::ZERO]);
        [first, second, third, fourth, quarter * (b + c) + four * (d + e) + f]
    }

    #[inline(always)]
    fn cells<T: Float>(products: [T; 6]) -> [T; 6] {
        Four::cells(products)
    }

    #[inline(always)]
    fn gradient<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 6] {
        let [quarter, half, two, four] = [0.25, 0.5, 2.0, 4.0].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (even_near, odd_near) = (a + half * c + quarter * e, near * (b + half * d));
        let (even_far, odd_far) = (a + two * c + four * e, far * (b + two * d));
        [a, even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, e]
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
        let [half, two] = [0.5, 2.0].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let [first, second, third] = Three::output([a, b, c, d, T::ZERO]);
        [first, second, third, half * near * (a - b) + two * far * (c - d) + e]
    }

    #[inline(always)]
    fn cells<T: Float>(products: [T; 5]) -> [T; 5] {
        Three::cells(products)
    }

    #[inline(always)]
    fn gradient<T: Float>([a, b, c, d]: [T; 4]) -> [T; 5] {
        let [half, two] = [0.5, 2.0].map(T::from_f64);
        let [near, far] = [FRAC_1_SQRT_2, SQRT_2].map(T::from_f64);
        let (even_near, odd_near) = (a + half * c, near * (b + half * d));
        let (even_far, odd_far) = (a + two * c, far * (b + two * d));
        [even_near + odd_near, even_near - odd_near, even_far + odd_far, even_far - odd_far, d]
    }

    #[inline(always)]
    fn taps<T: Float>([a, b, c, d, e]: [T; 5]) -> [T; 2] {
        let [first, second, _] = Three::taps([a, b, c, d, T::ZERO]);
        [first, second + e]
    }
}
