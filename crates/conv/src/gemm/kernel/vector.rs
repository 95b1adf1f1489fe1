//! Vectors of a processor, so that a kernel can be written once for all of them.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::PortableFloat;

/// Some neighbouring elements, in registers. What a kernel does with them has to be compiled into a function of the processor's level.
///
/// # Safety
/// All methods: the processor must have the vectors, and pointers must be to as many elements.
pub(super) trait Vector<T>: Copy {
    const LEN: usize;
    /// # Safety
    /// See [`Vector`].
    unsafe fn splat(value: T) -> Self;
    /// # Safety
    /// See [`Vector`].
    unsafe fn load(from: *const T) -> Self;
    /// # Safety
    /// See [`Vector`].
    unsafe fn store(self, to: *mut T);
    /// `self + other`.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn plus(self, other: Self) -> Self;
    /// `self + a b`, rounded once where the processor can.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// The elements where another vector is not zero, and zeros.
    ///
    /// # Safety
    /// See [`Vector`].
    unsafe fn only_where(self, other: Self) -> Self;
}

impl<T: PortableFloat + PartialEq, const LEN: usize> Vector<T> for [T; LEN] {
    const LEN: usize = LEN;

    #[inline(always)]
    unsafe fn splat(value: T) -> Self {
        [value; LEN]
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: by the caller's promise.
        unsafe { from.cast::<Self>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: by the caller's promise.
        unsafe { to.cast::<Self>().write(self) }
    }
    #[inline(always)]
    unsafe fn plus(mut self, other: Self) -> Self {
        for i in 0..LEN {
            self[i] += other[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn plus_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..LEN {
            self[i] += a[i] * b[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn only_where(mut self, other: Self) -> Self {
        for i in 0..LEN {
            if other[i] == T::default() {
                self[i] = T::default();
            }
        }
        self
    }
}

/// Two vectors side by side, for a processor whose vectors are too short to hide the latency of a sum.
#[derive(Clone, Copy)]
pub(super) struct Pair<V>(V, V);

impl<T, V: Vector<T>> Vector<T> for Pair<V>
where
    T: Copy,
{
    const LEN: usize = 2 * V::LEN;

    #[inline(always)]
    unsafe fn splat(value: T) -> Self {
        // SAFETY: by the caller's promise, as everywhere below.
        unsafe { Self(V::splat(value), V::splat(value)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: as above.
        unsafe { Self(V::load(from), V::load(from.add(V::LEN))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: as above.
        unsafe {
            self.0.store(to);
            self.1.store(to.add(V::LEN));
        }
    }
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.plus(other.0), self.1.plus(other.1)) }
    }
    #[inline(always)]
    unsafe fn plus_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.plus_product(a.0, b.0), self.1.plus_product(a.1, b.1)) }
    }
    #[inline(always)]
    unsafe fn only_where(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(self.0.only_where(other.0), self.1.only_where(other.1)) }
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! vector {
    ($vector:ty, $type:ty, $len:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident, |$x:ident, $y:ident| $only_where:expr) => {
        impl Vector<$type> for $vector {
            const LEN: usize = $len;

            #[inline(always)]
            unsafe fn splat(value: $type) -> Self {
                // SAFETY: by the caller's promise, as everywhere below.
                unsafe { $splat(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: as above.
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }
            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, other) }
            }
            #[inline(always)]
            unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $fma(a, b, self) }
            }
            #[inline(always)]
            unsafe fn only_where(self, other: Self) -> Self {
                let ($x, $y) = (self, other);
                // SAFETY: as above.
                unsafe { $only_where }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(
    __m256,
    f32,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_fmadd_ps,
    |x, y| _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_NEQ_UQ>(y, _mm256_setzero_ps()))
);
#[cfg(target_arch = "x86_64")]
vector!(
    __m256d,
    f64,
    4,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_fmadd_pd,
    |x, y| _mm256_and_pd(x, _mm256_cmp_pd::<_CMP_NEQ_UQ>(y, _mm256_setzero_pd()))
);
#[cfg(target_arch = "x86_64")]
vector!(
    __m512,
    f32,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_fmadd_ps,
    |x, y| _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(y, _mm512_setzero_ps()), x)
);
#[cfg(target_arch = "x86_64")]
vector!(
    __m512d,
    f64,
    8,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_fmadd_pd,
    |x, y| _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(y, _mm512_setzero_pd()), x)
);
