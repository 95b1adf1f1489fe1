//! Every layer against its namesake in PyTorch: what it is called, what its parameters are called, its defaults, its
//! outputs in training and in evaluation, its gradients and its running values.
//!
//! Parameters and inputs come from the hash of their names; `tests/fixtures/layers.py` made the answers, in f64.

mod common;
#[path = "common/summary.rs"]
mod summary;

use std::collections::BTreeMap;
use std::path::Path;

use common::hash_tensor;
use serde_json::Value;
use striate::nn::layers::*;
use striate::nn::{Init, Module, Pass, RunningValue};
use striate::tensor::ops::PadMode;
use striate::tensor::{ConvSpec, Device, PoolSpec, Result, Tensor};
use summary::compare;

type Layer = Box<dyn Module<f64>>;

/// The layer of a case, as `layers.py` made it.
fn layer(name: &str) -> Result<Layer> {
    let at = &Init::seed(1);
    let window = || PoolSpec::new([3, 3]).stride([2, 2]).padding([1, 1]);
    let padded = |mode| -> Result<Layer> {
        let spec = ConvSpec::new([3, 3]).padding([1, 2]);
        Ok(Box::new(Conv2d::new(at, 2, 3, spec)?.padding_mode(mode)))
    };
    Ok(match name {
        "Linear" => Box::new(Linear::new(at, 5, 3)?),
        "Linear on sequences" => Box::new(Linear::new(at, 5, 3)?.without_bias()),
        "Conv1d" => {
            let spec = ConvSpec::new([3]).stride([2]).padding([2]).groups(2);
            Box::new(Conv1d::new(at, 4, 6, spec)?)
        }
        "Conv2d" => {
            let spec = ConvSpec::new([3, 5]).stride([2, 1]).padding([1, 2]);
            Box::new(Conv2d::new(at, 2, 3, spec)?.without_bias())
        }
        "Conv3d" => Box::new(Conv3d::new(at, 2, 3, ConvSpec::new([2; 3]).dilation([1, 2, 1]))?),
        "reflect" => padded(PadMode::Reflect)?,
        "replicate" => padded(PadMode::Replicate)?,
        "circular" => padded(PadMode::Circular)?,
        "ConvTranspose1d" => {
            Box::new(ConvTranspose1d::new(at, 4, 6, ConvSpec::new([3]).stride([2]).groups(2))?)
        }
        "ConvTranspose2d" => {
            let spec = ConvSpec::new([3; 2]).stride([2; 2]).padding([1; 2]).output_padding([1; 2]);
            Box::new(ConvTranspose2d::new(at, 2, 3, spec)?)
        }
        "ConvTranspose3d" => {
            Box::new(ConvTranspose3d::new(at, 2, 3, ConvSpec::new([2; 3]))?.without_bias())
        }
        "BatchNorm1d" => Box::new(BatchNorm1d::new(at, 3)?),
        "BatchNorm1d on sequences" => Box::new(BatchNorm1d::new(at, 3)?.momentum(0.3)),
        "BatchNorm2d" => Box::new(BatchNorm2d::new(at, 3)?.eps(1e-3)),
        "BatchNorm3d" => Box::new(BatchNorm3d::new(at, 2)?),
        "LayerNorm" => Box::new(LayerNorm::new(at, &[4, 5])?),
        "GroupNorm" => Box::new(GroupNorm::new(at, 2, 6)?),
        "MaxPool2d" => Box::new(MaxPool::new(at, window().ceil_mode(true))),
        "AvgPool2d" => Box::new(AvgPool::new(at, window())),
        "AdaptiveMaxPool2d" => Box::new(AdaptiveMaxPool::new(at, [3, 2])),
        "AdaptiveAvgPool2d" => Box::new(AdaptiveAvgPool::new(at, [3, 2])),
        "Flatten" => Box::new(Flatten::new(at)),
        name => Box::new(Activation::new(at, function(name))),
    })
}

fn function(name: &str) -> Function {
    match name {
        "ReLU" => Function::Relu,
        "LeakyReLU" => Function::LeakyRelu(0.1),
        "ELU" => Function::Elu(0.7),
        "GELU" => Function::Gelu,
        "GELU by tanh" => Function::GeluTanh,
        "SiLU" => Function::Silu,
        "Tanh" => Function::Tanh,
        "Sigmoid" => Function::Sigmoid,
        "Softplus" => Function::Softplus,
        "Softmax" => Function::Softmax(1),
        "LogSoftmax" => Function::LogSoftmax(1),
        name => panic!("no layer is called {name}"),
    }
}

