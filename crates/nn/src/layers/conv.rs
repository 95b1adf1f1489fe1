//! Convolution layers in one, two and three dimensions.

use striate_tensor::ops::PadMode;
use striate_tensor::{ConvSpec, Error, ErrorContext, Float, Result, Tensor};

use super::python::tuple;
use crate::{FieldTrace, Init, Module, Parameter, Pass, Window};

/// A convolution over one axis.
pub type Conv1d<T = f32> = Conv<1, T>;
/// A convolution over two axes.
pub type Conv2d<T = f32> = Conv<2, T>;
/// A convolution over three axes.
pub type Conv3d<T = f32> = Conv<3, T>;
/// A transposed convolution over one axis.
pub type ConvTranspose1d<T = f32> = ConvTranspose<1, T>;
/// A transposed convolution over two axes.
pub type ConvTranspose2d<T = f32> = ConvTranspose<2, T>;
/// A transposed convolution over three axes.
pub type ConvTranspose3d<T = f32> = ConvTranspose<3, T>;

/// [`Tensor::conv`] or [`Tensor::conv_relu`].
type Map<const N: usize, T> =
    fn(&Tensor<T>, &Tensor<T>, Option<&Tensor<T>>, &ConvSpec<N>) -> Result<Tensor<T>>;

/// A convolution over `N` axes with a bias: `[batch, in, sizes..]` to `[batch, out, sizes..]`.
///
/// ```
/// use striate_nn::{Init, layers::Conv2d};
/// use striate_tensor::ConvSpec;
/// let same = ConvSpec::new([3, 3]).padding([1, 1]);
/// let layer: Conv2d = Conv2d::new(&Init::seed(1).at("features.0"), 3, 64, same)?;
/// # Ok::<(), striate_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Conv<const N: usize, T: Float = f32> {
    path: String,
    weight: Parameter<T>,
    bias: Option<Parameter<T>>,
    spec: ConvSpec<N>,
    padding_mode: PadMode,
}

