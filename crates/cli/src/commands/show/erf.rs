//! `striate show erf`: what a cell looks at, in the field of all that it could see.

use std::path::{Path, PathBuf};

use striate::models::Entry;
use striate::nn::{Field, ReceptiveField, effective_field};
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use super::super::{png_file, print};
use super::{held_out, write_grid};
use crate::Failure;
use crate::draw::tiles::{GridStyle, Scale, Tiles};
use crate::run::run_or_model;

/// The effective receptive field: how much the middle cell of the last map depends on each pixel
///
/// The absolute gradient, averaged over held-out images of the network's data set, or, where there are none, over noise.
/// Brightness is its square root, so that the faint edges show. Several networks stand side by side.
#[derive(clap::Args)]
pub struct Arguments {
    /// Run folders, or models' names for fresh weights
    #[arg(required = true)]
    networks: Vec<String>,
    /// A folder with MNIST or CIFAR-10 [default: what the run used, or the shipped digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many images
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    images: u32,
    /// The picture to write
    #[arg(long, default_value = "erf.png", value_parser = png_file())]
    out: PathBuf,
}

/// Pixels to which an image's side is enlarged.
const SIDE: usize = 256;
/// Images at a time.
const BATCH: usize = 16;
/// The share of the gradient that the printed square holds.
const SHARE: f64 = 0.95;

impl Arguments {
    pub fn draw(&self) -> Result<(), Failure> {
        let mut values: Vec<f32> = Vec::new();
        let mut shape: Option<[usize; 2]> = None;
        for name in &self.networks {
            let (entry, net) = run_or_model(name)?;
            let &[_, height, width] = entry.input else {
                return Err(format!("{name} does not look at pictures").into());
            };
            if *shape.get_or_insert([height, width]) != [height, width] {
                return Err(format!("{name}: expected networks for pictures of one size").into());
            }
            let looked = self.look(name, entry, &*net)?;
            let highest = looked.iter().fold(f32::MIN_POSITIVE, |a, b| a.max(*b));
            values.extend(looked.iter().map(|gradient| (gradient / highest).sqrt()));
        }
        let [height, width] = shape.unwrap_or_default();
        let tiles = Tiles::new(&values, [self.networks.len(), 1, height, width])?;
        let labels = self.networks.iter().map(|name| {
            let last = Path::new(name).file_name();
            last.map_or(name.clone(), |last| last.to_string_lossy().into_owned())
        });
        let zoom = SIDE / width;
        let style = GridStyle { per_row: tiles.len(), zoom, scale: Scale::Fixed(0.0, 1.0) };
        write_grid(&tiles, &style, &labels.collect::<Vec<_>>(), &self.out)
    }

    /// The mean gradient over all images; prints its extent.
    fn look(&self, name: &str, entry: &Entry, net: &dyn Module) -> Result<Vec<f32>, Failure> {
        let field = ReceptiveField::of(net)?;
        let Some(last) = field.layers.last() else {
            return Err(format!("{name} has no layer with windows over a map").into());
        };
        let (images, what) = self.images(name, entry)?;
        let mut total = vec![0.0f32; entry.input[1..].iter().product()];
        for batch in &images {
            let mean = effective_field(net, &last.path, batch)?.to_vec()?;
            let weight = batch.shape()[0] as f32 / self.images as f32;
            total.iter_mut().zip(mean).for_each(|(sum, mean)| *sum += mean * weight);
        }
        let map = Summary::new(net, entry.input)?;
        let map = map.rows.iter().find(|row| row.path == last.path).ok_or("expected a last map")?;
        let middle = |axis: usize, field: &Field| {
            field.centre() + (map.output[axis + 1] / 2 * field.jump) as f64
        };
        let centre = [middle(0, &last.fields[0]), middle(1, &last.fields[1])];
        let side = square(&total, entry.input[2], centre);
        print(format_args!(
            "{name}, {} {}: the field has {}x{} pixels; {:.0} % of the gradient lie in the middle {side}x{side}, on {what}",
            last.path,
            last.kind,
            last.fields[0].size(),
            last.fields[1].size(),
            100.0 * SHARE
        ))?;
        Ok(total)
    }

    /// Batches of held-out images, or of noise, and what they are.
    fn images(&self, name: &str, entry: &Entry) -> Result<(Vec<Tensor>, String), Failure> {
        let count = self.images as usize;
        let device = Device::cpu();
        if let Some(images) = held_out(name, entry, self.data.clone())? {
            if count > images.len() {
                return Err(format!("expected at most {} images, got {count}", images.len()).into());
            }
            let batches = Loader::new(&images.subset(0..count)?).batch(BATCH).epoch(0);
            let batches = batches.map(|batch| Ok(batch?.to(&device)?.0));
            return Ok((
                batches.collect::<Result<_, Failure>>()?,
                format!("{count} held-out images"),
            ));
        }
        let noise = (0..count).step_by(BATCH).map(|first| {
            let shape = [&[BATCH.min(count - first)], entry.input].concat();
            let key = Key::new(1, Purpose::Other(0)).step(first as u64);
            Tensor::normal(shape, (0.0, 1.0), &key, &device)
        });
        Ok((noise.collect::<Result<_, _>>()?, format!("{count} images of noise")))
    }
}

/// The side of the smallest square around `centre` that holds [`SHARE`] of the values.
fn square(values: &[f32], width: usize, centre: [f64; 2]) -> usize {
    let distance = |pixel: usize| {
        let at = [pixel / width, pixel % width].map(|place| place as f64);
        (at[0] - centre[0]).abs().max((at[1] - centre[1]).abs())
    };
    let mut pixels: Vec<(f64, f64)> =
        values.iter().enumerate().map(|(at, value)| (distance(at), f64::from(*value))).collect();
    pixels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = SHARE * pixels.iter().map(|pixel| pixel.1).sum::<f64>();
    let mut sum = 0.0;
    let edge = pixels.iter().find(|pixel| {
        sum += pixel.1;
        sum >= wanted
    });
    edge.map_or(0, |edge| (2.0 * edge.0 + 1.0).round() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_square_holds_its_share() {
        // One pixel with everything, and the same beside as much far away.
        let mut values = [0.0; 81];
        values[40] = 9.0;
        assert_eq!(square(&values, 9, [4.0, 4.0]), 1);
        values[8] = 9.0;
        assert_eq!(square(&values, 9, [4.0, 4.0]), 9);
        // Between four pixels.
        let even = [1.0; 16];
        assert_eq!(square(&even, 4, [1.5, 1.5]), 4);
    }
}
