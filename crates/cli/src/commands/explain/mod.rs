//! `striate explain`: which algorithm each convolution gets, and why.
//!
//! For each of the three sums of a layer: the work of the plain algorithm in operations and bytes, what the algorithms cost
//! beside it by the estimates that decide, the time that follows from the chosen one's estimate and this machine's two rates,
//! and the time that it takes. The bytes are those that have to be moved once at least: two operands and a result.

mod machine;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use striate::conv::ConvShape;
use striate::conv::conv::{self, Algorithm, Operation};
use striate::prelude::*;
use striate::tensor::backend::meta::Meta;
use striate::tensor::backend::room;

use self::machine::Machine;
use super::bench::Processor;
use super::bench::timing::{Timing, glance};
use super::geometry::Geometry;
use super::{count, entry, print};
use crate::Failure;

/// Seconds to spend on measuring a kernel.
const SECONDS: f64 = 0.3;
/// Images in a batch where a network has no recipe that says.
const BATCH: usize = 4;

/// Explain which algorithm each convolution of a network gets, beside this machine's limits
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// The network's name, as `striate models` lists it
    #[arg(required = true)]
    model: Option<String>,
    /// Images in a batch [default: those of the network's recipe, or 4]
    #[arg(long, value_parser = count)]
    batch: Option<usize>,
    #[command(flatten)]
    output: Output,
}

#[derive(clap::Subcommand)]
enum What {
    /// Explain one convolution of any geometry
    Conv {
        #[command(flatten)]
        geometry: Geometry,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(clap::Args)]
struct Output {
    #[command(flatten)]
    processor: Processor,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// A convolution, and the sums that training computes of it. The first is that of the forward pass.
struct Layer {
    path: String,
    shape: ConvShape,
    operations: Vec<Operation>,
}

/// What there is to say about one sum of a layer.
struct Row {
    operation: Operation,
    algorithm: Algorithm,
    /// What was compared, as shares of the plain algorithm's products; empty if nothing was.
    costs: Vec<(Algorithm, f64)>,
    /// Of the plain algorithm.
    flop: f64,
    bytes: f64,
    /// Milliseconds that the plain algorithm would take at this machine's limits.
    roofline: f64,
    /// Milliseconds that the chosen algorithm's cost lets expect at them.
    predicted: f64,
    measured: Timing,
}

/// The sums of a convolution in the order of a training step, where a transposed one goes forward by the input gradient.
fn operations(forward: Operation, needs_input_gradient: bool) -> Vec<Operation> {
    let backward = match forward {
        Operation::InputGradient => Operation::Forward,
        _ => Operation::InputGradient,
    };
    let backward = needs_input_gradient.then_some(backward);
    [Some(forward), backward, Some(Operation::WeightGradient)].into_iter().flatten().collect()
}

/// The convolutions of a network, found by running it on the device that has no data.
fn layers(net: &dyn Module, input: &[usize], batch: usize) -> Result<Vec<Layer>> {
    let meta = Meta::new();
    let ledger = meta.ledger();
    let device = Device::from_backend(Arc::new(meta));
    let images = Tensor::zeros([&[batch], input].concat(), &device)?;
    let found = Arc::new(Mutex::new((0, Vec::new())));
    let (layers, counted) = (found.clone(), ledger);
    let pass = Pass::train(1, 1).hook_all(move |visit| {
        let mut layers = layers.lock().unwrap_or_else(PoisonError::into_inner);
        if visit.leaf {
            let convolutions = counted.convolutions();
            for &(forward, shape) in &convolutions[layers.0..] {
                let operations = operations(forward, visit.input.is_tracked());
                layers.1.push(Layer { path: visit.path.into(), shape, operations });
            }
            layers.0 = convolutions.len();
        }
        Ok(())
    });
    net.forward(&images, &pass)?;
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut found.1))
}

