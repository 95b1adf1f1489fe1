//! `striate runs`: what several runs came to, beside each other and beside what was published.
//!
//! Runs that differ in their seed alone are one row and one curve: their mean.

use std::path::PathBuf;

use striate::models::{Published, published};
use striate::nn::{atomic_write, grouped};
use striate::prelude::*;

use super::columns::{Column, Columns};
use super::{Machine, entry, print, svg_file};
use crate::Failure;
use crate::draw::curves::{Comparison, comparison_svg};
use crate::run::{Config, Line, RunFolder, curves};
use crate::training::Job;

/// Put runs beside each other in a table: networks, their cost, and where their last epoch led
///
/// Runs that differ in nothing but the seed are one row: the mean, and the lowest and the highest accuracy. Below it stands what
/// the network's document published. Losses and accuracies are of the last epoch, seconds of all.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folders
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Print Markdown instead of text
    #[arg(long)]
    markdown: bool,
    /// Print each run's seed and the digest of its parameters after the last epoch instead, which `striate verify` comes to again
    #[arg(long, conflicts_with_all = ["test", "draw"])]
    receipts: bool,
    /// Evaluate the networks on their test images, too, which takes the data
    #[arg(long)]
    test: bool,
    /// Draw the held-out accuracy after every epoch, ours and the published, as SVG
    #[arg(long, value_name = "FILE", value_parser = svg_file())]
    draw: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

const COLUMNS: [Column; 11] = [
    ("network", 30, false),
    ("runs", 4, true),
    ("epochs", 6, true),
    ("parameters", 11, true),
    ("MACs", 14, true),
    ("train loss", 10, true),
    ("valid loss", 10, true),
    ("valid accuracy", 14, true),
    ("lowest-highest", 14, true),
    ("test accuracy", 13, true),
    ("seconds", 9, true),
];

const RECEIPT_COLUMNS: [Column; 5] = [
    ("network", 22, false),
    ("seed", 4, true),
    ("epoch", 5, true),
    ("kernels", 8, false),
    ("sha256", 64, false),
];

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.receipts {
        return print_receipts(&arguments.runs, arguments.markdown);
    }
    let device = arguments.machine.prepare()?;
    let groups = groups(&arguments.runs)?;
    let table = Columns { columns: &COLUMNS, markdown: arguments.markdown };
    table.heading()?;
    for group in &groups {
        let tested = if arguments.test { group.tested(&device)? } else { None };
        table.row(group.row(tested)?)?;
        if let Some(published) = published(&group.name()) {
            table.row(published_row(&group.name(), &published))?;
        }
    }
    arguments.draw.map_or(Ok(()), |out| {
        let theirs: Vec<_> = groups.iter().map(|group| published(&group.name())).collect();
        let ours: Vec<_> = groups.iter().map(Group::accuracies).collect();
        let curves = groups.iter().zip(&ours).zip(&theirs).map(|((group, ours), theirs)| {
            let theirs = theirs.as_ref().map_or(&[][..], |theirs| &theirs.valid_accuracy);
            Comparison { name: group.name(), ours, theirs }
        });
        let curves: Vec<Comparison> = curves.collect();
        atomic_write(&out, comparison_svg("held-out accuracy", &curves)?.as_bytes())?;
        match arguments.markdown {
            true => Ok(()),
            false => print(format_args!("{}: {} networks", out.display(), curves.len())),
        }
    })
}

/// The last line of each run's receipt.
fn print_receipts(paths: &[PathBuf], markdown: bool) -> Result<(), Failure> {
    let table = Columns { columns: &RECEIPT_COLUMNS, markdown };
    table.heading()?;
    paths.iter().try_for_each(|path| {
        let folder = RunFolder::open(path)?;
        let config = folder.config()?;
        let missing = || format!("{}: the receipt is empty", path.display());
        let Line { epoch, kernels, sha256 } = folder.receipt()?.pop().ok_or_else(missing)?;
        table.row([config.name(), config.seed.to_string(), epoch.to_string(), kernels, sha256])
    })
}

/// Runs that differ in their seeds alone.
struct Group {
    /// What they have in common.
    config: Config,
    runs: Vec<(RunFolder, Published)>,
}

