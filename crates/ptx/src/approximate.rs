//! The approximate instructions, at the edge of what NVIDIA's documentation allows.
//!
//! A card's `ex2.approx` is not the exponential but a number near it, and how near is a bound in the
//! description of PTX. A kernel that is right only for exact results is wrong on some card. So each
//! result here is off by nearly the whole bound, up or down as a hash of the operand's bits says: the
//! same program gives the same bits, and neighbouring operands err in both directions, as those of a
//! card do. What the documentation promises by value (infinities, zeros, `ex2` of zero) is exact.
//!
//! The bounds, from sections 9.7.3.8 and 9.7.3.13 to 9.7.3.22 of the PTX ISA, version 9.1
//! (<https://docs.nvidia.com/cuda/parallel-thread-execution/>), and where older versions allowed more, theirs:
//!
//! | instruction | bound |
//! | --- | --- |
//! | `rcp` | 1 unit in the last place; before, 2^-23 of the result |
//! | `sqrt` | 2^-23 of the result |
//! | `rsqrt` | 2^-22.9 of the result; before, 2^-22.4 |
//! | `ex2` | 2 units from the correctly rounded result; before, 2^-22 of the result |
//! | `lg2` | 2^-22 where the operand is between a half and two, 2^-22 of the result elsewhere |
//! | `sin`, `cos` | 2^-20.5 up to two pi, 2^-14.7 up to a hundred pi, nothing beyond |
//! | `tanh` | 2^-11 of the result |
//! | `div.approx`, `div.full` | 2 units in the last place; `.approx` gives up on divisors beyond 2^126 |

/// How far a result may lie from the exact one.
#[derive(Clone, Copy)]
enum Bound {
    /// As a share of the exact result.
    Relative(f64),
    Absolute(f64),
}

/// What a function of one operand is, and its bound there.
type Function = fn(f64) -> (f64, Bound);

/// The result of `function` at `x`, moved by its bound.
fn inexact(x: f32, function: Function) -> f32 {
    let (exact, bound) = function(x.into());
    moved(exact, bound, x.to_bits())
}

/// A unit in the last place of the single next to `exact`, which is normal.
fn ulp(exact: f64) -> f64 {
    let rounded = (exact as f32).abs();
    f64::from(rounded.next_up()) - f64::from(rounded)
}

/// The single next to the edge of the bound around `exact`, on its inner side.
fn moved(exact: f64, bound: Bound, seed: u32) -> f32 {
    let rounded = exact as f32;
    if !rounded.is_normal() {
        return rounded;
    }
    let reach = match bound {
        Bound::Relative(share) => share * exact.abs(),
        Bound::Absolute(reach) => reach,
    };
    let up = seed.wrapping_mul(0x9e37_79b9) >> 31 == 0;
    let edge = if up { exact + reach } else { exact - reach };
    let single = edge as f32;
    let inside = match (f64::from(single) - exact).abs() <= reach {
        true => single,
        false if up => single.next_down(),
        false => single.next_up(),
    };
    if inside.is_normal() { inside } else { rounded }
}

const RCP: f64 = 1.0 / (1_u32 << 23) as f64;
const EX2: f64 = 2.0 * RCP;

pub(crate) fn rcp(x: f32) -> f32 {
    inexact(x, |x| (1.0 / x, Bound::Relative(RCP)))
}

pub(crate) fn sqrt(x: f32) -> f32 {
    inexact(x, |x| (x.sqrt(), Bound::Relative(RCP)))
}

pub(crate) fn rsqrt(x: f32) -> f32 {
    inexact(x, |x| (1.0 / x.sqrt(), Bound::Relative(1.8e-7)))
}

pub(crate) fn ex2(x: f32) -> f32 {
    let exact = f64::from(x).exp2();
    let rounded = exact as f32;
    if x == 0.0 || !rounded.is_normal() {
        return rounded;
    }
    let share = moved(exact, Bound::Relative(EX2), x.to_bits());
    let near = f64::from(rounded);
    let units = moved(near, Bound::Absolute(2.0 * ulp(near)), x.to_bits());
    let error = |found: f32| (f64::from(found) - exact).abs();
    if error(share) > error(units) { share } else { units }
}

/// The bound is absolute where the result passes zero.
pub(crate) fn lg2(x: f32) -> f32 {
    inexact(x, |x| {
        let near = 0.5 < x && x < 2.0;
        (x.log2(), if near { Bound::Absolute(EX2) } else { Bound::Relative(EX2) })
    })
}

