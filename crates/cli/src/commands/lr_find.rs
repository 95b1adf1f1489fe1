//! `striate lr-find`: which learning rate suits a network, by fastai's range test.

use std::path::PathBuf;

use serde_json::json;
use striate::nn::{LrCurve, LrFinder, atomic_write};
use striate::prelude::*;

use super::{Machine, entry, print, svg_file};
use crate::Failure;
use crate::data::{Source, recipe};
use crate::draw::curves::rates_svg;

/// Find a learning rate: train while it rises exponentially, and look at the loss
///
/// Runs fastai's test on the network's recipe: 100 steps from 1e-7 towards 10, on the loss smoothed by 0.98, until it
/// exceeds four times its least value. Prints the curve and two suggestions, and draws it.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network's name, as `striate models` lists it
    model: String,
    /// A folder with MNIST's four files, gz or not, or with CIFAR-10's six [default: the 10,000 shipped digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The first rate
    #[arg(long, default_value_t = LrFinder::fastai().start)]
    start: f64,
    /// The rate that it rises to
    #[arg(long, default_value_t = LrFinder::fastai().end)]
    end: f64,
    /// Steps, if the loss does not diverge before
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(6..=100_000))]
    steps: u32,
    /// The seed of initial weights and order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    machine: Machine,
    /// The picture to write
    #[arg(long, value_name = "FILE", default_value = "lr-find.svg", value_parser = svg_file())]
    out: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Lines of the printed curve, and columns of its bars.
const LINES: usize = 24;
const BAR: f64 = 40.0;

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let entry = entry(&arguments.model)?;
    let recipe = recipe(entry)?;
    let source = Source::from_option(arguments.data)?;
    let train = source.load(&recipe)?.train;
    let loader = Loader::new(&train).batch(recipe.batch).shuffle(arguments.seed);
    let loader = loader.drop_last(recipe.drop_last);
    if loader.batches_per_epoch() == 0 {
        let (found, batch) = (train.len(), recipe.batch);
        return Err(format!("expected a batch of {batch} images to train on, got {found}").into());
    }
    let net = (entry.build)(&Init::seed(arguments.seed))?;
    net.to_device(&device)?;
    let mut trainer = recipe.trainer(&*net, arguments.seed, loader.batches_per_epoch());
    let batches = (0..).flat_map(|epoch| loader.epoch(epoch)).map(|batch| batch?.to(&device));
    let (start, end) = (arguments.start, arguments.end);
    let finder = LrFinder { start, end, steps: arguments.steps as usize };
    let curve = finder.run(&mut trainer, batches)?;
    let suggestions = [("steepest", curve.steepest()), ("valley", curve.valley())];
    let title = format!("{}: learning rate range test", entry.name);
    atomic_write(&arguments.out, drawing(&title, &curve, &suggestions)?.as_bytes())?;
    if arguments.json {
        return print(json!({
            "model": entry.name,
            "diverged": curve.diverged,
            "steepest": curve.steepest(),
            "valley": curve.valley(),
            "rates": curve.rates,
            "losses": curve.losses,
        }));
    }
    print_curve(&curve)?;
    for (name, rate) in suggestions {
        match rate {
            Some(rate) => print(format_args!("{name}: {rate:.2e}"))?,
            None => print(format_args!("{name}: too few points"))?,
        }
    }
    print(format_args!(
        "{}: the curve, from {source}, on {}",
        arguments.out.display(),
        device.name()
    ))
}

fn print_curve(curve: &LrCurve) -> Result<(), Failure> {
    let (taken, wanted) = (curve.rates.len(), curve.steps);
    let end = if curve.diverged { ", then the loss diverged" } else { "" };
    print(format_args!("{taken} of {wanted} steps{end}\n{:>8} {:>8}", "rate", "loss"))?;
    let points: Vec<(f64, f64)> = curve.drawn().collect();
    let highest = points.iter().fold(f64::MIN_POSITIVE, |highest, point| highest.max(point.1));
    for (rate, loss) in points.iter().step_by(points.len().div_ceil(LINES).max(1)) {
        let bar = "#".repeat((loss / highest * BAR).round() as usize);
        print(format_args!("{rate:>8.1e} {loss:>8.4} {bar}"))?;
    }
    Ok(())
}

fn drawing(
    title: &str,
    curve: &LrCurve,
    suggestions: &[(&str, Option<f64>)],
) -> Result<String, Failure> {
    let points: Vec<(f64, f64)> = curve.drawn().collect();
    let mark = |(name, rate): &(&str, Option<f64>)| {
        let point = points.iter().find(|point| Some(point.0) == *rate)?;
        Some((format!("{name} {:.1e}", point.0), *point))
    };
    let marks: Vec<(String, (f64, f64))> = suggestions.iter().filter_map(mark).collect();
    Ok(rates_svg(title, &points, &marks)?)
}
