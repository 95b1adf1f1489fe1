//! Every network of the documents against PyTorch: outputs, loss, gradients, running moments, and where three steps
//! of the document's optimizer lead.
//!
//! Weights and inputs come from the hash of their names; `tests/fixtures/networks.py` made the answers, in f64. In f64
//! everything is held to 1e-9 of a tensor's largest element; in f32 the outputs and the gradients to 1e-5.

mod common;
#[path = "common/summary.rs"]
mod summary;

use std::path::Path;

use common::hash_tensor;
use serde_json::Value;
use striate::models::{self, CATALOGUE, find};
use striate::nn::optim::{Adam, Optimizer, Sgd};
use striate::nn::{Init, Loss, Module, Parameter, Pass, load_state, state};
use striate::tensor::{Device, Float, Gradients, Result, Tensor};
use summary::{compare, compare_by, number};

type Net<T> = Box<dyn Module<T>>;

fn network<T: Float>(name: &str) -> Result<Net<T>> {
    let init = Init::seed(1);
    Ok(match name {
        "vgg4" => Box::new(models::vgg4(&init)?),
        "vgg4-dilation" => Box::new(models::vgg4_dilation(&init)?),
        "vgg4-dilation-same" => Box::new(models::vgg4_dilation_same(&init)?),
        "vgg4-large-filter" => Box::new(models::vgg4_large_filter(&init)?),
        "resnet18" => Box::new(models::resnet18(&init)?),
        "resnet18-dilation" => Box::new(models::resnet18_dilation(&init)?),
        "resnet18-large-kernel" => Box::new(models::resnet18_large_kernel(&init)?),
        "resnet18-imagenet" => Box::new(models::resnet18_imagenet(&init)?),
        "dogs-vgg" => Box::new(models::dogs_vgg(&init)?),
        "dogs-vgg-he" => Box::new(models::dogs_vgg_he(&init)?),
        "dogs-vgg-norm" => Box::new(models::dogs_vgg_norm(&init)?),
        "vgg16" => Box::new(models::vgg16(&init)?),
        "mnist-mlp" => Box::new(models::mnist_mlp(&init)?),
        "mnist-cnn" => Box::new(models::mnist_cnn(&init)?),
        "mnist-net" => Box::new(models::mnist_net(&init, true)?),
        "mnist-net-free" => Box::new(models::mnist_net(&init, false)?),
        name => panic!("no network is called {name}"),
    })
}

/// The document's optimizer, as the fixtures used it.
fn optimizer<T: Float>(name: &str, net: &Net<T>) -> Optimizer<T> {
    let fastai = |lr: f64| {
        let rule = Adam::new(lr).betas(0.9, 0.99).eps(1e-5).weight_decay(0.01).decoupled();
        Optimizer::new(&**net, rule).group(rule.weight_decay(0.0), |p| p.shape().len() == 1)
    };
    match name {
        "vgg4" | "vgg4-dilation" | "vgg4-dilation-same" => fastai(1e-2),
        name if name.starts_with("resnet18") => fastai(1e-2),
        "vgg4-large-filter" => fastai(5e-3),
        "dogs-vgg-norm" => fastai(1e-3),
        "mnist-cnn" => Optimizer::new(&**net, Adam::new(1e-2)),
        "mnist-net" | "mnist-net-free" => Optimizer::new(&**net, Sgd::new(0.01).momentum(0.9)),
        _ => Optimizer::new(&**net, Adam::new(1e-3)),
    }
}

/// Document 4's networks return log-probabilities.
fn loss<T: Float>(name: &str) -> Loss<T> {
    if name.starts_with("mnist-net") { Tensor::nll } else { Tensor::cross_entropy }
}

/// The fixtures' rule: near He's uniform bound, rounded to a power of two so that f32 holds every weight
/// exactly; norms near one.
fn fill<T: Float>(name: &str, parameter: &Parameter<T>) -> Result<()> {
    let (path, shape) = (parameter.path(), parameter.shape());
    let unit = hash_tensor::<T>(&format!("{name}/{path}"), shape);
    let values = if shape.len() > 1 {
        let fan_in: usize = shape[1..].iter().product();
        unit.affine(((6.0 / fan_in as f64).log2() / 2.0).round_ties_even().exp2(), 0.0)?
    } else if path.ends_with("weight") {
        unit.affine(0.25, 1.0)?
    } else {
        unit.affine(0.125, 0.0)?
    };
    parameter.set(&values)
}

