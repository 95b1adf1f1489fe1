//! What each arithmetic instruction computes, as a table from name and type to a function over a
//! warp.
//!
//! The table is the list of what this interpreter knows: a pair that is not in it is refused when
//! the module is loaded. Approximate instructions (`ex2.approx` and its like) err as much as
//! [`approximate`] says, or, on request, are rounded once.

#![allow(
    clippy::double_comparisons,
    clippy::manual_clamp,
    clippy::neg_cmp_op_on_partial_ord,
    clippy::useless_conversion,
    reason = "comparisons are spelt for their answer to a NaN, and one text serves both floats"
)]

use crate::approximate;
use crate::convert::fused;
use crate::instruction::{Class, LANES, Lanes, Rounding, Type, WarpFn};

/// A value that a register holds in its low bits.
trait Word: Copy {
    fn get(bits: u64) -> Self;
    fn put(self) -> u64;
}

macro_rules! words {
    ($($ty:ty: $via:ty),*) => {$(
        impl Word for $ty {
            fn get(bits: u64) -> Self { bits as $via as $ty }
            fn put(self) -> u64 { u64::from(self as $via) }
        }
    )*};
}
words!(u16: u16, i16: u16, u32: u32, i32: u32, u64: u64, i64: u64);

impl Word for f32 {
    fn get(bits: u64) -> Self {
        Self::from_bits(bits as u32)
    }
    /// Whatever NaN a single-precision result is, a card writes this one.
    fn put(self) -> u64 {
        if self.is_nan() { 0x7fff_ffff } else { self.to_bits().into() }
    }
}

impl Word for f64 {
    fn get(bits: u64) -> Self {
        Self::from_bits(bits)
    }
    fn put(self) -> u64 {
        self.to_bits()
    }
}

impl Word for bool {
    fn get(bits: u64) -> Self {
        bits != 0
    }
    fn put(self) -> u64 {
        self.into()
    }
}

/// A warp function of operands of one type: `op!(f32; |a, b| a + b)`.
macro_rules! op {
    ($ty:ty; |$a:ident| $e:expr) => { op!($ty; |$a, _b, _c| $e) };
    ($ty:ty; |$a:ident, $b:ident| $e:expr) => { op!($ty; |$a, $b, _c| $e) };
    ($ty:ty; |$a:ident, $b:ident, $c:pat_param| $e:expr) => {
        op!($ty, $ty, $ty; |$a, $b, $c| $e)
    };
    ($ta:ty, $tb:ty, $tc:ty; |$a:pat_param, $b:pat_param, $c:pat_param| $e:expr) => {
        Some((|[a, b, c]: [&Lanes; 3]| {
            let mut out: Lanes = [0; LANES];
            for (i, out) in out.iter_mut().enumerate() {
                let ($a, $b, $c) = (<$ta>::get(a[i]), <$tb>::get(b[i]), <$tc>::get(c[i]));
                *out = Word::put($e);
            }
            out
        }) as WarpFn)
    };
}

/// Evaluates an expression with `$t` (and `$wide`) standing for the integer type, or gives `None`.
macro_rules! integers {
    ($ty:expr, $t:ident, $wide:ident => $e:expr) => {
        match ($ty.class, $ty.bits) {
            (Class::Unsigned, 16) => integers!(@ u16, u32, $t, $wide, $e),
            (Class::Signed, 16) => integers!(@ i16, i32, $t, $wide, $e),
            (Class::Unsigned, 32) => integers!(@ u32, u64, $t, $wide, $e),
            (Class::Signed, 32) => integers!(@ i32, i64, $t, $wide, $e),
            (Class::Unsigned, 64) => integers!(@ u64, u128, $t, $wide, $e),
            (Class::Signed, 64) => integers!(@ i64, i128, $t, $wide, $e),
            _ => None,
        }
    };
    (@ $real:ty, $double:ty, $t:ident, $wide:ident, $e:expr) => {{
        #[allow(dead_code)]
        type $t = $real;
        #[allow(dead_code)]
        type $wide = $double;
        $e
    }};
}

