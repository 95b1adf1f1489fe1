//! What the networks repeat.

use striate_nn::Init;
use striate_nn::layers::{Activation, BatchNorm2d, Conv2d, MaxPool, Sequential};
use striate_tensor::{ConvSpec, Float, PoolSpec, Result};

/// Square kernels, padded on all sides.
pub(crate) fn square(kernel: usize, padding: usize) -> ConvSpec<2> {
    ConvSpec::new([kernel; 2]).padding([padding; 2])
}

/// Max pooling by two.
pub(crate) fn halve(at: &Init) -> Result<MaxPool<2>> {
    Ok(MaxPool::new(at, PoolSpec::new([2, 2]).stride([2, 2])))
}

pub(crate) fn relu(at: &Init) -> Result<Activation> {
    Ok(Activation::relu(at))
}

/// Adds convolution and ReLU.
pub(crate) fn conv_relu<T: Float>(
    net: Sequential<T>,
    [inputs, outputs]: [usize; 2],
    spec: ConvSpec<2>,
) -> Result<Sequential<T>> {
    net.then(|at| Conv2d::new(at, inputs, outputs, spec))?.then(relu)
}

/// Adds convolution, batch norm and ReLU.
pub(crate) fn conv_norm_relu<T: Float>(
    net: Sequential<T>,
    [inputs, outputs]: [usize; 2],
    spec: ConvSpec<2>,
) -> Result<Sequential<T>> {
    net.then(|at| Conv2d::new(at, inputs, outputs, spec))?
        .then(|at| BatchNorm2d::new(at, outputs))?
        .then(relu)
}
