//! `striate evaluate`: loss and accuracy of a trained network on all held-out samples.

use std::path::PathBuf;

use serde_json::json;

use super::{device, print};
use crate::Failure;
use crate::data::Source;
use crate::run::RunFolder;
use crate::training::Job;

/// Measure a trained network on all test samples
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder
    run: PathBuf,
    /// A folder with other data of the same kind, or a fetched data set's name [default: what the run used]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let mut config = folder.config()?;
    if arguments.data.is_some() {
        config.data = Source::from_option(arguments.data)?;
    }
    let job = Job::new(&config, &device(&arguments.device)?)?;
    folder.load_weights(&*job.net)?;
    let result = job.evaluate(job.last())?;
    if arguments.json {
        return print(json!({
            "model": config.name(),
            "samples": result.samples,
            "loss": result.loss(),
            "accuracy": result.accuracy(),
        }));
    }
    print(format_args!(
        "{}: accuracy {:.4} ({} of {}), loss {:.4}, on the test samples of {}",
        config.name(),
        result.accuracy(),
        result.hits,
        result.samples,
        result.loss(),
        config.data
    ))
}
