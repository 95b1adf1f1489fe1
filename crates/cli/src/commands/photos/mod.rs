//! `striate photos`: document 2's networks on photos of dogs, or of anything else that lies in folders.
//!
//! The small networks learn from nothing. VGG16 brings what ImageNet taught it: its body is frozen and a new head is
//! trained on its features, then perhaps all of it. Where nothing random stands before a frozen body, its features
//! are the same in every epoch, and are computed once.

mod features;
mod files;
mod settings;
mod sheet;
mod task;

use std::path::{Path, PathBuf};

use striate::nn::optim::Rule;
use striate::prelude::*;

use super::data::resolve;
use super::{Machine, unchanged};
use crate::data::Source;
use crate::run::{Config, RunFolder};
use crate::training::{Logging, Place, train};
use crate::{Failure, named};
pub use files::write as write_answers;
pub use settings::{Network, Settings};
pub use sheet::Sheet;
pub use task::{HeldOut, job};

/// Train document 2's networks on photos: a labels.csv with train/*.jpg, or a sub-folder for each class
///
/// Leaves a run folder as `striate train` does, and beside it, of the held-out photos, the answers, the confusion matrix and the
/// most confident mistakes.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network
    network: Network,
    /// The folder of photos, or `dogs`, once that set is fetched
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// The body's weights, safetensors with torchvision's names, or `vgg16`, once that set is fetched (vgg16 only)
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Compute a frozen body's features once, without augmentation, and keep them in FILE
    #[arg(long, value_name = "FILE", conflicts_with = "unfreeze_after")]
    cache_features: Option<PathBuf>,
    /// Train the body, too, after this many epochs of the head alone
    #[arg(long, value_name = "EPOCHS")]
    unfreeze_after: Option<u64>,
    /// Adam's learning rate [default: 0.001]
    #[arg(long)]
    rate: Option<f64>,
    /// The body's learning rate once it is trained [default: 0.00001]
    #[arg(long)]
    body_rate: Option<f64>,
    /// Show the photos as they are, without augmentation
    #[arg(long)]
    plain: bool,
    /// The side of the squares that photos become, a multiple of 32 [default: 224]
    #[arg(long, value_parser = side)]
    side: Option<usize>,
    /// Only the first so many classes [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    classes: Option<u32>,
    /// The seed of initial weights, order and augmentation [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// The seed that chooses the fifth of the photos to hold out [default: 1]
    #[arg(long)]
    split: Option<u64>,
    /// How many epochs [default: 25 of vgg16, 10 of the others]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    #[command(flatten)]
    machine: Machine,
    /// The run folder [default: runs/NETWORK, or runs/NETWORK-2 and so on]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in the folder --out, as it was begun
    #[arg(long, requires = "out")]
    resume: bool,
    #[command(flatten)]
    logging: Logging,
}

/// Samples in a batch.
const BATCH: usize = 32;

fn side(text: &str) -> Result<usize, String> {
    let side = text.parse().ok().filter(|side| (32..=1024).contains(side) && side % 32 == 0);
    side.ok_or_else(|| "expected a multiple of 32 in 32..=1024".to_owned())
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let (config, place) = match arguments.resume {
        true => {
            let (config, folder) = arguments.resumed()?;
            (config, Place::Earlier(folder))
        }
        false => {
            let fresh = || RunFolder::fresh(&arguments.network.name());
            let path = arguments.out.clone().unwrap_or_else(fresh);
            (arguments.fresh()?, Place::New(path))
        }
    };
    train(config, place, &device, arguments.logging)
}

impl Arguments {
    /// What a new run is to do.
    fn fresh(&self) -> Result<Config, Failure> {
        if (self.network == Network::Vgg16) != self.weights.is_some() {
            return Err("--weights FILE belongs to vgg16, and vgg16 needs it".into());
        }
        let settings = Settings {
            network: self.network,
            weights: self.weights()?,
            cache_features: absolute(self.cache_features.as_deref())?,
            unfreeze_after: self.unfreeze_after,
            body_rate: self.body_rate.unwrap_or(1e-5),
            plain: self.plain,
            side: self.side.unwrap_or(224),
            classes: self.classes,
            split: self.split.unwrap_or(1),
        };
        Ok(Config {
            version: env!("CARGO_PKG_VERSION").into(),
            model: self.network.name(),
            data: Source::from_option(self.data.clone())?,
            seed: self.seed.unwrap_or(1),
            epochs: self.epochs.unwrap_or(self.network.epochs()),
            batch: BATCH,
            optimizer: self.rule().unwrap_or(Adam::new(1e-3).into()),
            normalize: None,
            precise: self.machine.precise,
            tf32: self.machine.tf32,
            classes: Vec::new(),
            photos: Some(settings),
        })
    }

    /// The file of the body's weights.
    fn weights(&self) -> Result<Option<PathBuf>, Failure> {
        absolute(self.weights.clone().map(resolve).transpose()?.as_deref())
    }

    /// The rule of the rate that is asked for.
    fn rule(&self) -> Option<Rule> {
        self.rate.map(|rate| Adam::new(rate).into())
    }

    /// What the run to continue was to do, and its folder; only the number of epochs may change.
    fn resumed(&self) -> Result<(Config, RunFolder), Failure> {
        let folder = RunFolder::open(self.out.as_deref().unwrap_or(".".as_ref()))?;
        let mut config = folder.config()?;
        let Some(was) = &config.photos else {
            let path = folder.path().display();
            return Err(format!("{path}: the run was made by `striate train`").into());
        };
        let data = self.data.clone().map(|data| Source::from_option(Some(data))).transpose()?;
        unchanged(&folder, "network", Some(self.network), was.network)?;
        unchanged(&folder, "data", data.as_ref(), &config.data)?;
        unchanged(&folder, "seed", self.seed, config.seed)?;
        unchanged(&folder, "optimizer", self.rule(), config.optimizer)?;
        unchanged(&folder, "weights", given(self.weights()?), was.weights.clone())?;
        let cache = given(absolute(self.cache_features.as_deref())?);
        unchanged(&folder, "cache of features", cache, was.cache_features.clone())?;
        unchanged(&folder, "thawing", given(self.unfreeze_after), was.unfreeze_after)?;
        unchanged(&folder, "body's rate", self.body_rate, was.body_rate)?;
        unchanged(&folder, "--plain", self.plain.then_some(true), was.plain)?;
        unchanged(&folder, "side", self.side, was.side)?;
        unchanged(&folder, "number of classes", given(self.classes), was.classes)?;
        unchanged(&folder, "split", self.split, was.split)?;
        self.machine.unchanged(&folder, &config)?;
        config.epochs = self.epochs.unwrap_or(config.epochs);
        Ok((config, folder))
    }
}

/// An option that a run may lack, if it is given.
fn given<T>(option: Option<T>) -> Option<Option<T>> {
    option.map(Some)
}

/// The path from the root, so that a run can be continued from anywhere.
fn absolute(path: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    path.map(|path| std::path::absolute(path).map_err(named(path))).transpose()
}
