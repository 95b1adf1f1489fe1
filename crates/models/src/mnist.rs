//! The networks of the third and the fourth document, for 28x28 digits.

use striate_nn::layers::{Activation, Conv2d, Linear, MaxPool, Sequential};
use striate_nn::{Init, Module, Pass};
use striate_tensor::{Float, Result, Tensor};

use crate::blocks::{halve, relu, square};

/// A module with named parts and a body of its own, run part after part.
struct Named<T: Float> {
    init: Init,
    kind: &'static str,
    parts: Vec<Box<dyn Module<T>>>,
}

impl<T: Float> Module<T> for Named<T> {
    fn path(&self) -> &str {
        self.init.path()
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn children(&self) -> Vec<&dyn Module<T>> {
        self.parts.iter().map(|part| &**part).collect()
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let x = x.flatten(1, -1)?;
        self.parts.iter().try_fold(x, |x, part| part.forward(&x, pass))
    }
}

/// 784-500-10 with ReLU between; images of any shape with 784 pixels.
pub fn mnist_mlp<T: Float>(init: &Init) -> Result<impl Module<T> + use<T>> {
    let parts: Vec<Box<dyn Module<T>>> = vec![
        Box::new(Linear::new(&init.at("l1"), 784, 500)?),
        Box::new(Activation::relu(&init.at("relu"))),
        Box::new(Linear::new(&init.at("l2"), 500, 10)?),
    ];
    Ok(Named { init: init.clone(), kind: "Mlp", parts })
}

/// Two 5x5 convolutions with ReLU and max pooling, then one linear layer.
pub struct MnistCnn<T: Float = f32> {
    init: Init,
    conv1: Sequential<T>,
    conv2: Sequential<T>,
    out: Linear<T>,
}

/// See [`MnistCnn`].
pub fn mnist_cnn<T: Float>(init: &Init) -> Result<MnistCnn<T>> {
    let block = |name: &str, inputs: usize, outputs: usize| {
        Sequential::new(&init.at(name))
            .then(|at| Conv2d::new(at, inputs, outputs, square(5, 2)))?
            .then(relu)?
            .then(halve)
    };
    Ok(MnistCnn {
        conv1: block("conv1", 1, 16)?,
        conv2: block("conv2", 16, 32)?,
        out: Linear::new(&init.at("out"), 32 * 7 * 7, 10)?,
        init: init.clone(),
    })
}

impl<T: Float> MnistCnn<T> {
    /// The logits `[batch, 10]`, and the flattened feature maps `[batch, 1568]` that they were computed from.
    pub fn forward_with_features(
        &self,
        x: &Tensor<T>,
        pass: &Pass<T>,
    ) -> Result<(Tensor<T>, Tensor<T>)> {
        let maps = self.conv2.forward(&self.conv1.forward(x, pass)?, pass)?;
        let features = maps.flatten(1, -1)?;
        Ok((self.out.forward(&features, pass)?, features))
    }
}

impl<T: Float> Module<T> for MnistCnn<T> {
    fn path(&self) -> &str {
        self.init.path()
    }

    fn kind(&self) -> &'static str {
        "Cnn"
    }

    fn children(&self) -> Vec<&dyn Module<T>> {
        vec![&self.conv1, &self.conv2, &self.out]
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        Ok(self.forward_with_features(x, pass)?.0)
    }
}

/// Seven 3x3 convolutions down to one pixel; returns log-probabilities.
///
/// As published, a ReLU follows every convolution, the last included: logits below zero are cut off, and a class
/// whose logit starts below zero on every image gets no gradient of its own. Without it the network trains.
pub struct MnistNet<T: Float = f32> {
    init: Init,
    convolutions: Vec<Conv2d<T>>,
    pools: [MaxPool<2>; 2],
    relu_on_logits: bool,
}

/// See [`MnistNet`].
pub fn mnist_net<T: Float>(init: &Init, relu_on_logits: bool) -> Result<MnistNet<T>> {
    let channels = [1, 32, 64, 128, 256, 512, 1024, 10];
    let convolutions = channels.windows(2).enumerate().map(|(i, pair)| {
        let padding = if i < 4 { 1 } else { 0 };
        let at = init.at(format!("conv{}", i + 1));
        Conv2d::new(&at, pair[0], pair[1], square(3, padding))
    });
    Ok(MnistNet {
        init: init.clone(),
        convolutions: convolutions.collect::<Result<_>>()?,
        pools: [halve(&init.at("pool1"))?, halve(&init.at("pool2"))?],
        relu_on_logits,
    })
}

impl<T: Float> MnistNet<T> {
    /// The logits `[batch, 10]`, before the softmax.
    pub fn logits(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        let last = self.convolutions.len() - 1;
        let mut x = x.clone();
        for (i, convolution) in self.convolutions.iter().enumerate() {
            x = convolution.forward(&x, pass)?;
            if i < last || self.relu_on_logits {
                x = x.relu()?;
            }
            // After the second and the fourth convolution.
            if let 1 | 3 = i {
                x = self.pools[i / 2].forward(&x, pass)?;
            }
        }
        x.flatten(1, -1)
    }
}

impl<T: Float> Module<T> for MnistNet<T> {
    fn path(&self) -> &str {
        self.init.path()
    }

    fn kind(&self) -> &'static str {
        "Net"
    }

    fn children(&self) -> Vec<&dyn Module<T>> {
        let mut children: Vec<&dyn Module<T>> = Vec::new();
        for (i, convolution) in self.convolutions.iter().enumerate() {
            children.push(convolution);
            if let 1 | 3 = i {
                children.push(&self.pools[i / 2]);
            }
        }
        children
    }

    fn compute(&self, x: &Tensor<T>, pass: &Pass<T>) -> Result<Tensor<T>> {
        self.logits(x, pass)?.log_softmax(1)
    }
}
