//! `striate summary`: sizes of a network, computed without running it.

use serde_json::json;
use striate::models::Recipe;
use striate::nn::grouped;
use striate::prelude::*;

use super::{count, entry, print, sizes};
use crate::Failure;
use crate::data::recipe;
use crate::run::rule;

/// Print a network's layers, output shapes, parameters and memory
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    model: String,
    /// The shape of one sample, such as 3x224x224 [default: the network's own]
    #[arg(long, value_parser = sizes)]
    input: Option<std::vec::Vec<usize>>,
    /// Also predict the memory of a training step on so many samples, with Adam
    #[arg(long, value_parser = count, conflicts_with = "tree")]
    batch: Option<usize>,
    /// Print the tree of modules instead of the table
    #[arg(long, conflicts_with = "json")]
    tree: bool,
    /// Print fastai's table instead: for a batch of the network's recipe, with what is trained and how
    #[arg(long, conflicts_with_all = ["tree", "json", "batch"])]
    recipe: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let entry = entry(&arguments.model)?;
    let net = (entry.build)(&Init::seed(1))?;
    if arguments.tree {
        return print(net.tree());
    }
    let input = arguments.input.as_deref().unwrap_or(entry.input);
    let summary = Summary::new(&*net, input)?;
    if arguments.recipe {
        return print(with_recipe(net.kind(), &summary, &recipe(entry)?));
    }
    let training = arguments.batch.map(|batch| {
        let bytes = Summary::training_bytes(&*net, Adam::new(1e-3), (input, batch))?;
        Ok::<_, Error>((batch, bytes as f64 / f64::from(1 << 20)))
    });
    let training = training.transpose()?;
    if !arguments.json {
        print(summary)?;
        return training.map_or(Ok(()), |(batch, megabytes)| {
            print(format_args!("Training step of {batch} samples (MB): {megabytes:.2}"))
        });
    }
    let rows = summary.rows.iter().map(|row| {
        json!({
            "path": row.path,
            "kind": row.kind,
            "output": row.output,
            "parameters": row.parameters,
            "macs": row.macs,
        })
    });
    print(serde_json::to_string_pretty(&json!({
        "model": entry.name,
        "input": summary.input,
        "layers": rows.collect::<Vec<_>>(),
        "parameters": summary.parameters,
        "trainable": summary.trainable,
        "macs": summary.macs,
        "megabytes": {
            "input": summary.input_megabytes(),
            "forward_backward": summary.activation_megabytes(),
            "parameters": summary.parameter_megabytes(),
            "total": summary.total_megabytes(),
            "training": training.map(|(_, megabytes)| megabytes),
        },
    }))?)
}

/// fastai's summary: output shapes of a batch, what is trained (layers without parameters are not), and the recipe.
fn with_recipe(kind: &str, summary: &Summary, recipe: &Recipe) -> String {
    let shape = |sizes: &[usize]| {
        let sizes = std::iter::once(&recipe.batch).chain(sizes).map(usize::to_string);
        sizes.collect::<std::vec::Vec<_>>().join(" x ")
    };
    let row = |cells: [&str; 4]| {
        let [layer, output, parameters, trained] = cells;
        format!("{layer:<20} {output:<22} {parameters:>12}  {trained}\n")
    };
    let mut text = format!("{kind} (input shape: {})\n", shape(&summary.input));
    text += &row(["Layer (type)", "Output shape", "Param #", "Trainable"]);
    for layer in &summary.rows {
        let trained = if layer.parameters > 0 { "True" } else { "False" };
        let parameters = grouped(layer.parameters as u64);
        text += &row([&layer.kind, &shape(&layer.output), &parameters, trained]);
    }
    let frozen = summary.parameters - summary.trainable;
    let [all, trainable, frozen] =
        [summary.parameters, summary.trainable, frozen].map(|count| grouped(count as u64));
    let last = if recipe.drop_last { "dropped" } else { "kept" };
    let cycle = if recipe.one_cycle { "  - one cycle of the rate and of beta1\n" } else { "" };
    text + &format!(
        "Total params: {all}\nTotal trainable params: {trainable}\nTotal non-trainable params: {frozen}\n\n\
         Optimizer: {}\nLoss function: {}\n\
         Epochs: {}, batches of {}, the last incomplete one {last}\n\nCallbacks:\n{cycle}  \
         - every few steps: loss, smoothed loss, rate\n  \
         - every epoch: held-out loss and accuracy, curves, receipt, checkpoint",
        rule(&recipe.rule),
        recipe.loss_name,
        recipe.epochs,
        recipe.batch
    )
}
