//! `striate predict`: what a trained network sees in a picture.

use std::path::PathBuf;

use striate::prelude::*;

use super::{device, print};
use crate::Failure;
use crate::data::picture;
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
    let (entry, net) = RunFolder::open(&arguments.run)?.network()?;
    let device = device(&arguments.device)?;
    net.to_device(&device)?;
    let sample = picture(&arguments.picture, entry, arguments.invert)?.to_device(&device)?;
    // Log-probabilities are their own log-softmax, so this serves networks that return either.
    let scores = net.forward(&sample, &Pass::evaluate())?.softmax(1)?.to_vec()?;
    let mut classes: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (class, probability) in classes.iter().take(arguments.top as usize) {
        print(format_args!("{class}  {probability:.4}"))?;
    }
    Ok(())
}
