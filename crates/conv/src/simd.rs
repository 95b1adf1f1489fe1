//! Loops compiled for the processor that runs them.
//!
//! A library is built for the oldest processor that may run it, and its loops use the narrow vectors that one
//! has. [`vectorize`] compiles the loop that it is given a second time with AVX2 and takes that where it can.
//! It changes no result: wider vectors do the same additions and multiplications, which are not contracted.

use std::sync::OnceLock;

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

/// What kernels may use of a processor, each level all of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Level {
    /// What every processor has.
    Portable,
    /// AVX2 and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The name that `STRIATE_KERNEL` and listings use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }

    /// The levels that this processor has, the highest last.
    pub(crate) fn available() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(Self::Avx2);
            if is_x86_feature_detected!("avx512f") {
                levels.push(Self::Avx512);
            }
        }
        levels
    }
}

/// The level of the kernels of this process: the one that the environment variable `STRIATE_KERNEL` names when it is first
/// asked for, if the processor has it, or else the highest.
#[inline]
pub(crate) fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let available = Level::available();
        let named = std::env::var_os("STRIATE_KERNEL")
            .and_then(|name| available.iter().find(|level| name == level.name()));
        *named.or(available.last()).unwrap_or(&Level::Portable)
    })
}

/// Whether kernels may use AVX2.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn available() -> bool {
    level() >= Level::Avx2
}

/// # Safety
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}