/// The runs of the folders, in the order in which their groups come up.
fn groups(paths: &[PathBuf]) -> Result<Vec<Group>, Failure> {
    let mut groups: Vec<Group> = Vec::new();
    for path in paths {
        let folder = RunFolder::open(path)?;
        let curves = curves(&folder.history()?);
        if curves.valid_loss.is_empty() {
            return Err(format!("{}: no epoch has ended yet", path.display()).into());
        }
        let config = folder.config()?.without_seeds();
        match groups.iter_mut().find(|group| group.config == config) {
            Some(group) => group.runs.push((folder, curves)),
            None => groups.push(Group { config, runs: vec![(folder, curves)] }),
        }
    }
    Ok(groups)
}

impl Group {
    fn name(&self) -> String {
        self.config.name()
    }

    /// The mean over the runs.
    fn mean(&self, of: impl Fn(&Published) -> f64) -> f64 {
        self.runs.iter().map(|(_, curves)| of(curves)).sum::<f64>() / self.runs.len() as f64
    }

    /// The mean held-out accuracy after each epoch that all runs have.
    fn accuracies(&self) -> Vec<f64> {
        let lengths = self.runs.iter().map(|(_, curves)| curves.valid_accuracy.len());
        let epochs = 0..lengths.min().unwrap_or_default();
        epochs.map(|epoch| self.mean(|curves| curves.valid_accuracy[epoch])).collect()
    }

    /// The mean accuracy on the test images; none, if the held-out ones are all there is.
    fn tested(&self, device: &Device) -> Result<Option<f64>, Failure> {
        let mut sum = 0.0;
        for (folder, _) in &self.runs {
            let job = Job::new(&folder.config()?, device)?;
            let Some(test) = &job.test else { return Ok(None) };
            folder.load_weights(&*job.net)?;
            sum += job.evaluate(test)?.accuracy();
        }
        Ok(Some(sum / self.runs.len() as f64))
    }

    fn row(&self, tested: Option<f64>) -> Result<[String; COLUMNS.len()], Failure> {
        let entry = entry(&self.config.model)?;
        let net = (entry.build)(&Init::seed(1).on(&Device::meta()))?;
        let summary = Summary::new(&*net, &self.config.input(entry))?;
        let [fewest, most] = self.range(|curves| curves.valid_loss.len() as f64);
        let epochs = if fewest == most { fewest.to_string() } else { format!("{fewest}-{most}") };
        let range = self.range(|curves| last(&curves.valid_accuracy)).map(|a| format!("{a:.4}"));
        let range = if self.runs.len() > 1 { range.join("-") } else { String::new() };
        Ok([
            self.name(),
            self.runs.len().to_string(),
            epochs,
            grouped(summary.parameters as u64),
            grouped(summary.macs),
            format!("{:.4}", self.mean(|curves| last(&curves.train_loss))),
            format!("{:.4}", self.mean(|curves| last(&curves.valid_loss))),
            format!("{:.4}", self.mean(|curves| last(&curves.valid_accuracy))),
            range,
            tested.map(|accuracy| format!("{accuracy:.4}")).unwrap_or_default(),
            format!("{:.0}", self.mean(|curves| curves.seconds.iter().sum())),
        ])
    }

    /// The lowest and the highest of the runs.
    fn range(&self, of: impl Fn(&Published) -> f64) -> [f64; 2] {
        let values = || self.runs.iter().map(|(_, curves)| of(curves));
        [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)]
    }
}

fn published_row(name: &str, published: &Published) -> [String; COLUMNS.len()] {
    let seconds = match published.seconds[..] {
        [] => String::new(),
        ref seconds => format!("{:.0}", seconds.iter().sum::<f64>()),
    };
    let results = [&published.train_loss, &published.valid_loss, &published.valid_accuracy];
    let [train_loss, valid_loss, accuracy] = results.map(|values| format!("{:.4}", last(values)));
    let (name, epochs) = (format!("{name}, published"), published.valid_loss.len().to_string());
    let unknown = String::new;
    [
        name,
        unknown(),
        epochs,
        unknown(),
        unknown(),
        train_loss,
        valid_loss,
        accuracy,
        unknown(),
        unknown(),
        seconds,
    ]
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}