macro_rules! floats {
    ($ty:expr, $t:ident => $e:expr) => {
        match $ty.bits {
            32 => {
                type $t = f32;
                $e
            }
            _ => {
                type $t = f64;
                $e
            }
        }
    };
}

macro_rules! bits {
    ($ty:expr, $t:ident => $e:expr) => {
        match $ty.bits {
            1 => {
                type $t = bool;
                $e
            }
            16 => {
                type $t = u16;
                $e
            }
            32 => {
                type $t = u32;
                $e
            }
            64 => {
                type $t = u64;
                $e
            }
            _ => None,
        }
    };
}

/// Compiles a table of warp functions for any processor and for AVX2 with fused multiply-add, and
/// chooses when it is asked: without, a fused multiply-add is a call of the C library for each
/// lane. The results are the same bits.
macro_rules! vectorized {
    (fn $name:ident($($arg:ident: $ty:ty),*) -> $result:ty $body:block) => {
        fn $name($($arg: $ty),*) -> $result {
            fn plain($($arg: $ty),*) -> $result $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn with_avx2($($arg: $ty),*) -> $result $body
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the processor has AVX2 and FMA, now and when the functions are called.
                return unsafe { with_avx2($($arg),*) };
            }
            plain($($arg),*)
        }
    };
}

/// The function for an arithmetic instruction. `name` is the opcode with the modifiers that
/// change the result, such as `mul.lo` or `rcp.approx`; `exact` rounds approximations once.
pub(crate) fn arithmetic(name: &str, ty: Type, exact: bool) -> Option<WarpFn> {
    if ty == Type::F32
        && !exact
        && let Some(run) = inexact(name)
    {
        return Some(run);
    }
    if ty.is_float() { float(name, ty) } else { integer(name, ty).or_else(|| bitwise(name, ty)) }
}

/// How many operands an arithmetic instruction reads.
pub(crate) fn operands(name: &str) -> usize {
    match name {
        "mad.lo" | "mad.hi" | "mad.wide" | "bfe" => 3,
        _ if name.starts_with("fma") => 3,
        "neg" | "abs" | "not" | "popc" | "clz" | "brev" | "mov" | "bfind" | "bfind.shiftamt" => 1,
        _ if name.starts_with("rcp") || name.starts_with("sqrt") || name.starts_with("rsqrt") => 1,
        _ if name.ends_with(".approx") && !name.starts_with("div") => 1,
        _ => 2,
    }
}

vectorized! {
    fn float(name: &str, ty: Type) -> Option<WarpFn> {
        floats!(ty, T => match name {
            "add" => op!(T; |a, b| a + b),
            "sub" => op!(T; |a, b| a - b),
            "mul" => op!(T; |a, b| a * b),
            "fma" => op!(T; |a, b, c| a.mul_add(b, c)),
            "div" => op!(T; |a, b| a / b),
            "rcp" => op!(T; |a| 1.0 / a),
            "sqrt" => op!(T; |a| a.sqrt()),
            "min" => op!(T; |a, b| if less(a.into(), b.into()) { a } else { b }),
            "max" => op!(T; |a, b| if less((-b).into(), (-a).into()) { b } else { a }),
            "neg" => op!(T; |a| -a),
            "abs" => op!(T; |a| a.abs()),
            "mov" => op!(T; |a| a),
            "rsqrt.approx" => op!(T; |a| (1.0 / f64::from(a).sqrt()) as T),
            _ if ty.bits == 32 => single(name),
            _ => None,
        })
    }
}

/// Whether `min` chooses its first operand: a number before a NaN, and -0 before +0.
fn less(a: f64, b: f64) -> bool {
    b.is_nan() || a < b || (a == b && a.is_sign_negative())
}

