//! `striate train`: a document's recipe on real data, into a run folder.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use striate::models::Recipe;
use striate::nn::Step;
use striate::prelude::*;

use super::{device, entry, print};
use crate::Failure;
use crate::data::{Source, recipe};
use crate::run::{Config, Epoch, RunFolder};

/// Train a network by its document's recipe
///
/// Leaves a run folder with the configuration, metrics.csv, curves.svg, the weights and a checkpoint from which a run
/// that was stopped continues, to the same bits, with --resume.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    model: String,
    /// A folder with the four MNIST files, gz or not [default: the 10,000 shipped digits]
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
    /// How many threads; the results do not depend on it [default: one a core]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Continue the run in the folder --out
    #[arg(long, requires = "out")]
    resume: bool,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global()?;
    }
    let entry = entry(&arguments.model)?;
    let mut recipe = recipe(entry)?;
    let (config, earlier) = match arguments.resume {
        true => resumed(&arguments, &recipe).map(|(config, folder)| (config, Some(folder)))?,
        false => (fresh(&arguments, &recipe)?, None),
    };
    recipe.epochs = config.epochs;
    // Data that cannot be read should not leave a folder behind.
    let digits = config.data.load(&recipe)?;
    let device = device(&arguments.device)?;
    let net = (entry.build)(&Init::seed(config.seed))?;
    net.to_device(&device)?;
    let mut trainer = recipe.trainer(&*net, config.seed);
    let (folder, mut history) = match earlier {
        Some(folder) => {
            let history = folder.restore(&mut trainer, &device)?;
            (folder, history)
        }
        None => {
            let path = arguments.out.unwrap_or_else(|| RunFolder::fresh(entry.name));
            (RunFolder::create(path)?, Vec::new())
        }
    };
    let ended = trainer.epochs();
    if ended > config.epochs {
        let path = folder.path().display();
        return Err(format!("{path}: {ended} epochs have ended, not {}", config.epochs).into());
    }
    folder.save_config(&config)?;
    print_heading(&*net, &digits, (&config, &device))?;
    history.iter().try_for_each(Epoch::print)?;
    while trainer.epochs() < config.epochs {
        let epoch = one_epoch(
            &mut trainer,
            &*net,
            (&recipe, &digits),
            (&config, &device),
            arguments.quiet,
        )?;
        epoch.print()?;
        history.push(epoch);
        folder.save(&config, &history, &trainer, &*net)?;
    }
    print(format_args!("run folder: {}", folder.path().display()))
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
    })
}

/// What the run to continue was to do, and its folder; only the number of epochs may change.
fn resumed(arguments: &Arguments, recipe: &Recipe) -> Result<(Config, RunFolder), Failure> {
    let folder = RunFolder::open(arguments.out.as_deref().unwrap_or(".".as_ref()))?;
    let mut config = folder.config()?;
    let differs = |what: &str, was: &dyn std::fmt::Display| -> Result<(), Failure> {
        Err(format!("{}: the run's {what} was {was}", folder.path().display()).into())
    };
    if config.model != arguments.model {
        differs("model", &config.model)?;
    }
    if arguments.seed.is_some_and(|seed| seed != config.seed) {
        differs("seed", &config.seed)?;
    }
    if arguments.data.is_some() && Source::from_option(arguments.data.clone())? != config.data {
        differs("data", &config.data)?;
    }
    let was = (config.batch, config.optimizer, config.normalize);
    if was != (recipe.batch, recipe.rule, recipe.normalize) {
        differs("recipe", &format_args!("another than this version's: {was:?}"))?;
    }
    config.epochs = arguments.epochs.unwrap_or(config.epochs);
    Ok((config, folder))
}

fn one_epoch(
    trainer: &mut Trainer,
    net: &dyn Module,
    (recipe, digits): (&Recipe, &Mnist),
    (config, device): (&Config, &Device),
    quiet: bool,
) -> Result<Epoch, Failure> {
    let loader = Loader::new(&digits.train).batch(recipe.batch).shuffle(config.seed);
    let start = Instant::now();
    let bar = progress_bar(loader.batches_per_epoch() as u64, quiet)?;
    bar.set_prefix(format!("epoch {}/{}", trainer.epochs() + 1, config.epochs));
    let batches = loader.epoch(trainer.epochs()).map(|batch| batch?.to(device));
    let train = trainer.epoch(batches, |step: &Step| {
        bar.set_message(format!("loss {:.4}", step.loss));
        bar.inc(1);
        true
    })?;
    bar.finish_and_clear();
    let held_out = Loader::new(&digits.test).batch(500).epoch(0);
    let valid = evaluate(net, recipe.loss, held_out.map(|batch| batch?.to(device)))?;
    Ok(Epoch {
        epoch: trainer.epochs(),
        train_loss: train.loss(),
        train_accuracy: train.accuracy(),
        valid_loss: valid.loss(),
        valid_accuracy: valid.accuracy(),
        learning_rate: trainer.lr(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn progress_bar(steps: u64, quiet: bool) -> Result<ProgressBar, Failure> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let style = "{prefix} {wide_bar} {pos}/{len} {msg} {eta} left";
    Ok(ProgressBar::new(steps).with_style(ProgressStyle::with_template(style)?))
}

fn print_heading(
    net: &dyn Module,
    digits: &Mnist,
    (config, device): (&Config, &Device),
) -> Result<(), Failure> {
    print(format_args!(
        "{}: {} parameters, {} digits to train on, {} held out, from {}, on {}",
        config.model,
        net.parameter_count(),
        digits.train.len(),
        digits.test.len(),
        config.data,
        device.name()
    ))?;
    if cfg!(debug_assertions) {
        print("this is a debug build; `cargo run --release` trains faster")?;
    }
    Epoch::print_heading()
}