/// Compares tensors with the summaries of the same names, all of them.
fn compare_all(
    found: &BTreeMap<String, Tensor<f64>>,
    expected: &Value,
) -> std::result::Result<(), String> {
    let expected: BTreeMap<String, Value> = serde_json::from_value(expected.clone()).unwrap();
    if !found.keys().eq(expected.keys()) {
        return Err(format!("{:?}, PyTorch {:?}", found.keys(), expected.keys()));
    }
    let mut pairs = found.iter().zip(expected.values());
    pairs.try_for_each(|((name, tensor), expected)| {
        compare(tensor, expected, 1e-9).map_err(|error| format!("{name}: {error}"))
    })
}

fn check(name: &str, answer: &Value) -> Result<std::result::Result<(), String>> {
    let layer = layer(name)?;
    let parameters = layer.parameters();
    for parameter in &parameters {
        let path = format!("{name}/{}", parameter.path());
        parameter.set(&hash_tensor(&path, parameter.shape()))?;
    }
    let shape: Vec<usize> = serde_json::from_value(answer["input"].clone()).unwrap();
    let x = hash_tensor::<f64>(&format!("{name}/input"), &shape).tracked();
    let y = layer.forward(&x, &Pass::train(1, 0))?;
    let weights = hash_tensor(&format!("{name}/weights"), y.shape());
    let found = y.backward_with(&weights)?;
    let mut gradients = BTreeMap::from([("input".to_owned(), found.get(&x).unwrap().clone())]);
    gradients.extend(parameters.iter().filter_map(|parameter| {
        Some((parameter.path().to_owned(), found.by_id(parameter.id())?.clone()))
    }));
    let named = |value: RunningValue<f64>| (value.path().to_owned(), value.tensor());
    let running = layer.running().into_iter().map(named).collect();
    let evaluated = layer.forward(&x, &Pass::evaluate())?;
    Ok(compare(&y, &answer["output"], 1e-9)
        .and_then(|()| compare_all(&gradients, &answer["gradients"]))
        .and_then(|()| compare_all(&running, &answer["running"]))
        .and_then(|()| compare(&evaluated, &answer["evaluated"], 1e-9))
        .map_err(|error| format!("{name}: {error}")))
}

fn answers() -> BTreeMap<String, Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layers/layers.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn layers_are_those_of_pytorch() -> Result<()> {
    let mut failures = Vec::new();
    for (name, answer) in answers() {
        failures.extend(check(&name, &answer)?.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// A case is named after its class, or what it is a case of follows the class's name.
#[test]
fn kinds_are_the_classes_of_pytorch() -> Result<()> {
    for name in answers().keys().filter(|name| name.starts_with(char::is_uppercase)) {
        assert_eq!(Some(layer(name)?.kind()), name.split(' ').next());
    }
    Ok(())
}

/// Sizes that cannot be are refused when the layer is made, or when it is given what it cannot take.
#[test]
fn layers_refuse_what_does_not_fit() -> Result<()> {
    let at = Init::seed(1).at("head.2");
    let refused = |error: Option<striate::tensor::Error>, expected: &str| {
        assert_eq!(error.map(|error| error.to_string()), Some(expected.to_owned()));
    };
    refused(
        Linear::<f64>::new(&at, 0, 3).err(),
        "linear in head.2: expected features above zero, got 0 to 3",
    );
    refused(
        Conv2d::<f64>::new(&at, 3, 4, ConvSpec::new([3, 3]).groups(2)).err(),
        "conv2d in head.2: expected channels that 2 groups divide, got 3 to 4",
    );
    refused(
        ConvTranspose2d::<f64>::new(&at, 4, 3, ConvSpec::new([3, 3]).groups(2)).err(),
        "conv_transpose2d in head.2: expected channels that 2 groups divide, got 4 to 3",
    );
    refused(
        Dropout::new(&at, 1.5).err(),
        "dropout in head.2: expected a probability in 0..=1, got 1.5",
    );
    refused(
        GroupNorm::<f64>::new(&at, 4, 6).err(),
        "group_norm in head.2: expected channels that 4 groups divide, got 6",
    );
    let x = Tensor::<f64>::zeros([2, 3, 4, 4], &Device::cpu())?;
    let norm = BatchNorm2d::new(&at, 4)?;
    refused(
        norm.forward(&x, &Pass::train(1, 0)).err(),
        "batch_norm2d in head.2: expected [batch, 4, 2 sizes], got [2, 3, 4, 4]",
    );
    let linear = Linear::new(&at, 5, 3)?;
    let error = linear.forward(&x, &Pass::evaluate()).err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.starts_with("linear in head.2: ")));
    Ok(())
}
