//! Geometry of pooling.

use super::{GeometryError, Window, checked_len, checked_sum, lift, require_nonzero, split_input};

/// Pooling with sliding windows over `N` spatial axes (one, two or three), before it meets an input.
///
/// ```
/// use striate_conv::PoolSpec;
///
/// let spec = PoolSpec::new([3, 3]).stride([2, 2]);
/// assert_eq!(spec.output_size([8, 7])?, [3, 3]);
/// assert_eq!(spec.ceil_mode(true).output_size([8, 7])?, [4, 3]);
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolSpec<const N: usize> {
    /// Taps on each axis.
    pub kernel: [usize; N],
    /// Input cells from one window to the next.
    pub stride: [usize; N],
    /// Cells before and after the input on each axis: never a maximum, and zero in an average.
    pub padding: [usize; N],
    /// Input cells from one tap to the next.
    pub dilation: [usize; N],
    /// Whether a last window that reaches beyond the padded input is kept.
    pub ceil_mode: bool,
    /// Whether an average divides by its padding cells too.
    pub count_include_pad: bool,
    /// What an average divides by, in place of the number of its cells.
    pub divisor_override: Option<usize>,
}

impl<const N: usize> PoolSpec<N> {
    /// Windows side by side: the stride is the kernel. No padding, dilation 1, PyTorch's defaults.
    pub const fn new(kernel: [usize; N]) -> Self {
        const { assert!(N >= 1 && N <= 3, "there are one, two or three spatial axes") };
        Self {
            kernel,
            stride: kernel,
            padding: [0; N],
            dilation: [1; N],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// Sets the stride.
    pub const fn stride(mut self, stride: [usize; N]) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the padding on each side.
    pub const fn padding(mut self, padding: [usize; N]) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the dilation.
    pub const fn dilation(mut self, dilation: [usize; N]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets whether a last, partial window is kept.
    pub const fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Sets whether an average counts its padding.
    pub const fn count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }

    /// Sets what an average divides by.
    pub const fn divisor_override(mut self, divisor: Option<usize>) -> Self {
        self.divisor_override = divisor;
        self
    }

    /// The spatial size of the output.
    ///
    /// As for a convolution, the window's start has `i + 2p - d(k-1) - 1` cells to move over in steps of
    /// `s`. Rounding down keeps the windows that fit; rounding up (`ceil_mode`) keeps one more where
    /// cells are left over, unless it would start beyond the input and the padding before it, where it
    /// could see nothing:
    ///
    /// `o = floor((i + 2p - d(k-1) - 1 + [ceil_mode] (s-1)) / s) + 1`, less one if `(o-1) s >= i + p`
    ///
    /// # Errors
    /// A zero in the specification, padding above half the kernel, a window larger than the padded
    /// input, dilation so wide that a window would see padding only, or overflow.
    pub fn output_size(&self, input: [usize; N]) -> Result<[usize; N], GeometryError> {
        self.validate()?;
        let mut output = input;
        for (axis, size) in output.iter_mut().enumerate() {
            *size = self.axis_output(axis, *size)?;
        }
        Ok(output)
    }

    fn axis_output(&self, axis: usize, input: usize) -> Result<usize, GeometryError> {
        let padding = self.padding[axis];
        let Window { kernel, stride, dilation } = self.window(axis);
        if padding > kernel / 2 {
            return Err(GeometryError::PoolPadding { axis, padding, kernel });
        }
        let overflow = || GeometryError::Overflow {
            what: "padded input",
            sizes: vec![input, padding, stride],
        };
        let slack = if self.ceil_mode { stride - 1 } else { 0 };
        let reach = checked_sum(&[input, padding, padding, slack]).ok_or_else(overflow)?;
        let extent = self.window(axis).extent();
        if input == 0 || extent > reach {
            let (before, after) = (padding, padding);
            return Err(GeometryError::TooSmall { axis, extent, input, before, after });
        }
        // The first window starts at -p, and its first tap inside the input is the first multiple of
        // the dilation at or beyond p. Any later window with a tap before the input starts closer to it.
        if padding.next_multiple_of(dilation) - padding >= input {
            return Err(GeometryError::PaddingOnly { axis, dilation, input });
        }
        let last = (reach - extent) / stride;
        let starts_outside = self.ceil_mode && last * stride >= input + padding;
        Ok(if starts_outside { last } else { last + 1 })
    }

    /// The same pooling over three axes: leading axes of size one, which it leaves alone.
    pub fn lift(&self) -> PoolSpec<3> {
        PoolSpec {
            kernel: lift(self.kernel, 1),
            stride: lift(self.stride, 1),
            padding: lift(self.padding, 0),
            dilation: lift(self.dilation, 1),
            ceil_mode: self.ceil_mode,
            count_include_pad: self.count_include_pad,
            divisor_override: self.divisor_override,
        }
    }

    fn validate(&self) -> Result<(), GeometryError> {
        require_nonzero("kernel", &self.kernel)?;
        require_nonzero("stride", &self.stride)?;
        require_nonzero("dilation", &self.dilation)?;
        require_nonzero("divisor", self.divisor_override.as_slice())
    }

    fn window(&self, axis: usize) -> Window {
        Window {
            kernel: self.kernel[axis],
            stride: self.stride[axis],
            dilation: self.dilation[axis],
        }
    }
}

/// Which cells a pooling window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Windows {
    /// Windows of one size at regular steps.
    Sliding(PoolSpec<3>),
    /// Windows that share the input out evenly: output `o` of `O` covers the cells from
    /// `floor(o I / O)` to `ceil((o+1) I / O)` of `I`.
    Adaptive,
}

/// The input cells of a window along one axis: `first`, `first + step`, ..., `count` of them.
#[derive(Clone, Copy, Debug)]
pub struct Cells {
    /// The first that is inside the input.
    pub first: usize,
    /// How many are.
    pub count: usize,
    /// From one to the next.
    pub step: usize,
    /// The cells that an average divides by.
    pub counted: usize,
}

impl PoolSpec<3> {
    /// The taps of window `o` that are inside the input, those with `p <= o s + t d < p + i`; an average
    /// that includes padding counts those with `o s + t d < i + 2p`.
    fn cells(&self, axis: usize, input: usize, output: usize) -> Cells {
        let (padding, step) = (self.padding[axis], self.dilation[axis]);
        let start = output * self.stride[axis];
        let taps_before = |cell: usize| {
            let taps = cell.saturating_sub(start).div_ceil(step);
            taps.min(self.kernel[axis])
        };
        let (low, high) = (taps_before(padding), taps_before(padding + input));
        let count = high - low;
        let counted = if self.count_include_pad { taps_before(input + 2 * padding) } else { count };
        Cells { first: start + low * step - padding, count, step, counted }
    }
}

/// Cells `floor(o I / O)` to `ceil((o+1) I / O)`, by way of wider integers: the product may overflow.
fn adaptive_cells(input: usize, output: usize, index: usize) -> Cells {
    let (i, o, index) = (input as u128, output as u128, index as u128);
    let (first, end) = (index * i / o, ((index + 1) * i).div_ceil(o));
    let count = (end - first) as usize;
    Cells { first: first as usize, count, step: 1, counted: count }
}

/// A pooling that has met its input: what the kernels need to know.
///
/// Shapes in memory, row-major: input `[planes, *input]`, output `[planes, *output]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PoolShape {
    /// Images times channels, which pooling does not tell apart.
    pub planes: usize,
    /// Spatial size of the input.
    pub input: [usize; 3],
    /// Spatial size of the output.
    pub output: [usize; 3],
    /// Which input cells each output sees.
    pub windows: Windows,
}

