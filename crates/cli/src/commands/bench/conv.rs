//! `striate bench conv`: the three kernels of one convolution, each on its own, with their rounding errors.

use serde_json::json;
use striate::conv::conv::{self, Algorithm, Operation};
use striate::conv::{Buffer, ConvShape};
use striate::prelude::{Device, Error, Float, Result as Computed, Tensor};
use striate::tensor::backend::Storage;
use striate::tensor::random::{Key, Purpose};

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
    /// By which algorithm: im2col, indirect, direct, winograd or all [default: the one that would be chosen]
    #[arg(long)]
    algorithm: Option<String>,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu", conflicts_with_all = ["algorithm", "threads", "precise"])]
    device: String,
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

    /// Rows of output, input gradient and weight gradient, under the names that they have for the direct or the
    /// transposed convolution.
    fn rows(
        &self,
        algorithms: [&str; 3],
        transposed: bool,
        kernels: [(Timing, &[f32]); 3],
    ) -> Vec<Row> {
        let mut names = Operation::ALL.map(Operation::name);
        if transposed {
            names.swap(0, 1);
        }
        let with_names = names.into_iter().zip(algorithms).zip(kernels).zip(&self.exact);
        let mut rows: Vec<Row> = with_names
            .map(|(((kernel, algorithm), (timing, result)), exact)| {
                let (algorithm, error) = (algorithm.into(), relative_error(result, exact));
                Row { algorithm, kernel, timing, error }
            })
            .collect();
        if transposed {
            rows.swap(0, 1);
        }
        rows
    }
}

/// An algorithm for each kernel.
type Choice = [Algorithm; 3];

/// Times the three kernels on the processor by some algorithms.
fn rows(shape: &ConvShape, choices: &[Choice], transposed: bool) -> Result<Vec<Row>, String> {
    let data = Data::new(shape)?;
    let [x, w, dy] = &data.operands;
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
    let mut rows = Vec::new();
    for &[by, input_by, weight_by] in choices {
        let forward = time(|| conv::forward_by(by, shape, [x, w], None, &mut y))?;
        let input = time(|| conv::input_gradient_by(input_by, shape, [dy, w], &mut dx))?;
        let weight = time(|| conv::weight_gradient_by(weight_by, shape, [x, dy], &mut dw))?;
        let kernels = [(forward, &y[..]), (input, &dx[..]), (weight, &dw[..])];
        let names = [by, input_by, weight_by].map(Algorithm::name);
        rows.extend(data.rows(names, transposed, kernels));
    }
    Ok(rows)
}

/// Times the three kernels on a device. The time is until the device has computed, with its operands already there.
fn rows_on(device: &Device, shape: &ConvShape, transposed: bool) -> Result<Vec<Row>, String> {
    let data = Data::new(shape)?;
    let kernels = f32::kernels(device.backend());
    let text = |error: Error| error.to_string();
    let upload = |values: &Vec<f32>| kernels.upload(Buffer::from_slice(values)).map_err(text);
    let [x, w, dy] = data.operands.each_ref().map(upload);
    let (x, w, dy) = (x?, w?, dy?);
    let run = |kernel: &dyn Fn() -> Computed<Storage<f32>>| {
        let timing = repeat(|| seconds(device, kernel))?;
        let result = kernel().and_then(|storage| kernels.download(&storage)).map_err(text)?;
        Ok::<_, String>((timing, result))
    };
    let forward = run(&|| kernels.conv(shape, &x, &w, None))?;
    let input = run(&|| kernels.conv_input_gradient(shape, &dy, &w))?;
    let weight = run(&|| kernels.conv_weight_gradient(shape, &x, &dy))?;
    let results = [&forward, &input, &weight].map(|(timing, result)| (*timing, &result[..]));
    Ok(data.rows([&device.name(); 3], transposed, results))
}

/// Those that the user asks for: one by its name, all that apply, or those that are chosen without being asked for.
fn choices(name: Option<&str>, shape: &ConvShape) -> Result<Vec<Choice>, Failure> {
    let applying = || Algorithm::ALL.into_iter().filter(|a| a.applies::<f32>(shape));
    match name {
        None => Ok(vec![Operation::ALL.map(|operation| Algorithm::of::<f32>(operation, shape))]),
        Some("all") => Ok(applying().map(|algorithm| [algorithm; 3]).collect()),
        Some(name) => match applying().find(|algorithm| algorithm.name() == name) {
            Some(algorithm) => Ok(vec![[algorithm; 3]]),
            None => {
                let names: Vec<_> = applying().map(Algorithm::name).collect();
                Err(format!(
                    "--algorithm {name}: expected all, or for this convolution {}",
                    names.join(" or ")
                )
                .into())
            }
        },
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let shape = arguments.geometry.shape()?;
    let (device, transposed) = (device(&arguments.device)?, arguments.geometry.transposed);
    let rows = if device == Device::cpu() {
        // What is chosen depends on how the processor is to compute.
        arguments.processor.run(|| {
            let choices = choices(arguments.algorithm.as_deref(), &shape);
            rows(&shape, &choices.map_err(|error| error.to_string())?, transposed)
        })?
    } else {
        rows_on(&device, &shape, transposed)?
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
