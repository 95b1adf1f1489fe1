//! The networks of the second document, for 224x224 photos of 120 dog breeds.

use striate_nn::layers::{AdaptiveAvgPool, Flatten, Linear, Sequential};
use striate_nn::{Init, Module, Pass};
use striate_tensor::{Float, Result, Tensor};

use crate::blocks::{conv_relu, halve, relu, square};

const BREEDS: usize = 120;

/// Adds the mean of each of 512 maps, then 512-512-512-120 with ReLU between.
fn head<T: Float>(net: Sequential<T>) -> Result<Sequential<T>> {
    net.then(|at| Ok(AdaptiveAvgPool::new(at, [1, 1])))?
        .then(|at| Ok(Flatten::new(at)))?
        .then(|at| Linear::new(at, 512, 512))?
        .then(relu)?
        .then(|at| Linear::new(at, 512, 512))?
        .then(relu)?
        .then(|at| Linear::new(at, 512, BREEDS))
}

/// Adds a block of `count` 3x3 convolutions with ReLU, then max pooling.
fn block<T: Float>(
    mut net: Sequential<T>,
    [inputs, outputs]: [usize; 2],
    count: usize,
) -> Result<Sequential<T>> {
    for i in 0..count {
        let inputs = if i == 0 { inputs } else { outputs };
        net = conv_relu(net, [inputs, outputs], square(3, 1))?;
    }
    net.then(halve)
}

/// Four blocks of two convolutions with 64, 128, 256 and 512 channels, and the head. With the default
/// initialisation the signal vanishes on the way and the network stays at chance, as published;
/// [`Distribution::HeNormal`](striate_nn::Distribution::HeNormal) cures it.
pub fn dogs_vgg<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let mut net = Sequential::new(init);
    for pair in [3, 64, 128, 256, 512].windows(2) {
        net = block(net, [pair[0], pair[1]], 2)?;
    }
    head(net)
}

/// The thirteen convolutions of VGG16 (Simonyan and Zisserman 2014) under torchvision's names, `features.N`, and the
/// document's head for dog breeds.
pub struct Vgg16<T: Float = f32> {
    init: Init,
    /// The convolutions, which transfer learning keeps frozen.
    pub features: Sequential<T>,
    /// What is trained on them.
    pub head: Sequential<T>,
}

/// See [`Vgg16`].
pub fn vgg16<T: Float>(init: &Init) -> Result<Vgg16<T>> {
    let mut features = Sequential::new(&init.at("features"));
    let mut inputs = 3;
    for (outputs, count) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        features = block(features, [inputs, outputs], count)?;
        inputs = outputs;
    }
    Ok(Vgg16 { features, head: head(Sequential::new(&init.at("head")))?, init: init.clone() })
}

impl<T: Float> Module<T> for Vgg16<T> {
    fn path(&self) -> &str {
        self.init.path()
    }

    fn kind(&self) -> &'static str {
        "Vgg16"
    }

    fn children(&self) -> Vec<&dyn Module<T>> {
        vec![&self.features, &self.head]
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        self.head.forward(&self.features.forward(x, pass)?, pass)
    }
}
