//! Layers that are computed together.
//!
//! Memory is slower than arithmetic, so what a layer does to every element is better done while the layer before it
//! has them at hand:
//!
//! | layers | computed as |
//! | --- | --- |
//! | ReLU, max pooling | max pooling, ReLU: the same numbers, in one sweep, forward and backward ([`Module::compute_relu`]) |
//! | batch norm, ReLU | one sweep, forward and backward |
//! | convolution or linear layer, ReLU | one kernel where the device has it, which a card does |
//!
//! A convolution whose ReLU stands before a pooling keeps to the first row.
//!
//! The results agree to rounding. [`Pass::fused`] switches it off, and so do hooks, which want to see what every
//! layer computes.

use striate_tensor::{ErrorContext, Float, Result, Tensor};

use crate::{Module, Pass};

/// The output of modules one after another.
pub(crate) fn run<T: Float>(
    modules: &[Box<dyn Module<T>>],
    x: &Tensor<T>,
    pass: &Pass<T>,
) -> Result<Tensor<T>> {
    let (mut x, mut rest) = (x.clone(), modules);
    while let Some((module, after)) = rest.split_first() {
        (x, rest) = match after {
            [relu, pool, after @ ..]
                if pass.is_fused() && relu.is_relu() && pool.commutes_with_relu() =>
            {
                (with_relu([&**pool, &**relu], &module.forward(&x, pass)?, pass)?, after)
            }
            [relu, after @ ..] if pass.is_fused() && relu.is_relu() => {
                (with_relu([&**module, &**relu], &x, pass)?, after)
            }
            _ => (module.forward(&x, pass)?, after),
        };
    }
    Ok(x)
}

/// The output of a module and a ReLU, in one sweep if the module has a way to.
fn with_relu<T: Float>(
    [module, relu]: [&dyn Module<T>; 2],
    x: &Tensor<T>,
    pass: &Pass<T>,
) -> Result<Tensor<T>> {
    match module.compute_relu(x, pass) {
        Some(y) => y.at(module.path()),
        None => relu.forward(&module.forward(x, pass)?, pass),
    }
}
