//! `striate evaluate`: loss and accuracy of a trained network on all held-out samples.

use std::path::PathBuf;

use serde_json::json;
use striate::models::Recipe;
use striate::nn::Evaluation;
use striate::prelude::*;

use super::{device, print};
use crate::Failure;
use crate::data::{Source, recipe};
use crate::run::RunFolder;

/// Measure a trained network on all test samples
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder
    run: PathBuf,
    /// A folder with MNIST's four files or CIFAR-10's six, or a fetched data set's name [default: what the run used]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let (entry, net) = folder.network()?;
    let device = device(&arguments.device)?;
    net.to_device(&device)?;
    let recipe = recipe(entry)?;
    let source = match arguments.data {
        data @ Some(_) => Source::from_option(data)?,
        None => folder.config()?.data,
    };
    let result = evaluate_on(&*net, &recipe, &source.load(&recipe)?.last()?, &device)?;
    if arguments.json {
        return print(json!({
            "model": entry.name,
            "samples": result.samples,
            "loss": result.loss(),
            "accuracy": result.accuracy(),
        }));
    }
    print(format_args!(
        "{}: accuracy {:.4} ({} of {}), loss {:.4}, on the test samples of {source}",
        entry.name,
        result.accuracy(),
        result.hits,
        result.samples,
        result.loss()
    ))
}

/// Loss and accuracy of a network over `samples`.
pub fn evaluate_on<D: Dataset + Clone + 'static>(
    net: &dyn Module,
    recipe: &Recipe,
    samples: &D,
    device: &Device,
) -> Result<Evaluation, Failure> {
    let batches = Loader::new(samples).batch(500).epoch(0);
    Ok(evaluate(net, recipe.loss, batches.map(|batch| batch?.to(device)))?)
}
