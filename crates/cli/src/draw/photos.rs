//! Contact sheets: photos of any shape, five in a row.

use striate::data::Photo;

use super::Result;
use super::tiles::{GridStyle, Scale, Tiles, grid, png};

/// The photos as PNG, each framed to a square of `side` pixels.
pub fn contact_sheet(photos: &[Photo], side: usize) -> Result<Vec<u8>> {
    let squares = photos.iter().map(|photo| photo.pad_to_square().resize(side, side));
    let planes = squares.flat_map(|photo| {
        [0, 1, 2].map(|channel| photo.pixels()[channel..].iter().step_by(3).copied().collect())
    });
    let bytes: Vec<Vec<u8>> = planes.collect();
    let values: Vec<f32> = bytes.concat().into_iter().map(|byte| f32::from(byte) / 255.0).collect();
    let tiles = Tiles::new(&values, [photos.len(), 3, side, side])?;
    png(&grid(&tiles, &GridStyle { per_row: 5, zoom: 1, scale: Scale::Fixed(0.0, 1.0) })?)
}
