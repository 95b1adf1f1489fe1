//! Elementwise kernels. The derivatives of all functions of one argument stand in one table,
//! [`unary_gradient`], as functions of what the forward pass keeps.
//!
//! The functions are compiled into the loops that [`vectorize`] makes for each kind of vectors. A compiler that is not told to
//! leaves the longer ones outside, in one version for the oldest processor: hence their attributes.

use rayon::prelude::*;
use striate_conv::vectorize;

use super::strided::{TASK, Walk, along, zip};
use crate::Float;
use crate::backend::{Binary, Compare, Unary};

fn map<T: Float>(out: &mut [T], x: &[T], f: impl Fn(T) -> T + Sync) {
    let pairs = out.par_chunks_mut(TASK).zip(x.par_chunks(TASK));
    pairs.for_each(|(out, x)| {
        vectorize!(out.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x)));
    });
}

#[inline(always)]
fn sigmoid<T: Float>(x: T) -> T {
    // 1 / (1 + e^-x), or e^x / (1 + e^x): the one whose exponential cannot overflow.
    let e = (-x.abs()).exp();
    let numerator = if x < T::ZERO { e } else { T::ONE };
    numerator / (T::ONE + e)
}

#[inline]
pub(super) fn relu<T: Float>(x: T) -> T {
    // Written so that NaN passes through.
    if x < T::ZERO { T::ZERO } else { x }
}

/// `ln(1 + e^x)` without overflow.
#[inline(always)]
fn softplus<T: Float>(x: T) -> T {
    relu(x) + (-x.abs()).exp().ln_1p()
}

#[inline(always)]
fn softplus_gradient<T: Float>(grad: T, x: T) -> T {
    grad * sigmoid(x)
}

#[inline(always)]
fn silu<T: Float>(x: T) -> T {
    x * sigmoid(x)
}

#[inline(always)]
fn silu_gradient<T: Float>(grad: T, x: T) -> T {
    let s = sigmoid(x);
    grad * s * (T::ONE + x * (T::ONE - s))
}