pub(crate) fn tanh(x: f32) -> f32 {
    let share = if x.is_infinite() { 0.0 } else { 1.0 / 2048.0 };
    moved(f64::from(x).tanh(), Bound::Relative(share), x.to_bits())
}

fn wave(x: f32, exact: f64) -> f32 {
    let reach = match x.abs() {
        0.0 => 0.0,
        ..=std::f32::consts::TAU => 6.7e-7,
        _ => 3.7e-5,
    };
    moved(exact, Bound::Absolute(reach), x.to_bits())
}

pub(crate) fn sin(x: f32) -> f32 {
    wave(x, f64::from(x).sin())
}

pub(crate) fn cos(x: f32) -> f32 {
    wave(x, f64::from(x).cos())
}

pub(crate) fn div(a: f32, b: f32) -> f32 {
    let seed = a.to_bits().rotate_left(16) ^ b.to_bits();
    let exact = f64::from(a) / f64::from(b);
    moved(exact, Bound::Absolute(2.0 * ulp(exact)), seed)
}

pub(crate) fn div_limited(a: f32, b: f32) -> f32 {
    let vast = b.is_finite() && b.abs() > 2_f32.powi(126);
    match (vast, a.is_infinite()) {
        (false, _) => div(a, b),
        (true, true) => f32::NAN,
        (true, false) => 0.0_f32.copysign(a) * b.signum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of many operands, the largest error up and down as a share of what is allowed.
    fn extremes(found: Found, exact: Exact) -> [f64; 2] {
        let mut extremes = [0.0_f64; 2];
        for i in 1..4000_u32 {
            let x = 0.003 * i as f32;
            let (exact, reach) = exact(x.into());
            let share = (f64::from(found(x)) - exact) / reach;
            extremes = [extremes[0].min(share), extremes[1].max(share)];
        }
        extremes
    }

    /// What is tested; the exact value and the error that is allowed.
    type Found = fn(f32) -> f32;
    type Exact = fn(f64) -> (f64, f64);

    #[test]
    fn errors_fill_their_bounds_and_stay_inside() {
        let cases: [(Found, Exact); 8] = [
            (rcp, |x| (1.0 / x, 2_f64.powi(-23) / x)),
            (sqrt, |x| (x.sqrt(), 2_f64.powi(-23) * x.sqrt())),
            (rsqrt, |x| (1.0 / x.sqrt(), 2_f64.powf(-22.4) / x.sqrt())),
            // Two units from what was rounded by half a unit.
            (ex2, |x| (x.exp2(), (2_f64.powi(-22) * x.exp2()).max(2.5 * ulp(x.exp2())))),
            (lg2, |x| {
                let scale = if 0.5 < x && x < 2.0 { 1.0 } else { x.log2().abs() };
                (x.log2(), 2_f64.powi(-22) * scale)
            }),
            (tanh, |x| (x.tanh(), 2_f64.powi(-11) * x.tanh())),
            (sin, |x| {
                (x.sin(), 2_f64.powf(if x <= std::f64::consts::TAU { -20.5 } else { -14.7 }))
            }),
            (|x| div(x, 3.0), |x| (x / 3.0, 2.0 * ulp(x / 3.0))),
        ];
        for (i, (found, exact)) in cases.into_iter().enumerate() {
            let [down, up] = extremes(found, exact);
            assert!((-1.0..-0.45).contains(&down), "case {i}: {down}");
            assert!(up > 0.45 && up <= 1.0, "case {i}: {up}");
        }
    }

    #[test]
    fn promised_values_are_exact() {
        assert_eq!((ex2(0.0), ex2(f32::NEG_INFINITY)), (1.0, 0.0));
        assert_eq!((lg2(0.0), lg2(f32::INFINITY)), (f32::NEG_INFINITY, f32::INFINITY));
        assert_eq!((sin(0.0), cos(0.0), tanh(f32::INFINITY)), (0.0, 1.0, 1.0));
        assert_eq!((rcp(f32::INFINITY), rcp(0.0), sqrt(0.0)), (0.0, f32::INFINITY, 0.0));
        assert_eq!(div_limited(1.0, 2_f32.powi(127)), 0.0);
        assert!(div_limited(f32::INFINITY, 2_f32.powi(127)).is_nan());
    }
}
