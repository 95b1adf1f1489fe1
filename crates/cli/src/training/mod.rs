//! Training into a run folder: epochs until the last or until Ctrl-C, each saved as it ends.

pub mod interrupt;
mod job;

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use striate::nn::{Evaluation, Step};
use striate::prelude::*;

use crate::answers::answers;
use crate::commands::photos::write_answers;
use crate::commands::print;
use crate::report;
use crate::run::{Config, Epoch, Line, Past, RunFolder, StepLog};
use crate::{Ended, Failure};

pub use job::{AT_ONCE, Job, Method};

/// What is said while training.
#[derive(clap::Args, Clone, Copy)]
pub struct Logging {
    /// No progress bar; there is none either where standard error is not a terminal
    #[arg(long)]
    quiet: bool,
    /// Write a row of steps.csv every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    log_every: u64,
}

/// Where a run is kept.
pub enum Place {
    /// A folder that is to be made.
    New(PathBuf),
    /// The folder of a run that goes on.
    Earlier(RunFolder),
}

/// Trains what `config` says into its folder.
pub fn train(
    config: Config,
    place: Place,
    device: &Device,
    logging: Logging,
) -> Result<(), Failure> {
    // Data that cannot be read should not leave a folder behind.
    let job = Job::new(&config, device)?;
    let config = &Config { classes: job.classes.clone(), ..config };
    let mut trainer = job.trainer();
    let (folder, mut past) = match place {
        Place::New(path) => (RunFolder::create(path)?, Past::default()),
        Place::Earlier(folder) => {
            let past = folder.restore(&mut trainer, device)?;
            (folder, past)
        }
    };
    let ended = trainer.epochs() + u64::from(trainer.begun() > 0);
    if ended > config.epochs {
        let path = folder.path().display();
        return Err(format!("{path}: {ended} epochs have begun, not {}", config.epochs).into());
    }
    folder.save_config(config)?;
    if trainer.steps() == 0 {
        past.receipt = vec![Line::new(0, &*job.net, device)?];
        folder.save_receipt(&past.receipt)?;
    }
    let log = folder.step_log(logging.log_every, trainer.steps())?;
    print_heading(&job, config)?;
    past.history.iter().try_for_each(Epoch::print)?;
    let mut run = Run { job: &job, config, folder: &folder, past, log };
    run.epochs(&mut trainer, logging.quiet)?;
    let answers = answers(&job)?;
    if let Some(photos) = &job.photos {
        write_answers(folder.path(), photos, &job.classes, &answers)?;
    }
    report::write(&folder, &job, &answers)?;
    if let Some(test) = &job.test {
        let result = job.evaluate(test)?;
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

fn print_heading(job: &Job, config: &Config) -> Result<(), Failure> {
    print(format_args!(
        "{}: {} parameters, {} images to train on, {} held out, from {}, on {}",
        config.name(),
        job.net.parameter_count(),
        job.loader.dataset().len(),
        job.valid.len(),
        config.data,
        job.device.name()
    ))?;
    if cfg!(debug_assertions) {
        print("this is a debug build; `cargo run --release` trains faster")?;
    }
    Epoch::print_heading()
}

/// A run under way.
struct Run<'a> {
    job: &'a Job,
    config: &'a Config,
    folder: &'a RunFolder,
    past: Past,
    log: StepLog,
}

impl Run<'_> {
    /// The epochs that are left.
    fn epochs(&mut self, trainer: &mut Trainer, quiet: bool) -> Result<(), Failure> {
        interrupt::watch()?;
        while trainer.epochs() < self.config.epochs {
            let (start, number) = (Instant::now(), trainer.epochs() + 1);
            let bar = progress_bar(&self.job.loader, quiet)?;
            bar.set_prefix(format!("epoch {number}/{}", self.config.epochs));
            let train = self.steps(trainer, &bar)?;
            bar.finish_and_clear();
            self.past.seconds += start.elapsed().as_secs_f64();
            if trainer.epochs() < number {
                self.folder.save_place(trainer, self.past.seconds)?;
                return Err(self.interrupted(trainer));
            }
            let start = Instant::now();
            let valid = self.job.evaluate(&self.job.valid)?;
            let epoch = Epoch {
                epoch: number,
                train_loss: self.job.train_loss(trainer, &train),
                train_accuracy: train.accuracy(),
                valid_loss: valid.loss(),
                valid_accuracy: valid.accuracy(),
                learning_rate: trainer.lr(),
                seconds: self.past.seconds + start.elapsed().as_secs_f64(),
            };
            epoch.print()?;
            self.past.seconds = 0.0;
            self.past.history.push(epoch);
            self.past.receipt.push(Line::new(number, &*self.job.net, &self.job.device)?);
            self.folder.save_epoch(self.config, &self.past, trainer, &*self.job.net)?;
            if interrupt::asked() && number < self.config.epochs {
                return Err(self.interrupted(trainer));
            }
        }
        Ok(())
    }

    /// The steps that are left of an epoch, until Ctrl-C.
    fn steps(&mut self, trainer: &mut Trainer, bar: &ProgressBar) -> Result<Evaluation, Failure> {
        let number = trainer.epochs() + 1;
        let (batch, images) = (self.job.loader.batch_size(), self.job.loader.dataset().len());
        let seen = (trainer.begun() as usize * batch).min(images);
        bar.set_position(seen as u64);
        bar.reset_eta();
        self.log.begin_epoch(seen);
        let mut written = Ok(());
        let evaluation = self.job.epoch(trainer, |step: &Step| {
            bar.set_message(format!("loss {:.4}", step.loss));
            bar.set_position(step.so_far.samples as u64);
            written = self.log.write(number, step);
            written.is_ok() && !interrupt::asked()
        })?;
        written.map(|()| evaluation)
    }

    fn interrupted(&self, trainer: &Trainer) -> Failure {
        let message = format!(
            "interrupted after step {}; --out {} --resume goes on from there",
            trainer.steps(),
            self.folder.path().display()
        );
        Box::new(Ended { code: interrupt::EXIT_CODE, message })
    }
}

/// A bar that counts the images of an epoch. It is not drawn where standard error is no terminal.
pub fn progress_bar(loader: &Loader, quiet: bool) -> Result<ProgressBar, Failure> {
    if quiet {
        return Ok(ProgressBar::hidden());
    }
    let style = "{prefix} {wide_bar} {pos}/{len} {msg} {per_sec:.0} images, {eta} left";
    let images = loader.dataset().len() as u64;
    Ok(ProgressBar::new(images).with_style(ProgressStyle::with_template(style)?))
}
