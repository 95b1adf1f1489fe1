//! Loops compiled for the processor that runs them.
//!
//! A library is built for the oldest processor that may run it, and its loops use the narrow vectors that one
//! has. [`vectorize`] compiles the loop that it is given a second time with AVX2 and takes that where it can.
//! It changes no result: wider vectors do the same additions and multiplications, which are not contracted.

/// Runs `work` with the widest vectors that this processor has. `work` should be a loop over slices, in a closure
/// that nothing else calls, so that it is compiled into each variant.
///
/// ```
/// use striate_conv::simd::vectorize;
///
/// let mut x = [1.0f32; 100];
/// vectorize(|| x.iter_mut().for_each(|x| *x += 1.0));
/// assert_eq!(x, [2.0; 100]);
/// ```
#[inline(always)]
pub fn vectorize<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor has AVX2.
        return unsafe { with_avx2(work) };
    }
    work()
}

/// Defines a function whose body is compiled a second time with AVX2, as [`vectorize`] does with a closure. For bodies
/// that are too large to be compiled into their caller. Generic parameters stand in brackets.
macro_rules! vectorized {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident[$($generics:tt)*]($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        $vis fn $name<$($generics)*>($($argument: $type),*) {
            #[inline(always)]
            fn plain<$($generics)*>($($argument: $type),*) $body
            /// # Safety
            /// The processor must have AVX2.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            unsafe fn with_avx2<$($generics)*>($($argument: $type),*) {
                plain($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            if $crate::simd::available() {
                // SAFETY: the processor has AVX2.
                return unsafe { with_avx2($($argument),*) };
            }
            plain($($argument),*)
        }
    };
}
pub(crate) use vectorized;

/// Whether the kernels for AVX2 and fused multiply-add may be used: the processor has both, and the environment
/// does not say `STRIATE_KERNEL=portable`.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn available() -> bool {
    use std::sync::OnceLock;
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let portable = std::env::var_os("STRIATE_KERNEL").is_some_and(|name| name == "portable");
        !portable && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    })
}

/// # Safety
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}
