//! The networks of the first document, for 32x32 colour pictures in ten classes: does a network need
//! downsampling? The same four channels, with pooling, with dilation, or with larger kernels.

use striate_nn::Init;
use striate_nn::layers::{AdaptiveAvgPool, Conv2d, Flatten, Sequential};
use striate_tensor::{ConvSpec, Float, Result};

use crate::blocks::{conv_norm_relu, halve, square};

const CHANNELS: [usize; 5] = [3, 16, 24, 32, 48];
const CLASSES: usize = 10;

/// Four blocks of convolution, batch norm and ReLU, each pooled if `pooled`; then the mean of each map and a 1x1
/// convolution to the classes.
fn four_blocks<T: Float>(
    init: &Init,
    pooled: bool,
    spec: impl Fn(usize) -> ConvSpec<2>,
) -> Result<Sequential<T>> {
    let mut net = Sequential::new(&init.at("model"));
    for (block, pair) in CHANNELS.windows(2).enumerate() {
        net = conv_norm_relu(net, [pair[0], pair[1]], spec(block))?;
        if pooled {
            net = net.then(halve)?;
        }
    }
    net.then(|at| Ok(AdaptiveAvgPool::new(at, [1, 1])))?
        .then(|at| Conv2d::new(at, CHANNELS[4], CLASSES, square(1, 0)))?
        .then(|at| Ok(Flatten::new(at)))
}

/// 3x3 convolutions, each followed by max pooling.
pub fn vgg4<T: Float>(init: &Init) -> Result<Sequential<T>> {
    four_blocks(init, true, |_| square(3, 1))
}

/// 3x3 convolutions with dilation 1, 2, 4, 8 and no pooling; padding stays 1, so maps shrink.
pub fn vgg4_dilation<T: Float>(init: &Init) -> Result<Sequential<T>> {
    four_blocks(init, false, |block| square(3, 1).dilation([1 << block; 2]))
}

/// 3x3 convolutions with dilation 1, 2, 4, 8 and padding to match, so maps keep their 32x32: what is left of the
/// question when only pooling is taken away.
pub fn vgg4_dilation_same<T: Float>(init: &Init) -> Result<Sequential<T>> {
    four_blocks(init, false, |block| square(3, 1 << block).dilation([1 << block; 2]))
}

/// Kernels of 3, 5, 7, 9 and no pooling; padding keeps the size.
pub fn vgg4_large_filter<T: Float>(init: &Init) -> Result<Sequential<T>> {
    four_blocks(init, false, |block| square(3 + 2 * block, 1 + block))
}
