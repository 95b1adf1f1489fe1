//! How the documents train their networks.

use striate_nn::optim::{Adam, Optimizer, Rule, Sgd};
use striate_nn::schedule::OneCycle;
use striate_nn::{Loss, Module, Parameter, Trainer};
use striate_tensor::Tensor;

/// The data that a document trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corpus {
    /// MNIST; its test images are looked at after every epoch.
    Digits,
    /// CIFAR-10. A fifth of the training images is looked at after every epoch, the test images once at the end.
    Cifar10,
}

/// The settings of a training run that a document prescribes.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What is trained on.
    pub corpus: Corpus,
    /// Epochs over the training set.
    pub epochs: u64,
    /// Samples in a batch; the last one of an epoch may be smaller.
    pub batch: usize,
    /// Whether the last batch of an epoch is left out if it is not full.
    pub drop_last: bool,
    /// The optimizer. A decoupled weight decay spares biases and norms.
    pub rule: Rule,
    /// Whether rate and momentum run through fastai's one cycle; otherwise they stay.
    pub one_cycle: bool,
    /// What is taken off each channel's pixels, in `[0, 1]`, and what they are then divided by.
    pub normalize: Option<(f32, f32)>,
    /// What is minimised.
    pub loss: Loss<f32>,
    /// What that is called.
    pub loss_name: &'static str,
}

impl Recipe {
    /// A trainer of `net` that follows the recipe with `epoch_steps` steps an epoch.
    pub fn trainer<'a>(&self, net: &'a dyn Module, seed: u64, epoch_steps: usize) -> Trainer<'a> {
        let trainer = Trainer::with(net, self.optimizer(net), seed).loss(self.loss);
        match self.one_cycle {
            true => {
                // A cycle that no counter could count to the end of is a rise without one.
                let steps = (self.epochs as usize).saturating_mul(epoch_steps);
                trainer.schedule(OneCycle::fastai(steps))
            }
            false => trainer,
        }
    }

    /// The recipe's optimizer of `net`.
    pub fn optimizer(&self, net: &dyn Module) -> Optimizer {
        let optimizer = Optimizer::new(net, self.rule);
        match self.rule {
            Rule::Adam(adam) if adam.is_decoupled() => optimizer
                .group(adam.weight_decay(0.0), |parameter: &Parameter| {
                    parameter.shape().len() == 1
                }),
            _ => optimizer,
        }
    }

    /// Document 1: fastai's defaults with peak rate `lr`.
    pub fn cifar10(lr: f64) -> Self {
        Recipe {
            corpus: Corpus::Cifar10,
            epochs: 30,
            batch: 64,
            drop_last: true,
            rule: Adam::new(lr).betas(0.9, 0.99).eps(1e-5).weight_decay(0.01).decoupled().into(),
            one_cycle: true,
            normalize: None,
            loss: Tensor::cross_entropy,
            loss_name: "cross-entropy",
        }
    }

    /// Document 1's settings for ResNet-18, which has no published figures: ten epochs.
    pub fn cifar10_resnet() -> Self {
        Recipe { epochs: 10, ..Self::cifar10(1e-2) }
    }

    /// Document 3, the perceptron.
    pub fn mnist_mlp() -> Self {
        Recipe {
            corpus: Corpus::Digits,
            epochs: 2,
            batch: 100,
            drop_last: false,
            rule: Adam::new(1e-3).into(),
            one_cycle: false,
            normalize: None,
            loss: Tensor::cross_entropy,
            loss_name: "cross-entropy",
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
            loss_name: "negative log-likelihood",
            ..Self::mnist_mlp()
        }
    }
}
