//! `metrics.csv`: one row an epoch.

use std::path::Path;

use striate::models::Published;

use super::read_rows;
use crate::Failure;
use crate::commands::print;

/// One row of the table.
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

/// The whole table as text.
pub fn table(history: &[Epoch]) -> String {
    let rows = history.iter().map(|epoch| epoch.row() + "\n");
    format!("{HEADER}\n{}", rows.collect::<String>())
}

/// The columns, as there are of published epochs.
pub fn curves(history: &[Epoch]) -> Published {
    let column = |value: fn(&Epoch) -> f64| history.iter().map(value).collect();
    Published {
        train_loss: column(|epoch| epoch.train_loss),
        train_accuracy: column(|epoch| epoch.train_accuracy),
        valid_loss: column(|epoch| epoch.valid_loss),
        valid_accuracy: column(|epoch| epoch.valid_accuracy),
        seconds: column(|epoch| epoch.seconds),
    }
}

/// Reads a table. Fails, naming the line, if it is none.
pub fn read(path: &Path) -> Result<Vec<Epoch>, Failure> {
    read_rows(path, [HEADER, "seven numbers"], Epoch::parse)
}

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
        let epoch = Epoch {
            epoch: next()? as u64,
            train_loss: next()?,
            train_accuracy: next()?,
            valid_loss: next()?,
            valid_accuracy: next()?,
            learning_rate: next()?,
            seconds: next()?,
        };
        fields.next().is_none().then_some(epoch)
    }
}
