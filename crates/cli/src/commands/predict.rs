//! `striate predict`: what a trained network sees in a picture.

use std::path::PathBuf;

use striate::prelude::*;

use super::{device, print};
use crate::Failure;
use crate::data::{photo, picture};
use crate::run::RunFolder;

/// Classify a picture with a trained network
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder
    run: PathBuf,
    /// The picture, PNG, JPEG or GIF; it is scaled to the network's input, and what is transparent shows white
    picture: PathBuf,
    /// Invert the picture: the digits of MNIST are white on black
    #[arg(long)]
    invert: bool,
    /// How many classes to print
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// What computes: cpu, or a card such as cuda:0
    #[arg(long, default_value = "cpu")]
    device: String,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let folder = RunFolder::open(&arguments.run)?;
    let (config, (entry, net)) = (folder.config()?, folder.network()?);
    let device = device(&arguments.device)?;
    net.to_device(&device)?;
    let sample = match &config.photos {
        Some(photos) => photos.sample(photo(&arguments.picture, arguments.invert)?)?,
        None => picture(&arguments.picture, entry, arguments.invert)?,
    };
    // Log-probabilities are their own log-softmax, so this serves networks that return either.
    let outputs = net.forward(&sample.to_device(&device)?, &Pass::evaluate())?;
    let mut classes: Vec<(usize, f32)> =
        outputs.softmax(1)?.to_vec()?.into_iter().enumerate().collect();
    // Runs know the names of their classes since they write receipts; a network may have outputs that none uses.
    let names = &config.classes;
    classes.retain(|(class, _)| names.is_empty() || *class < names.len());
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (class, probability) in classes.iter().take(arguments.top as usize) {
        let name = names.get(*class).cloned().unwrap_or_else(|| class.to_string());
        print(format_args!("{name}  {probability:.4}"))?;
    }
    Ok(())
}