/// The normal distribution function.
#[inline(always)]
fn normal_cdf<T: Float>(x: T) -> T {
    let half = T::from_f64(0.5);
    half * (T::ONE + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

const TANH_CUBIC: f64 = 0.044715;

/// `tanh(sqrt(2/pi) (x + 0.044715 x^3))` and the derivative of its argument.
#[inline(always)]
fn gelu_tanh_parts<T: Float>(x: T) -> (T, T) {
    let root = T::from_f64((2.0 / std::f64::consts::PI).sqrt());
    let cubic = T::from_f64(TANH_CUBIC) * x * x;
    let inner = root * x * (T::ONE + cubic);
    let slope = root * (T::ONE + T::from_f64(3.0) * cubic);
    (inner.tanh(), slope)
}

#[inline(always)]
fn gelu_tanh<T: Float>(x: T) -> T {
    T::from_f64(0.5) * x * (T::ONE + gelu_tanh_parts(x).0)
}

#[inline(always)]
fn gelu_tanh_gradient<T: Float>(grad: T, x: T) -> T {
    let (t, slope) = gelu_tanh_parts(x);
    grad * T::from_f64(0.5) * (T::ONE + t + x * (T::ONE - t * t) * slope)
}

pub(super) fn unary<T: Float>(op: Unary, out: &mut [T], x: &[T]) {
    let c = T::from_f64;
    match op {
        Unary::Affine { scale, shift } => {
            let (scale, shift) = (c(scale), c(shift));
            map(out, x, |x| scale * x + shift)
        }
        Unary::Abs => map(out, x, |x| x.abs()),
        Unary::Exp => map(out, x, T::exp),
        Unary::Ln => map(out, x, T::ln),
        Unary::Sqrt => map(out, x, |x| x.sqrt()),
        Unary::Recip => map(out, x, |x| T::ONE / x),
        Unary::Pow(2.0) => map(out, x, |x| x * x),
        Unary::Pow(p) => map(out, x, power(p)),
        Unary::Tanh => map(out, x, T::tanh),
        Unary::Sigmoid => map(out, x, sigmoid),
        Unary::Relu => map(out, x, relu),
        Unary::LeakyRelu(slope) => map(out, x, |x| if x > T::ZERO { x } else { c(slope) * x }),
        Unary::Elu(alpha) => {
            let alpha = c(alpha);
            map(
                out,
                x,
                #[inline(always)]
                |x| if x > T::ZERO { x } else { alpha * x.exp_m1() },
            )
        }
        Unary::Gelu => map(out, x, |x| x * normal_cdf(x)),
        Unary::GeluTanh => map(out, x, gelu_tanh),
        Unary::Softplus => map(out, x, softplus),
        Unary::Silu => map(out, x, silu),
        Unary::Clamp(low, high) => map(out, x, |x| {
            if x < c(low) {
                c(low)
            } else if x > c(high) {
                c(high)
            } else {
                x
            }
        }),
    }
}

/// `x^p`. A half is a square root, which is faster and, as in PyTorch, has no value at minus infinity.
#[inline(always)]
fn power<T: Float>(p: f64) -> impl Fn(T) -> T + Copy + Sync {
    let exponent = T::from_f64(p);
    #[inline(always)]
    move |x: T| {
        if p == 0.5 {
            x.sqrt()
        } else if p == -0.5 {
            T::ONE / x.sqrt()
        } else {
            x.powf(exponent)
        }
    }
}

/// `out = grad f'`, where `s` is what [`Unary::saves`] keeps: the input `x`, the output `y`, or nothing.
pub(super) fn unary_gradient<T: Float>(op: Unary, out: &mut [T], saved: &[T], grad: &[T]) {
    let c = T::from_f64;
    let (one, zero, half) = (T::ONE, T::ZERO, c(0.5));
    match op {
        Unary::Affine { scale, .. } => map(out, grad, |g| g * c(scale)),
        Unary::Abs => with(out, grad, saved, |g, x| {
            if x > zero {
                g
            } else if x < zero {
                -g
            } else {
                zero
            }
        }),
        Unary::Exp => with(out, grad, saved, |g, y| g * y),
        Unary::Ln => with(out, grad, saved, |g, x| g / x),
        Unary::Sqrt => with(out, grad, saved, |g, y| g * half / y),
        Unary::Recip => with(out, grad, saved, |g, y| -g * y * y),
        Unary::Pow(0.0) => map(out, grad, |_| zero),
        Unary::Pow(2.0) => with(out, grad, saved, |g, x| g * (x + x)),
        Unary::Pow(p) => {
            let (p, power) = (c(p), power(p - 1.0));
            with(
                out,
                grad,
                saved,
                #[inline(always)]
                |g, x| g * p * power(x),
            )
        }
        Unary::Tanh => with(out, grad, saved, |g, y| g * (one - y * y)),
        Unary::Sigmoid => with(out, grad, saved, |g, y| g * y * (one - y)),
        Unary::Relu => with(out, grad, saved, |g, y| if y <= zero { zero } else { g }),
        Unary::LeakyRelu(slope) => {
            with(out, grad, saved, |g, x| if x > zero { g } else { g * c(slope) })
        }
        Unary::Elu(alpha) => {
            let alpha = c(alpha);
            with(
                out,
                grad,
                saved,
                #[inline(always)]
                |g, x| if x <= zero { g * alpha * x.exp() } else { g },
            )
        }
        Unary::Gelu => with(out, grad, saved, |g, x| {
            let density = (-half * x * x).exp() * c(0.5 / std::f64::consts::PI).sqrt();
            g * (normal_cdf(x) + x * density)
        }),
        Unary::GeluTanh => with(out, grad, saved, gelu_tanh_gradient),
        Unary::Softplus => with(out, grad, saved, softplus_gradient),
        Unary::Silu => with(out, grad, saved, silu_gradient),
        Unary::Clamp(low, high) => {
            with(out, grad, saved, |g, x| if x > c(low) && x < c(high) { g } else { zero })
        }
    }
}

fn with<T: Float>(out: &mut [T], grad: &[T], saved: &[T], f: impl Fn(T, T) -> T + Sync) {
    let inputs = grad.par_chunks(TASK).zip(saved.par_chunks(TASK));
    out.par_chunks_mut(TASK).zip(inputs).for_each(|(out, (grad, saved))| {
        vectorize!({
            let inputs = grad.iter().zip(saved);
            out.iter_mut().zip(inputs).for_each(|(o, (&g, &s))| *o = f(g, s));
        });
    });
}

pub(super) fn binary<T: Float>(op: Binary, out: &mut [T], walk: &Walk<2>, a: &[T], b: &[T]) {
    match op {
        Binary::Add => zip(out, walk, a, b, |a, b| a + b),
        Binary::Sub => zip(out, walk, a, b, |a, b| a - b),
        Binary::Mul => zip(out, walk, a, b, |a, b| a * b),
        Binary::Div => zip(out, walk, a, b, |a, b| a / b),
        Binary::Pow => zip(
            out,
            walk,
            a,
            b,
            #[inline(always)]
            |a: T, b| a.powf(b),
        ),
        // A comparison with NaN is false: the second test passes on a NaN on the left.
        Binary::Maximum => zip(out, walk, a, b, |a, b| if a > b || a.is_nan() { a } else { b }),
        Binary::Minimum => zip(out, walk, a, b, |a, b| if a < b || a.is_nan() { a } else { b }),
    }
}

pub(super) fn compare<T: Float>(op: Compare, out: &mut [bool], walk: &Walk<2>, a: &[T], b: &[T]) {
    match op {
        Compare::Eq => zip(out, walk, a, b, |a, b| a == b),
        Compare::Ne => zip(out, walk, a, b, |a, b| a != b),
        Compare::Lt => zip(out, walk, a, b, |a, b| a < b),
        Compare::Le => zip(out, walk, a, b, |a, b| a <= b),
        Compare::Gt => zip(out, walk, a, b, |a, b| a > b),
        Compare::Ge => zip(out, walk, a, b, |a, b| a >= b),
    }
}

pub(super) fn choose<T: Float>(
    out: &mut [T],
    walk: &Walk<3>,
    condition: &[bool],
    [a, b]: [&[T]; 2],
) {
    let [s, t, u] = walk.inner();
    out.par_chunks_mut(TASK).enumerate().for_each(|(task, out)| {
        let from = task * TASK;
        walk.rows(from, from + out.len(), |position, count, [c, i, j]| {
            for n in 0..count {
                out[position - from + n] = match condition[along(c, n, s)] {
                    true => a[along(i, n, t)],
                    false => b[along(j, n, u)],
                };
            }
        });
    });
}
