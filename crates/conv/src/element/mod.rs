//! The four types that a buffer may hold, and the two that kernels compute with.
//!
//! [`Element`] is what can be stored and moved; [`Float`] is what can be multiplied and
//! differentiated. Both are sealed: the buffer pool relies on knowing every type's bit patterns, and
//! the matrix product exists for `f32` and `f64` only.

mod erf;
mod math;

use std::fmt::{self, Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::gemm::RawGemm;
use crate::gemm::kernel::{self, Kernel};
use crate::routines::{self, Routines};

mod sealed {
    /// Known only here, so that no other type can become an element.
    pub trait Sealed {
        /// Whether any bytes at all make a valid value, so that recycled memory needs no clearing.
        const ANY_BYTES: bool;
    }
}

/// The type of an element, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// 64-bit signed integer: labels and indices.
    I64,
    /// Truth values: masks.
    Bool,
}

impl DType {
    /// The size of one element in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
            Self::Bool => 1,
        }
    }
}

impl Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I64 => "i64",
            Self::Bool => "bool",
        })
    }
}

/// A type that buffers and tensors may hold: `f32`, `f64`, `i64` or `bool`.
pub trait Element:
    sealed::Sealed + Copy + Default + PartialEq + PartialOrd + Debug + Display + Send + Sync + 'static
{
    /// This type, as a value.
    const DTYPE: DType;
}

/// Whether recycled bytes may be read as `T` without being cleared first.
pub(crate) const fn any_bytes_are_valid<T: Element>() -> bool {
    <T as sealed::Sealed>::ANY_BYTES
}

macro_rules! element {
    ($type:ty, $dtype:ident, $any_bytes:literal) => {
        impl sealed::Sealed for $type {
            const ANY_BYTES: bool = $any_bytes;
        }
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
        }
    };
}

element!(f32, F32, true);
element!(f64, F64, true);
element!(i64, I64, true);
element!(bool, Bool, false);

/// A floating-point element: `f32` or `f64`.
///
/// The methods are those of the primitive types, under their own names, but that exponentials, logarithms, powers and
/// `tanh` are our own, with the same bits on every system. [`Float::erf`] and [`Float::sin_cos_turns`] are ours alone. A
/// primitive's own methods come first where a type is known: there, ours are called as `Float::exp(x)`.
pub trait Float:
    Element
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// The distance from one to the next larger value.
    const EPSILON: Self;
    /// The largest finite value.
    const MAX: Self;
    /// The smallest positive normal value.
    const MIN_POSITIVE: Self;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// This value as `f64`, exactly.
    fn to_f64(self) -> f64;

    /// The exponential.
    fn exp(self) -> Self;
    /// `exp(self) - 1`, accurate near zero.
    fn exp_m1(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// `ln(1 + self)`, accurate near zero.
    fn ln_1p(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The sine and the cosine of an angle that is counted in turns, of `2 pi` radians each.
    fn sin_cos_turns(self) -> (Self, Self);
    /// The error function, `2/sqrt(pi) * integral of exp(-t^2) from 0 to self`, to about one unit in
    /// the last place.
    fn erf(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// One divided by this value.
    fn recip(self) -> Self;
    /// The largest integer not above.
    fn floor(self) -> Self;
    /// The smallest integer not below.
    fn ceil(self) -> Self;
    /// The nearest integer, halves away from zero.
    fn round(self) -> Self;
    /// One with the sign of this value; NaN stays NaN.
    fn signum(self) -> Self;
    /// Raises to a power.
    fn powf(self, exponent: Self) -> Self;
    /// The larger value; a NaN operand is ignored.
    fn max(self, other: Self) -> Self;
    /// The smaller value; a NaN operand is ignored.
    fn min(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// Whether this is not a number.
    fn is_nan(self) -> bool;
    /// Whether this is neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// The matrix product on raw memory, for [`gemm`](crate::gemm) alone.
    #[doc(hidden)]
    const GEMM: RawGemm<Self>;

    /// The microkernel of matrix products on this processor, for [`gemm`](crate::gemm) alone.
    #[doc(hidden)]
    fn kernel() -> &'static Kernel<Self>;

    /// What this crate computes with this type, compiled in this crate.
    #[doc(hidden)]
    fn routines() -> &'static Routines<Self>;
}

/// The methods that the primitive type has under the same name, each forwarded to it.
macro_rules! forward {
    ($type:ident: $($method:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(#[inline]
        fn $method(self $(, $argument: $kind)*) -> $result {
            $type::$method(self $(, $argument)*)
        })*
    };
}

macro_rules! float {
    ($type:ident, $gemm:ident, $kernel:ident, $routines:ident, $precision:ident: $exp:path, $pow:path) => {
        impl Float for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = $type::INFINITY;
            const NEG_INFINITY: Self = $type::NEG_INFINITY;
            const NAN: Self = $type::NAN;
            const EPSILON: Self = $type::EPSILON;
            const MAX: Self = $type::MAX;
            const MIN_POSITIVE: Self = $type::MIN_POSITIVE;
            const GEMM: RawGemm<Self> = matrixmultiply::$gemm;

            fn kernel() -> &'static Kernel<Self> {
                kernel::$kernel()
            }

            fn routines() -> &'static Routines<Self> {
                &routines::$routines
            }

            #[inline]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self.into()
            }
            fn erf(self) -> Self {
                erf::erf(self.into()) as Self
            }

            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self.into()) as Self
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                math::exp_m1::<math::$precision>(self.into()) as Self
            }
            #[inline(always)]
            fn ln(self) -> Self {
                math::ln::<math::$precision>(self.into()) as Self
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                math::ln_1p::<math::$precision>(self.into()) as Self
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                math::tanh::<math::$precision>(self.into()) as Self
            }
            #[inline(always)]
            fn sin_cos_turns(self) -> (Self, Self) {
                let (sin, cos) = math::sin_cos_turns(self.into());
                (sin as Self, cos as Self)
            }
            #[inline(always)]
            fn powf(self, exponent: Self) -> Self {
                $pow(self.into(), exponent.into()) as Self
            }

            forward! { $type:
                sqrt() -> Self; abs() -> Self; recip() -> Self;
                floor() -> Self; ceil() -> Self; round() -> Self; signum() -> Self;
                max(other: Self) -> Self; min(other: Self) -> Self;
                mul_add(factor: Self, term: Self) -> Self;
                is_nan() -> bool; is_finite() -> bool;
            }
        }
    };
}

float!(f32, sgemm, f32_kernel, SINGLE, Single: math::exp_single, math::pow_single);
float!(f64, dgemm, f64_kernel, DOUBLE, Double: math::exp::<math::Double>, math::pow);
