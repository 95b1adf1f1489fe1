//! A deep network computes the same with Winograd's algorithm as with the plain sums. The switch is the process's, so this
//! file is one test.
//!
//! The network has VGG16's convolutions, but no ReLU and no maximum: where two values nearly tie, either of these may pass a gradient
//! on to another cell for a difference in the last bit.

use striate::conv::conv::allow_winograd;
use striate::nn::layers::{
    Activation, AdaptiveAvgPool, AvgPool, Conv2d, Flatten, Function, Linear, Sequential,
};
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

/// The largest difference, as a share of the largest value.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    let largest = a.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

/// Logits and all gradients of a training pass.
fn pass(net: &Sequential, x: &Tensor, labels: &Tensor<i64>) -> Result<Vec<Vec<f32>>> {
    let logits = net.forward(x, &Pass::train(1, 0))?;
    let gradients = logits.cross_entropy(labels)?.backward()?;
    let mut all = vec![logits.to_vec()?];
    for parameter in net.parameters() {
        all.push(gradients.by_id(parameter.id()).unwrap().to_vec()?);
    }
    Ok(all)
}

/// VGG16's convolutions, with GELU and mean pooling.
fn smooth_vgg16() -> Result<Sequential> {
    let mut net = Sequential::new(&Init::seed(1));
    let mut inputs = 3;
    for (outputs, count) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..count {
            let spec = ConvSpec::new([3, 3]).padding([1, 1]);
            net = net
                .then(|at| Conv2d::new(at, inputs, outputs, spec))?
                .then(|at| Ok(Activation::new(at, Function::Gelu)))?;
            inputs = outputs;
        }
        net = net.then(|at| Ok(AvgPool::new(at, PoolSpec::new([2, 2]))))?;
    }
    net.then(|at| Ok(AdaptiveAvgPool::new(at, [1, 1])))?
        .then(|at| Ok(Flatten::new(at)))?
        .then(|at| Linear::new(at, inputs, 10))
}

#[test]
fn vgg16_is_the_same_by_either_algorithm() -> Result<()> {
    let device = Device::cpu();
    let net = smooth_vgg16()?;
    // He's range, with which signals and gradients keep their size through all layers.
    for parameter in net.parameters().iter().filter(|parameter| parameter.shape().len() > 1) {
        let fan_in: usize = parameter.shape()[1..].iter().product();
        let range = (6.0 / fan_in as f64).sqrt();
        let key = Key::new(1, Purpose::Init).path(parameter.path());
        parameter.set(&Tensor::uniform(parameter.shape(), (-range, range), &key, &device)?)?;
    }
    let x = Tensor::uniform([2, 3, 64, 64], (-1.0, 1.0), &Key::new(1, Purpose::Other(1)), &device)?;
    let labels = Tensor::from_vec(vec![1, 7], [2], &device)?;
    allow_winograd(false);
    let plain = pass(&net, &x, &labels)?;
    allow_winograd(true);
    let fast = pass(&net, &x, &labels)?;
    let mut largest: f32 = 0.0;
    for (i, (plain, fast)) in plain.iter().zip(&fast).enumerate() {
        let difference = difference(plain, fast);
        assert!(difference < 1e-5, "tensor {i}: {difference:e}");
        largest = largest.max(difference);
    }
    assert!(largest > 0.0, "both passes took the same algorithm");
    Ok(())
}
