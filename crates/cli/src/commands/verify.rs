//! `striate verify`: does a run come to the same bits again?

use std::path::PathBuf;

use striate::prelude::*;

use super::{Machine, print};
use crate::run::{Config, Line, RunFolder, digest, kernels};
use crate::training::{Job, progress_bar};
use crate::{Ended, Failure};

/// Repeat a run and compare its parameters with the run's receipt, epoch by epoch
///
/// Ends with exit code 0 if every bit agrees, 1 at the first epoch that does not, and 2 if the run cannot be read or
/// repeated. Bits depend on the kernels; the receipt names those that were used, and STRIATE_KERNEL chooses them.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder
    run: PathBuf,
    /// Repeat only so many epochs [default: all that the receipt lists]
    #[arg(long)]
    epochs: Option<u64>,
    #[command(flatten)]
    machine: Machine,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let folder = RunFolder::open(&arguments.run)?;
    let config = folder.config()?;
    let receipt = Receipt { folder: &folder, config: &config, lines: folder.receipt()? };
    let last = receipt.last()?;
    receipt.check_weights()?;
    let own = kernels(&device);
    print(format_args!("{}, {} epochs, on {own}", config.title(), config.epochs))?;
    if let Some(line) = receipt.lines.iter().find(|line| line.kernels != own) {
        print(format_args!("the receipt was made on {}: bits may differ", line.kernels))?;
    }
    let last = last.min(arguments.epochs.unwrap_or(last));
    let job = Job::new(&config, &device)?;
    let mut trainer = job.trainer();
    let mut compared = receipt.compare(&job, 0)?;
    while trainer.epochs() < last {
        let bar = progress_bar(&job.loader, arguments.quiet)?;
        bar.set_prefix(format!("epoch {}/{last}", trainer.epochs() + 1));
        job.epoch(&mut trainer, |step| {
            bar.set_position(step.so_far.samples as u64);
            true
        })?;
        bar.finish_and_clear();
        compared += receipt.compare(&job, trainer.epochs())?;
    }
    print(format_args!("{compared} of {} lines compared: the same bits", receipt.lines.len()))
}

/// What a run says of its bits.
struct Receipt<'a> {
    folder: &'a RunFolder,
    config: &'a Config,
    lines: Vec<Line>,
}

impl Receipt<'_> {
    /// The last epoch that the receipt tells of.
    fn last(&self) -> Result<u64, Failure> {
        let last = self.lines.iter().map(|line| line.epoch).max();
        Ok(last.ok_or_else(|| {
            let path = self.folder.receipt_path();
            format!("{}: expected the receipt of an epoch", path.display())
        })?)
    }

    /// Fails unless the weights on disk are those of some epoch of the receipt.
    fn check_weights(&self) -> Result<(), Failure> {
        let path = self.folder.weights_path();
        if !path.exists() {
            // The run was stopped in its first epoch.
            return Ok(());
        }
        let sha256 = digest(&self.folder.weights()?)?;
        match self.lines.iter().any(|line| line.sha256 == sha256) {
            true => Ok(()),
            false => Err(deviation(format!(
                "{}: expected the parameters of an epoch of receipt.csv, got others: {sha256}",
                path.display()
            ))),
        }
    }

    /// Compares the network as it is after `epoch` with the receipt. Returns how many lines that were: 1, or 0 where
    /// the receipt does not tell of it.
    fn compare(&self, job: &Job, epoch: u64) -> Result<usize, Failure> {
        let Some(line) = self.lines.iter().find(|line| line.epoch == epoch) else {
            return Ok(0);
        };
        let own = Line::new(epoch, &*job.net, &job.device)?;
        if own.sha256 == line.sha256 {
            print(format_args!("epoch {epoch:>3}  {}  the same bits", own.sha256))?;
            return Ok(1);
        }
        let (expected, got) = (&line.sha256, &own.sha256);
        Err(deviation(format!(
            "{}: expected {expected} after epoch {epoch}, got {got}; {}",
            self.folder.receipt_path().display(),
            self.reason(line, &own)
        )))
    }

    /// What may have made the bits of a line others.
    fn reason(&self, line: &Line, own: &Line) -> String {
        let (was, is) = (&self.config.version, env!("CARGO_PKG_VERSION"));
        if line.kernels != own.kernels {
            let (was, is) = (&line.kernels, &own.kernels);
            return format!(
                "that was computed on {was}, this on {is} (see STRIATE_KERNEL and --device)"
            );
        }
        match (was == is, line.epoch) {
            (false, _) => format!("that was version {was}, this is {is}"),
            (true, 0) => {
                "the initial parameters differ, so config.json is not the run's".to_owned()
            }
            (true, _) => {
                format!("data or program differ, since on {} the same bits are due", own.kernels)
            }
        }
    }
}

/// The verdict that a run was not repeated: exit code 1.
fn deviation(message: String) -> Failure {
    Box::new(Ended { code: 1, message })
}
