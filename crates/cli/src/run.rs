//! A run folder: what was asked for, what happened, and the weights.
//!
//! | file | content |
//! | --- | --- |
//! | `config.json` | model, data, seed, epochs, recipe |
//! | `metrics.csv` | one row an epoch |
//! | `curves.svg` | the same as a picture |
//! | `model.safetensors` | the weights under PyTorch's names |
//! | `checkpoint.safetensors` | everything that a resumed run needs |
//!
//! The checkpoint is written last in every epoch, so it never knows of an epoch that the other files do not.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use striate::models::Entry;
use striate::nn::{Checkpoint, atomic_write, load_state};
use striate::prelude::*;

use crate::commands::{entry, print};
use crate::data::Source;
use crate::draw::curves::run_svg;
use crate::{Failure, named};

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The version of this program.
    pub version: String,
    /// The network's name.
    pub model: String,
    /// The data.
    pub data: Source,
    /// The seed of weights, order and dropout.
    pub seed: u64,
    /// How many epochs.
    pub epochs: u64,
    /// Samples in a batch.
    pub batch: usize,
    /// The optimizer and its settings.
    pub optimizer: striate::nn::optim::Rule,
    /// Mean and standard deviation taken off the pixels.
    pub normalize: Option<(f32, f32)>,
    /// Whether convolutions were never to be computed by Winograd's algorithm.
    #[serde(default)]
    pub precise: bool,
}

/// One row of `metrics.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u64,
    /// Mean loss while training.
    pub train_loss: f64,
    /// Accuracy while training.
    pub train_accuracy: f64,
    /// Mean loss on the held-out samples.
    pub valid_loss: f64,
    /// Accuracy on the held-out samples.
    pub valid_accuracy: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// How long the epoch took, evaluation included.
    pub seconds: f64,
}

const HEADER: &str =
    "epoch,train_loss,train_accuracy,valid_loss,valid_accuracy,learning_rate,seconds";

impl Epoch {
    /// Prints what stands above the rows of [`Epoch::print`].
    pub fn print_heading() -> Result<(), Failure> {
        print(format_args!(
            "{:>5} {:>10} {:>10} {:>10} {:>10} {:>8}",
            "epoch", "train loss", "train acc", "valid loss", "valid acc", "seconds"
        ))
    }

    /// Prints the row.
    pub fn print(&self) -> Result<(), Failure> {
        print(format_args!(
            "{:>5} {:>10.4} {:>10.4} {:>10.4} {:>10.4} {:>8.2}",
            self.epoch,
            self.train_loss,
            self.train_accuracy,
            self.valid_loss,
            self.valid_accuracy,
            self.seconds
        ))
    }

    fn row(&self) -> String {
        let Epoch {
            epoch,
            train_loss,
            train_accuracy,
            valid_loss,
            valid_accuracy,
            learning_rate,
            seconds,
        } = self;
        format!(
            "{epoch},{train_loss},{train_accuracy},{valid_loss},{valid_accuracy},{learning_rate},{seconds:.3}"
        )
    }

    fn parse(row: &str) -> Option<Self> {
        let mut fields = row.split(',').map(|field| field.parse::<f64>().ok());
        let mut next = || fields.next()?;
        Some(Epoch {
            epoch: next()? as u64,
            train_loss: next()?,
            train_accuracy: next()?,
            valid_loss: next()?,
            valid_accuracy: next()?,
            learning_rate: next()?,
            seconds: next()?,
        })
    }
}

