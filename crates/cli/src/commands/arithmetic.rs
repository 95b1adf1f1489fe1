//! `striate arithmetic`: the sizes that convolutions produce, by formula and by running the layer.

use serde_json::json;
use striate::models::arithmetic::{CASES, Case, Kind};
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use super::{print, size};
use crate::Failure;

/// Maps and kernels beyond this size are computed, but not filled and printed.
const SHOWN: usize = 32;

/// Compute the output of a convolution, a transposed one or a pooling, or list document 3's ten cases
///
/// Square layers with one input channel. Up to 32x32, the layer is also run on random numbers.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which layer; without it, the ten cases of document 3
    #[arg(value_enum)]
    layer: Option<Layer>,
    #[command(flatten)]
    sizes: Sizes,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// The geometry of a layer of the user's own.
#[derive(clap::Args)]
#[group(requires = "layer")]
struct Sizes {
    /// Input size
    #[arg(long, default_value_t = 5, value_parser = size)]
    input: usize,
    /// Kernel size
    #[arg(long, default_value_t = 3, value_parser = size)]
    kernel: usize,
    /// Stride
    #[arg(long, default_value_t = 1, value_parser = size)]
    stride: usize,
    /// Padding on each side
    #[arg(long, default_value_t = 0, value_parser = size)]
    padding: usize,
    /// Dilation
    #[arg(long, default_value_t = 1, value_parser = size)]
    dilation: usize,
    /// What a transposed convolution adds at the end
    #[arg(long, default_value_t = 0, value_parser = size)]
    output_padding: usize,
}

/// The layers on the command line.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layer {
    /// A convolution
    Conv,
    /// A transposed convolution
    ConvTranspose,
    /// Max pooling
    MaxPool,
}

impl Layer {
    /// The layer with its sizes.
    fn case(self, sizes: &Sizes) -> Result<Case, Failure> {
        let kind = match self {
            Layer::Conv => Kind::Convolution,
            Layer::ConvTranspose => Kind::Transposed,
            Layer::MaxPool => Kind::Pooling,
        };
        let &Sizes { input, kernel, stride, padding, dilation, output_padding } = sizes;
        if output_padding > 0 && self != Layer::ConvTranspose {
            return Err("only a conv-transpose has an output padding".into());
        }
        let case = Case::new(kind, [input, kernel, stride, padding]);
        Ok(Case { dilation, output_padding, ..case })
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let given = arguments.layer.map(|layer| layer.case(&arguments.sizes)).transpose()?;
    let cases = given.as_ref().map_or(&CASES[..], std::slice::from_ref);
    if arguments.json {
        let rows = cases.iter().map(row).collect::<Result<Vec<_>>>()?;
        return print(serde_json::to_string_pretty(&rows)?);
    }
    cases.iter().enumerate().try_for_each(|(index, case)| describe(index + 1, case))
}

fn row(case: &Case) -> Result<serde_json::Value> {
    let summary = case.summary()?;
    Ok(json!({
        "case": case.name,
        "layer": summary.rows[0].kind,
        "formula": case.formula,
        "input": case.input,
        "kernel": case.kernel,
        "stride": case.stride,
        "padding": case.padding,
        "dilation": case.dilation,
        "output_padding": case.output_padding,
        "output": summary.rows[0].output[1],
        "channels": summary.rows[0].output[0],
        "parameters": summary.parameters,
    }))
}

/// A case as text: its sizes, its formula, and what the layer really returns for a random input. The document shows
/// a `log_softmax` over the channels instead, which is zero wherever there is one channel.
fn describe(number: usize, case: &Case) -> Result<(), Failure> {
    let summary = case.summary()?;
    let row = &summary.rows[0];
    let &[channels, height, width] = row.output.as_slice() else {
        return Err(format!("expected maps over two axes, got {:?}", row.output).into());
    };
    let Case { input: i, kernel: k, stride: s, padding: p, dilation: d, .. } = case;
    print(format_args!("{number}. {} ({})", case.name, row.kind))?;
    print(format_args!("   i={i} k={k} s={s} p={p} d={d}: output {height} = {}", case.formula))?;
    print(format_args!(
        "   shape [1, 1, {i}, {i}] -> [1, {channels}, {height}, {width}], {} parameters",
        summary.parameters
    ))?;
    if [*i, *k, height].iter().all(|size| *size <= SHOWN) {
        let layer = case.layer(&Init::seed(1))?;
        let key = Key::new(1, Purpose::Other(1));
        let x = Tensor::uniform([1, 1, *i, *i], (0.0, 1.0), &key, &Device::cpu())?;
        let y = layer.forward(&x, &Pass::evaluate())?;
        let first = y.slice(1, 0..1, 1)?.reshape([height, width])?;
        for line in first.to_string().lines() {
            print(format_args!("     {line}"))?;
        }
    }
    print("")
}
