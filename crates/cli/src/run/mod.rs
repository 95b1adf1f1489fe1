//! A run folder: what was asked for, what happened, and the weights.
//!
//! | file | content |
//! | --- | --- |
//! | `config.json` | model, data, seed, epochs, recipe |
//! | `steps.csv` | one row every so many steps |
//! | `metrics.csv` | one row an epoch |
//! | `curves.svg` | the same as a picture |
//! | `receipt.csv` | the digest of the parameters after every epoch |
//! | `report.html` | all of it on a page, once training has ended |
//! | `model.safetensors` | the weights after the last epoch, under PyTorch's names |
//! | `checkpoint.safetensors` | everything that a resumed run needs |
//!
//! The checkpoint is written last in every epoch, so it never knows of an epoch that the other files do not. A run
//! that is interrupted writes it once more, in the middle of an epoch, and the others stay as they are.

mod config;
mod metrics;
mod receipt;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use striate::models::Entry;
use striate::nn::{Checkpoint, State, atomic_write, load_state};
use striate::prelude::*;

use crate::commands::entry;
use crate::draw::curves::run_svg;
use crate::{Failure, named};

pub use config::{Config, rule};
pub use metrics::{Epoch, curves};
pub use receipt::{Line, digest, kernels};
pub use steps::StepLog;

/// Reads a table below its header. Fails, naming the line and what was expected there, if something else stands in it.
fn read_rows<R>(
    path: &Path,
    [header, expected]: [&str; 2],
    parse: impl Fn(&str) -> Option<R>,
) -> Result<Vec<R>, Failure> {
    let text = fs::read_to_string(path).map_err(named(path))?;
    let refuse = |number: usize, expected: &str, line: &str| -> Failure {
        named(path)(format!("line {number}: expected {expected}, got {line:?}"))
    };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first != header {
        return Err(refuse(1, header, first));
    }
    let row = |(index, line)| parse(line).ok_or_else(|| refuse(index + 2, expected, line));
    lines.enumerate().map(row).collect()
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

    /// Opens `steps.csv` for a row every `every` steps, behind those up to step `last`.
    pub fn step_log(&self, every: u64, last: u64) -> Result<StepLog, Failure> {
        StepLog::open(self.file("steps.csv"), every, last)
    }

    /// Writes the table of epochs and its curves.
    pub fn save_history(&self, title: &str, history: &[Epoch]) -> Result<(), Failure> {
        atomic_write(&self.file("metrics.csv"), metrics::table(history).as_bytes())?;
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

    /// Where the report is.
    pub fn report_path(&self) -> PathBuf {
        self.file("report.html")
    }

    /// Writes everything that is known after an epoch, the checkpoint last.
    pub fn save_epoch(
        &self,
        config: &Config,
        past: &Past,
        trainer: &Trainer,
        net: &dyn Module,
    ) -> Result<(), Failure> {
        self.save_history(&config.title(), &past.history)?;
        self.save_receipt(&past.receipt)?;
        Checkpoint::of(net).save(&self.weights_path())?;
        self.save_place(trainer, 0.0)
    }

    /// Writes the checkpoint alone, of a run that has spent `seconds` in an epoch that has not ended.
    pub fn save_place(&self, trainer: &Trainer, seconds: f64) -> Result<(), Failure> {
        let mut checkpoint = trainer.checkpoint()?;
        checkpoint.texts.insert(SECONDS.into(), seconds.to_string());
        Ok(checkpoint.save(&self.file("checkpoint.safetensors"))?)
    }

    /// Puts `trainer`, whose network is on a device, where the run stopped, and says what had happened until then.
    pub fn restore(&self, trainer: &mut Trainer, device: &Device) -> Result<Past, Failure> {
        let checkpoint = self.file("checkpoint.safetensors");
        if !checkpoint.is_file() {
            // It was killed before the first epoch ended.
            return Ok(Past::default());
        }
        let saved = Checkpoint::load(&checkpoint, device)?;
        trainer.restore(&saved).map_err(named(&checkpoint))?;
        let seconds = saved.texts.get(SECONDS).and_then(|text| text.parse().ok());
        let (mut history, mut receipt) = (self.history()?, Vec::new());
        history.retain(|epoch| epoch.epoch <= trainer.epochs());
        if self.receipt_path().exists() {
            receipt = self.receipt()?;
            receipt.retain(|line| line.epoch <= trainer.epochs());
        }
        match history.len() as u64 == trainer.epochs() {
            true => Ok(Past { history, receipt, seconds: seconds.unwrap_or_default() }),
            false => Err(format!(
                "{}: expected {} epochs as in the checkpoint, got {}",
                self.file("metrics.csv").display(),
                trainer.epochs(),
                history.len()
            )
            .into()),
        }
    }

    /// Writes the receipt.
    pub fn save_receipt(&self, lines: &[Line]) -> Result<(), Failure> {
        receipt::write(&self.receipt_path(), lines)
    }

    /// Where the receipt is.
    pub fn receipt_path(&self) -> PathBuf {
        self.file("receipt.csv")
    }

    /// Reads the receipt.
    pub fn receipt(&self) -> Result<Vec<Line>, Failure> {
        receipt::read(&self.receipt_path())
    }

    /// Reads the table of epochs; there is none in a run that was stopped in its first epoch.
    pub fn history(&self) -> Result<Vec<Epoch>, Failure> {
        let path = self.file("metrics.csv");
        if path.exists() { metrics::read(&path) } else { Ok(Vec::new()) }
    }

    /// The network of the run with the weights of its last epoch.
    pub fn network(&self) -> Result<(&'static Entry, Box<dyn Module>), Failure> {
        let config = self.config()?;
        let entry = entry(&config.model)?;
        let net = (entry.build)(&Init::seed(1))?;
        let mut weights = self.weights()?;
        if let Some(photos) = &config.photos {
            photos.complete(&mut weights)?;
        }
        load_state(&*net, &weights).map_err(named(&self.weights_path()))?;
        Ok((entry, net))
    }

    /// Puts the weights of the last epoch into the network that was trained.
    pub fn load_weights(&self, net: &dyn Module) -> Result<(), Failure> {
        load_state(net, &self.weights()?).map_err(named(&self.weights_path()))
    }

    /// Reads the weights of the last epoch.
    pub fn weights(&self) -> Result<State, Failure> {
        Ok(Checkpoint::load(&self.weights_path(), &Device::cpu())?.tensors)
    }

    /// Where they are.
    pub fn weights_path(&self) -> PathBuf {
        self.file("model.safetensors")
    }
}

/// What a run had done when it stopped.
#[derive(Default)]
pub struct Past {
    /// The epochs that had ended.
    pub history: Vec<Epoch>,
    /// Their receipt.
    pub receipt: Vec<Line>,
    /// The time that went into the epoch that had not.
    pub seconds: f64,
}

/// The checkpoint's text that says it.
const SECONDS: &str = "seconds";

/// The network of a run folder, or, if `name` is no folder, a model of that name with fresh weights.
pub fn run_or_model(name: &str) -> Result<(&'static Entry, Box<dyn Module>), Failure> {
    if Path::new(name).is_dir() {
        return RunFolder::open(Path::new(name))?.network();
    }
    let entry = entry(name)?;
    Ok((entry, (entry.build)(&Init::seed(1))?))
}