impl<const N: usize, T: Float> Conv<N, T> {
    /// A layer from `inputs` to `outputs` channels, both multiples of the groups of `spec`.
    pub fn new(init: &Init, inputs: usize, outputs: usize, spec: ConvSpec<N>) -> Result<Self> {
        let weight = weight_shape("conv", [inputs, outputs], [outputs, inputs], &spec);
        let weight = weight.at(init.path())?;
        let (weight, bias) = init.weight_and_bias(&weight, outputs)?;
        Ok(Conv {
            path: init.path().into(),
            weight,
            bias: Some(bias),
            spec,
            padding_mode: PadMode::Zeros,
        })
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Self {
        Conv { bias: None, ..self }
    }

    /// The same layer with another kind of margin.
    pub fn padding_mode(self, padding_mode: PadMode) -> Self {
        Conv { padding_mode, ..self }
    }

    /// The geometry.
    pub fn spec(&self) -> &ConvSpec<N> {
        &self.spec
    }

    /// The weight, `[out, in / groups, kernel..]`.
    pub fn weight(&self) -> &Parameter<T> {
        &self.weight
    }

    fn compute_by(&self, map: Map<N, T>, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let weight = self.weight.value(pass, x)?;
        let bias = self.bias.as_ref().map(|bias| bias.value(pass, x)).transpose()?;
        match self.padding_mode {
            PadMode::Zeros => map(x, &weight, bias.as_ref(), &self.spec),
            mode => {
                let (x, inner) = (x.pad(&self.spec.padding, mode)?, self.spec.padding([0; N]));
                map(&x, &weight, bias.as_ref(), &inner)
            }
        }
    }
}

/// The shape of a weight with `channels` in memory order, the second divided by the groups. Fails unless both
/// `[inputs, outputs]` are multiples of the groups.
fn weight_shape<const N: usize>(
    op: &str,
    [inputs, outputs]: [usize; 2],
    channels: [usize; 2],
    spec: &ConvSpec<N>,
) -> Result<Vec<usize>> {
    let groups = spec.groups;
    let fits = |count: usize| groups > 0 && count > 0 && count.is_multiple_of(groups);
    if !fits(inputs) || !fits(outputs) {
        return Err(Error::argument(
            format!("{op}{N}d"),
            format!("expected channels that {groups} groups divide, got {inputs} to {outputs}"),
        ));
    }
    let mut shape = vec![channels[0], channels[1] / groups];
    shape.extend(spec.kernel);
    Ok(shape)
}

/// The settings that differ from their defaults, as PyTorch prints them.
fn settings<const N: usize>(
    [inputs, outputs]: [usize; 2],
    spec: &ConvSpec<N>,
    bias: bool,
) -> String {
    let mut text = format!(
        "{inputs}, {outputs}, kernel_size={}, stride={}",
        tuple(&spec.kernel),
        tuple(&spec.stride)
    );
    let mut add = |name: &str, value: String| text += &format!(", {name}={value}");
    let [before, after] = [0, 1].map(|side| spec.padding.map(|sides| sides[side]));
    if before != after {
        add("padding", format!("{} to {}", tuple(&before), tuple(&after)));
    } else if before != [0; N] {
        add("padding", tuple(&before));
    }
    if spec.dilation != [1; N] {
        add("dilation", tuple(&spec.dilation));
    }
    if spec.output_padding != [0; N] {
        add("output_padding", tuple(&spec.output_padding));
    }
    if spec.groups != 1 {
        add("groups", spec.groups.to_string());
    }
    if !bias {
        add("bias", "False".into());
    }
    text
}

impl<const N: usize, T: Float> Module<T> for Conv<N, T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        ["Conv1d", "Conv2d", "Conv3d"][N - 1]
    }

    fn settings(&self) -> String {
        let [outputs, inputs] = [self.weight.shape()[0], self.weight.shape()[1]];
        let text = settings([inputs * self.spec.groups, outputs], &self.spec, self.bias.is_some());
        match self.padding_mode {
            PadMode::Zeros => text,
            mode => {
                let mode = format!("{mode:?}").to_lowercase();
                format!("{text}, padding_mode={mode}")
            }
        }
    }

    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        [&self.weight].into_iter().chain(&self.bias).collect()
    }

    fn trace(&self, fields: &mut FieldTrace) -> Result<()> {
        let ConvSpec { kernel, stride, padding, dilation, .. } = self.spec;
        let window = |axis: usize| Window {
            kernel: kernel[axis],
            stride: stride[axis],
            padding: padding[axis][0],
            dilation: dilation[axis],
        };
        fields.through(self, (0..N).map(window).collect())
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        self.compute_by(Tensor::conv, x, pass)
    }

    fn compute_relu(&self, x: &Tensor<T>, pass: &Pass<T>) -> Option<Result<Tensor<T>>> {
        Some(self.compute_by(Tensor::conv_relu, x, pass))
    }
}

/// A transposed convolution over `N` axes with a bias: `[batch, in, sizes..]` to `[batch, out, larger sizes..]`.
#[derive(Debug)]
pub struct ConvTranspose<const N: usize, T: Float = f32> {
    path: String,
    weight: Parameter<T>,
    bias: Option<Parameter<T>>,
    spec: ConvSpec<N>,
}

impl<const N: usize, T: Float> ConvTranspose<N, T> {
    /// A layer from `inputs` to `outputs` channels, both multiples of the groups of `spec`.
    pub fn new(init: &Init, inputs: usize, outputs: usize, spec: ConvSpec<N>) -> Result<Self> {
        let channels = [inputs, outputs];
        let weight = weight_shape("conv_transpose", channels, channels, &spec).at(init.path())?;
        let (weight, bias) = init.weight_and_bias(&weight, outputs)?;
        Ok(ConvTranspose { path: init.path().into(), weight, bias: Some(bias), spec })
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Self {
        ConvTranspose { bias: None, ..self }
    }
}

impl<const N: usize, T: Float> Module<T> for ConvTranspose<N, T> {
    fn path(&self) -> &str {
        &self.path
    }

    fn kind(&self) -> &'static str {
        ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"][N - 1]
    }

    fn settings(&self) -> String {
        let [inputs, outputs] = [self.weight.shape()[0], self.weight.shape()[1]];
        let channels = [inputs, outputs * self.spec.groups];
        settings(channels, &self.spec, self.bias.is_some())
    }

    fn own_parameters(&self) -> Vec<&Parameter<T>> {
        [&self.weight].into_iter().chain(&self.bias).collect()
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let weight = self.weight.value(pass, x)?;
        let bias = self.bias.as_ref().map(|bias| bias.value(pass, x)).transpose()?;
        x.conv_transpose(&weight, bias.as_ref(), &self.spec)
    }
}
