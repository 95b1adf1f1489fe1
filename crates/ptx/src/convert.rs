//! `cvt` between every pair of integer and floating-point widths, with its rounding modes.

#![allow(clippy::manual_clamp, reason = "`clamp` keeps a NaN, where `.sat` makes it zero")]

use std::cmp::Ordering;

use crate::instruction::{Class, Conversion, Rounding, Type};

/// The nearest value or its neighbour on the side that a directed rounding asks for.
macro_rules! stepped {
    ($near:expr, $step:expr) => {
        match $step {
            Ordering::Less => $near.next_down(),
            Ordering::Equal => $near,
            Ordering::Greater => $near.next_up(),
        }
    };
}

/// Converts one register's bits.
pub(crate) fn convert(how: &Conversion, bits: u64) -> u64 {
    let Conversion { to, from, .. } = *how;
    match (from.is_float(), to.is_float()) {
        (false, false) => integer_to_integer(how, integer(from, bits)),
        (false, true) => integer_to_float(how, integer(from, bits)),
        (true, false) => float_to_integer(how, float(from, bits)),
        (true, true) => float_to_float(how, float(from, bits)),
    }
}

/// The value of an integer register read as `ty`.
fn integer(ty: Type, bits: u64) -> i128 {
    let unused = 64 - ty.bits;
    match ty.class {
        Class::Signed => i128::from((bits << unused) as i64 >> unused),
        _ => i128::from((bits << unused) >> unused),
    }
}

fn float(ty: Type, bits: u64) -> f64 {
    if ty.bits == 32 { f32::from_bits(bits as u32).into() } else { f64::from_bits(bits) }
}

/// The bits of an integer in a register, extended from `to` to the register's width.
pub(crate) fn extend(to: Type, reg_bits: u32, value: i128) -> u64 {
    let value = integer(to, value as u64) as u64;
    if reg_bits >= 64 { value } else { value & ((1 << reg_bits) - 1) }
}

fn range(ty: Type) -> (i128, i128) {
    match ty.class {
        Class::Signed => (-(1 << (ty.bits - 1)), (1 << (ty.bits - 1)) - 1),
        _ => (0, (1 << ty.bits) - 1),
    }
}

fn integer_to_integer(how: &Conversion, value: i128) -> u64 {
    let (low, high) = range(how.to);
    let value = if how.saturate { value.clamp(low, high) } else { value };
    extend(how.to, how.reg_bits, value)
}

fn float_to_integer(how: &Conversion, value: f64) -> u64 {
    if value.is_nan() {
        // The PTX manual's rule for a NaN.
        let zero = how.from.bits == 32 && how.to.bits < 64;
        let value = if zero { 0 } else { 1_i128 << (how.to.bits - 1) };
        return extend(how.to, how.reg_bits, value);
    }
    let (low, high) = range(how.to);
    extend(how.to, how.reg_bits, (whole(value, how.rounding) as i128).clamp(low, high))
}

fn whole(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => value.round_ties_even(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    }
}

fn float_to_float(how: &Conversion, value: f64) -> u64 {
    let value = if how.whole { whole(value, how.rounding) } else { value };
    // The saturated zero is positive, also for -0 and NaN.
    let value = if how.saturate { value.max(0.0).min(1.0).abs() } else { value };
    if how.to.bits == 64 {
        return value.to_bits();
    }
    let near = value as f32;
    let order = f64::from(near).partial_cmp(&value).unwrap_or(Ordering::Equal);
    let step = toward(how.rounding, order, value < 0.0);
    u64::from(stepped!(near, step).to_bits())
}

fn integer_to_float(how: &Conversion, value: i128) -> u64 {
    if how.to.bits == 32 {
        let near = value as f32;
        let step = toward(how.rounding, (near as i128).cmp(&value), value < 0);
        let near = stepped!(near, step);
        let near = if how.saturate { near.clamp(0.0, 1.0) } else { near };
        u64::from(near.to_bits())
    } else {
        let near = value as f64;
        let step = toward(how.rounding, (near as i128).cmp(&value), value < 0);
        stepped!(near, step).to_bits()
    }
}

/// `a * b + c`, rounded once in a given direction.
pub(crate) fn fused(rounding: Rounding, [a, b, c]: [f32; 3]) -> f32 {
    // The product is exact in double precision, and the sum is one with its error (Knuth's
    // two-sum).
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let part = sum - product;
    let error = (product - (sum - part)) + (c - part);
    if sum == 0.0
        && rounding == Rounding::Down
        && (product != 0.0 || product.is_sign_negative() || c.is_sign_negative())
    {
        return -0.0;
    }
    let near = sum as f32;
    let above = f64::from(near).partial_cmp(&sum).unwrap_or(Ordering::Equal);
    let above = above.then(0.0_f64.partial_cmp(&error).unwrap_or(Ordering::Equal));
    stepped!(near, toward(rounding, above, sum < 0.0))
}

/// Which neighbour to take, given how the nearest value compares with the exact one.
fn toward(rounding: Rounding, near: Ordering, negative: bool) -> Ordering {
    match (rounding, near) {
        (Rounding::Down, Ordering::Greater) => Ordering::Less,
        (Rounding::Up, Ordering::Less) => Ordering::Greater,
        (Rounding::Zero, Ordering::Greater) if !negative => Ordering::Less,
        (Rounding::Zero, Ordering::Less) if negative => Ordering::Greater,
        _ => Ordering::Equal,
    }
}
