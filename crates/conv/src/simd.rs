//! Loops compiled for the processor that runs them.
//!
//! A library is built for the oldest processor that may run it, and its loops use the narrow vectors that one
//! has. [`vectorize`](crate::vectorize) compiles the loop that it is given again with AVX2 and with AVX-512 and takes the widest that it can.
//! It changes no result: wider vectors do the same additions and multiplications, which are not contracted.

use std::sync::OnceLock;

/// Evaluates an expression with the widest vectors that this processor has. It should be a loop over slices.
///
/// ```
/// let mut x = [1.0f32; 100];
/// striate_conv::vectorize!(x.iter_mut().for_each(|x| *x += 1.0));
/// assert_eq!(x, [2.0; 100]);
/// ```
#[macro_export]
macro_rules! vectorize {
    ($work:expr) => {
        // A compiler that is not told to leaves a longer loop outside, in one version for the oldest processor.
        $crate::simd::run_vectorized(
            #[inline(always)]
            || $work,
        )
    };
}

/// See [`vectorize`](crate::vectorize).
#[doc(hidden)]
#[inline(always)]
pub fn run_vectorized<R>(work: impl FnOnce() -> R) -> R {
    match level() {
        // SAFETY: the processor has what the level says.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { with_avx512(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { with_avx2(work) },
        Level::Portable => work(),
    }
}

/// Defines a function whose body is compiled for each level, as [`vectorize`](crate::vectorize) does with an expression. For bodies
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
            /// # Safety
            /// The processor must have AVX-512.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            unsafe fn with_avx512<$($generics)*>($($argument: $type),*) {
                plain($($argument),*)
            }
            match $crate::simd::level() {
                // SAFETY: the processor has what the level says.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 => unsafe { with_avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { with_avx2($($argument),*) },
                $crate::simd::Level::Portable => plain($($argument),*),
            }
        }
    };
}
pub(crate) use vectorized;

/// Bytes that are fetched together.
const CACHE_LINE: usize = 64;
/// What kernels may use of a processor, each level all of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Level {
    /// What every processor has.
    Portable,
    /// AVX2 and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with vectors of all lengths.
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
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if has_avx512 {
                levels.push(Self::Avx512);
            }
        }
        levels
    }
}

/// The kernels of this process: `portable`, `avx2` or `avx512`. They decide over the last bits of sums, and the environment
/// variable `STRIATE_KERNEL` can ask for lower ones than the processor has.
pub fn level_name() -> &'static str {
    level().name()
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

/// Asks for what will be read or written soon. A processor does so by itself along one stretch of memory, but not from the
/// rows of one plane to those of the next.
#[inline(always)]
pub(crate) fn prefetch<T>(cells: &[T]) {
    for line in (0..size_of_val(cells)).step_by(CACHE_LINE) {
        prefetch_at(cells.as_ptr().cast::<u8>().wrapping_add(line));
    }
}

/// The same for the cache line of a cell, which need not be there.
#[inline(always)]
pub(crate) fn prefetch_at<T>(cell: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this kind has the instruction, which changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(cell.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = cell;
}

/// # Safety
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// # Safety
/// The processor must have AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}
