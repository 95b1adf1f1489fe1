//! ResNet-18 (He et al. 2016) under torchvision's names, and document 1's question asked of it: with strides, as it
//! was made, or with dilation or larger kernels in their place?
//!
//! Four stages of two blocks; a block adds to its input what two convolutions make of it. The first document compared
//! equal parameters at very different cost. Here the cost is equal: without strides the maps stay at 32x32, so their
//! channels are fewer, and the multiply-accumulates of a picture agree within half a per cent.
//!
//! | network | channels of the stages | kernels | strides | dilation |
//! | --- | --- | --- | --- | --- |
//! | [`resnet18`] | 64, 128, 256, 512 | 3 | 1, 2, 2, 2 | 1 |
//! | [`resnet18_dilation`] | 64, 60, 60, 60 | 3 | 1 | 1, 2, 4, 8 |
//! | [`resnet18_large_kernel`] | 52, 40, 24, 20 | 3, 5, 7, 9 | 1 | 1 |

use striate_nn::Init;
use striate_nn::layers::{
    AdaptiveAvgPool, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool, Residual, Sequential,
};
use striate_tensor::{ConvSpec, Float, PoolSpec, Result};

use crate::blocks::{relu, square};

const CLASSES: usize = 10;

/// Two blocks of two convolutions, of which the first may change the size.
struct Stage {
    channels: usize,
    first: ConvSpec<2>,
    rest: ConvSpec<2>,
}

/// A kernel whose padding keeps the size at stride 1.
fn same(kernel: usize, dilation: usize) -> ConvSpec<2> {
    square(kernel, dilation * (kernel / 2)).dilation([dilation; 2])
}

/// The published stages: all but the first begin with a stride of two.
fn strided() -> [Stage; 4] {
    [(64, 1), (128, 2), (256, 2), (512, 2)].map(|(channels, stride)| Stage {
        channels,
        first: same(3, 1).stride([stride; 2]),
        rest: same(3, 1),
    })
}

/// ResNet-18 for 32x32 pictures in ten classes: a 3x3 convolution first and no pooling; 11,173,962 parameters.
pub fn resnet18<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let net = stem(Sequential::new(init), init, [3, 64], same(3, 1))?;
    stages(net, init, strided(), CLASSES)
}

/// As published, for 224x224 photos in the 1,000 classes of ImageNet: a 7x7 convolution with stride 2 and max pooling
/// first; 11,689,512 parameters.
pub fn resnet18_imagenet<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let pool = PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
    let net = stem(Sequential::new(init), init, [3, 64], same(7, 1).stride([2, 2]))?
        .then(|_| Ok(MaxPool::new(&init.at("maxpool"), pool)))?;
    stages(net, init, strided(), 1000)
}

/// [`resnet18`] with each stride's factor as dilation of what follows it. An output sees the same pixels of the input
/// through each stage; the maps keep their 32x32.
pub fn resnet18_dilation<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let net = stem(Sequential::new(init), init, [3, 64], same(3, 1))?;
    // The convolution that had the stride looked at maps that the strides before it had thinned.
    let designs = [(64, 1, 1), (60, 1, 2), (60, 2, 4), (60, 4, 8)];
    let dilated = designs.map(|(channels, before, after)| Stage {
        channels,
        first: same(3, before),
        rest: same(3, after),
    });
    stages(net, init, dilated, CLASSES)
}

/// [`resnet18`] with kernels of 3, 5, 7 and 9 instead of strides.
pub fn resnet18_large_kernel<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let net = stem(Sequential::new(init), init, [3, 52], same(3, 1))?;
    let large = [(52, 3), (40, 5), (24, 7), (20, 9)].map(|(channels, kernel)| Stage {
        channels,
        first: same(kernel, 1),
        rest: same(kernel, 1),
    });
    stages(net, init, large, CLASSES)
}

/// Adds the convolution before the stages, with batch norm and ReLU.
fn stem<T: Float>(
    net: Sequential<T>,
    init: &Init,
    channels: [usize; 2],
    spec: ConvSpec<2>,
) -> Result<Sequential<T>> {
    conv_norm(net, init, ["conv1", "bn1"], channels, spec)?.then(|_| relu(&init.at("relu")))
}

/// Adds convolution without bias and batch norm, which are called `names` below `init`.
fn conv_norm<T: Float>(
    net: Sequential<T>,
    init: &Init,
    [conv, norm]: [&str; 2],
    [inputs, outputs]: [usize; 2],
    spec: ConvSpec<2>,
) -> Result<Sequential<T>> {
    net.then(|_| Ok(Conv2d::new(&init.at(conv), inputs, outputs, spec)?.without_bias()))?
        .then(|_| BatchNorm2d::new(&init.at(norm), outputs))
}

/// Adds the stages, the mean of each map and a linear layer to the classes.
fn stages<T: Float>(
    mut net: Sequential<T>,
    init: &Init,
    stages: [Stage; 4],
    classes: usize,
) -> Result<Sequential<T>> {
    let mut inputs = stages[0].channels;
    for (number, Stage { channels, first, rest }) in (1..).zip(stages) {
        let stage = Sequential::new(&init.at(format!("layer{number}")))
            .then(|at| block(at, [inputs, channels], [first, rest]))?
            .then(|at| block(at, [channels; 2], [rest; 2]))?;
        net = net.then(|_| Ok(stage))?;
        inputs = channels;
    }
    net.then(|_| Ok(AdaptiveAvgPool::new(&init.at("avgpool"), [1, 1])))?
        .then(|_| Ok(Flatten::new(&init.at("flatten"))))?
        .then(|_| Linear::new(&init.at("fc"), inputs, classes))
}

/// Two convolutions with batch norm, added to the input, then ReLU. Where the size or the channels change, a 1x1
/// convolution brings the input to the output's shape.
fn block<T: Float>(
    at: &Init,
    [inputs, outputs]: [usize; 2],
    [first, second]: [ConvSpec<2>; 2],
) -> Result<Sequential<T>> {
    let body = Sequential::new(&at.at("body"));
    let body = conv_norm(body, at, ["conv1", "bn1"], [inputs, outputs], first)?
        .then(|_| relu(&at.at("relu1")))?;
    let body = conv_norm(body, at, ["conv2", "bn2"], [outputs; 2], second)?;
    let mut sum = Residual::new(&at.at("sum"), body);
    if first.stride != [1, 1] || inputs != outputs {
        let at = at.at("downsample");
        let thinned = square(1, 0).stride(first.stride);
        let shortcut = Sequential::new(&at);
        sum = sum.shortcut(conv_norm(shortcut, &at, ["0", "1"], [inputs, outputs], thinned)?);
    }
    Sequential::new(at).then(|_| Ok(sum))?.then(|_| relu(&at.at("relu")))
}
