//! Geometry of direct and transposed convolution.

use std::ops::Range;

use super::{
    GeometryError, Window, checked_len, checked_sum, lift, rank_error, require_nonzero, split_input,
};

/// A convolution over `N` spatial axes (one, two or three), before it meets an input.
///
/// Output `o` of an axis reads the input cells `o s + t d - p` for the taps `t` in `0..k`, with kernel
/// `k`, stride `s`, dilation `d` and padding `p` before the input. Cells outside the input are zero.
///
/// ```
/// use striate_conv::ConvSpec;
///
/// let spec = ConvSpec::new([4]).padding([2]);
/// assert_eq!(spec.output_size([5])?, [6]);
/// assert_eq!(spec.stride([2]).output_size([5])?, [3]);
/// # Ok::<(), striate_conv::GeometryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvSpec<const N: usize> {
    /// Taps on each axis.
    pub kernel: [usize; N],
    /// Input cells from one output to the next.
    pub stride: [usize; N],
    /// Zero cells before and after the input on each axis.
    pub padding: [[usize; 2]; N],
    /// Input cells from one tap to the next.
    pub dilation: [usize; N],
    /// Channel groups that are convolved apart from each other.
    pub groups: usize,
    /// Cells added after the output of the transposed form; without meaning for the direct one.
    pub output_padding: [usize; N],
}

impl<const N: usize> ConvSpec<N> {
    /// A kernel with stride 1, no padding, dilation 1 and one group.
    pub const fn new(kernel: [usize; N]) -> Self {
        const { assert!(N >= 1 && N <= 3, "there are one, two or three spatial axes") };
        Self {
            kernel,
            stride: [1; N],
            padding: [[0; 2]; N],
            dilation: [1; N],
            groups: 1,
            output_padding: [0; N],
        }
    }

    /// Sets the stride.
    pub const fn stride(mut self, stride: [usize; N]) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the padding, the same before and after.
    pub fn padding(self, padding: [usize; N]) -> Self {
        self.padding_sides(padding.map(|p| [p, p]))
    }

    /// Sets the padding before and after each axis.
    pub const fn padding_sides(mut self, padding: [[usize; 2]; N]) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the padding that keeps the input's size. Call it last: it is derived from the rest.
    ///
    /// With stride 1 the output has `i + p - d(k-1)` cells, so the padding must be `p = d(k-1)` in all.
    /// An odd total puts its last cell after the input, as PyTorch does.
    ///
    /// # Errors
    /// A stride other than 1, a zero in the specification, or an extent that overflows.
    pub fn same(self) -> Result<Self, GeometryError> {
        self.validate()?;
        if self.stride != [1; N] {
            return Err(GeometryError::SameStride { stride: self.stride.to_vec() });
        }
        Ok(self.padding_sides(self.extent().map(|extent| {
            let total = extent - 1;
            [total / 2, total - total / 2]
        })))
    }

