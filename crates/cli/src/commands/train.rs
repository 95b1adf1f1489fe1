//! `striate train`: a document's recipe on real data, into a run folder.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use striate::conv::conv::allow_winograd;
use striate::models::Recipe;
use striate::nn::Step;
use striate::prelude::*;

use super::evaluate::evaluate_on;
use super::{Machine, entry, print};
use crate::Failure;
use crate::data::{Samples, Source, recipe};
use crate::run::{Config, Epoch, RunFolder};

/// Train a network by its document's recipe
///
/// Leaves a run folder with the configuration, metrics.csv, curves.svg, the weights and a checkpoint from which a run
/// that was stopped continues, to the same bits, with --resume.
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
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let entry = entry(&arguments.model)?;
    let mut recipe = recipe(entry)?;
    let (config, earlier) = match arguments.resume {
        true => resumed(&arguments, &recipe).map(|(config, folder)| (config, Some(folder)))?,
        false => (fresh(&arguments, &recipe)?, None),
    };
    recipe.epochs = config.epochs;
    allow_winograd(!config.precise);
    // Data that cannot be read should not leave a folder behind.
    let samples = config.data.load(&recipe)?;
    let loader = Loader::new(&samples.train).batch(recipe.batch).shuffle(config.seed);
    let loader = loader.drop_last(recipe.drop_last);
    if loader.batches_per_epoch() == 0 {
        let (found, batch) = (samples.train.len(), recipe.batch);
        return Err(format!("expected a batch of {batch} images to train on, got {found}").into());
    }
    let net = (entry.build)(&Init::seed(config.seed))?;
    net.to_device(&device)?;
    let mut trainer = recipe.trainer(&*net, config.seed, loader.batches_per_epoch());
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
    print_heading(&*net, &samples, (&config, &device))?;
    history.iter().try_for_each(Epoch::print)?;
    while trainer.epochs() < config.epochs {
        let run = Run { net: &*net, recipe: &recipe, samples: &samples, device: &device };
        let bar = progress_bar(&loader, arguments.quiet)?;
        bar.set_prefix(format!("epoch {}/{}", trainer.epochs() + 1, config.epochs));
        let epoch = run.epoch(&mut trainer, &loader, &bar)?;
        epoch.print()?;
        history.push(epoch);
        folder.save(&config, &history, &trainer, &*net)?;
    }
    if let Some(test) = &samples.test {
        let result = evaluate_on(&*net, &recipe, test, &device)?;
        print(format_args!(
            "test accuracy {:.4} ({} of {}), loss {:.4}",
            result.accuracy(),
            result.hits,
            result.samples,
            result.loss()
        ))?;
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
        precise: arguments.machine.precise,
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
    if arguments.machine.precise && !config.precise {
        differs("precision", &"without --precise")?;
    }
    let was = (config.batch, config.optimizer, config.normalize);
    if was != (recipe.batch, recipe.rule, recipe.normalize) {
        differs("recipe", &format_args!("another than this version's: {was:?}"))?;
    }
    let epochs = arguments.epochs.unwrap_or(config.epochs);
    if recipe.one_cycle && epochs != config.epochs {
        differs("one cycle", &format_args!("for {} epochs and is no other's part", config.epochs))?;
    }
    config.epochs = epochs;
    Ok((config, folder))
}

/// What an epoch needs besides the trainer.
struct Run<'a> {
    net: &'a dyn Module,
    recipe: &'a Recipe,
    samples: &'a Samples,
    device: &'a Device,
}

impl Run<'_> {
    fn epoch(
        &self,
        trainer: &mut Trainer,
        loader: &Loader,
        bar: &ProgressBar,
    ) -> Result<Epoch, Failure> {
        let start = Instant::now();
        let batches = loader.epoch(trainer.epochs()).map(|batch| batch?.to(self.device));
        let train = trainer.epoch(batches, |step: &Step| {
            bar.set_message(format!("loss {:.4}", step.loss));
            bar.inc(self.recipe.batch as u64);
            true
        })?;
        bar.finish_and_clear();
        let valid = evaluate_on(self.net, self.recipe, &self.samples.valid, self.device)?;
        // fastai, with which document 1 trains, reports the smoothed loss.
        let fastai = self.recipe.one_cycle;
        Ok(Epoch {
            epoch: trainer.epochs(),
            train_loss: if fastai { trainer.smoothed_loss() } else { train.loss() },
            train_accuracy: train.accuracy(),
            valid_loss: valid.loss(),
            valid_accuracy: valid.accuracy(),
            learning_rate: trainer.lr(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// A bar that counts the images of an epoch.
fn progress_bar(loader: &Loader, quiet: bool) -> Result<ProgressBar, Failure> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let style = "{prefix} {wide_bar} {pos}/{len} {msg} {per_sec:.0} images, {eta} left";
    let images = loader.dataset().len() as u64;
    Ok(ProgressBar::new(images).with_style(ProgressStyle::with_template(style)?))
}

fn print_heading(
    net: &dyn Module,
    samples: &Samples,
    (config, device): (&Config, &Device),
) -> Result<(), Failure> {
    print(format_args!(
        "{}: {} parameters, {} images to train on, {} held out, from {}, on {}",
        config.model,
        net.parameter_count(),
        samples.train.len(),
        samples.valid.len(),
        config.data,
        device.name()
    ))?;
    if cfg!(debug_assertions) {
        print("this is a debug build; `cargo run --release` trains faster")?;
    }
    Epoch::print_heading()
}
