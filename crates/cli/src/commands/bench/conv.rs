//! `striate bench conv`: the three kernels of one convolution, each on its own, with their rounding errors.

use serde_json::json;
use striate::conv::{ConvShape, ConvSpec, conv};
use striate::prelude::{Device, Tensor};
use striate::tensor::random::{Key, Purpose};

use super::timing::{Timing, repeat, seconds};
use crate::Failure;
use crate::commands::{print, size};

/// Time forward, input gradient and weight gradient of one convolution
#[derive(clap::Args)]
pub struct Arguments {
    /// Images
    #[arg(long, default_value_t = 4, value_parser = size)]
    batch: usize,
    /// Input channels
    #[arg(long, default_value_t = 64, value_parser = size)]
    inputs: usize,
    /// Output channels
    #[arg(long, default_value_t = 64, value_parser = size)]
    outputs: usize,
    /// Height and width of the input
    #[arg(long, default_value_t = 56, value_parser = size)]
    size: usize,
    /// Height and width of the kernel
    #[arg(long, default_value_t = 3, value_parser = size)]
    kernel: usize,
    /// Stride
    #[arg(long, default_value_t = 1, value_parser = size)]
    stride: usize,
    /// Padding on each side
    #[arg(long, default_value_t = 1, value_parser = size)]
    padding: usize,
    /// Dilation
    #[arg(long, default_value_t = 1, value_parser = size)]
    dilation: usize,
    /// Groups of channels
    #[arg(long, default_value_t = 1, value_parser = size)]
    groups: usize,
    /// The transposed convolution
    #[arg(long)]
    transposed: bool,
    /// How many threads [default: one a core]
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A kernel's time, and its error against the same in f64: the root mean square over that of the result.
struct Row {
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
        seconds(|| {
            work();
            Ok::<_, String>(())
        })
    })
}

/// Times the three kernels under the names that they have for the direct or the transposed convolution.
fn rows(shape: &ConvShape, transposed: bool) -> Result<Vec<Row>, String> {
    let x = noise(shape.input_len(), 1)?;
    let w = noise(shape.weight_len(), 2)?;
    let dy = noise(shape.output_len(), 3)?;
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let (wide_x, wide_w, wide_dy) = (wide(&x), wide(&w), wide(&dy));
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
    let (mut exact_y, mut exact_dx, mut exact_dw) =
        (wide_dy.clone(), wide_x.clone(), wide_w.clone());
    conv::forward(shape, &wide_x, &wide_w, None, &mut exact_y);
    conv::input_gradient(shape, &wide_dy, &wide_w, &mut exact_dx);
    conv::weight_gradient(shape, &wide_x, &wide_dy, &mut exact_dw);
    let forward = time(|| conv::forward(shape, &x, &w, None, &mut y))?;
    let input = time(|| conv::input_gradient(shape, &dy, &w, &mut dx))?;
    let weight = time(|| conv::weight_gradient(shape, &x, &dy, &mut dw))?;
    let names = match transposed {
        false => ["forward", "input gradient"],
        true => ["input gradient", "forward"],
    };
    let mut rows = vec![
        Row { kernel: names[0], timing: forward, error: relative_error(&y, &exact_y) },
        Row { kernel: names[1], timing: input, error: relative_error(&dx, &exact_dx) },
        Row { kernel: "weight gradient", timing: weight, error: relative_error(&dw, &exact_dw) },
    ];
    if transposed {
        rows.swap(0, 1);
    }
    Ok(rows)
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        batch, inputs, outputs, size, kernel, stride, padding, dilation, groups, ..
    } = arguments;
    let spec = ConvSpec::new([kernel; 2])
        .stride([stride; 2])
        .padding([padding; 2])
        .dilation([dilation; 2])
        .groups(groups);
    let input = [batch, inputs, size, size];
    let fits = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
    if batch == 0 || !fits(inputs) || !fits(outputs) {
        return Err(format!(
            "expected images, and channels that {groups} groups divide; got {batch} images, {inputs} to {outputs} channels"
        )
        .into());
    }
    let shape = match arguments.transposed {
        false => ConvShape::conv(&spec, &input, &[outputs, inputs / groups, kernel, kernel])?,
        true => ConvShape::transposed(&spec, &input, &[inputs, outputs / groups, kernel, kernel])?,
    };
    let rows = super::on_threads(arguments.threads, || rows(&shape, arguments.transposed))?;
    let rate = |row: &Row| 2.0 * shape.macs() as f64 / row.timing.median / 1e6;
    if arguments.json {
        let rows = rows.iter().map(|row| {
            json!({
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
        "{:<16} {:>10} {:>10} {:>9}  {}",
        "kernel", "ms", "fastest", "GFLOP/s", "error"
    ))?;
    for row in &rows {
        let Timing { median, min, .. } = row.timing;
        print(format_args!(
            "{:<16} {median:>10.3} {min:>10.3} {:>9.1}  {:.1e}",
            row.kernel,
            rate(row),
            row.error
        ))?;
    }
    Ok(())
}
