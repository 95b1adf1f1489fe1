//! `striate compare`: networks in one table, each by its own recipe and all by one.
//!
//! Two networks trained by different recipes differ by both. A recipe in common takes one of the differences away.

use std::path::PathBuf;
use std::time::Instant;

use striate::models::{Entry, Recipe};
use striate::nn::grouped;
use striate::prelude::*;

use super::columns::{Column, Columns};
use super::{Machine, entry};
use crate::Failure;
use crate::data::{Samples, Source, recipe};
use crate::training::AT_ONCE;

/// Train networks by their own recipes, and by one in common, and compare them
///
/// One row for each network and recipe: parameters, multiply-accumulates a sample, accuracy on the test samples after
/// the last epoch, mean over the seeds 1 to N with the lowest and the highest, and the seconds of a training run
/// without its test. Runs that have left folders are put beside each other by `striate runs`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The networks' names, as `striate models` lists them
    #[arg(required = true)]
    models: Vec<String>,
    /// A folder with MNIST's four files or CIFAR-10's six, or a fetched set's name [default: the shipped digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The network whose recipe all are trained by, besides their own
    #[arg(long, value_name = "MODEL")]
    recipe: Option<String>,
    /// How many epochs [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// How many seeds, from 1 on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Print Markdown instead of text
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    machine: Machine,
}

const COLUMNS: [Column; 8] = [
    ("network", 22, false),
    ("recipe", 22, false),
    ("epochs", 6, true),
    ("parameters", 10, true),
    ("MACs", 11, true),
    ("accuracy", 8, true),
    ("lowest-highest", 15, true),
    ("seconds", 8, true),
];

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let source = Source::from_option(arguments.data)?;
    let names = arguments.models.iter();
    let entries = names.map(|name| entry(name)).collect::<Result<Vec<_>, _>>()?;
    let own = entries.iter().map(|&entry| Plan::own(entry));
    let mut plans = own.collect::<Result<Vec<_>, _>>()?;
    if let Some(name) = &arguments.recipe {
        let common = recipe(entry(name)?)?;
        let common = entries.iter().map(|&entry| Plan::common(entry, &common, name));
        plans.extend(common.collect::<Result<Vec<_>, _>>()?);
    }
    let table = Columns { columns: &COLUMNS, markdown: arguments.markdown };
    table.heading()?;
    for mut plan in plans {
        plan.recipe.epochs = arguments.epochs.unwrap_or(plan.recipe.epochs);
        let samples = source.load(&plan.recipe)?;
        let runs = (1..=arguments.seeds).map(|seed| plan.train(&samples, seed, &device));
        table.row(plan.row(&runs.collect::<Result<Vec<_>, _>>()?)?)?;
    }
    Ok(())
}

/// A network and how it is trained.
struct Plan {
    entry: &'static Entry,
    recipe: Recipe,
    /// Whose recipe it is.
    whose: String,
}

/// Where a run led.
struct Run {
    accuracy: f64,
    seconds: f64,
}

impl Plan {
    fn own(entry: &'static Entry) -> Result<Self, Failure> {
        Ok(Plan { entry, recipe: recipe(entry)?, whose: "its own".into() })
    }

    /// By another network's recipe. The loss stays, since it belongs to what a network returns.
    fn common(entry: &'static Entry, common: &Recipe, name: &str) -> Result<Self, Failure> {
        let own = recipe(entry)?;
        if own.corpus != common.corpus {
            return Err(format!("{} and {name} are not for the same data", entry.name).into());
        }
        let recipe = Recipe { loss: own.loss, loss_name: own.loss_name, ..common.clone() };
        Ok(Plan { entry, recipe, whose: format!("{name}'s") })
    }

    fn train(&self, samples: &Samples, seed: u64, device: &Device) -> Result<Run, Failure> {
        let Plan { entry, recipe, .. } = self;
        let net = (entry.build)(&Init::seed(seed))?;
        net.to_device(device)?;
        let loader = Loader::new(&samples.train).batch(recipe.batch).shuffle(seed);
        let loader = loader.drop_last(recipe.drop_last);
        let mut trainer = recipe.trainer(&*net, seed, loader.batches_per_epoch());
        let start = Instant::now();
        for epoch in 0..recipe.epochs {
            trainer.epoch(loader.epoch(epoch).map(|batch| batch?.to(device)), |_| true)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let test = match &samples.test {
            Some(test) => Loader::new(test),
            None => Loader::new(&samples.valid),
        };
        let batches = test.batch(AT_ONCE).epoch(0).map(|batch| batch?.to(device));
        let test = evaluate(&*net, recipe.loss, batches)?;
        Ok(Run { accuracy: test.accuracy(), seconds })
    }

    fn row(&self, runs: &[Run]) -> Result<[String; COLUMNS.len()], Failure> {
        let net = (self.entry.build)(&Init::seed(1))?;
        let summary = Summary::new(&*net, self.entry.input)?;
        let mean = |of: fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        let accuracies = || runs.iter().map(|run| run.accuracy);
        let range = [accuracies().fold(1.0, f64::min), accuracies().fold(0.0, f64::max)];
        Ok([
            self.entry.name.to_owned(),
            self.whose.clone(),
            self.recipe.epochs.to_string(),
            grouped(summary.parameters as u64),
            grouped(summary.macs),
            format!("{:.4}", mean(|run| run.accuracy)),
            range.map(|accuracy| format!("{accuracy:.4}")).join("-"),
            format!("{:.1}", mean(|run| run.seconds)),
        ])
    }
}
