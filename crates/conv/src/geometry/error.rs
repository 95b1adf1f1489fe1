//! Why a geometry was refused.

use thiserror::Error;

/// A geometry that cannot be: what was expected, and what came.
///
/// Spatial axes are counted from zero, batch and channels left out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A shape with too few or too many axes.
    #[error("{what} must have {expected} axes, {axes}, got {sizes:?}")]
    Rank {
        /// Whose shape it is.
        what: &'static str,
        /// What the axes mean.
        axes: &'static str,
        /// How many there must be.
        expected: usize,
        /// The shape that came.
        sizes: Vec<usize>,
    },
    /// A shape that has no elements for a reason other than an empty batch.
    #[error("{what} must not be empty (only the batch may be 0), got {sizes:?}")]
    Empty {
        /// Whose shape it is.
        what: &'static str,
        /// The shape that came.
        sizes: Vec<usize>,
    },
    /// A kernel, stride, dilation, group count or the like of zero.
    #[error("{field} must be at least 1, got {sizes:?}")]
    Zero {
        /// The setting.
        field: &'static str,
        /// Its value on each axis.
        sizes: Vec<usize>,
    },
    /// An input whose channels are not those of the weight.
    #[error("weight expects {expected} input channels, input is {input:?}")]
    Channels {
        /// The channels that the weight, and the groups, stand for.
        expected: usize,
        /// The input's shape.
        input: Vec<usize>,
    },
    /// Groups that do not divide the channels.
    #[error("{groups} groups do not divide {channels} {role} channels")]
    Groups {
        /// The group count.
        groups: usize,
        /// The channel count.
        channels: usize,
        /// `input` or `output`.
        role: &'static str,
    },
    /// A weight whose spatial axes are not the kernel of the specification.
    #[error("kernel is {kernel:?}, weight is {weight:?}")]
    Kernel {
        /// The kernel of the specification.
        kernel: Vec<usize>,
        /// The weight's shape.
        weight: Vec<usize>,
    },
    /// A window that does not fit the padded input, so that the output would be empty.
    #[error(
        "window covers {extent} cells on axis {axis}, input has {input} + {} of padding",
        before + after
    )]
    TooSmall {
        /// The spatial axis.
        axis: usize,
        /// `dilation * (kernel - 1) + 1`.
        extent: usize,
        /// The input size.
        input: usize,
        /// Padding before it.
        before: usize,
        /// Padding after it.
        after: usize,
    },
    /// An average over three axes whose windows are larger than the input, though not than the padded input.
    #[error(
        "window {extent:?} must fit the input without its padding over three axes, input is {input:?}"
    )]
    AverageTooSmall {
        /// `dilation * (kernel - 1) + 1` on each axis.
        extent: Vec<usize>,
        /// The input size.
        input: Vec<usize>,
    },
    /// A transposed convolution whose padding crops everything away.
    #[error("padding crops {padding} cells on axis {axis}, transposed output has only {full}")]
    Cropped {
        /// The spatial axis.
        axis: usize,
        /// Padding on both sides together.
        padding: usize,
        /// The output size without padding.
        full: usize,
    },
    /// Output padding that reaches beyond what stride or dilation leave undecided.
    #[error(
        "output padding {padding} on axis {axis} must be below max(stride, dilation) = {limit}"
    )]
    OutputPadding {
        /// The spatial axis.
        axis: usize,
        /// The output padding.
        padding: usize,
        /// The larger of stride and dilation.
        limit: usize,
    },
    /// `same` padding with a stride, for which there is no such thing.
    #[error("padding that keeps the size needs stride 1, got {stride:?}")]
    SameStride {
        /// The stride.
        stride: Vec<usize>,
    },
    /// Pooling padding so wide that a window could lie outside the input.
    #[error("padding {padding} on axis {axis} must be at most half of the pooling kernel {kernel}")]
    PoolPadding {
        /// The spatial axis.
        axis: usize,
        /// The padding on each side.
        padding: usize,
        /// The kernel size.
        kernel: usize,
    },
    /// A dilated pooling window whose taps all fall on padding.
    #[error("first window on axis {axis} sees padding only: dilation {dilation}, input {input}")]
    PaddingOnly {
        /// The spatial axis.
        axis: usize,
        /// The dilation.
        dilation: usize,
        /// The input size.
        input: usize,
    },
    /// Sizes whose product, or sum, no memory could hold.
    #[error("{what} is too large to address: {sizes:?}")]
    Overflow {
        /// What is too large.
        what: &'static str,
        /// The sizes involved.
        sizes: Vec<usize>,
    },
}