/// Times one sum.
fn measure(operation: Operation, shape: &ConvShape) -> Result<Timing> {
    // Any numbers do.
    let numbers = |len: usize| {
        let mut numbers = room::<f32>("explain", len)?;
        numbers.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 7) as f32 - 3.0);
        Ok::<_, Error>(numbers)
    };
    let [input, weight, output] = [shape.input_len(), shape.weight_len(), shape.output_len()];
    let [a, b, result] = match operation {
        Operation::Forward => [input, weight, output],
        Operation::InputGradient => [output, weight, input],
        Operation::WeightGradient => [input, output, weight],
    }
    .map(numbers);
    let (a, b, mut result) = (a?, b?, result?);
    let timing = glance(SECONDS, || match operation {
        Operation::Forward => conv::forward(shape, &a, &b, None, &mut result),
        Operation::InputGradient => conv::input_gradient(shape, &a, &b, &mut result),
        Operation::WeightGradient => conv::weight_gradient(shape, &a, &b, &mut result),
    });
    Ok(timing)
}

fn explain(operation: Operation, shape: &ConvShape, machine: &Machine) -> Result<Row> {
    let algorithm = Algorithm::of::<f32>(operation, shape);
    let costs = match algorithm {
        Algorithm::Direct => Vec::new(),
        _ => Algorithm::costs::<f32>(operation, shape).to_vec(),
    };
    let cost = costs.iter().find(|(by, _)| *by == algorithm).map_or(1.0, |(_, cost)| *cost);
    let flop = 2.0 * shape.macs() as f64;
    let elements = shape.input_len() + shape.weight_len() + shape.output_len();
    let bytes = (elements * size_of::<f32>()) as f64;
    Ok(Row {
        operation,
        algorithm,
        costs,
        flop,
        bytes,
        roofline: machine.milliseconds(flop, bytes),
        predicted: machine.milliseconds(flop * cost, bytes),
        measured: measure(operation, shape)?,
    })
}

impl Layer {
    /// Its sizes in words.
    fn sizes(&self) -> String {
        let ConvShape { batch, in_channels, out_channels, input, output, spec, .. } = &self.shape;
        let mut text = format!("kernel {}", by(spec.kernel));
        for (name, values) in [("stride", spec.stride), ("dilation", spec.dilation)] {
            if values != [1; 3] {
                text += &format!(", {name} {}", by(values));
            }
        }
        if spec.groups > 1 {
            text += &format!(", {} groups", spec.groups);
        }
        let mut sides = [(in_channels, input), (out_channels, output)];
        if self.operations[0] == Operation::InputGradient {
            sides.reverse();
            text += ", transposed";
        }
        let [from, to] = sides.map(|(channels, size)| format!("{channels} x {}", by(*size)));
        format!("{from} to {to}, {text}, {batch} images")
    }
}

/// Sizes along the axes, without leading ones.
fn by(sizes: [usize; 3]) -> String {
    let leading = sizes.iter().take(1).take_while(|size| **size == 1).count();
    let sizes: Vec<_> = sizes[leading..].iter().map(usize::to_string).collect();
    sizes.join("x")
}

impl Row {
    /// The operation's name in a layer that goes forward by `forward`.
    fn name(&self, forward: Operation) -> &'static str {
        match (forward, self.operation) {
            (Operation::InputGradient, Operation::Forward) => Operation::InputGradient.name(),
            (Operation::InputGradient, Operation::InputGradient) => Operation::Forward.name(),
            (_, operation) => operation.name(),
        }
    }

    /// The part of the roofline's rate that the plain algorithm's work was done at: over one where products were saved.
    fn share(&self) -> f64 {
        self.roofline / self.measured.median
    }

    fn bound(&self, machine: &Machine) -> &'static str {
        match self.flop / self.bytes > machine.balance() {
            true => "arithmetic",
            false => "memory",
        }
    }

    /// What was compared, or why nothing was.
    fn why(&self) -> String {
        if self.costs.is_empty() {
            return "none: few channels".into();
        }
        let text = self.costs.iter().map(|(by, cost)| match cost.is_finite() {
            true => format!("{} {cost:.2}", by.name()),
            false => format!("{} not", by.name()),
        });
        text.collect::<Vec<_>>().join(", ")
    }

    fn json(&self, forward: Operation, machine: &Machine) -> Value {
        // An estimate that says "never" has no number in JSON.
        let costs: serde_json::Map<_, _> =
            self.costs.iter().map(|(by, cost)| (by.name().into(), json!(cost))).collect();
        json!({
            "operation": self.name(forward),
            "algorithm": self.algorithm.name(),
            "costs": costs,
            "flop": self.flop,
            "bytes": self.bytes,
            "bound": self.bound(machine),
            "roofline_ms": self.roofline,
            "predicted_ms": self.predicted,
            "ms_median": self.measured.median,
            "ms_min": self.measured.min,
            "runs": self.measured.runs,
            "share_of_roofline": self.share(),
        })
    }
}