    /// Sets the dilation.
    pub const fn dilation(mut self, dilation: [usize; N]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets the number of channel groups.
    pub const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Sets the cells to add after the transposed output.
    ///
    /// The direct convolution takes the input sizes `i, i + 1, ..., i + s - 1` to one output size; this
    /// says which of them its transpose returns to.
    pub const fn output_padding(mut self, output_padding: [usize; N]) -> Self {
        self.output_padding = output_padding;
        self
    }

    /// The cells from a window's first tap to its last on each axis, `d(k-1) + 1`.
    ///
    /// Saturates at `usize::MAX`, which no input can hold.
    pub fn extent(&self) -> [usize; N] {
        std::array::from_fn(|axis| self.window(axis).extent())
    }

    /// The spatial size of the direct convolution's output.
    ///
    /// The padded input has `i + p_before + p_after` cells and a window covers `d(k-1) + 1` of them, so
    /// the window's start has `i + p_before + p_after - d(k-1) - 1` cells to move over, in steps of `s`,
    /// and the place it starts from counts too:
    ///
    /// `o = floor((i + p_before + p_after - d(k-1) - 1) / s) + 1`
    ///
    /// # Errors
    /// A zero in the specification, a window larger than the padded input, or overflow.
    pub fn output_size(&self, input: [usize; N]) -> Result<[usize; N], GeometryError> {
        self.validate()?;
        let mut output = input;
        for (axis, size) in output.iter_mut().enumerate() {
            let [before, after] = self.padding[axis];
            let padded = checked_sum(&[*size, before, after])
                .ok_or_else(|| overflow("padded input", &[*size, before, after]))?;
            let window = self.window(axis);
            let extent = window.extent();
            if *size == 0 || extent > padded {
                return Err(GeometryError::TooSmall { axis, extent, input: *size, before, after });
            }
            *size = (padded - extent) / window.stride + 1;
        }
        Ok(output)
    }

    /// The spatial size of the transposed convolution's output.
    ///
    /// This solves the direct equation for the input that made `i` outputs. The last of `i` windows
    /// starts `(i-1) s` cells after the first and covers `d(k-1) + 1`; the padding was no input, so it
    /// goes; and the cells that the division dropped are put back by the output padding:
    ///
    /// `o = (i-1) s - p_before - p_after + d(k-1) + 1 + output_padding`
    ///
    /// # Errors
    /// A zero in the specification, output padding not below `max(s, d)`, padding that crops everything
    /// away, or overflow.
    pub fn transposed_output_size(&self, input: [usize; N]) -> Result<[usize; N], GeometryError> {
        self.validate()?;
        let mut output = input;
        for (axis, size) in output.iter_mut().enumerate() {
            let (window, added) = (self.window(axis), self.output_padding[axis]);
            let limit = window.stride.max(window.dilation);
            if added >= limit {
                return Err(GeometryError::OutputPadding { axis, padding: added, limit });
            }
            let [before, after] = self.padding[axis];
            let too_large = || overflow("transposed output", &[*size, before, after, added]);
            let steps = size
                .checked_sub(1)
                .ok_or(GeometryError::Empty { what: "input", sizes: input.to_vec() })?;
            let full = steps
                .checked_mul(window.stride)
                .and_then(|reach| checked_sum(&[reach, window.extent(), added]))
                .ok_or_else(too_large)?;
            let padding = checked_sum(&[before, after]).ok_or_else(too_large)?;
            if padding >= full {
                return Err(GeometryError::Cropped { axis, padding, full });
            }
            *size = full - padding;
        }
        Ok(output)
    }

    /// The same convolution over three axes: leading axes of size one, which it leaves alone.
    pub fn lift(&self) -> ConvSpec<3> {
        ConvSpec {
            kernel: lift(self.kernel, 1),
            stride: lift(self.stride, 1),
            padding: lift(self.padding, [0; 2]),
            dilation: lift(self.dilation, 1),
            groups: self.groups,
            output_padding: lift(self.output_padding, 0),
        }
    }

    fn validate(&self) -> Result<(), GeometryError> {
        require_nonzero("kernel", &self.kernel)?;
        require_nonzero("stride", &self.stride)?;
        require_nonzero("dilation", &self.dilation)?;
        require_nonzero("groups", &[self.groups])
    }

    fn window(&self, axis: usize) -> Window {
        Window {
            kernel: self.kernel[axis],
            stride: self.stride[axis],
            dilation: self.dilation[axis],
        }
    }
}

/// A convolution that has met its input and weight: what the kernels need to know.
///
/// It always describes the *direct* convolution. The transposed one is that convolution's input
/// gradient, so [`ConvShape::transposed`] has the transposed output as its `input` and the transposed
/// input as its `output`; `output` may then be shorter than the input would allow.
///
/// Shapes in memory, row-major: input `[batch, in_channels, *input]`, weight
/// `[out_channels, in_channels / groups, *kernel]`, output `[batch, out_channels, *output]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConvShape {
    /// Images; may be zero.
    pub batch: usize,
    /// Channels that the direct convolution reads.
    pub in_channels: usize,
    /// Channels that the direct convolution writes.
    pub out_channels: usize,
    /// Spatial size that the direct convolution reads.
    pub input: [usize; 3],
    /// Spatial size that the direct convolution writes.
    pub output: [usize; 3],
    /// The specification, over three axes.
    pub spec: ConvSpec<3>,
}

