//! Convolution and transposed convolution in one, two and three dimensions.
//!
//! Both are described by the *direct* convolution between their large and their small side. Its three kernels,
//! forward, input gradient and weight gradient, are all that either needs:
//!
//! | | result | gradient of the input | gradient of the weight |
//! | --- | --- | --- | --- |
//! | `conv` | forward(x, w) | input gradient(g, w) | weight gradient(x, g) |
//! | `conv_transpose` | input gradient(x, w) | forward(g, w) | weight gradient(g, x) |
//!
//! The input gradient is written for the true input shape that the description carries, so cells that the
//! forward pass dropped at the end of an axis get the zero that is theirs.

use striate_conv::ConvShape;

use crate::backend::Unary;
use crate::error::GeometryContext;
use crate::{ConvSpec, Error, Float, Result, Shape, Tensor};

/// The name that errors use: `conv2d`, `conv_transpose1d`, ...
fn named<const N: usize>(stem: &str) -> String {
    format!("{stem}{N}d")
}

/// `[batch, channels, sizes..]` without the leading axes that lifting added.
fn output_shape<const N: usize>(batch: usize, channels: usize, lifted: [usize; 3]) -> Shape {
    [&[batch, channels], &lifted[3 - N..]].concat().into()
}

fn check_operands<T: Float>(
    op: &str,
    x: &Tensor<T>,
    weight: &Tensor<T>,
    (bias, channels): (Option<&Tensor<T>>, usize),
) -> Result<()> {
    x.expect_device(op, weight)?;
    check_bias(op, x, bias, channels)
}

/// Fails unless a bias has one number for each channel and lies where `x` does.
pub(super) fn check_bias<T: Float>(
    op: &str,
    x: &Tensor<T>,
    bias: Option<&Tensor<T>>,
    channels: usize,
) -> Result<()> {
    let Some(bias) = bias else { return Ok(()) };
    x.expect_device(op, bias)?;
    if bias.shape() == [channels] {
        return Ok(());
    }
    Err(Error::shape(op, format!("expected a bias of shape [{channels}], got {:?}", bias.shape())))
}

/// What of `grad` passes a ReLU with the output `y`, if there is one.
pub(super) fn passed<T: Float>(grad: &Tensor<T>, y: Option<&Tensor<T>>) -> Result<Tensor<T>> {
    let Some(y) = y else { return Ok(grad.clone()) };
    let storage = grad.kernels().unary_gradient(Unary::Relu, y.storage(), grad.storage())?;
    Ok(grad.sibling(storage, grad.shape()))
}

/// The gradient of a bias per channel: the sum over everything else.
fn bias_gradient<T: Float>(grad: &Tensor<T>) -> Result<Tensor<T>> {
    let axes: Vec<isize> = (0..grad.rank() as isize).filter(|&axis| axis != 1).collect();
    grad.sum(axes, false)
}

