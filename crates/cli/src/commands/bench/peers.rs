//! `striate bench peers`: the workloads on which other engines are measured beside ours, a line of JSON each.
//!
//! Everything runs through the public tensors and modules with their default settings, on the program's main thread. A training step is
//! forward, loss, backward and optimizer; `fwd:` is a layer without gradients, `bwd:` its three gradients, given that of
//! the output. Layers are named by channels, kernel, stride or dilation, map size and batch.

use regex::Regex;
use serde_json::{Value, json};
use striate::models;
use striate::nn::optim;
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use super::Processor;
use super::memory::{megabytes, watch};
use super::timing::{Timing, repeat, seconds};
use crate::Failure;
use crate::commands::{device, print};

/// Time training steps, layers and matrix products, as JSON lines
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    processor: Processor,
    /// Only workloads whose names this regular expression finds
    #[arg(long, default_value = ".")]
    filter: String,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu")]
    device: String,
}

/// One row of the comparison.
struct Workload {
    name: String,
    batch: usize,
    /// Twice the multiply-accumulates of the plain algorithm.
    flop: f64,
    kind: Kind,
}

enum Kind {
    /// A training step of a network of the catalogue.
    Step { model: &'static str, rule: Rule },
    /// VGG16's convolutions, without gradients.
    Vgg16,
    /// A layer, forward or backward.
    Layer { layer: &'static Layer, backward: bool },
    /// A matrix product `[m, k] . [k, n]`.
    Product([usize; 3]),
}

#[derive(Clone, Copy)]
enum Rule {
    Adam(f64),
    /// With momentum 0.9.
    Sgd(f64),
}

struct Layer {
    name: &'static str,
    batch: usize,
    channels: [usize; 2],
    size: usize,
    /// Kernel, stride, padding, dilation, groups.
    geometry: [usize; 5],
    transposed: bool,
}

const fn layer(
    name: &'static str,
    [batch, inputs, outputs, size]: [usize; 4],
    geometry: [usize; 5],
) -> Layer {
    Layer { name, batch, channels: [inputs, outputs], size, geometry, transposed: false }
}

const LAYERS: &[Layer] = &[
    layer("c3-64_k3_224_b4", [4, 3, 64, 224], [3, 1, 1, 1, 1]),
    layer("c64-64_k3_224_b4", [4, 64, 64, 224], [3, 1, 1, 1, 1]),
    layer("c128-128_k3_112_b4", [4, 128, 128, 112], [3, 1, 1, 1, 1]),
    layer("c256-256_k3_56_b4", [4, 256, 256, 56], [3, 1, 1, 1, 1]),
    layer("c512-512_k3_28_b4", [4, 512, 512, 28], [3, 1, 1, 1, 1]),
    layer("c64-128_k3s2_56_b4", [4, 64, 128, 56], [3, 2, 1, 1, 1]),
    layer("c256-512_k1_28_b4", [4, 256, 512, 28], [1, 1, 0, 1, 1]),
    layer("dw64_k3_112_b4", [4, 64, 64, 112], [3, 1, 1, 1, 64]),
    layer("c16-32_k5_14_b100", [100, 16, 32, 14], [5, 1, 2, 1, 1]),
    layer("c24-32_k3d4_30_b64", [64, 24, 32, 30], [3, 1, 1, 4, 1]),
    layer("c32-48_k9_32_b64", [64, 32, 48, 32], [9, 1, 4, 1, 1]),
    Layer { transposed: true, ..layer("ct128-64_k4s2_28_b4", [4, 128, 64, 28], [4, 2, 1, 1, 1]) },
];

/// Name here, name in the catalogue, batch, optimizer.
const STEPS: &[(&str, &str, usize, Rule)] = &[
    ("mlp", "mnist-mlp", 100, Rule::Adam(1e-3)),
    ("mnist_cnn", "mnist-cnn", 100, Rule::Adam(1e-2)),
    ("net7", "mnist-net", 128, Rule::Sgd(1e-2)),
    ("vgg4", "vgg4", 64, Rule::Adam(1e-3)),
    ("vgg4_dilation", "vgg4-dilation", 64, Rule::Adam(1e-3)),
    ("vgg4_large", "vgg4-large-filter", 64, Rule::Adam(1e-3)),
    ("vggsmall_b4", "dogs-vgg", 4, Rule::Adam(1e-4)),
    ("vggsmall_b8", "dogs-vgg", 8, Rule::Adam(1e-4)),
];

const PRODUCTS: &[[usize; 3]] =
    &[[512, 512, 512], [1024, 1024, 1024], [64, 576, 50176], [512, 4608, 784], [32, 400, 19600]];

/// Every workload.
fn workloads() -> Result<Vec<Workload>, Failure> {
    let mut all = Vec::new();
    for &(name, model, batch, rule) in STEPS {
        let flop = 2.0 * (batch as u64 * step_macs(model)?) as f64;
        all.push(Workload { name: name.into(), batch, flop, kind: Kind::Step { model, rule } });
    }
    let net: models::Vgg16 = models::vgg16(&Init::seed(1))?;
    let macs = Summary::new(&net.features, &[3, 224, 224])?.macs;
    for batch in [1, 4] {
        let flop = 2.0 * (batch as u64 * macs) as f64;
        let name = format!("vgg16_fwd_b{batch}");
        all.push(Workload { name, batch, flop, kind: Kind::Vgg16 });
    }
    for layer in LAYERS {
        let [kernel, .., groups] = layer.geometry;
        let [inputs, outputs] = layer.channels;
        // Each cell of the larger map of a strided pair is touched by the taps over the stride; each of the smaller by all.
        let cells = match layer.transposed {
            true => layer.size * layer.size,
            false => layer.spec().output_size([layer.size; 2])?.iter().product(),
        };
        let macs = layer.batch * cells * inputs * outputs / groups * kernel * kernel;
        for (prefix, backward, times) in [("fwd", false, 2.0), ("bwd", true, 4.0)] {
            let name = format!("{prefix}:{}", layer.name);
            let (batch, flop) = (layer.batch, times * macs as f64);
            all.push(Workload { name, batch, flop, kind: Kind::Layer { layer, backward } });
        }
    }
    for &[m, k, n] in PRODUCTS {
        let (name, flop) = (format!("gemm:M{m}_K{k}_N{n}"), 2.0 * (m * k * n) as f64);
        all.push(Workload { name, batch: 1, flop, kind: Kind::Product([m, k, n]) });
    }
    Ok(all)
}

/// Multiply-accumulates of a training step for one sample: forward and two gradients, less that of the images.
fn step_macs(model: &str) -> Result<u64, Failure> {
    let entry = crate::commands::entry(model)?;
    let summary = Summary::new(&*(entry.build)(&Init::seed(1))?, entry.input)?;
    let first = summary.rows.iter().find(|row| row.macs > 0).map_or(0, |row| row.macs);
    Ok(3 * summary.macs - first)
}

fn noise(shape: impl Into<Vec<usize>>, device: &Device) -> Result<Tensor> {
    Tensor::normal(shape.into(), (0.0, 1.0), &Key::new(1, Purpose::Other(2)), device)
}

/// Numbers that every engine can make, from the index of an element: from -1/2 up to 1/2, of 24 bits.
fn hashed(shape: impl Into<Vec<usize>>, stream: u64, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    let value = |i: usize| {
        let scrambled = (i as u64 + (stream << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        scrambled as f32 / (1 << 24) as f32 - 0.5
    };
    let values = (0..shape.iter().product()).map(value).collect();
    Tensor::from_vec(values, shape, device)
}

/// The sum of the magnitudes of results, by which they are compared with another engine's.
fn magnitude<'a>(results: impl IntoIterator<Item = &'a Tensor>) -> Result<f64> {
    results.into_iter().try_fold(0.0, |sum, tensor| {
        Ok(sum + tensor.to_vec()?.iter().map(|x| f64::from(x.abs())).sum::<f64>())
    })
}

/// A time, and what else there is to say of a workload: the sum of magnitudes of its results where that can be compared, the
/// memory that a step took.
type Measured = (Timing, Vec<(&'static str, Value)>);

fn with_checksum(timing: Timing, sum: f64) -> Measured {
    (timing, vec![("checksum", json!(sum))])
}

impl Layer {
    fn spec(&self) -> ConvSpec<2> {
        let [kernel, stride, padding, dilation, groups] = self.geometry;
        ConvSpec::new([kernel; 2])
            .stride([stride; 2])
            .padding([padding; 2])
            .dilation([dilation; 2])
            .groups(groups)
    }

    fn input(&self, device: &Device) -> Result<Tensor> {
        hashed([self.batch, self.channels[0], self.size, self.size], 1, device)
    }

    /// Weight and bias.
    fn weights(&self, device: &Device) -> Result<[Tensor; 2]> {
        let [inputs, outputs] = self.channels;
        let [kernel, .., groups] = self.geometry;
        let channels =
            if self.transposed { [inputs, outputs / groups] } else { [outputs, inputs / groups] };
        let weight = hashed([channels[0], channels[1], kernel, kernel], 2, device)?;
        Ok([weight, hashed([outputs], 3, device)?])
    }

    fn forward(&self, x: &Tensor, [weight, bias]: &[Tensor; 2]) -> Result<Tensor> {
        match self.transposed {
            true => x.conv_transpose(weight, Some(bias), &self.spec()),
            false => x.conv(weight, Some(bias), &self.spec()),
        }
    }

    fn time(&self, backward: bool, device: &Device) -> Result<Measured, String> {
        let made = || {
            let (x, weights) = (self.input(device)?, self.weights(device)?);
            let y = self.forward(&x, &weights)?;
            Ok::<_, Error>((x, weights, hashed(y.shape(), 4, device)?, magnitude([&y])?))
        };
        let (x, weights, gradient, sum) = made().map_err(|error| error.to_string())?;
        if !backward {
            let timing = repeat(|| seconds(device, || self.forward(&x, &weights)))?;
            return Ok(with_checksum(timing, sum));
        }
        let (x, weights) = (x.tracked(), weights.map(|tensor| tensor.tracked()));
        let forward = || self.forward(&x, &weights).map_err(|error| error.to_string());
        let timing = repeat(|| {
            let y = forward()?;
            seconds(device, || y.backward_with(&gradient))
        })?;
        let compared = || {
            let gradients = self.forward(&x, &weights)?.backward_with(&gradient)?;
            magnitude([&x].into_iter().chain(&weights).filter_map(|leaf| gradients.get(leaf)))
        };
        Ok(with_checksum(timing, compared().map_err(|error: Error| error.to_string())?))
    }
}

/// Times training steps.
fn time_step(model: &str, batch: usize, rule: Rule, device: &Device) -> Result<Measured, String> {
    let prepared = || {
        let entry = crate::commands::entry(model)?;
        let net = (entry.build)(&Init::seed(1))?;
        net.to_device(device)?;
        let optimizer = match rule {
            Rule::Adam(rate) => Optimizer::new(&*net, Adam::new(rate)),
            Rule::Sgd(rate) => Optimizer::new(&*net, Sgd::new(rate).momentum(0.9)),
        };
        let x = noise([&[batch], entry.input].concat(), device)?;
        let labels: Vec<i64> = (0..batch).map(|i| (i * 7 % entry.classes) as i64).collect();
        let labels = Tensor::from_vec(labels, [batch], device)?;
        Ok::<_, Failure>((net, optimizer, x, labels))
    };
    let (net, mut optimizer, x, labels) = prepared().map_err(|error| error.to_string())?;
    let mut step = 0;
    let mut run = || {
        step += 1;
        seconds(device, || {
            let y = net.forward(&x, &Pass::train(1, step))?;
            let loss = y.cross_entropy(&labels)?;
            optimizer.step(&loss.backward()?)?;
            loss.item()
        })
    };
    let mut memory = match device == &Device::cpu() {
        true => watch(&mut run)?,
        false => Vec::new(),
    };
    let predicted = predicted_bytes(model, batch, rule).map_err(|error| error.to_string())?;
    memory.push(("predicted_mb", megabytes(predicted as f64)));
    Ok((repeat(run)?, memory))
}

/// What [`Summary::training_bytes`] says of a workload.
fn predicted_bytes(model: &str, batch: usize, rule: Rule) -> Result<u64, Failure> {
    let entry = crate::commands::entry(model)?;
    let net = (entry.build)(&Init::seed(1))?;
    let rule: optim::Rule = match rule {
        Rule::Adam(rate) => Adam::new(rate).into(),
        Rule::Sgd(rate) => Sgd::new(rate).momentum(0.9).into(),
    };
    Ok(Summary::training_bytes::<f32>(&*net, rule, (entry.input, batch))?)
}

fn time_vgg16(batch: usize, device: &Device) -> Result<Timing, String> {
    let prepared = || {
        let net: models::Vgg16 = models::vgg16(&Init::seed(1))?;
        net.to_device(device)?;
        Ok::<_, Error>((net, noise([batch, 3, 224, 224], device)?))
    };
    let (net, x) = prepared().map_err(|error| error.to_string())?;
    repeat(|| seconds(device, || net.features.forward(&x, &Pass::evaluate())))
}

fn time_product([m, k, n]: [usize; 3], device: &Device) -> Result<Measured, String> {
    let prepared = || {
        let (a, b) = (hashed([m, k], 1, device)?, hashed([k, n], 2, device)?);
        let sum = magnitude([&a.matmul(&b)?])?;
        Ok::<_, Error>((a, b, sum))
    };
    let (a, b, sum) = prepared().map_err(|error| error.to_string())?;
    Ok(with_checksum(repeat(|| seconds(device, || a.matmul(&b)))?, sum))
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let filter = Regex::new(&arguments.filter)
        .map_err(|error| format!("--filter {}: {error}", arguments.filter))?;
    arguments.processor.start()?;
    let device = &device(&arguments.device)?;
    let threads = rayon::current_num_threads();
    for workload in workloads()?.iter().filter(|workload| filter.is_match(&workload.name)) {
        let batch = workload.batch;
        let (timing, more) = match workload.kind {
            Kind::Step { model, rule } => time_step(model, batch, rule, device)?,
            Kind::Vgg16 => (time_vgg16(batch, device)?, Vec::new()),
            Kind::Layer { layer, backward } => layer.time(backward, device)?,
            Kind::Product(dims) => time_product(dims, device)?,
        };
        let rounded = |value: f64, scale: f64| (value * scale).round() / scale;
        let mut line = json!({
            "peer": "striate",
            "workload": workload.name,
            "device": device.name(),
            "threads": threads,
            "ms_median": rounded(timing.median, 1e3),
            "ms_min": rounded(timing.min, 1e3),
            "imgs_per_s": rounded(batch as f64 / timing.median * 1e3, 10.0),
            "gflops": rounded(workload.flop / timing.median / 1e6, 100.0),
            "runs": timing.runs,
        });
        for (name, value) in more {
            line[name] = value;
        }
        print(line)?;
    }
    Ok(())
}