/// A folder that holds a run.
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// A new, empty folder at `path`. Fails if there is something already.
    pub fn create(path: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(&path).map_err(named(&path))?;
        if fs::read_dir(&path).map_err(named(&path))?.next().is_some() {
            return Err(format!(
                "{}: the folder is not empty; choose another with --out, or continue it with --resume",
                path.display()
            )
            .into());
        }
        Ok(RunFolder(path))
    }

    /// The folder of an earlier run. Fails if it does not hold one.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        match path.join("config.json").is_file() {
            true => Ok(RunFolder(path.to_owned())),
            false => Err(format!(
                "{}: expected the folder of a run, which holds a config.json",
                path.display()
            )
            .into()),
        }
    }

    /// `runs/NAME`, or `runs/NAME-2` and so on, whichever does not exist yet.
    pub fn fresh(name: &str) -> PathBuf {
        let numbered = (2u32..).map(|number| format!("{name}-{number}"));
        let names = std::iter::once(name.to_owned()).chain(numbered);
        let mut paths = names.map(|name| Path::new("runs").join(name));
        paths.find(|path| !path.exists()).unwrap_or_else(|| Path::new("runs").join(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes the configuration.
    pub fn save_config(&self, config: &Config) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(config)? + "\n";
        Ok(atomic_write(&self.file("config.json"), text.as_bytes())?)
    }

    /// Reads the configuration.
    pub fn config(&self) -> Result<Config, Failure> {
        let path = self.file("config.json");
        let text = fs::read_to_string(&path).map_err(named(&path))?;
        serde_json::from_str(&text).map_err(named(&path))
    }

    /// Writes the table of epochs and its curves.
    pub fn save_history(&self, title: &str, history: &[Epoch]) -> Result<(), Failure> {
        let rows = history.iter().map(|epoch| epoch.row() + "\n");
        let table = format!("{HEADER}\n{}", rows.collect::<String>());
        atomic_write(&self.file("metrics.csv"), table.as_bytes())?;
        let column = |value: fn(&Epoch) -> f64| history.iter().map(value).collect::<Vec<f64>>();
        let curves = run_svg(
            title,
            &column(|epoch| epoch.epoch as f64),
            &[
                ("train_loss", &column(|epoch| epoch.train_loss)),
                ("valid_loss", &column(|epoch| epoch.valid_loss)),
                ("train_accuracy", &column(|epoch| epoch.train_accuracy)),
                ("valid_accuracy", &column(|epoch| epoch.valid_accuracy)),
            ],
        )?;
        Ok(atomic_write(&self.file("curves.svg"), curves.as_bytes())?)
    }

    /// Writes everything that is known after an epoch, the checkpoint last.
    pub fn save(
        &self,
        config: &Config,
        history: &[Epoch],
        trainer: &Trainer,
        net: &dyn Module,
    ) -> Result<(), Failure> {
        self.save_history(&format!("{}, seed {}", config.model, config.seed), history)?;
        Checkpoint::of(net).save(&self.file("model.safetensors"))?;
        Ok(trainer.checkpoint()?.save(&self.file("checkpoint.safetensors"))?)
    }

    /// Puts `trainer`, whose network is on a device, where the run stopped, and returns the epochs until then.
    pub fn restore(&self, trainer: &mut Trainer, device: &Device) -> Result<Vec<Epoch>, Failure> {
        let checkpoint = self.file("checkpoint.safetensors");
        if !checkpoint.is_file() {
            // It stopped before the first epoch ended.
            return Ok(Vec::new());
        }
        let saved = Checkpoint::load(&checkpoint, device)?;
        trainer.restore(&saved).map_err(named(&checkpoint))?;
        let path = self.file("metrics.csv");
        let text = fs::read_to_string(&path).map_err(named(&path))?;
        let history: Vec<Epoch> = text
            .lines()
            .skip(1)
            .filter_map(Epoch::parse)
            .take_while(|epoch| epoch.epoch <= trainer.epochs())
            .collect();
        match history.len() as u64 == trainer.epochs() {
            true => Ok(history),
            false => Err(format!(
                "{}: expected {} epochs as in the checkpoint, got {}",
                path.display(),
                trainer.epochs(),
                history.len()
            )
            .into()),
        }
    }

    /// The network of the run with the weights of its last epoch.
    pub fn network(&self) -> Result<(&'static Entry, Box<dyn Module>), Failure> {
        let entry = entry(&self.config()?.model)?;
        let net = (entry.build)(&Init::seed(1))?;
        let path = self.file("model.safetensors");
        let weights = Checkpoint::load(&path, &Device::cpu())?;
        load_state(&*net, &weights.tensors).map_err(named(&path))?;
        Ok((entry, net))
    }
}

/// The network of a run folder, or, if `name` is no folder, a model of that name with fresh weights.
pub fn run_or_model(name: &str) -> Result<(&'static Entry, Box<dyn Module>), Failure> {
    if Path::new(name).is_dir() {
        return RunFolder::open(Path::new(name))?.network();
    }
    let entry = entry(name)?;
    Ok((entry, (entry.build)(&Init::seed(1))?))
}
