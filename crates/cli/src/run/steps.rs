//! `steps.csv`: every so many steps a row, written as training goes, for `tail -f` and for plots.
//!
//! Rows are appended. A run that is continued first takes off the rows of steps that its checkpoint does not know:
//! they are taken again.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use striate::nn::{Step, atomic_write};

use crate::{Failure, named};

const HEADER: &str = "step,epoch,loss,smoothed_loss,learning_rate,images_per_second";

/// The file, open for more rows.
pub struct StepLog {
    file: File,
    path: PathBuf,
    every: u64,
    /// When the last row was written, and the images of the epoch that had been seen then.
    since: (Instant, usize),
}

impl StepLog {
    /// Opens the file for a row every `every` steps, behind the rows up to step `last` that are there.
    pub fn open(path: PathBuf, every: u64, last: u64) -> Result<Self, Failure> {
        let before = match path.is_file() {
            true => fs::read_to_string(&path).map_err(named(&path))?,
            false => String::new(),
        };
        let number = |row: &str| row.split(',').next().and_then(|step| step.parse::<u64>().ok());
        let rows = before.lines().filter(|row| number(row).is_some_and(|step| step <= last));
        let kept: Vec<&str> = [HEADER].into_iter().chain(rows).collect();
        atomic_write(&path, (kept.join("\n") + "\n").as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).map_err(named(&path))?;
        Ok(StepLog { file, path, every, since: (Instant::now(), 0) })
    }

    /// Restarts the clock for the images of an epoch, `seen` of which came before.
    pub fn begin_epoch(&mut self, seen: usize) {
        self.since = (Instant::now(), seen);
    }

    /// Writes the row of `step` of epoch `epoch`, counted from 1, if it is its turn.
    pub fn write(&mut self, epoch: u64, step: &Step) -> Result<(), Failure> {
        if !step.number.is_multiple_of(self.every) {
            return Ok(());
        }
        let (start, seen) = self.since;
        let rate = (step.so_far.samples - seen) as f64 / start.elapsed().as_secs_f64();
        self.since = (Instant::now(), step.so_far.samples);
        let Step { number, loss, smoothed, lr, .. } = step;
        let row = format!("{number},{epoch},{loss},{smoothed},{lr},{rate:.1}\n");
        self.file.write_all(row.as_bytes()).map_err(named(&self.path))
    }
}