impl ConvShape {
    /// A direct convolution of `input`, `[batch, in_channels, *spatial]`, with `weight`,
    /// `[out_channels, in_channels / groups, *kernel]`.
    ///
    /// # Errors
    /// Shapes of another rank or with empty axes (the batch may be zero), a weight with another kernel,
    /// channels or groups that do not match, everything that [`ConvSpec::output_size`] refuses, and
    /// tensors too large to address.
    pub fn conv<const N: usize>(
        spec: &ConvSpec<N>,
        input: &[usize],
        weight: &[usize],
    ) -> Result<Self, GeometryError> {
        let (batch, in_channels, spatial) = split_input::<N>(input)?;
        let [out_channels, group_channels] = spec.match_weight(weight)?;
        let expected =
            group_channels.checked_mul(spec.groups).ok_or_else(|| overflow("weight", weight))?;
        if expected != in_channels {
            return Err(GeometryError::Channels { expected, input: input.to_vec() });
        }
        if !out_channels.is_multiple_of(spec.groups) {
            let groups = spec.groups;
            return Err(GeometryError::Groups { groups, channels: out_channels, role: "output" });
        }
        let output = lift(spec.output_size(spatial)?, 1);
        let (input, spec) = (lift(spatial, 1), spec.lift());
        Self { batch, in_channels, out_channels, input, output, spec }.addressable()
    }

    /// The direct convolution of which this is the transposed one: `input`,
    /// `[batch, transposed_in, *spatial]`, and `weight`, `[transposed_in, transposed_out / groups, *kernel]`.
    ///
    /// The transposed forward pass is then `input_gradient`; its input gradient is `forward`, and its
    /// weight gradient is `weight_gradient` with the transposed input as `grad_output`.
    ///
    /// # Errors
    /// As [`ConvShape::conv`], with [`ConvSpec::transposed_output_size`] in place of the direct size.
    pub fn transposed<const N: usize>(
        spec: &ConvSpec<N>,
        input: &[usize],
        weight: &[usize],
    ) -> Result<Self, GeometryError> {
        let (batch, out_channels, spatial) = split_input::<N>(input)?;
        let [expected, group_channels] = spec.match_weight(weight)?;
        if expected != out_channels {
            return Err(GeometryError::Channels { expected, input: input.to_vec() });
        }
        if !out_channels.is_multiple_of(spec.groups) {
            let groups = spec.groups;
            return Err(GeometryError::Groups { groups, channels: out_channels, role: "input" });
        }
        let in_channels =
            group_channels.checked_mul(spec.groups).ok_or_else(|| overflow("weight", weight))?;
        let input = lift(spec.transposed_output_size(spatial)?, 1);
        let (output, spec) = (lift(spatial, 1), spec.lift());
        Self { batch, in_channels, out_channels, input, output, spec }.addressable()
    }

    /// The windows that `spec` lays over `input`, `[batch, channels, *spatial]`, for
    /// [`unfold`](crate::unfold::unfold) and [`fold`](crate::unfold::fold): no weight, and all channels
    /// in one window, whatever the groups.
    ///
    /// # Errors
    /// As [`ConvShape::conv`], less what concerns the weight.
    pub fn windows<const N: usize>(
        spec: &ConvSpec<N>,
        input: &[usize],
    ) -> Result<Self, GeometryError> {
        let (_, channels, _) = split_input::<N>(input)?;
        let weight: Vec<usize> = [1, channels].into_iter().chain(spec.kernel).collect();
        let shape = Self::conv(&spec.groups(1), input, &weight)?;
        let [depth, height, width] = shape.output;
        checked_len("columns", &[shape.batch, shape.weight_len(), depth, height, width])?;
        Ok(shape)
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        len(&[self.batch, self.in_channels], &self.input)
    }

    /// Elements of the weight.
    pub fn weight_len(&self) -> usize {
        len(&[self.out_channels, self.in_channels / self.spec.groups], &self.spec.kernel)
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        len(&[self.batch, self.out_channels], &self.output)
    }

    /// Multiply-accumulates of the forward pass, taps on padding included; each gradient takes as many.
    /// Saturates at `u64::MAX`.
    pub fn macs(&self) -> u64 {
        let taps = self.weight_len() / self.out_channels;
        (self.output_len() as u64).saturating_mul(taps as u64)
    }

