//! Layers that are computed together.
//!
//! Memory is slower than arithmetic, so what a layer does to every element is better done while the layer before it
//! has them at hand:
//!
//! | layers | computed as |
//! | --- | --- |
//! | ReLU, max pooling | max pooling, ReLU: the same numbers, in one sweep, forward and backward ([`Module::compute_relu`]) |
//! | batch norm, ReLU | one sweep, forward and backward |
//! | batch norm, ReLU, max pooling over two axes | pooling, batch norm, ReLU: the same numbers, and only those that pooling leaves are normalised |
//! | convolution or linear layer, ReLU | one kernel where the device has it, which a card does |
//!
//! A convolution whose ReLU stands before a pooling keeps to the first row.
//!
//! The results agree to rounding; the gradients do unless a window that is pooled has several largest elements, as all of it are where a
//! weight of batch norm is zero: then it goes to another of them. [`Pass::fused`] switches it off, and so do hooks, which want to see what every
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
                (with_relu_and_pool([&**module, &**relu, &**pool], &x, pass)?, after)
            }
            [relu, after @ ..] if pass.is_fused() && relu.is_relu() => {
                (with_relu([&**module, &**relu], &x, pass)?, after)
            }
            _ => (module.forward(&x, pass)?, after),
        };
    }
    Ok(x)
}

/// The output of a module, a ReLU and a pooling that commutes with it, in as few sweeps as they have a way to.
fn with_relu_and_pool<T: Float>(
    [module, relu, pool]: [&dyn Module<T>; 3],
    x: &Tensor<T>,
    pass: &Pass<T>,
) -> Result<Tensor<T>> {
    let windows = pool.max_pool2d();
    match windows.and_then(|windows| module.compute_relu_max_pool2d(x, &windows, pass)) {
        Some(y) => y.at(module.path()),
        None => with_relu([pool, relu], &module.forward(x, pass)?, pass),
    }
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
