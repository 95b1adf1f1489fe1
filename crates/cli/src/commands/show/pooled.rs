//! `striate show pooled`: what max pooling leaves of a picture.

use std::path::PathBuf;

use image::ImageReader;
use striate::prelude::*;

use super::super::png_file;
use super::write_grid;
use crate::draw::tiles::{GridStyle, Scale, Tiles};
use crate::{Failure, named};

/// A picture, pooled once, twice and so on, side by side at one size
#[derive(clap::Args)]
pub struct Arguments {
    /// The picture file
    image: PathBuf,
    /// How often it is pooled by two
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=6))]
    times: u32,
    /// The picture to write
    #[arg(long, default_value = "pooled.png", value_parser = png_file())]
    out: PathBuf,
}

/// The longest side that is drawn.
const SIDE: u32 = 384;

impl Arguments {
    pub fn draw(&self) -> Result<(), Failure> {
        let reader = ImageReader::open(&self.image).and_then(ImageReader::with_guessed_format);
        let picture = reader.map_err(named(&self.image))?.decode().map_err(named(&self.image))?;
        let picture = match picture.width().max(picture.height()) > SIDE {
            true => picture.thumbnail(SIDE, SIDE),
            false => picture,
        };
        let picture = picture.into_rgb8();
        // Sides that every pooling halves.
        let whole = 1usize << self.times;
        let sides = [picture.height(), picture.width()].map(|side| side as usize / whole * whole);
        if sides.contains(&0) {
            let (path, times) = (self.image.display(), self.times);
            return Err(format!("{path}: too small to be pooled {times} times").into());
        }
        let [height, width] = sides;
        let mut map = planes(&picture, sides)?;
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for time in 0..=self.times {
            if time > 0 {
                map = map.max_pool(&PoolSpec::new([2, 2]))?;
            }
            let &[.., rows, columns] = map.shape() else { return Err("expected planes".into()) };
            let pixels = map.to_vec()?;
            // Enlarged to the first size by repeating pixels.
            let (down, across) = (height / rows, width / columns);
            for (plane, row) in (0..3).flat_map(|plane| (0..height).map(move |row| (plane, row))) {
                let start = (plane * rows + row / down) * columns;
                values.extend((0..width).map(|column| pixels[start + column / across]));
            }
            labels.push(format!("{columns}x{rows}"));
        }
        let tiles = Tiles::new(&values, [labels.len(), 3, height, width])?;
        let style = GridStyle { per_row: tiles.len(), zoom: 1, scale: Scale::Fixed(0.0, 1.0) };
        write_grid(&tiles, &style, &labels, &self.out)
    }
}

/// The upper left part of a picture as `[1, 3, height, width]`, in `[0, 1]`.
fn planes(picture: &image::RgbImage, [height, width]: [usize; 2]) -> Result<Tensor> {
    let value = |i: usize| {
        let (plane, row, column) = (i / (height * width), i / width % height, i % width);
        f32::from(picture.get_pixel(column as u32, row as u32).0[plane]) / 255.0
    };
    let values = (0..3 * height * width).map(value).collect();
    Tensor::from_vec(values, [1, 3, height, width], &Device::cpu())
}
