//! `striate show photos`: what a network is shown.

use std::path::PathBuf;

use striate::data::{Photos, Transform, Transforms};
use striate::nn::atomic_write;
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use super::settings::AUGMENTATION;
use crate::Failure;
use crate::commands::data::resolve;
use crate::commands::{png_file, print};
use crate::draw::photos::contact_sheet;

/// Photos on a sheet.
const COUNT: usize = 25;
/// The side of one.
const SIDE: usize = 128;

#[derive(clap::Args)]
pub struct Sheet {
    /// The folder of photos, or `dogs`, once that set is fetched
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// As they are while training, after document 2's random steps
    #[arg(long)]
    augmented: bool,
    /// The epoch whose random steps are drawn
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// The seed of the choice and of the random steps
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The picture to write
    #[arg(long, default_value = "photos.png", value_parser = png_file())]
    out: PathBuf,
}

impl Sheet {
    /// Draws the sheet, and prints the classes in the same order.
    pub fn draw(&self) -> Result<(), Failure> {
        let random = AUGMENTATION.into_iter().filter(|_| self.augmented);
        let sized = [Transform::PadToSquare, Transform::Resize([SIDE; 2])];
        let photos =
            Photos::from_dir(resolve(self.data.clone())?, Transforms::new(random.chain(sized))?)?;
        let mut chosen = Key::new(self.seed, Purpose::Shuffle).permutation(photos.len());
        chosen.truncate(COUNT);
        // The loader's keys, so that this is what training sees.
        let key = Key::new(self.seed, Purpose::Augment).step(self.epoch);
        let seen = chosen.iter().map(|&index| {
            Ok(photos.transforms().apply(photos.photo(index)?, key.stream(index as u64)))
        });
        let seen = seen.collect::<Result<Vec<_>, Failure>>()?;
        atomic_write(&self.out, &contact_sheet(&seen, SIDE)?)?;
        print(format_args!("{}: {} photos", self.out.display(), seen.len()))?;
        let names = chosen.iter().map(|&index| &*photos.classes()[photos.labels()[index] as usize]);
        print(names.collect::<Vec<&str>>().join(" "))
    }
}
