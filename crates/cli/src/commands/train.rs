//! `striate train`: a document's recipe on real data, into a run folder.

use std::path::PathBuf;

use striate::models::Recipe;

use super::{Machine, entry, unchanged};
use crate::Failure;
use crate::data::{Source, recipe};
use crate::run::{Config, RunFolder};
use crate::training::{Logging, Place, train};

/// Train a network by its document's recipe
///
/// Leaves a run folder with the configuration, steps.csv, metrics.csv, curves.svg, the weights and a checkpoint from which
/// a run that was stopped continues, to the same bits, with --resume. Ctrl-C stops it after the step.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    model: String,
    /// A folder with MNIST's four files, gz or not, or with CIFAR-10's six, or a fetched set's name [default: the 10,000 shipped digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The run folder [default: runs/MODEL, or runs/MODEL-2 and so on]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The seed of initial weights, order and dropout [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// How many epochs [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    #[command(flatten)]
    machine: Machine,
    /// Continue the run in the folder --out
    #[arg(long, requires = "out")]
    resume: bool,
    #[command(flatten)]
    logging: Logging,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let entry = entry(&arguments.model)?;
    let recipe = recipe(entry)?;
    let (config, place) = match arguments.resume {
        true => {
            let (config, folder) = resumed(&arguments, &recipe)?;
            (config, Place::Earlier(folder))
        }
        false => {
            let path = arguments.out.clone().unwrap_or_else(|| RunFolder::fresh(entry.name));
            (fresh(&arguments, &recipe)?, Place::New(path))
        }
    };
    train(config, place, &device, arguments.logging)
}

/// What a new run is to do.
fn fresh(arguments: &Arguments, recipe: &Recipe) -> Result<Config, Failure> {
    Ok(Config {
        version: env!("CARGO_PKG_VERSION").into(),
        model: arguments.model.clone(),
        data: Source::from_option(arguments.data.clone())?,
        seed: arguments.seed.unwrap_or(1),
        epochs: arguments.epochs.unwrap_or(recipe.epochs),
        batch: recipe.batch,
        optimizer: recipe.rule,
        normalize: recipe.normalize,
        precise: arguments.machine.precise,
        tf32: arguments.machine.tf32,
        classes: Vec::new(),
        photos: None,
    })
}

/// What the run to continue was to do, and its folder; only the number of epochs may change.
fn resumed(arguments: &Arguments, recipe: &Recipe) -> Result<(Config, RunFolder), Failure> {
    let folder = RunFolder::open(arguments.out.as_deref().unwrap_or(".".as_ref()))?;
    let mut config = folder.config()?;
    if config.photos.is_some() {
        let path = folder.path().display();
        return Err(format!("{path}: the run was made by `striate photos`").into());
    }
    let data = arguments.data.clone().map(|data| Source::from_option(Some(data))).transpose()?;
    unchanged(&folder, "model", Some(&arguments.model), &config.model)?;
    unchanged(&folder, "seed", arguments.seed, config.seed)?;
    unchanged(&folder, "data", data.as_ref(), &config.data)?;
    arguments.machine.unchanged(&folder, &config)?;
    let was = (config.batch, config.optimizer, config.normalize);
    unchanged(&folder, "recipe", Some((recipe.batch, recipe.rule, recipe.normalize)), was)?;
    let epochs = arguments.epochs.unwrap_or(config.epochs);
    if recipe.one_cycle && epochs != config.epochs {
        let (path, was) = (folder.path().display(), config.epochs);
        return Err(format!("{path}: the run's one cycle was for {was} epochs").into());
    }
    config.epochs = epochs;
    Ok((config, folder))
}
