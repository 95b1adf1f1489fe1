//! How the documents train their networks.

use striate_nn::optim::{Adam, Rule, Sgd};
use striate_nn::{Loss, Trainer};
use striate_tensor::Tensor;

/// The settings of a training run that a document prescribes.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Epochs over the training set.
    pub epochs: u64,
    /// Samples in a batch; the last one of an epoch may be smaller.
    pub batch: usize,
    /// The optimizer.
    pub rule: Rule,
    /// What is taken off each channel's pixels, in `[0, 1]`, and what they are then divided by.
    pub normalize: Option<(f32, f32)>,
    /// What is minimised.
    pub loss: Loss<f32>,
}

impl Recipe {
    /// A trainer of `net` that follows the recipe.
    pub fn trainer<'a>(&self, net: &'a dyn striate_nn::Module, seed: u64) -> Trainer<'a> {
        Trainer::new(net, self.rule, seed).loss(self.loss)
    }

    /// Document 3, the perceptron.
    pub fn mnist_mlp() -> Self {
        Recipe {
            epochs: 2,
            batch: 100,
            rule: Adam::new(1e-3).into(),
            normalize: None,
            loss: Tensor::cross_entropy,
        }
    }

    /// Document 3, the convolutional network.
    pub fn mnist_cnn() -> Self {
        Recipe { epochs: 5, rule: Adam::new(1e-2).into(), ..Self::mnist_mlp() }
    }

    /// Document 4: the network returns log-probabilities.
    pub fn mnist_net() -> Self {
        Recipe {
            epochs: 1,
            batch: 128,
            rule: Sgd::new(0.01).momentum(0.9).into(),
            normalize: Some((0.1307, 0.3081)),
            loss: Tensor::nll,
        }
    }
}
