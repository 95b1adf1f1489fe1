//! The error function, which the exact GELU needs and the standard library lacks.
//!
//! The line is cut into pieces on which a ratio of polynomials meets the function to below one unit
//! in the last place. The pieces and their coefficients are those of Sun's FDLIBM 5.3 (`s_erf.c`,
//! 1993, freely usable with this notice kept: "Copyright (C) 1993 by Sun Microsystems, Inc. All
//! rights reserved. Permission to use, copy, modify, and distribute this software is freely granted,
//! provided that this notice is preserved.").
//!
//! * `|x| < 0.84375`: `x + x P(x^2) / Q(x^2)`, the odd series.
//! * `|x| < 1.25`: `c + P(s) / Q(s)`, with `s = |x| - 1` and `c` near `erf(1)`.
//! * `|x| < 6`: `1 - exp(-x^2 - 0.5625 + P(1/x^2) / Q(1/x^2)) / |x|`, the shape of the tail.
//! * beyond, one to the last bit.

use super::math::{Double, exp, polynomial};

/// `erf` on `f64`.
pub(super) fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let magnitude = x.abs();
    if magnitude < 0.84375 {
        let square = x * x;
        return x + x * (polynomial(&SMALL_P, square) / polynomial(&SMALL_Q, square));
    }
    let value = if magnitude < 1.25 {
        let s = magnitude - 1.0;
        NEAR_ERF_OF_ONE + polynomial(&MIDDLE_P, s) / polynomial(&MIDDLE_Q, s)
    } else if magnitude < 6.0 {
        1.0 - complement(magnitude)
    } else {
        1.0
    };
    value.copysign(x)
}

/// `1 - erf(x)` for `1.25 <= x < 6`.
fn complement(x: f64) -> f64 {
    let s = 1.0 / (x * x);
    let ratio = if x < 1.0 / 0.35 {
        polynomial(&TAIL_P, s) / polynomial(&TAIL_Q, s)
    } else {
        polynomial(&FAR_P, s) / polynomial(&FAR_Q, s)
    };
    // exp(-x^2) would magnify the rounding of x^2. With x cut to 32 bits, `head^2` is exact and the
    // rest, (head - x)(head + x), is small enough that its rounding does not show.
    let head = f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000);
    exp::<Double>(-head * head - 0.5625) * exp::<Double>((head - x) * (head + x) + ratio) / x
}

const NEAR_ERF_OF_ONE: f64 = 0.8450629115104675;

const SMALL_P: [f64; 5] = [
    0.12837916709551256,
    -0.3250421072470015,
    -0.02848174957559851,
    -0.005770270296489442,
    -2.3763016656650163e-5,
];
const SMALL_Q: [f64; 6] = [
    1.0,
    0.39791722395915535,
    0.0650222499887673,
    0.005081306281875766,
    0.00013249473800432164,
    -3.960228278775368e-6,
];
const MIDDLE_P: [f64; 7] = [
    -0.0023621185607526594,
    0.41485611868374833,
    -0.3722078760357013,
    0.31834661990116175,
    -0.11089469428239668,
    0.035478304325618236,
    -0.002166375594868791,
];
const MIDDLE_Q: [f64; 7] = [
    1.0,
    0.10642088040084423,
    0.540397917702171,
    0.07182865441419627,
    0.12617121980876164,
    0.01363708391202905,
    0.011984499846799107,
];
const TAIL_P: [f64; 8] = [
    -0.009864944034847148,
    -0.6938585727071818,
    -10.558626225323291,
    -62.375332450326006,
    -162.39666946257347,
    -184.60509290671104,
    -81.2874355063066,
    -9.814329344169145,
];
const TAIL_Q: [f64; 9] = [
    1.0,
    19.651271667439257,
    137.65775414351904,
    434.56587747522923,
    645.3872717332679,
    429.00814002756783,
    108.63500554177944,
    6.570249770319282,
    -0.0604244152148581,
];
const FAR_P: [f64; 7] = [
    -0.0098649429247001,
    -0.799283237680523,
    -17.757954917754752,
    -160.63638485582192,
    -637.5664433683896,
    -1025.0951316110772,
    -483.5191916086514,
];
const FAR_Q: [f64; 8] = [
    1.0,
    30.33806074348246,
    325.7925129965739,
    1536.729586084437,
    3199.8582195085955,
    2553.0504064331644,
    474.52854120695537,
    -22.44095244658582,
];

#[cfg(test)]
mod tests {
    use super::erf;

    /// Maclaurin's series, `2/sqrt(pi) * sum of (-1)^n x^(2n+1) / (n! (2n+1))`. Its terms alternate, so
    /// it serves up to one, where cancellation still costs less than two digits.
    fn series(x: f64) -> f64 {
        let (mut power, mut sum) = (x, x);
        for n in 1..60 {
            power *= -x * x / f64::from(n);
            sum += power / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn meets_the_series_below_one() {
        for i in -1000..=1000 {
            let x = f64::from(i) / 1000.0;
            let expected = series(x);
            assert!((erf(x) - expected).abs() <= 1e-15 * expected.abs(), "erf({x})");
        }
    }

    #[test]
    fn meets_tabulated_values() {
        // Abramowitz and Stegun, Handbook of Mathematical Functions, table 7.1, and its tail 1 - erfc.
        let table = [
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (1.2, 0.910_313_978_229_635_4),
            (1.5, 0.966_105_146_475_310_8),
            (2.0, 0.995_322_265_018_952_7),
            (2.5, 0.999_593_047_982_555),
            (3.0, 0.999_977_909_503_001_4),
            (4.0, 0.999_999_984_582_742_1),
            (7.0, 1.0),
        ];
        for (x, expected) in table {
            assert!((erf(x) - expected).abs() < 3e-16, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

    #[test]
    fn keeps_signs_and_limits() {
        assert!(erf(f64::NAN).is_nan());
        assert_eq!(erf(f64::INFINITY), 1.0);
        assert_eq!(erf(f64::NEG_INFINITY), -1.0);
        assert!(erf(-0.0).is_sign_negative());
    }
}