impl<T: Float> Tensor<T> {
    /// The cross-correlation that networks call convolution, over `N` axes (1, 2 or 3):
    ///
    /// `y[b, o, p] = bias[o] + sum_{c, t} x[b, c, p stride + t dilation - padding] weight[o, c, t]`
    ///
    /// Input `[batch, in, sizes..]`, weight `[out, in / groups, kernel..]`, bias `[out]`, result
    /// `[batch, out, sizes..]` with the sizes of [`ConvSpec::output_size`].
    ///
    /// ```
    /// use striate_tensor::{ConvSpec, Device, Tensor};
    /// let device = Device::cpu();
    /// let image = Tensor::<f32>::ones([1, 3, 32, 32], &device)?;
    /// let weight = Tensor::ones([16, 3, 5, 5], &device)?;
    /// let spec = ConvSpec::new([5, 5]).padding([2, 2]).stride([2, 2]);
    /// assert_eq!(image.conv(&weight, None, &spec)?.shape(), [1, 16, 16, 16]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn conv<const N: usize>(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        spec: &ConvSpec<N>,
    ) -> Result<Self> {
        self.conv_then(false, weight, bias, spec)
    }

    /// [`Tensor::conv`], then `max(y, 0)`, in one kernel where the device has it.
    pub fn conv_relu<const N: usize>(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        spec: &ConvSpec<N>,
    ) -> Result<Self> {
        self.conv_then(true, weight, bias, spec)
    }

    fn conv_then<const N: usize>(
        &self,
        relu: bool,
        weight: &Self,
        bias: Option<&Self>,
        spec: &ConvSpec<N>,
    ) -> Result<Self> {
        let op = named::<N>("conv");
        let shape = ConvShape::conv(spec, self.shape(), weight.shape()).op(op.as_str())?;
        check_operands(&op, self, weight, (bias, shape.out_channels))?;
        let (kernels, added) = (self.kernels(), bias.map(|bias| bias.storage()));
        let storage = match relu {
            true => kernels.conv_relu(&shape, self.storage(), weight.storage(), added),
            false => kernels.conv(&shape, self.storage(), weight.storage(), added),
        }?;
        let y =
            self.sibling(storage, output_shape::<N>(shape.batch, shape.out_channels, shape.output));
        let (x, w, rectified) = (self.detach(), weight.detach(), relu.then(|| y.clone()));
        let backward = move |grad: &Tensor<T>, needs: &[bool]| {
            let grad = &passed(grad, rectified.as_ref())?;
            let kernels = grad.kernels();
            let input = || {
                let storage = kernels.conv_input_gradient(&shape, grad.storage(), w.storage())?;
                Ok(grad.sibling(storage, x.shape()))
            };
            let weight = || {
                let storage = kernels.conv_weight_gradient(&shape, x.storage(), grad.storage())?;
                Ok(grad.sibling(storage, w.shape()))
            };
            gradients(needs, input, weight, || bias_gradient(grad))
        };
        Ok(match bias {
            Some(bias) => y.record("conv", &[self, weight, bias], backward),
            None => y.record("conv", &[self, weight], backward),
        })
    }

    /// The transposed convolution over `N` axes: what the convolution with the same `spec` does to gradients.
    ///
    /// Input `[batch, in, sizes..]`, weight `[in, out / groups, kernel..]`, bias `[out]`, result
    /// `[batch, out, sizes..]` with the sizes of [`ConvSpec::transposed_output_size`].
    pub fn conv_transpose<const N: usize>(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        spec: &ConvSpec<N>,
    ) -> Result<Self> {
        let op = named::<N>("conv_transpose");
        let shape = ConvShape::transposed(spec, self.shape(), weight.shape()).op(op.as_str())?;
        // The direct convolution runs the other way: its input is this result.
        let channels = shape.in_channels;
        check_operands(&op, self, weight, (bias, channels))?;
        let kernels = self.kernels();
        let storage = kernels.conv_input_gradient(&shape, self.storage(), weight.storage())?;
        let y = self.sibling(storage, output_shape::<N>(shape.batch, channels, shape.input));
        let (x, w) = (self.detach(), weight.detach());
        let y = y.record("conv_transpose", &[self, weight], move |grad, needs| {
            let kernels = grad.kernels();
            let input = || {
                let storage = kernels.conv(&shape, grad.storage(), w.storage(), None)?;
                Ok(grad.sibling(storage, x.shape()))
            };
            let weight = || {
                let storage = kernels.conv_weight_gradient(&shape, grad.storage(), x.storage())?;
                Ok(grad.sibling(storage, w.shape()))
            };
            gradients(needs, input, weight, || bias_gradient(grad))
        });
        let Some(bias) = bias else { return Ok(y) };
        let mut per_channel = vec![1; N + 1];
        per_channel[0] = channels;
        y.add(&bias.reshape(per_channel)?)
    }
}

/// Those of the gradients of input, weight and (where there is one) bias that are wanted.
pub(super) fn gradients<T: Float>(
    needs: &[bool],
    input: impl FnOnce() -> Result<Tensor<T>>,
    weight: impl FnOnce() -> Result<Tensor<T>>,
    bias: impl FnOnce() -> Result<Tensor<T>>,
) -> Result<Vec<Option<Tensor<T>>>> {
    let mut gradients = vec![needs[0].then(input).transpose()?, needs[1].then(weight).transpose()?];
    if let Some(need) = needs.get(2) {
        gradients.push(need.then(bias).transpose()?);
    }
    Ok(gradients)
}
