//! Striate: a convolutional deep learning engine in pure Rust, with hand-written kernels.
//!
//! This crate is a front door. Everything is re-exported from the crates behind it, one noun each:
//!
//! | module | crate | what |
//! | --- | --- | --- |
//! | [`conv`] | `striate-conv` | geometry and kernels on slices |
//! | [`tensor`] | `striate-tensor` | tensors, devices, gradients |
//! | [`nn`] | `striate-nn` | layers, optimizers, schedules, summaries, checkpoints, training |
//! | [`data`] | `striate-data` | readers, the shipped digits, the loader |
//! | [`models`] | `striate-models` | every network of the documents |
//!
//! ```
//! use striate::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let digits = Mnist::shipped()?; // 10,000 real digits, inside the package
//! let net: models::MnistCnn = models::mnist_cnn(&Init::seed(1))?;
//! let mut adam = Optimizer::new(&net, Adam::new(1e-2));
//! # let few = 3;
//! for (step, batch) in Loader::new(&digits.train).batch(100).shuffle(1).epoch(0).enumerate() {
//!     # if step == few { break }
//!     let (images, labels) = batch?.to(&Device::cpu())?;
//!     let logits = net.forward(&images, &Pass::train(1, step as u64))?;
//!     adam.step(&logits.cross_entropy(&labels)?.backward()?)?;
//! }
//! # Ok(())
//! # }
//! ```

pub use striate_conv as conv;
pub use striate_data as data;
pub use striate_models as models;
pub use striate_nn as nn;
pub use striate_tensor as tensor;

/// What most programs need.
pub mod prelude {
    pub use crate::models;
    pub use striate_data::{Cifar10, Dataset, Loader, Mnist};
    pub use striate_nn::layers::*;
    pub use striate_nn::optim::{Adam, Optimizer, RmsProp, Sgd};
    pub use striate_nn::schedule::{OneCycle, Schedule};
    pub use striate_nn::{
        Init, Mode, Module, ModuleExt, Parameter, Pass, Summary, Trainer, evaluate,
    };
    pub use striate_tensor::{ConvSpec, Device, Error, Float, PoolSpec, Result, Tensor};
}

/// The README's programs, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
