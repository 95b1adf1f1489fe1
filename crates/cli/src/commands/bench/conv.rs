//! `striate bench conv`: the three kernels of one convolution, each on its own, with their rounding errors.

use serde_json::json;
use striate::conv::conv::{self, Algorithm, Operation};
use striate::conv::{Buffer, ConvShape};
use striate::prelude::{Device, Error, Float, Tensor};
use striate::tensor::random::{Key, Purpose};
use striate_cuda::allow_tf32;

use super::Processor;
use super::timing::{Timing, repeat, seconds};
use crate::Failure;
use crate::commands::geometry::Geometry;
use crate::commands::{device, print};

/// Time forward, input gradient and weight gradient of one convolution
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    geometry: Geometry,
    #[command(flatten)]
    processor: Processor,
    /// By which algorithm, where it applies: im2col, indirect, rows, direct, winograd or all [default: the one that would be chosen]
    #[arg(long)]
    algorithm: Option<String>,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu", conflicts_with_all = ["algorithm", "threads", "precise"])]
    device: String,
    /// Let the card round factors to ten bits, for its tensor cores
    #[arg(long)]
    tf32: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Random input, weight and gradient of the output, and what the three kernels make of them in f64.
struct Data {
    operands: [Vec<f32>; 3],
    /// Output, input gradient, weight gradient.
    exact: [Vec<f64>; 3],
}

/// A kernel's time, and its error against the same in f64: the root mean square over that of the result.
struct Row {
    algorithm: String,
    kernel: &'static str,
    timing: Timing,
    error: f64,
}

fn noise(len: usize, seed: u64) -> Result<Vec<f32>, String> {
    let key = Key::new(seed, Purpose::Other(3));
    let values = Tensor::<f32>::normal([len], (0.0, 1.0), &key, &Device::cpu());
    values.and_then(|tensor| tensor.to_vec()).map_err(|error| error.to_string())
}

fn relative_error(result: &[f32], exact: &[f64]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let differences =
        squares(&mut result.iter().zip(exact).map(|(&result, exact)| f64::from(result) - exact));
    (differences / squares(&mut exact.iter().copied())).sqrt()
}

fn time(mut work: impl FnMut()) -> Result<Timing, String> {
    repeat(|| {
        seconds(&Device::cpu(), || {
            work();
            Ok::<_, String>(())
        })
    })
}

