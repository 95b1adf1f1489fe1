//! `striate show batch`: a batch of training images with their labels.

use std::path::PathBuf;

use striate::models::Recipe;
use striate::prelude::*;

use super::super::{entry, png_file, print};
use super::write_grid;
use crate::Failure;
use crate::data::{Source, recipe};
use crate::draw::tiles::{GridStyle, Scale, Tiles};

/// Some training images with their labels, as a grid
#[derive(clap::Args)]
pub struct Arguments {
    /// Whose training data
    #[arg(long, default_value = "mnist-cnn")]
    model: String,
    /// A folder with MNIST's four files, gz or not, or with CIFAR-10's six [default: the 10,000 shipped digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// The seed of the choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The picture to write
    #[arg(long, default_value = "batch.png", value_parser = png_file())]
    out: PathBuf,
}

/// Pixels to which an image is enlarged: wide enough for the longest name of a class.
const SIDE: usize = 128;

impl Arguments {
    pub fn draw(self) -> Result<(), Failure> {
        // The pixels as they are stored: what a recipe does to them is not to be looked at.
        let recipe = Recipe { normalize: None, ..recipe(entry(&self.model)?)? };
        let images = Source::from_option(self.data)?.load(&recipe)?.train;
        let count = (self.count as usize).min(images.len());
        let mut batches = Loader::new(&images).batch(count).shuffle(self.seed).epoch(0);
        let (pixels, labels) = batches.next().ok_or("expected a batch")??.to(&Device::cpu())?;
        let labels =
            labels.to_vec()?.into_iter().map(|label| images.classes()[label as usize].clone());
        let labels: Vec<String> = labels.collect();
        let &[_, channels, height, width] = pixels.shape() else {
            return Err(format!("{} does not look at pictures", self.model).into());
        };
        let values = pixels.to_vec()?;
        let tiles = Tiles::new(&values, [count, channels, height, width])?;
        // As wide as high.
        let per_row = (count as f64).sqrt().ceil() as usize;
        let style = GridStyle { per_row, zoom: SIDE / width, scale: Scale::Fixed(0.0, 1.0) };
        write_grid(&tiles, &style, &labels, &self.out)?;
        print(labels.join(" "))
    }
}
