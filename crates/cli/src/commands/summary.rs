//! `striate summary`: sizes of a network, computed without running it.

use serde_json::json;
use striate::prelude::*;

use super::{entry, print, size, sizes};
use crate::Failure;

/// Print a network's layers, output shapes, parameters and memory
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    model: String,
    /// The shape of one sample, such as 3x224x224 [default: the network's own]
    #[arg(long, value_parser = sizes)]
    input: Option<std::vec::Vec<usize>>,
    /// Also predict the memory of a training step on so many samples, with Adam
    #[arg(long, value_parser = size, conflicts_with = "tree")]
    batch: Option<usize>,
    /// Print the tree of modules instead of the table
    #[arg(long, conflicts_with = "json")]
    tree: bool,
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
