//! `striate report`: a run on a page.

use std::path::PathBuf;

use super::{Machine, print};
use crate::Failure;
use crate::answers::answers;
use crate::report;
use crate::run::RunFolder;
use crate::training::Job;

/// Write a run's report.html anew, from its folder and its data
///
/// The page needs nothing but itself: configuration, layers and what they see, curves beside the published ones, confusion
/// matrix, answers with their pictures, kernels, activations, receipt. Runs write it when they end; a run that was stopped can have it, too,
/// as soon as its first epoch has ended.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder
    run: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let device = arguments.machine.prepare()?;
    let folder = RunFolder::open(&arguments.run)?;
    let job = Job::new(&folder.config()?, &device)?;
    folder.load_weights(&*job.net)?;
    report::write(&folder, &job, &answers(&job)?)?;
    print(format_args!("report: {}", folder.report_path().display()))
}
