//! Element types, and how each finds its kernels behind a device.

use crate::backend::{Backend, Kernels, Memory};

/// What a tensor can hold: f32, f64, i64 (labels, indices) and bool (masks).
pub trait Element: striate_conv::Element {
    /// The part of a backend that moves this type.
    fn memory(backend: &dyn Backend) -> &dyn Memory<Self>;
    /// As f64; `false` is 0 and `true` 1.
    fn as_f64(self) -> f64;
    /// From f64: floats round to nearest, integers towards zero, any non-zero is `true`.
    fn of_f64(value: f64) -> Self;
    /// As i64: floats truncate and saturate, `false` is 0 and `true` 1.
    fn as_i64(self) -> i64;
    /// From i64, which f64 does not hold in full: floats round once, any non-zero is `true`.
    fn of_i64(value: i64) -> Self;
}

/// What can be computed with and differentiated: f32 and f64.
pub trait Float: Element + striate_conv::Float {
    /// The part of a backend that computes with this type.
    fn kernels(backend: &dyn Backend) -> &dyn Kernels<Self>;
}

macro_rules! element {
    ($type:ty, $as_f64:expr, $of_f64:expr, $of_i64:expr) => {
        impl Element for $type {
            fn memory(backend: &dyn Backend) -> &dyn Memory<Self> {
                backend
            }

            fn as_f64(self) -> f64 {
                $as_f64(self)
            }

            fn of_f64(value: f64) -> Self {
                $of_f64(value)
            }

            fn as_i64(self) -> i64 {
                self as i64
            }

            fn of_i64(value: i64) -> Self {
                $of_i64(value)
            }
        }
    };
}
element!(f32, f64::from, |value| value as f32, |value| value as f32);
element!(f64, |value| value, |value| value, |value| value as f64);
element!(i64, |value| value as f64, |value| value as i64, |value| value);
element!(bool, |value| f64::from(u8::from(value)), |value| value != 0.0, |value| value != 0);

impl Float for f32 {
    fn kernels(backend: &dyn Backend) -> &dyn Kernels<f32> {
        backend
    }
}

impl Float for f64 {
    fn kernels(backend: &dyn Backend) -> &dyn Kernels<f64> {
        backend
    }
}
