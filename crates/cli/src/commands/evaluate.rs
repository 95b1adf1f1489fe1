//! `striate evaluate`: loss and accuracy of a trained network on all held-out samples.

use std::path::PathBuf;

use serde_json::json;
use striate::prelude::*;

use super::print;
use crate::Failure;
use crate::data::{Source, recipe};
use crate::run::RunFolder;

/// Measure a trained network on all held-out samples
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder
    run: PathBuf,
    /// A folder with the four MNIST files [default: what the run used]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let (entry, net) = folder.network()?;
    let recipe = recipe(entry)?;
    let source = match arguments.data {
        Some(data) => Source::Folder(data),
        None => folder.config()?.data,
    };
    let held_out = Loader::new(&source.load(&recipe)?.test).batch(500).epoch(0);
    let batches = held_out.map(|batch| batch?.to(&Device::cpu()));
    let result = evaluate(&*net, recipe.loss, batches)?;
    if arguments.json {
        return print(json!({
            "model": entry.name,
            "samples": result.samples,
            "loss": result.loss(),
            "accuracy": result.accuracy(),
        }));
    }
    print(format_args!(
        "{}: accuracy {:.4} ({} of {}), loss {:.4}, on the held-out part of {source}",
        entry.name,
        result.accuracy(),
        result.hits,
        result.samples,
        result.loss()
    ))
}
