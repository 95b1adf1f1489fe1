//! `striate arithmetic`: the sizes that convolutions produce, by formula and by running the layer.

use serde_json::json;
use striate::models::arithmetic::{CASES, Case, Kind};
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use super::print;
use crate::Failure;

/// Compute the output of a convolution, a transposed one or a pooling, or list document 3's ten cases
#[derive(clap::Args)]
pub struct Arguments {
    /// Which layer; without it, the ten cases of document 3
    #[arg(value_enum)]
    layer: Option<Layer>,
    /// Input size
    #[arg(long, requires = "layer", default_value_t = 5)]
    input: usize,
    /// Kernel size
    #[arg(long, requires = "layer", default_value_t = 3)]
    kernel: usize,
    /// Stride
    #[arg(long, requires = "layer", default_value_t = 1)]
    stride: usize,
    /// Padding on each side
    #[arg(long, requires = "layer", default_value_t = 0)]
    padding: usize,
    /// Dilation
    #[arg(long, requires = "layer", default_value_t = 1)]
    dilation: usize,
    /// What a transposed convolution adds at the end
    #[arg(long, requires = "layer", default_value_t = 0)]
    output_padding: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The layers on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Layer {
    /// A convolution
    Conv,
    /// A transposed convolution
    ConvTranspose,
    /// Max pooling
    MaxPool,
}

impl Layer {
    fn kind(self) -> Kind {
        match self {
            Layer::Conv => Kind::Convolution,
            Layer::ConvTranspose => Kind::Transposed,
            Layer::MaxPool => Kind::Pooling,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let given = arguments.layer.map(|layer| {
        let Arguments { input, kernel, stride, padding, .. } = arguments;
        Case {
            dilation: arguments.dilation,
            output_padding: arguments.output_padding,
            ..Case::new(layer.kind(), [input, kernel, stride, padding])
        }
    });
    let cases = given.as_ref().map_or(&CASES[..], std::slice::from_ref);
    if arguments.json {
        let rows = cases.iter().map(row).collect::<Result<Vec<_>>>()?;
        return print(serde_json::to_string_pretty(&rows)?);
    }
    for case in cases {
        describe(case)?;
    }
    Ok(())
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

/// Maps and kernels beyond this size are computed, but not filled and printed.
const LARGEST_SHOWN: usize = 32;

/// A case as text: its sizes, its formula, and what the layer really returns for a random input. The document shows
/// a `log_softmax` over the channels instead, which is zero wherever there is one channel.
fn describe(case: &Case) -> Result<(), Failure> {
    let summary = case.summary()?;
    let row = &summary.rows[0];
    let Case { input: i, kernel: k, stride: s, padding: p, dilation: d, .. } = case;
    print(format_args!("{} ({})", case.name, row.kind))?;
    print(format_args!(
        "  i={i} k={k} s={s} p={p} d={d}: output = {} = {}",
        case.formula, row.output[1]
    ))?;
    print(format_args!(
        "  shape [1, 1, {i}, {i}] -> [1, {}, {}, {}], {} parameters",
        row.output[0], row.output[1], row.output[2], summary.parameters
    ))?;
    if case.kernel.max(row.output[1]).max(*i) > LARGEST_SHOWN {
        return print("");
    }
    let layer = case.layer(&Init::seed(1))?;
    let key = Key::new(1, Purpose::Other(1));
    let x = Tensor::uniform([1, 1, *i, *i], (0.0, 1.0), &key, &Device::cpu())?;
    let y = layer.forward(&x, &Pass::evaluate())?;
    let first = y.slice(1, 0..1, 1)?.reshape([row.output[1], row.output[2]])?;
    for line in first.to_string().lines() {
        print(format_args!("    {line}"))?;
    }
    print("")
}
