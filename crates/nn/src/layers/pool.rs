//! Pooling as layers.

use striate_tensor::{Float, PoolSpec, Result, Tensor};

use super::python::{boolean, one_or_tuple, tuple};
use crate::{FieldTrace, Init, Module, Pass, Window};

/// Defines a layer that holds one setting and applies one operation.
macro_rules! pooling {
    ($(#[$doc:meta])* $name:ident, $setting:ident: $type:ty, $kinds:expr, |$x:ident, $value:ident| $apply:expr, $relu:expr, $commutes:expr, $max_pool2d:expr, $describe:expr, $windows:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<const N: usize> {
            path: String,
            $setting: $type,
        }

        impl<const N: usize> $name<N> {
            /// The layer with its setting.
            pub fn new(init: &Init, $setting: $type) -> Self {
                $name { path: init.path().into(), $setting }
            }
        }

        impl<const N: usize, T: Float> Module<T> for $name<N> {
            fn path(&self) -> &str {
                &self.path
            }

            fn kind(&self) -> &'static str {
                $kinds[N - 1]
            }

            fn settings(&self) -> String {
                $describe(&self.$setting)
            }

            fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
                match $windows(&self.$setting) {
                    Some(windows) => fields.through::<T>(self, windows),
                    None => fields.sees_all::<T>(self),
                }
            }

            fn compute(&self, $x: &Tensor<T>, _: &Pass<T>) -> Result<Tensor<T>> {
                let $value = &self.$setting;
                $apply
            }

            fn compute_relu(&self, x: &Tensor<T>, _: &Pass<T>) -> Option<Result<Tensor<T>>> {
                $relu(x, &self.$setting)
            }

            fn commutes_with_relu(&self) -> bool {
                $commutes
            }

            fn max_pool2d(&self) -> Option<PoolSpec<2>> {
                $max_pool2d(&self.$setting)
            }
        }
    };
}

fn describe_max<const N: usize>(spec: &PoolSpec<N>) -> String {
    let [kernel, stride, padding, dilation] =
        [spec.kernel, spec.stride, spec.padding, spec.dilation].map(|sizes| one_or_tuple(&sizes));
    let ceil_mode = boolean(spec.ceil_mode);
    format!(
        "kernel_size={kernel}, stride={stride}, padding={padding}, dilation={dilation}, ceil_mode={ceil_mode}"
    )
}

fn describe_average<const N: usize>(spec: &PoolSpec<N>) -> String {
    let text = if N == 1 { tuple } else { one_or_tuple };
    let [kernel, stride, padding] =
        [spec.kernel, spec.stride, spec.padding].map(|sizes| text(&sizes));
    format!("kernel_size={kernel}, stride={stride}, padding={padding}")
}

fn describe_output<const N: usize>(output: &[usize; N]) -> String {
    let text = if N == 1 { one_or_tuple } else { tuple };
    format!("output_size={}", text(output))
}

fn windows<const N: usize>(spec: &PoolSpec<N>) -> Option<Vec<Window>> {
    let window = |axis: usize| Window {
        kernel: spec.kernel[axis],
        stride: spec.stride[axis],
        padding: spec.padding[axis],
        dilation: spec.dilation[axis],
    };
    Some((0..N).map(window).collect())
}

fn max_relu<const N: usize, T: Float>(
    x: &Tensor<T>,
    spec: &PoolSpec<N>,
) -> Option<Result<Tensor<T>>> {
    Some(x.max_pool_relu(spec))
}

fn no_relu<S, T: Float>(_: &Tensor<T>, _: &S) -> Option<Result<Tensor<T>>> {
    None
}

/// The windows of max pooling, if they are over two axes.
fn two_axes<const N: usize>(spec: &PoolSpec<N>) -> Option<PoolSpec<2>> {
    let pair = |sizes: [usize; N]| sizes[..].try_into().ok();
    let windows = PoolSpec::new(pair(spec.kernel)?).stride(pair(spec.stride)?);
    let windows = windows.padding(pair(spec.padding)?).dilation(pair(spec.dilation)?);
    Some(windows.ceil_mode(spec.ceil_mode))
}

fn not_max<S>(_: &S) -> Option<PoolSpec<2>> {
    None
}

/// Parts are as large as the map makes them.
fn no_windows<const N: usize>(_: &[usize; N]) -> Option<Vec<Window>> {
    None
}

pooling! {
    /// The maximum of each window.
    MaxPool, spec: PoolSpec<N>, ["MaxPool1d", "MaxPool2d", "MaxPool3d"],
    |x, spec| x.max_pool(spec), max_relu, true, two_axes, describe_max, windows
}
pooling! {
    /// The mean of each window.
    AvgPool, spec: PoolSpec<N>, ["AvgPool1d", "AvgPool2d", "AvgPool3d"],
    |x, spec| x.avg_pool(spec), no_relu, false, not_max, describe_average, windows
}
pooling! {
    /// The maximum of each of a given number of parts.
    AdaptiveMaxPool, output: [usize; N],
    ["AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d"],
    |x, output| x.adaptive_max_pool(*output), no_relu, false, not_max, describe_output, no_windows
}
pooling! {
    /// The mean of each of a given number of parts.
    AdaptiveAvgPool, output: [usize; N],
    ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"],
    |x, output| x.adaptive_avg_pool(*output), no_relu, false, not_max, describe_output, no_windows
}
