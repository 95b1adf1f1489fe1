//! The networks of the second document, for 224x224 photos of 120 dog breeds.

use striate_nn::layers::{AdaptiveAvgPool, Dropout, Flatten, Linear, Sequential};
use striate_nn::{Distribution, Init, Module, Parameter, Pass, State, load_state};
use striate_tensor::{ErrorContext, Float, Result, Tensor};

use crate::blocks::{conv_norm_relu, conv_relu, halve, relu, square};

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
/// initialisation the signal vanishes on the way and the network stays at chance, as published.
pub fn dogs_vgg<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let mut net = Sequential::new(init);
    for pair in [3, 64, 128, 256, 512].windows(2) {
        net = block(net, [pair[0], pair[1]], 2)?;
    }
    head(net)
}

/// The same network, whose weights are drawn after He et al. whatever `init` says: the signal keeps its size.
pub fn dogs_vgg_he<T: Float>(init: &Init) -> Result<Sequential<T>> {
    dogs_vgg(&init.clone().weights(Distribution::HeNormal))
}

/// The same with batch norm after each convolution, which cures it without another initialisation.
pub fn dogs_vgg_norm<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let mut net = Sequential::new(init);
    for pair in [3, 64, 128, 256, 512].windows(2) {
        net = conv_norm_relu(net, [pair[0], pair[1]], square(3, 1))?;
        net = conv_norm_relu(net, [pair[1], pair[1]], square(3, 1))?;
        net = net.then(halve)?;
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
    let head = head(Sequential::new(&init.at("head")))?;
    Ok(Vgg16 { features: convolutions(init)?, head, init: init.clone() })
}

fn convolutions<T: Float>(init: &Init) -> Result<Sequential<T>> {
    let mut features = Sequential::new(&init.at("features"));
    let mut inputs = 3;
    for (outputs, count) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        features = block(features, [inputs, outputs], count)?;
        inputs = outputs;
    }
    Ok(features)
}

/// VGG16 for the 1,000 classes of ImageNet, with the names of torchvision's state dict: `features.0` to
/// `features.28`, `classifier.0`, `classifier.3`, `classifier.6`; 138,357,544 parameters.
pub fn vgg16_imagenet<T: Float>(init: &Init) -> Result<Vgg16<T>> {
    let classifier = Sequential::new(&init.at("classifier"))
        .then(|at| Linear::new(at, 512 * 7 * 7, 4096))?
        .then(relu)?
        .then(|at| Dropout::new(at, 0.5))?
        .then(|at| Linear::new(at, 4096, 4096))?
        .then(relu)?
        .then(|at| Dropout::new(at, 0.5))?
        .then(|at| Linear::new(at, 4096, 1000))?;
    // What has no parameters has no name in a state dict.
    let head = Sequential::new(&init.at("head"))
        .then(|at| Ok(AdaptiveAvgPool::new(at, [7, 7])))?
        .then(|at| Ok(Flatten::new(at)))?
        .then(|_| Ok(classifier))?;
    Ok(Vgg16 { features: convolutions(init)?, head, init: init.clone() })
}

impl<T: Float> Vgg16<T> {
    /// Sets the convolutions from a state with torchvision's names; what belongs to a classifier is passed over.
    ///
    /// # Errors
    ///
    /// If a convolution is missing or has another shape; nothing is changed then.
    pub fn load_features(&self, weights: &State<T>) -> Result<()> {
        let prefix = format!("{}.", self.features.path());
        let ours = weights.iter().filter(|(name, _)| name.starts_with(&prefix));
        let ours = ours.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        load_state(&self.features, &ours).at(self.features.path())
    }
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
        // A body that is not trained is in use, whatever the head is; so there is no graph behind its output.
        let frozen = self.features.parameters().iter().all(Parameter::is_frozen);
        let body = if frozen { pass.clone().in_use() } else { pass.clone() };
        self.head.forward(&self.features.forward(x, &body)?, pass)
    }
}