/// What single precision alone has: approximations, and directed rounding.
fn single(name: &str) -> Option<WarpFn> {
    match name {
        "fma.rm" => op!(f32; |a, b, c| fused(Rounding::Down, [a, b, c])),
        "fma.rp" => op!(f32; |a, b, c| fused(Rounding::Up, [a, b, c])),
        "fma.rz" => op!(f32; |a, b, c| fused(Rounding::Zero, [a, b, c])),
        "rcp.approx" => op!(f32; |a| 1.0 / a),
        "sqrt.approx" => op!(f32; |a| a.sqrt()),
        "div.approx" | "div.full" => op!(f32; |a, b| a / b),
        "ex2.approx" => op!(f32; |a| f64::from(a).exp2() as f32),
        "lg2.approx" => op!(f32; |a| f64::from(a).log2() as f32),
        "tanh.approx" => op!(f32; |a| f64::from(a).tanh() as f32),
        "sin.approx" => op!(f32; |a| f64::from(a).sin() as f32),
        "cos.approx" => op!(f32; |a| f64::from(a).cos() as f32),
        _ => None,
    }
}

/// Approximate instructions as the documentation of cards allows them to err.
fn inexact(name: &str) -> Option<WarpFn> {
    match name {
        "rcp.approx" => op!(f32; |a| approximate::rcp(a)),
        "sqrt.approx" => op!(f32; |a| approximate::sqrt(a)),
        "rsqrt.approx" => op!(f32; |a| approximate::rsqrt(a)),
        "div.approx" => op!(f32; |a, b| approximate::div_limited(a, b)),
        "div.full" => op!(f32; |a, b| approximate::div(a, b)),
        "ex2.approx" => op!(f32; |a| approximate::ex2(a)),
        "lg2.approx" => op!(f32; |a| approximate::lg2(a)),
        "tanh.approx" => op!(f32; |a| approximate::tanh(a)),
        "sin.approx" => op!(f32; |a| approximate::sin(a)),
        "cos.approx" => op!(f32; |a| approximate::cos(a)),
        _ => None,
    }
}