impl PoolShape {
    /// Pooling of `input`, `[batch, channels, *spatial]`, with sliding windows.
    ///
    /// # Errors
    /// An input of another rank or with empty axes (the batch may be zero), everything that
    /// [`PoolSpec::output_size`] refuses, and tensors too large to address.
    pub fn sliding<const N: usize>(
        spec: &PoolSpec<N>,
        input: &[usize],
    ) -> Result<Self, GeometryError> {
        let (_, _, spatial) = split_input::<N>(input)?;
        let output = spec.output_size(spatial)?;
        Self::addressable(input, spatial, output, Windows::Sliding(spec.lift()))
    }

    /// [`PoolShape::sliding`] for an average, which PyTorch limits once more: over three axes, and only there, a window
    /// must fit the input without its padding.
    ///
    /// # Errors
    /// As [`PoolShape::sliding`], and over three axes a window larger than the input.
    pub fn sliding_average<const N: usize>(
        spec: &PoolSpec<N>,
        input: &[usize],
    ) -> Result<Self, GeometryError> {
        let shape = Self::sliding(spec, input)?;
        let extent: Vec<_> = (0..N).map(|axis| spec.window(axis).extent()).collect();
        let spatial = &input[2..];
        if N == 3 && extent.iter().zip(spatial).any(|(extent, size)| extent > size) {
            return Err(GeometryError::AverageTooSmall { extent, input: spatial.to_vec() });
        }
        Ok(shape)
    }

    /// Pooling of `input`, `[batch, channels, *spatial]`, to a given output size.
    ///
    /// # Errors
    /// An input of another rank or with empty axes (the batch may be zero), a zero output size, and
    /// tensors too large to address.
    pub fn adaptive<const N: usize>(
        output: [usize; N],
        input: &[usize],
    ) -> Result<Self, GeometryError> {
        let (_, _, spatial) = split_input::<N>(input)?;
        require_nonzero("output size", &output)?;
        Self::addressable(input, spatial, output, Windows::Adaptive)
    }

    fn addressable<const N: usize>(
        input: &[usize],
        spatial: [usize; N],
        output: [usize; N],
        windows: Windows,
    ) -> Result<Self, GeometryError> {
        checked_len("input", input)?;
        let planes = checked_len("planes", &input[..2])?;
        let sizes: Vec<usize> = input[..2].iter().copied().chain(output).collect();
        checked_len("output", &sizes)?;
        Ok(Self { planes, input: lift(spatial, 1), output: lift(output, 1), windows })
    }

    /// What the windows cover along an axis, one entry to each output.
    pub fn cells(&self, axis: usize) -> Vec<Cells> {
        let (input, output) = (self.input[axis], self.output[axis]);
        match &self.windows {
            Windows::Sliding(spec) => (0..output).map(|o| spec.cells(axis, input, o)).collect(),
            Windows::Adaptive => (0..output).map(|o| adaptive_cells(input, output, o)).collect(),
        }
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.input.iter().fold(self.planes, |product, &size| product.saturating_mul(size))
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.output.iter().fold(self.planes, |product, &size| product.saturating_mul(size))
    }
}