    /// The convolution with the flipped kernel that computes the input gradient, at stride 1.
    ///
    /// A cell `i` is read by the outputs `o = i + p - t d`; with the taps counted backwards, `t' = k - 1 - t`, these
    /// are `o = i + t' d - (d (k-1) - p)`: a convolution of the output's gradient that is padded by `d (k-1) - p`.
    /// `None` if the stride is not 1 or the padding is wider than the window reaches.
    pub(crate) fn flipped(&self) -> Option<Self> {
        let mut spec = self.spec;
        for (axis, padding) in spec.padding.iter_mut().enumerate() {
            let reach = self.spec.dilation[axis] * (self.spec.kernel[axis] - 1);
            // What lies after the output's gradient follows from the two sizes.
            *padding = [reach.checked_sub(padding[0])?; 2];
        }
        (spec.stride == [1; 3]).then_some(Self {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            input: self.output,
            output: self.input,
            spec,
            ..*self
        })
    }

    /// The outputs whose tap falls inside the input along an axis: those with `p <= o s + t d < p + i`.
    pub(crate) fn outputs_inside(&self, axis: usize, tap: usize) -> Range<usize> {
        let (stride, offset) = (self.spec.stride[axis], tap * self.spec.dilation[axis]);
        let first = self.spec.padding[axis][0];
        let [low, high] = [first, first + self.input[axis]]
            .map(|bound| bound.saturating_sub(offset).div_ceil(stride).min(self.output[axis]));
        low..high
    }

    /// The cell that a tap of an output reads along an axis, `o s + t d - p`, which must be inside.
    pub(crate) fn input_cell(&self, axis: usize, output: usize, tap: usize) -> usize {
        let spec = &self.spec;
        output * spec.stride[axis] + tap * spec.dilation[axis] - spec.padding[axis][0]
    }

    /// Refuses tensors too large to address, and cuts steps that nothing takes, for kernels multiply them: those that lead past the
    /// padded input to its size, and from a single tap to the next to one.
    fn addressable(mut self) -> Result<Self, GeometryError> {
        let mut staged = self.in_channels;
        for (axis, &[before, after]) in self.spec.padding.iter().enumerate() {
            let padded = checked_sum(&[self.input[axis], before, after])
                .ok_or_else(|| overflow("padded input", &[self.input[axis], before, after]))?;
            for step in [&mut self.spec.stride[axis], &mut self.spec.dilation[axis]] {
                *step = (*step).min(padded);
            }
            if self.spec.kernel[axis] == 1 {
                self.spec.dilation[axis] = 1;
            }
            // Kernels copy stretches of the padded input, and count a few windows beyond its end.
            staged = staged
                .checked_mul(padded)
                .filter(|&cells| cells < isize::MAX as usize / 128)
                .ok_or_else(|| overflow("padded input", &[self.input[axis], before, after]))?;
        }
        let [depth, height, width] = self.input;
        checked_len("input", &[self.batch, self.in_channels, depth, height, width])?;
        let [depth, height, width] = self.output;
        checked_len("output", &[self.batch, self.out_channels, depth, height, width])?;
        let [depth, height, width] = self.spec.kernel;
        let group_channels = self.in_channels / self.spec.groups;
        checked_len("weight", &[self.out_channels, group_channels, depth, height, width])?;
        Ok(self)
    }
}

impl<const N: usize> ConvSpec<N> {
    /// The first two sizes of a weight, once its rank and its kernel are those of the specification.
    fn match_weight(&self, weight: &[usize]) -> Result<[usize; 2], GeometryError> {
        self.validate()?;
        if weight.len() != N + 2 {
            return Err(rank_error::<N>("weight", "two of channels, then *kernel", weight));
        }
        if weight.contains(&0) {
            return Err(GeometryError::Empty { what: "weight", sizes: weight.to_vec() });
        }
        if weight[2..] != self.kernel {
            let kernel = self.kernel.to_vec();
            return Err(GeometryError::Kernel { kernel, weight: weight.to_vec() });
        }
        Ok([weight[0], weight[1]])
    }
}

/// A product that saturates, so that no slice can be mistaken for a shape too large to exist.
fn len(outer: &[usize], spatial: &[usize; 3]) -> usize {
    outer.iter().chain(spatial).fold(1, |product: usize, &size| product.saturating_mul(size))
}

fn overflow(what: &'static str, sizes: &[usize]) -> GeometryError {
    GeometryError::Overflow { what, sizes: sizes.to_vec() }
}
