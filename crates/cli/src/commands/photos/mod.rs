//! `striate photos`: document 2's networks on photos of dogs, or of anything else that lies in folders.
//!
//! The small networks learn from nothing. VGG16 brings what ImageNet taught it: its body is frozen and a new head is
//! trained on its features, then perhaps all of it. Where nothing random stands before a frozen body, its features
//! are the same in every epoch, and are computed once.

mod features;
mod report;
mod sheet;
mod task;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use striate::nn::{Checkpoint, Step, atomic_write};
use striate::prelude::*;

use super::{Machine, print};
use crate::Failure;
use crate::run::{Epoch, RunFolder};
pub use sheet::Sheet;
use task::Task;

/// Train document 2's networks on photos: a labels.csv with train/*.jpg, or a sub-folder for each class
///
/// Leaves a folder with the configuration, metrics.csv, curves.svg, the weights, and of the held-out photos the confusion
/// matrix and the most confident mistakes.
#[derive(clap::Args, Serialize)]
pub struct Arguments {
    /// The network
    network: Network,
    /// The folder of photos
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The body's weights, safetensors with torchvision's names (vgg16 only)
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Compute a frozen body's features once, without augmentation, and keep them in FILE
    #[arg(long, value_name = "FILE", requires = "weights", conflicts_with = "unfreeze_after")]
    cache_features: Option<PathBuf>,
    /// Train the body, too, after this many epochs of the head alone
    #[arg(long, value_name = "EPOCHS", requires = "weights")]
    unfreeze_after: Option<u64>,
    /// Adam's learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// The body's learning rate once it is trained
    #[arg(long, default_value_t = 1e-5)]
    body_rate: f64,
    /// Show the photos as they are, without augmentation
    #[arg(long)]
    plain: bool,
    /// The side of the squares that photos become, a multiple of 32
    #[arg(long, default_value_t = 224, value_parser = side)]
    side: usize,
    /// Only the first so many classes [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    classes: Option<u32>,
    /// The seed of initial weights, order and augmentation
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The seed that chooses the fifth of the photos to hold out
    #[arg(long, default_value_t = 1)]
    split: u64,
    /// How many epochs [default: 25 of vgg16, 10 of the others]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    #[command(flatten)]
    #[serde(flatten)]
    machine: Machine,
    /// The folder to leave [default: runs/NETWORK, or runs/NETWORK-2 and so on]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// No progress bar
    #[arg(long)]
    #[serde(skip)]
    quiet: bool,
}

/// What document 2 trains, and what it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Network {
    /// The small VGG as published: the signal vanishes
    DogsVgg,
    /// The same, initialised after He et al.
    DogsVggHe,
    /// The same with batch norm
    DogsVggNorm,
    /// VGG16 with a new head
    Vgg16,
}

impl Network {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn epochs(self) -> u64 {
        if self == Network::Vgg16 { 25 } else { 10 }
    }
}

/// Samples in a batch.
const BATCH: usize = 32;

fn side(text: &str) -> Result<usize, String> {
    let side = text.parse().ok().filter(|side| (32..=1024).contains(side) && side % 32 == 0);
    side.ok_or_else(|| "expected a multiple of 32 in 32..=1024".to_owned())
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    if (arguments.network == Network::Vgg16) != arguments.weights.is_some() {
        return Err("--weights FILE belongs to vgg16, and vgg16 needs it".into());
    }
    let task = Task::new(&arguments, device)?;
    let name = arguments.network.name();
    let path = arguments.out.clone().unwrap_or_else(|| RunFolder::fresh(&name));
    let folder = RunFolder::create(path)?;
    let config = serde_json::to_string_pretty(&arguments)? + "\n";
    atomic_write(&folder.path().join("photos.json"), config.as_bytes())?;
    print(format_args!(
        "{name}: {} photos to train on, {} held out, chance {:.4}",
        task.train.len(),
        task.valid.len(),
        1.0 / task.photos.classes() as f64,
    ))?;
    Epoch::print_heading()?;
    let history = train(&task, &arguments, &folder)?;
    report::write(&task, &folder)?;
    let best = history.iter().map(|epoch| epoch.valid_accuracy).fold(0.0, f64::max);
    print(format_args!("best valid accuracy {best:.4}; folder: {}", folder.path().display()))
}

/// All epochs, each saved as it ends.
fn train(task: &Task, arguments: &Arguments, folder: &RunFolder) -> Result<Vec<Epoch>, Failure> {
    let body = |parameter: &Parameter| task.body.iter().any(|own| own.id() == parameter.id());
    let optimizer = Optimizer::new(&*task.net, Adam::new(arguments.rate))
        .group(Adam::new(arguments.body_rate), body);
    let mut trainer = Trainer::with(&*task.net, optimizer, arguments.seed);
    let epochs = arguments.epochs.unwrap_or(arguments.network.epochs());
    let title = format!("{}, seed {}", arguments.network.name(), arguments.seed);
    let mut history = Vec::new();
    while trainer.epochs() < epochs {
        let frozen = arguments.unfreeze_after.is_none_or(|after| trainer.epochs() < after);
        task.body.iter().for_each(|parameter| parameter.freeze(frozen));
        let epoch = one_epoch(&mut trainer, task, (arguments, epochs))?;
        epoch.print()?;
        history.push(epoch);
        folder.save_history(&title, &history)?;
        Checkpoint::of(&*task.net).save(&folder.path().join("model.safetensors"))?;
    }
    Ok(history)
}

fn one_epoch(
    trainer: &mut Trainer,
    task: &Task,
    (arguments, epochs): (&Arguments, u64),
) -> Result<Epoch, Failure> {
    let start = Instant::now();
    let loader = Loader::new(&task.train).batch(BATCH).shuffle(arguments.seed);
    let bar = match arguments.quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(loader.batches_per_epoch() as u64).with_style(
            ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} {eta} left")?,
        ),
    };
    bar.set_prefix(format!("epoch {}/{epochs}", trainer.epochs() + 1));
    let placed = |batch: striate::data::Result<striate::data::Batch>| batch?.to(&task.device);
    let train = trainer.epoch(loader.epoch(trainer.epochs()).map(placed), |step: &Step| {
        bar.set_message(format!("loss {:.4}", step.loss));
        bar.inc(1);
        true
    })?;
    bar.finish_and_clear();
    let held_out = Loader::new(&task.valid).batch(BATCH).epoch(0);
    let valid = evaluate(&*task.net, Tensor::cross_entropy, held_out.map(placed))?;
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