impl Data {
    fn new(shape: &ConvShape) -> Result<Self, String> {
        let x = noise(shape.input_len(), 1)?;
        let w = noise(shape.weight_len(), 2)?;
        let dy = noise(shape.output_len(), 3)?;
        let operands = [x, w, dy];
        let [x, w, dy] = operands
            .each_ref()
            .map(|values| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        let mut exact = [dy.clone(), x.clone(), w.clone()];
        conv::forward(shape, &x, &w, None, &mut exact[0]);
        conv::input_gradient(shape, &dy, &w, &mut exact[1]);
        conv::weight_gradient(shape, &x, &dy, &mut exact[2]);
        Ok(Self { operands, exact })
    }

    /// A row of an operation, under the name that it has in the direct or the transposed convolution.
    fn row(
        &self,
        (operation, transposed): (Operation, bool),
        algorithm: &str,
        (timing, result): (Timing, &[f32]),
    ) -> Row {
        let kernel = match (operation, transposed) {
            (Operation::Forward, true) => Operation::InputGradient,
            (Operation::InputGradient, true) => Operation::Forward,
            (operation, _) => operation,
        };
        let error = relative_error(result, &self.exact[operation as usize]);
        Row { algorithm: algorithm.into(), kernel: kernel.name(), timing, error }
    }
}

/// The operations in the order in which the direct or the transposed convolution has them.
fn operations(transposed: bool) -> [Operation; 3] {
    let mut operations = Operation::ALL;
    if transposed {
        operations.swap(0, 1);
    }
    operations
}

/// An operation, and what computes it.
type Choice = (Operation, Algorithm);

/// Times operations on the processor.
fn rows(shape: &ConvShape, choices: &[Choice], transposed: bool) -> Result<Vec<Row>, String> {
    let data = Data::new(shape)?;
    let [x, w, dy] = &data.operands;
    let mut results = [dy.clone(), x.clone(), w.clone()];
    let rows = choices.iter().map(|&(operation, by)| {
        let result = &mut results[operation as usize];
        let timing = time(|| match operation {
            Operation::Forward => conv::forward_by(by, shape, [x, w], None, result),
            Operation::InputGradient => conv::input_gradient_by(by, shape, [dy, w], result),
            Operation::WeightGradient => conv::weight_gradient_by(by, shape, [x, dy], result),
        })?;
        Ok(data.row((operation, transposed), by.name(), (timing, result)))
    });
    rows.collect()
}

/// Times the three kernels on a device, under the name that its way of computing has. The time is until the device has computed, with
/// its operands already there.
fn rows_on(
    (device, name): (&Device, &str),
    shape: &ConvShape,
    transposed: bool,
) -> Result<Vec<Row>, String> {
    let data = Data::new(shape)?;
    let kernels = f32::kernels(device.backend());
    let text = |error: Error| error.to_string();
    let upload = |values: &Vec<f32>| kernels.upload(Buffer::from_slice(values)).map_err(text);
    let [x, w, dy] = data.operands.each_ref().map(upload);
    let (x, w, dy) = (x?, w?, dy?);
    let run = |operation| match operation {
        Operation::Forward => kernels.conv(shape, &x, &w, None),
        Operation::InputGradient => kernels.conv_input_gradient(shape, &dy, &w),
        Operation::WeightGradient => kernels.conv_weight_gradient(shape, &x, &dy),
    };
    let rows = operations(transposed).into_iter().map(|operation| {
        let timing = repeat(|| seconds(device, || run(operation)))?;
        let result = run(operation).and_then(|storage| kernels.download(&storage)).map_err(text)?;
        Ok(data.row((operation, transposed), name, (timing, &result)))
    });
    rows.collect()
}

/// Those that the user asks for: one by its name, all that apply, or those that are chosen without being asked for.
fn choices(
    name: Option<&str>,
    shape: &ConvShape,
    transposed: bool,
) -> Result<Vec<Choice>, Failure> {
    let operations = operations(transposed);
    let Some(name) = name else {
        let of = |operation| (operation, Algorithm::of::<f32>(operation, shape));
        return Ok(operations.map(of).into());
    };
    let applying = |by: Algorithm| {
        let applies = move |operation: &Operation| by.applies::<f32>(*operation, shape);
        operations.into_iter().filter(applies).map(move |operation| (operation, by))
    };
    let mut choices: Vec<Choice> = Algorithm::ALL.into_iter().flat_map(applying).collect();
    let mut names: Vec<_> = choices.iter().map(|(_, by)| by.name()).collect();
    names.dedup();
    if name != "all" && !names.contains(&name) {
        let names = names.join(" or ");
        let expected = format!("expected all, or for this convolution {names}");
        return Err(format!("--algorithm {name}: {expected}").into());
    }
    choices.retain(|(_, by)| name == "all" || by.name() == name);
    Ok(choices)
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let shape = arguments.geometry.shape()?;
    let (device, transposed) = (device(&arguments.device)?, arguments.geometry.transposed);
    if arguments.tf32 && device == Device::cpu() {
        return Err("expected a card for --tf32, such as --device cuda:0, got cpu".into());
    }
    allow_tf32(arguments.tf32);
    let rows = if device == Device::cpu() {
        // What is chosen depends on how the processor is to compute.
        arguments.processor.run(|| {
            let choices = choices(arguments.algorithm.as_deref(), &shape, transposed);
            rows(&shape, &choices.map_err(|error| error.to_string())?, transposed)
        })?
    } else {
        let name = device.name() + if arguments.tf32 { " tf32" } else { "" };
        rows_on((&device, &name), &shape, transposed)?
    };
    let rate = |row: &Row| 2.0 * shape.macs() as f64 / row.timing.median / 1e6;
    if arguments.json {
        let rows = rows.iter().map(|row| {
            json!({
                "algorithm": row.algorithm,
                "kernel": row.kernel,
                "ms_median": row.timing.median,
                "ms_min": row.timing.min,
                "runs": row.timing.runs,
                "gflops": rate(row),
                "relative_error": row.error,
            })
        });
        let rows: Vec<_> = rows.collect();
        return print(serde_json::to_string_pretty(
            &json!({ "macs": shape.macs(), "kernels": rows }),
        )?);
    }
    print(format_args!(
        "{:<9}  {:<15} {:>10} {:>10} {:>9}  error",
        "algorithm", "kernel", "ms", "fastest", "GFLOP/s"
    ))?;
    for row in &rows {
        let Timing { median, min, .. } = row.timing;
        print(format_args!(
            "{:<9}  {:<15} {median:>10.3} {min:>10.3} {:>9.1}  {:.1e}",
            row.algorithm,
            row.kernel,
            rate(row),
            row.error
        ))?;
    }
    Ok(())
}