fn table(layers: &[(Layer, Vec<Row>)], machine: &Machine) -> std::result::Result<(), Failure> {
    print(machine)?;
    for (layer, rows) in layers {
        print(format_args!("\n{}: {}", layer.path, layer.sizes()))?;
        print(format_args!(
            "  {:<15}  {:<9} {:>9} {:>8}  {:<10} {:>9} {:>9} {:>9}  costs compared",
            "sum", "algorithm", "MFLOP", "MB", "bound by", "predicted", "measured", "roofline"
        ))?;
        for row in rows {
            print(format_args!(
                "  {:<15}  {:<9} {:>9.1} {:>8.2}  {:<10} {:>6.3} ms {:>6.3} ms {:>7.0} %  {}",
                row.name(layer.operations[0]),
                row.algorithm.name(),
                row.flop / 1e6,
                row.bytes / 1e6,
                row.bound(machine),
                row.predicted,
                row.measured.median,
                100.0 * row.share(),
                row.why()
            ))?;
        }
    }
    print(NOTES)
}

const NOTES: &str = "
MFLOP are the plain sum's, MB its operands and its result once. Costs are shares of the plain sum's products; the smallest is
chosen. Predicted is the chosen one's cost at the limits above, roofline the share of those limits at which the plain
sum's work was done: over 100 % where Winograd's algorithm saves products.";

pub fn run(arguments: Arguments) -> std::result::Result<(), Failure> {
    let (layers, output) = match (arguments.what, arguments.model) {
        (Some(What::Conv { geometry, output }), _) => {
            let forward = [Operation::Forward, Operation::InputGradient];
            let operations = operations(forward[usize::from(geometry.transposed)], true);
            let layer = Layer { path: "conv".into(), shape: geometry.shape()?, operations };
            (vec![layer], output)
        }
        (None, model) => {
            let entry = entry(&model.unwrap_or_default())?;
            let recipe = entry.recipe.map_or(BATCH, |recipe| recipe().batch);
            let batch = arguments.batch.unwrap_or(recipe);
            let net = (entry.build)(&Init::seed(1))?;
            (layers(&*net, entry.input, batch)?, arguments.output)
        }
    };
    let (machine, layers) = output.processor.run(|| {
        let machine = Machine::measure();
        let explained = layers.into_iter().map(|layer| {
            let rows = layer.operations.iter().map(|&sum| explain(sum, &layer.shape, &machine));
            let rows = rows.collect::<Result<Vec<Row>>>()?;
            Ok((layer, rows))
        });
        let explained = explained.collect::<Result<Vec<_>>>();
        Ok((machine, explained.map_err(|error| error.to_string())?))
    })?;
    if !output.json {
        return table(&layers, &machine);
    }
    let layers = layers.iter().map(|(layer, rows)| {
        let rows: Vec<_> = rows.iter().map(|row| row.json(layer.operations[0], &machine)).collect();
        json!({ "layer": layer.path, "sizes": layer.sizes(), "kernels": rows })
    });
    let layers: Vec<_> = layers.collect();
    print(serde_json::to_string_pretty(&json!({ "machine": machine.json(), "layers": layers }))?)
}