vectorized! {
    fn integer(name: &str, ty: Type) -> Option<WarpFn> {
        integers!(ty, T, Wide => match name {
            "add" => op!(T; |a, b| a.wrapping_add(b)),
            "sub" => op!(T; |a, b| a.wrapping_sub(b)),
            "mul.lo" => op!(T; |a, b| a.wrapping_mul(b)),
            "mul.hi" => op!(T; |a, b| ((Wide::from(a) * Wide::from(b)) >> T::BITS) as T),
            "mad.lo" => op!(T; |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
            "mad.hi" => op!(T; |a, b, c| (((Wide::from(a) * Wide::from(b)) >> T::BITS) as T).wrapping_add(c)),
            // PTX leaves division by zero unspecified; cards give all ones.
            "div" => op!(T; |a, b| if b == 0 { !0 } else { a.wrapping_div(b) }),
            "rem" => op!(T; |a, b| if b == 0 { !0 } else { a.wrapping_rem(b) }),
            "min" => op!(T; |a, b| a.min(b)),
            "max" => op!(T; |a, b| a.max(b)),
            "shr" => op!(T, u32, u32; |a, b, _| a >> b.min(T::BITS - 1) >> u32::from(b >= T::BITS)),
            "mov" => op!(T; |a| a),
            _ => None,
        })
        .or_else(|| signed_or_wide(name, ty))
    }
}

fn signed_or_wide(name: &str, ty: Type) -> Option<WarpFn> {
    match (name, ty.class, ty.bits) {
        ("neg", Class::Signed, 16) => op!(i16; |a| a.wrapping_neg()),
        ("neg", Class::Signed, 32) => op!(i32; |a| a.wrapping_neg()),
        ("neg", Class::Signed, 64) => op!(i64; |a| a.wrapping_neg()),
        ("abs", Class::Signed, 16) => op!(i16; |a| a.wrapping_abs()),
        ("abs", Class::Signed, 32) => op!(i32; |a| a.wrapping_abs()),
        ("abs", Class::Signed, 64) => op!(i64; |a| a.wrapping_abs()),
        ("mul.wide", Class::Unsigned, 16) => op!(u16; |a, b| u32::from(a) * u32::from(b)),
        ("mul.wide", Class::Signed, 16) => op!(i16; |a, b| i32::from(a) * i32::from(b)),
        ("mul.wide", Class::Unsigned, 32) => op!(u32; |a, b| u64::from(a) * u64::from(b)),
        ("mul.wide", Class::Signed, 32) => op!(i32; |a, b| i64::from(a) * i64::from(b)),
        ("mad.wide", Class::Unsigned, 32) => {
            op!(u32, u32, u64; |a, b, c| (u64::from(a) * u64::from(b)).wrapping_add(c))
        }
        ("mad.wide", Class::Signed, 32) => {
            op!(i32, i32, i64; |a, b, c| (i64::from(a) * i64::from(b)).wrapping_add(c))
        }
        ("bfind" | "bfind.shiftamt", ..) => highest_bit(name != "bfind", ty),
        ("bfe", Class::Unsigned, 32 | 64) => extract_unsigned(ty.bits),
        ("bfe", Class::Signed, 32) => {
            op!(u64, u32, u32; |a, b, c| extract_signed(a as u32 as i32 as i64, b, c, 32) as u32)
        }
        ("bfe", Class::Signed, 64) => {
            op!(i64, u32, u32; |a, b, c| extract_signed(a, b, c, 64))
        }
        _ => None,
    }
}

/// `bfind`: the place of the highest bit that is not the sign, or how far it would have to be
/// shifted to the top; all ones if there is none.
fn highest_bit(shift: bool, ty: Type) -> Option<WarpFn> {
    fn find(bits: u64, width: u32, shift: bool) -> u32 {
        let missing = u64::BITS - width;
        match bits.checked_ilog2() {
            None => u32::MAX,
            Some(_) if shift => bits.leading_zeros() - missing,
            Some(place) => place,
        }
    }
    match (ty.class, ty.bits, shift) {
        (Class::Unsigned, 32, false) => op!(u64; |a| find(a, 32, false)),
        (Class::Unsigned, 32, true) => op!(u64; |a| find(a, 32, true)),
        (Class::Unsigned, 64, false) => op!(u64; |a| find(a, 64, false)),
        (Class::Unsigned, 64, true) => op!(u64; |a| find(a, 64, true)),
        (Class::Signed, 32, false) => op!(i32; |a| find((a ^ (a >> 31)) as u64, 32, false)),
        (Class::Signed, 32, true) => op!(i32; |a| find((a ^ (a >> 31)) as u64, 32, true)),
        (Class::Signed, 64, false) => op!(i64; |a| find((a ^ (a >> 63)) as u64, 64, false)),
        (Class::Signed, 64, true) => op!(i64; |a| find((a ^ (a >> 63)) as u64, 64, true)),
        _ => None,
    }
}

fn extract_unsigned(bits: u32) -> Option<WarpFn> {
    fn field(a: u64, at: u32, len: u32, bits: u32) -> u64 {
        let (at, len) = (at & 255, len & 255);
        if at >= bits { 0 } else { (a >> at) & mask(len) }
    }
    match bits {
        32 => op!(u64, u32, u32; |a, b, c| field(a, b, c, 32)),
        _ => op!(u64, u32, u32; |a, b, c| field(a, b, c, 64)),
    }
}

/// A signed bit field; bits beyond the operand repeat its sign.
fn extract_signed(a: i64, at: u32, len: u32, bits: u32) -> i64 {
    let (at, len) = (at & 255, len & 255);
    if len == 0 {
        return 0;
    }
    let shifted = a >> at.min(bits - 1);
    if len >= 64 { shifted } else { (shifted << (64 - len)) >> (64 - len) }
}

fn mask(len: u32) -> u64 {
    if len >= 64 { !0 } else { (1 << len) - 1 }
}

vectorized! {
    fn bitwise(name: &str, ty: Type) -> Option<WarpFn> {
        // Only shifts to the right ask whether there is a sign.
        if !matches!(ty.class, Class::Bits | Class::Predicate) && !matches!(name, "mov" | "shr") {
            return None;
        }
        match name {
            "and" => bits!(ty, T => op!(T; |a, b| a & b)),
            "or" => bits!(ty, T => op!(T; |a, b| a | b)),
            "xor" => bits!(ty, T => op!(T; |a, b| a ^ b)),
            "not" => bits!(ty, T => op!(T; |a| !a)),
            "mov" => bits!(ty, T => op!(T; |a| a)),
            _ => match (name, ty.bits) {
                ("shl", 16) => op!(u16, u32, u32; |a, b, _| a.checked_shl(b).unwrap_or(0)),
                ("shl", 32) => op!(u32, u32, u32; |a, b, _| a.checked_shl(b).unwrap_or(0)),
                ("shl", 64) => op!(u64, u32, u32; |a, b, _| a.checked_shl(b).unwrap_or(0)),
                ("shr", 16) => op!(u16, u32, u32; |a, b, _| a.checked_shr(b).unwrap_or(0)),
                ("shr", 32) => op!(u32, u32, u32; |a, b, _| a.checked_shr(b).unwrap_or(0)),
                ("shr", 64) => op!(u64, u32, u32; |a, b, _| a.checked_shr(b).unwrap_or(0)),
                ("popc", 32) => op!(u32; |a| a.count_ones()),
                ("popc", 64) => op!(u64; |a| a.count_ones()),
                ("clz", 32) => op!(u32; |a| a.leading_zeros()),
                ("clz", 64) => op!(u64; |a| a.leading_zeros()),
                ("brev", 32) => op!(u32; |a| a.reverse_bits()),
                ("brev", 64) => op!(u64; |a| a.reverse_bits()),
                _ => None,
            },
        }
    }
}

/// `bfi` takes four operands: here the position and length come as `at | len << 32`.
pub(crate) fn insert_field(ty: Type) -> Option<WarpFn> {
    fn insert(a: u64, b: u64, place: u64, bits: u32) -> u64 {
        let (at, len) = ((place & 255) as u32, ((place >> 32) & 255) as u32);
        if at >= bits {
            return b;
        }
        let field = mask(len) << at & mask(bits);
        (b & !field) | ((a << at) & field)
    }
    match ty.bits {
        32 => op!(u64; |a, b, c| insert(a, b, c, 32)),
        64 => op!(u64; |a, b, c| insert(a, b, c, 64)),
        _ => None,
    }
}

/// What an atomic operation leaves in memory: a function of the old value and the operands.
pub(crate) type Update = fn([u64; 3]) -> u64;

/// The function behind `atom` and `red`. Values are zero-extended, as registers are.
pub(crate) fn atomic(name: &str, ty: Type) -> Option<Update> {
    macro_rules! update {
        ($t:ty; |$old:ident, $a:ident, $b:pat_param| $e:expr) => {
            Some(
                (|[old, a, b]: [u64; 3]| {
                    let ($old, $a, $b) = (<$t>::get(old), <$t>::get(a), <$t>::get(b));
                    Word::put($e)
                }) as Update,
            )
        };
    }
    let sized = ty.bits >= 32;
    match (name, ty.class) {
        ("add", Class::Unsigned | Class::Signed) | ("min" | "max", _) => {
            integers!(ty, T, Wide => match name {
                _ if !sized => None,
                "add" if ty.class == Class::Signed && ty.bits == 64 => None,
                "add" => update!(T; |old, a, _| old.wrapping_add(a)),
                "min" => update!(T; |old, a, _| old.min(a)),
                _ => update!(T; |old, a, _| old.max(a)),
            })
        }
        ("inc", Class::Unsigned) if ty.bits == 32 => {
            update!(u32; |old, a, _| if old >= a { 0 } else { old + 1 })
        }
        ("dec", Class::Unsigned) if ty.bits == 32 => {
            update!(u32; |old, a, _| if old == 0 || old > a { a } else { old - 1 })
        }
        ("and", Class::Bits) if sized => update!(u64; |old, a, _| old & a),
        ("or", Class::Bits) if sized => update!(u64; |old, a, _| old | a),
        ("xor", Class::Bits) if sized => update!(u64; |old, a, _| old ^ a),
        ("exch", Class::Bits) if sized => update!(u64; |_old, a, _| a),
        ("cas", Class::Bits) if sized => update!(u64; |old, a, b| if old == a { b } else { old }),
        _ => None,
    }
}

/// The function behind `selp`: the first operand where the predicate holds, else the second.
pub(crate) fn select() -> Option<WarpFn> {
    op!(u64, u64, bool; |a, b, c| if c { a } else { b })
}

/// The function behind `setp`, giving 0 or 1.
pub(crate) fn compare(name: &str, ty: Type) -> Option<WarpFn> {
    if ty.is_float() {
        return compare_floats(name, ty);
    }
    match name {
        "eq" => return bits!(ty, T => op!(T, T, T; |a, b, _| a == b)),
        "ne" => return bits!(ty, T => op!(T, T, T; |a, b, _| a != b)),
        _ => {}
    }
    let unsigned_name = matches!(name, "lo" | "ls" | "hi" | "hs");
    if unsigned_name && ty.class != Class::Unsigned {
        return None;
    }
    integers!(ty, T, Wide => match name {
        "lt" | "lo" => op!(T, T, T; |a, b, _| a < b),
        "le" | "ls" => op!(T, T, T; |a, b, _| a <= b),
        "gt" | "hi" => op!(T, T, T; |a, b, _| a > b),
        "ge" | "hs" => op!(T, T, T; |a, b, _| a >= b),
        _ => None,
    })
}

/// Ordered forms are false and unordered forms (`equ` …) true when an operand is a NaN.
fn compare_floats(name: &str, ty: Type) -> Option<WarpFn> {
    floats!(ty, T => match name {
        "eq" => op!(T, T, T; |a, b, _| a == b),
        "ne" => op!(T, T, T; |a, b, _| a < b || a > b),
        "lt" => op!(T, T, T; |a, b, _| a < b),
        "le" => op!(T, T, T; |a, b, _| a <= b),
        "gt" => op!(T, T, T; |a, b, _| a > b),
        "ge" => op!(T, T, T; |a, b, _| a >= b),
        "equ" => op!(T, T, T; |a, b, _| !(a < b || a > b)),
        "neu" => op!(T, T, T; |a, b, _| a != b),
        "ltu" => op!(T, T, T; |a, b, _| !(a >= b)),
        "leu" => op!(T, T, T; |a, b, _| !(a > b)),
        "gtu" => op!(T, T, T; |a, b, _| !(a <= b)),
        "geu" => op!(T, T, T; |a, b, _| !(a < b)),
        "num" => op!(T, T, T; |a, b, _| !a.is_nan() && !b.is_nan()),
        "nan" => op!(T, T, T; |a, b, _| a.is_nan() || b.is_nan()),
        _ => None,
    })
}

/// `.ftz`: a subnormal single becomes a zero of its sign.
pub(crate) fn flush(lanes: &mut Lanes) {
    for lane in lanes {
        let subnormal = f32::get(*lane).is_subnormal();
        *lane &= if subnormal { 0x8000_0000 } else { !0 };
    }
}

/// `.sat`: a single clamped to [0, 1]; a NaN becomes zero.
pub(crate) fn saturate(lanes: &mut Lanes) {
    for lane in lanes {
        *lane = f32::get(*lane).max(0.0).min(1.0).abs().put();
    }
}
