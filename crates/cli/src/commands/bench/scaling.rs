//! `striate bench scaling`: what an image costs as a layer grows along one axis at a time.
//!
//! The layer is swept through batch, channels, map size, kernel and dilation, forward and through both gradients: once by the
//! algorithms that are chosen, once by unfolding and multiplying, which has no choice to get wrong. A choice that goes wrong shows
//! as a step up that the other line does not have.

use std::fs;
use std::path::PathBuf;

use striate::conv::conv::{self, Algorithm, Operation};
use striate::conv::{ConvShape, ConvSpec};
use striate::nn::atomic_write;
use striate::tensor::backend::room;

use super::Processor;
use super::timing::glance;
use crate::commands::print;
use crate::draw::scaling::{Curve, scaling_svg};
use crate::{Failure, named};

/// Time a layer as it grows, and draw the curves
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder for scaling.csv and a drawing of each sweep
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    processor: Processor,
    /// Only the sweep of this name: batch, channels, size, kernel or dilation
    #[arg(long)]
    sweep: Option<String>,
    /// Seconds to spend on each point of each curve
    #[arg(long, default_value_t = 0.2)]
    seconds: f64,
}

/// The sizes of a square layer that keeps its channels and its map.
#[derive(Clone, Copy)]
struct Layer {
    batch: usize,
    channels: usize,
    size: usize,
    kernel: usize,
    dilation: usize,
}

/// A layer whose one size takes several values.
struct Sweep {
    name: &'static str,
    axis: &'static str,
    values: &'static [usize],
    layer: fn(usize) -> Layer,
}

const SWEEPS: [Sweep; 5] = [
    Sweep {
        name: "batch",
        axis: "images in the batch",
        values: &[1, 2, 4, 8, 16, 32, 64, 128, 256],
        layer: |batch| Layer { batch, channels: 64, size: 14, kernel: 3, dilation: 1 },
    },
    Sweep {
        name: "channels",
        axis: "channels",
        values: &[16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024],
        layer: |channels| Layer { batch: 4, channels, size: 14, kernel: 3, dilation: 1 },
    },
    Sweep {
        name: "size",
        axis: "height and width of the map",
        values: &[7, 10, 14, 20, 28, 40, 56, 80, 112, 224, 448],
        layer: |size| Layer { batch: 1, channels: 32, size, kernel: 3, dilation: 1 },
    },
    Sweep {
        name: "kernel",
        axis: "height and width of the kernel",
        values: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15],
        layer: |kernel| Layer { batch: 4, channels: 32, size: 28, kernel, dilation: 1 },
    },
    Sweep {
        name: "dilation",
        axis: "dilation",
        values: &[1, 2, 3, 4, 6, 8, 12, 16],
        layer: |dilation| Layer { batch: 4, channels: 32, size: 28, kernel: 3, dilation },
    },
];

impl Layer {
    fn shape(self) -> Result<ConvShape, Failure> {
        let Self { batch, channels, size, kernel, dilation } = self;
        let spec = ConvSpec::new([kernel; 2]).dilation([dilation; 2]).same()?;
        let weight = [channels, channels, kernel, kernel];
        Ok(ConvShape::conv(&spec, &[batch, channels, size, size], &weight)?)
    }
}

/// Milliseconds for an image: forward, and both gradients.
type Times = [f64; 2];

/// Times a layer by what `choose` says for each of the three sums.
fn time(
    shape: &ConvShape,
    seconds: f64,
    choose: impl Fn(Operation) -> Algorithm,
) -> Result<Times, Failure> {
    let noise = |len: usize| {
        let mut values = room::<f32>("bench scaling", len)?;
        values.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 7) as f32 - 3.0);
        Ok::<_, Failure>(values)
    };
    let (mut x, mut w) = (noise(shape.input_len())?, noise(shape.weight_len())?);
    let mut y = noise(shape.output_len())?;
    let [forward, input, weight] = Operation::ALL.map(choose);
    let forward = glance(seconds, || conv::forward_by(forward, shape, [&x, &w], None, &mut y));
    // The results are written over the operands, which have their sizes.
    let input = glance(seconds / 2.0, || conv::input_gradient_by(input, shape, [&y, &w], &mut x));
    let weight =
        glance(seconds / 2.0, || conv::weight_gradient_by(weight, shape, [&x, &y], &mut w));
    let batch = shape.batch as f64;
    Ok([forward.median / batch, (input.median + weight.median) / batch])
}

/// The names of the algorithms that are chosen, in the order of the sums.
fn chosen(shape: &ConvShape) -> [&'static str; 3] {
    Operation::ALL.map(|operation| Algorithm::of::<f32>(operation, shape).name())
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { out, processor, sweep, seconds } = arguments;
    let wanted = |name: &str| sweep.as_deref().is_none_or(|sweep| sweep == name);
    let sweeps: Vec<&Sweep> = SWEEPS.iter().filter(|sweep| wanted(sweep.name)).collect();
    if sweeps.is_empty() {
        let names = SWEEPS.map(|sweep| sweep.name).join(", ");
        return Err(
            format!("expected a sweep of {names}, got {}", sweep.unwrap_or_default()).into()
        );
    }
    fs::create_dir_all(&out).map_err(named(&out))?;
    let mut table = String::from(
        "sweep,value,forward,input_gradient,weight_gradient,\
         forward_ms,gradients_ms,unfolded_forward_ms,unfolded_gradients_ms\n",
    );
    print(format_args!(
        "{:<9} {:>5}  {:<28} {:>10} {:>10} {:>10} {:>10}",
        "sweep", "value", "chosen", "forward", "gradients", "unfolded", "unfolded"
    ))?;
    for &Sweep { name, axis, values, layer } in sweeps {
        let names = ["forward", "gradients", "forward, unfolded", "gradients, unfolded"];
        let mut curves = names.map(|name| Curve { name, points: Vec::new() });
        for &value in values {
            let shape = layer(value).shape()?;
            let times = processor.run(|| {
                let by = |choose: &dyn Fn(Operation) -> Algorithm| {
                    time(&shape, seconds, choose).map_err(|error| error.to_string())
                };
                let plain = by(&|_| Algorithm::Im2col)?;
                Ok([by(&|operation| Algorithm::of::<f32>(operation, &shape))?, plain].concat())
            })?;
            let by = chosen(&shape);
            let cells: Vec<_> = times.iter().map(|ms| format!("{ms:.4}")).collect();
            table += &format!("{name},{value},{},{}\n", by.join(","), cells.join(","));
            print(format_args!(
                "{name:<9} {value:>5}  {:<28} {:>10} {:>10} {:>10} {:>10}",
                by.join(" "),
                cells[0],
                cells[1],
                cells[2],
                cells[3]
            ))?;
            for (curve, ms) in curves.iter_mut().zip(times) {
                curve.points.push((value as f64, ms));
            }
        }
        let svg = scaling_svg(axis, "ms an image", &curves)?;
        atomic_write(&out.join(format!("{name}.svg")), svg.as_bytes())?;
    }
    Ok(atomic_write(&out.join("scaling.csv"), table.as_bytes())?)
}
