//! Elementary functions against their values to 106 bits (`functions.txt`, by `tests/reference/functions.py`), in f32 against
//! f64, and where they have no value.

// Ours are compared with the system's.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::Path;

use striate_conv::Float;
use striate_conv::vectorize;

/// A function of one argument, in both types, and the standard library's.
struct Function {
    name: &'static str,
    single: fn(f32) -> f32,
    double: fn(f64) -> f64,
    standard: fn(f64) -> f64,
    /// The most units in the last place that an f64 may be off.
    bound: f64,
}

/// Ours, in both types.
type Ours = (fn(f32) -> f32, fn(f64) -> f64);

const fn function(
    name: &'static str,
    (single, double): Ours,
    standard: fn(f64) -> f64,
    bound: f64,
) -> Function {
    Function { name, single, double, standard, bound }
}

const FUNCTIONS: [Function; 5] = [
    function("exp", (Float::exp, Float::exp), f64::exp, 0.7),
    function("exp_m1", (Float::exp_m1, Float::exp_m1), f64::exp_m1, 1.0),
    function("ln", (Float::ln, Float::ln), f64::ln, 0.8),
    function("ln_1p", (Float::ln_1p, Float::ln_1p), f64::ln_1p, 1.2),
    function("tanh", (Float::tanh, Float::tanh), f64::tanh, 2.0),
];

/// Of sine and cosine, and of powers.
const OTHER_BOUNDS: [f64; 2] = [1.8, 1.3];
/// The most units in the last place that an f32 may be off.
const SINGLE_BOUND: f64 = 0.505;

/// The distance from a finite number to the next larger in magnitude.
fn ulp(x: f64) -> f64 {
    x.abs().next_up() - x.abs()
}

#[test]
fn doubles_are_within_their_bounds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/functions.txt");
    let text = fs::read_to_string(file).unwrap();
    let mut seen = 0;
    for line in text.lines() {
        let (name, numbers) = line.split_once(' ').unwrap();
        let number = |bits| f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        let numbers: Vec<f64> = numbers.split(' ').map(number).collect();
        let [arguments @ .., high, low] = &numbers[..] else { panic!("{line}") };
        let x = arguments[0];
        let (found, bound) = match FUNCTIONS.iter().find(|function| function.name == name) {
            Some(function) => ((function.double)(x), function.bound),
            None if name == "sin" => (x.sin_cos_turns().0, OTHER_BOUNDS[0]),
            None if name == "cos" => (x.sin_cos_turns().1, OTHER_BOUNDS[0]),
            None => (Float::powf(x, arguments[1]), OTHER_BOUNDS[1]),
        };
        let error = ((found - high) - low).abs() / ulp(*high);
        assert!(error <= bound, "{name}{arguments:?} is {found:e}, {error:.2} units off");
        seen += 1;
    }
    assert_eq!(seen, 960);
}

/// How many units in the last place `found` is off.
fn error(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if same(found.into(), nearest.into()) && !nearest.is_normal() {
        return 0.0;
    }
    (f64::from(found) - exact).abs() / single_ulp(nearest)
}

fn single_ulp(x: f32) -> f64 {
    f64::from(x.abs().next_up()) - f64::from(x.abs())
}

/// All of f32 in steps, subnormals, infinities and NaN included.
fn singles() -> impl Iterator<Item = f32> {
    (0..=u32::MAX).step_by(997).map(f32::from_bits)
}

#[test]
fn singles_are_within_their_bound() {
    for Function { name, single, standard, .. } in FUNCTIONS {
        for x in singles() {
            let error = error(single(x), standard(f64::from(x)));
            assert!(error <= SINGLE_BOUND, "{name}({x:e}) is {:e}, {error} units off", single(x));
        }
    }
    for y in [-3.0f32, -0.5, 0.1, 0.3333, 2.5, 17.0] {
        for x in singles().step_by(5) {
            let (found, exact) = (Float::powf(x, y), f64::powf(x.into(), y.into()));
            let error = error(found, exact);
            assert!(error <= SINGLE_BOUND, "{x:e}^{y} is {found:e}, {error} units off");
        }
    }
}

/// Equal, both NaN, or zeros of one sign.
fn same(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a == b && a.is_sign_negative() == b.is_sign_negative())
}

const SPECIAL: [f64; 22] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
    -0.5,
    3.0,
    -3.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    -5e-324,
    1e300,
    9_007_199_254_740_993.0,
    -746.0,
    710.0,
];

/// Where a value is zero, infinite or none, it is exactly that, with its sign; elsewhere within two units.
#[test]
fn special_values_are_those_of_the_standard() {
    let agree = |found: f64, expected: f64| {
        let special = expected == 0.0 || !expected.is_finite() || expected.abs() == 1.0;
        same(found, expected) || (!special && (found - expected).abs() <= 2.0 * ulp(expected))
    };
    for x in SPECIAL {
        for Function { name, single, double, standard, .. } in FUNCTIONS {
            let (found, expected) = (double(x), standard(x));
            assert!(agree(found, expected), "{name}({x:e}) is {found:e} instead of {expected:e}");
            let (found, expected) = (single(x as f32), standard(f64::from(x as f32)) as f32);
            assert!(same(found.into(), expected.into()), "{name}({x:e}f32) is {found:e}");
        }
        for y in SPECIAL {
            let (found, expected) = (Float::powf(x, y), f64::powf(x, y));
            assert!(agree(found, expected), "{x:e}^{y:e} is {found:e} instead of {expected:e}");
            let (x, y) = (x as f32, y as f32);
            let (found, expected) = (Float::powf(x, y), f64::powf(x.into(), y.into()) as f32);
            assert!(same(found.into(), expected.into()), "{x:e}^{y:e} in f32 is {found:e}");
        }
    }
    for quarters in -9..=9 {
        let (sin, cos) = (0.25 * f64::from(quarters)).sin_cos_turns();
        let expected = [0.0, 1.0, 0.0, -1.0];
        let at = |q: i32| expected[q.rem_euclid(4) as usize];
        assert_eq!((sin, cos), (at(quarters), at(quarters + 1)), "{quarters} quarters");
    }
    let (sin, cos) = f64::INFINITY.sin_cos_turns();
    assert!(sin.is_nan() && cos.is_nan());
}

#[test]
fn a_vector_of_values_has_the_bits_of_one_at_a_time() {
    let arguments: Vec<f32> = singles().step_by(3).collect();
    for Function { name, single, .. } in FUNCTIONS {
        let mut together = arguments.clone();
        // Once with the function known, so that it can be compiled into the loop.
        match name {
            "exp" => vectorize!(together.iter_mut().for_each(|x| *x = Float::exp(*x))),
            "ln" => vectorize!(together.iter_mut().for_each(|x| *x = Float::ln(*x))),
            "tanh" => vectorize!(together.iter_mut().for_each(|x| *x = Float::tanh(*x))),
            _ => continue,
        }
        for (&x, &y) in arguments.iter().zip(&together) {
            assert!(y.to_bits() == single(x).to_bits() || y.is_nan(), "{name}({x:e})");
        }
    }
}