/// The fixture of a network. What differs in nothing but the first weights, which are set here, has the same one.
fn fixture(name: &'static str) -> &'static str {
    if name == "dogs-vgg-he" { "dogs-vgg" } else { name }
}

struct Case<T: Float> {
    name: &'static str,
    net: Net<T>,
    x: Tensor<T>,
    labels: Tensor<i64>,
    answer: Value,
}

impl<T: Float> Case<T> {
    fn new(name: &'static str) -> Result<Self> {
        let (folder, fixture) = (Path::new(env!("CARGO_MANIFEST_DIR")), fixture(name));
        let file = folder.join(format!("tests/fixtures/networks/{fixture}.json"));
        let answer: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let net = network::<T>(name)?;
        net.parameters().iter().try_for_each(|parameter| fill(fixture, parameter))?;
        let shape: Vec<usize> = serde_json::from_value(answer["input"].clone()).unwrap();
        let x = hash_tensor(answer["batch"].as_str().unwrap(), &shape);
        let classes = find(name).unwrap().classes;
        let labels = (0..shape[0]).map(|i| (i * 3 % classes) as i64).collect();
        let labels = Tensor::from_vec(labels, shape[0], &Device::cpu())?;
        Ok(Case { name, net, x, labels, answer })
    }

    /// Outputs, loss and gradients of a training pass.
    fn pass(&self, step: u64) -> Result<(Tensor<T>, f64, Gradients<T>)> {
        let outputs = self.net.forward(&self.x, &Pass::train(1, step))?;
        let loss = loss(self.name)(&outputs, &self.labels)?;
        let value = striate::conv::Float::to_f64(loss.item()?);
        Ok((outputs, value, loss.backward()?))
    }

    /// Checks the first pass: outputs and every gradient.
    fn check_first(&self, outputs: &Tensor<T>, gradients: &Gradients<T>, tolerance: f64) {
        let name = self.name;
        let fails = |what: &str, error: String| panic!("{name}: {what}: {error}");
        compare(outputs, &self.answer["outputs"], tolerance)
            .unwrap_or_else(|error| fails("outputs", error));
        let expected = self.answer["gradients"].as_object().unwrap();
        let parameters = self.net.parameters();
        assert_eq!(parameters.len(), expected.len(), "{name}");
        for parameter in &parameters {
            let summary = &expected[parameter.path()];
            let allowed = tolerance * number(summary, "scale");
            compare_by(gradients.by_id(parameter.id()).unwrap(), summary, allowed)
                .unwrap_or_else(|error| fails(parameter.path(), error));
        }
    }
}

const DOUBLE: f64 = 1e-9;
const SINGLE: f64 = 1e-5;

/// Three steps in f64, and the network in evaluation afterwards.
fn check_double(name: &'static str) {
    let case = Case::<f64>::new(name).unwrap();
    let mut optimizer = optimizer(name, &case.net);
    for (step, expected) in case.answer["losses"].as_array().unwrap().iter().enumerate() {
        let (outputs, loss, gradients) = case.pass(step as u64).unwrap();
        let expected = expected.as_f64().unwrap();
        assert!((loss - expected).abs() <= DOUBLE * expected, "{name}: {loss}, {expected}");
        if step == 0 {
            case.check_first(&outputs, &gradients, DOUBLE);
            for value in case.net.running() {
                let summary = &case.answer["running"][value.path()];
                compare(&value.tensor(), summary, DOUBLE)
                    .unwrap_or_else(|error| panic!("{name}: {}: {error}", value.path()));
            }
        }
        optimizer.step(&gradients).unwrap();
    }
    let (found, expected) = (state(&*case.net), case.answer["state"].as_object().unwrap());
    assert_eq!(found.keys().collect::<Vec<_>>(), sorted(expected), "{name}: PyTorch's names");
    for (path, tensor) in &found {
        compare(tensor, &expected[path], DOUBLE)
            .unwrap_or_else(|error| panic!("{name}: {path} after three steps: {error}"));
    }
    load_state(&*case.net, &found).unwrap();
    let evaluated = case.net.forward(&case.x, &Pass::evaluate()).unwrap();
    compare(&evaluated, &case.answer["evaluated"], DOUBLE)
        .unwrap_or_else(|error| panic!("{name} in evaluation: {error}"));
}

fn sorted(object: &serde_json::Map<String, Value>) -> Vec<&String> {
    let mut names: Vec<_> = object.keys().collect();
    names.sort();
    names
}

/// By plain sums: where two cells of a max pooling are equal but for rounding, an algorithm that rounds otherwise may
/// choose the other one, and a gradient takes another way. `tests/winograd.rs` compares the algorithms.
fn check_single(name: &'static str) {
    striate::conv::conv::allow_winograd(false);
    let case = Case::<f32>::new(name).unwrap();
    let (outputs, _, gradients) = case.pass(0).unwrap();
    case.check_first(&outputs, &gradients, SINGLE);
}

macro_rules! networks {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(mod $test {
            #[test]
            fn doubles() {
                super::check_double($name);
            }

            #[test]
            fn floats() {
                super::check_single($name);
            }
        })*

        #[test]
        fn every_network_is_checked() {
            // Which outputs its dropout leaves out is not PyTorch's choice; a test of striate-models puts it together from parts.
            let names = [$($name,)* "vgg16-imagenet"];
            let listed = CATALOGUE.iter().map(|entry| entry.name);
            let missing: Vec<&str> = listed.filter(|name| !names.contains(name)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

networks! {
    vgg4: "vgg4",
    vgg4_dilation: "vgg4-dilation",
    vgg4_dilation_same: "vgg4-dilation-same",
    vgg4_large_filter: "vgg4-large-filter",
    resnet18: "resnet18",
    resnet18_dilation: "resnet18-dilation",
    resnet18_large_kernel: "resnet18-large-kernel",
    resnet18_imagenet: "resnet18-imagenet",
    dogs_vgg: "dogs-vgg",
    dogs_vgg_he: "dogs-vgg-he",
    dogs_vgg_norm: "dogs-vgg-norm",
    vgg16: "vgg16",
    mnist_mlp: "mnist-mlp",
    mnist_cnn: "mnist-cnn",
    mnist_net: "mnist-net",
    mnist_net_free: "mnist-net-free",
}
