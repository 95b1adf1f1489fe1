//! Grids of tiles as PNG: first-layer kernels, activation maps, batches of images.
//!
//! A kernel means something only beside its neighbours, so tiles stand in rows on one sheet, and by
//! default share one scale: a kernel near zero looks flat, as it is. Activation maps differ in range
//! by orders of magnitude, and there every tile may have its own scale. Enlarging repeats pixels and
//! never blends them, since a 3x3 kernel has nine values and should show nine.
//!
//! The sheet is blue and a NaN is magenta, colours that no grey tile contains, so neither an edge
//! nor a broken value can be taken for data.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

use super::{Error, Result, refuse};

const SHEET: Rgb<u8> = Rgb([58, 84, 110]);
const NOT_A_NUMBER: Rgb<u8> = Rgb([255, 0, 255]);

/// The largest sheet, in pixels: 192 MiB while it is drawn.
const LARGEST: usize = 1 << 26;

/// A small picture: one value per pixel (grey), or three planes of them (red, green, blue).
#[derive(Clone, Debug)]
pub struct Tile {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[channels, height, width]`, row-major, 1 or 3 channels.
    pub pixels: Vec<f32>,
}

impl Tile {
    /// Cuts a tensor's values of shape `[tiles, channels, height, width]` into its tiles.
    pub fn split(values: &[f32], shape: [usize; 4]) -> Result<Vec<Self>> {
        let [_, channels, height, width] = shape;
        let (expected, came) = (
            shape.iter().fold(1, |product: usize, side| product.saturating_mul(*side)),
            values.len(),
        );
        if expected == 0 || came != expected {
            return refuse(format!(
                "tiles of shape {shape:?} expect {expected} values, got {came}"
            ));
        }
        let tiles = values.chunks_exact(channels * height * width);
        Ok(tiles.map(|pixels| Self { width, height, pixels: pixels.to_vec() }).collect())
    }

    fn size(&self) -> String {
        format!("{}x{}", self.width, self.height)
    }

    /// The colour at a row and a column, with `range` mapped to black and white.
    fn colour(&self, row: usize, column: usize, range: (f32, f32)) -> Rgb<u8> {
        let plane = self.width * self.height;
        // A grey tile has one plane, which serves all three colours.
        let next = if self.pixels.len() == plane { 0 } else { plane };
        let first = row * self.width + column;
        let values = [first, first + next, first + 2 * next].map(|index| self.pixels[index]);
        if values.iter().any(|value| value.is_nan()) {
            return NOT_A_NUMBER;
        }
        Rgb(values.map(|value| shade(value, range)))
    }
}

/// 0 to 255 for the ends of the range; a range of one value is mid-grey.
fn shade(value: f32, (low, high): (f32, f32)) -> u8 {
    // In f64, since the difference of two finite f32 may overflow.
    let [value, low, high] = [value, low, high].map(f64::from);
    let level = if high > low { (value - low) / (high - low) } else { 0.5 };
    (level.clamp(0.0, 1.0) * 255.0).round() as u8
}

/// Which values are black and white. Infinities never set a range; they take its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// The least and greatest value of all tiles: tiles can be compared.
    Shared,
    /// The least and greatest value of each tile: every tile shows its structure.
    PerTile,
    /// These values, as 0 and 1 for images; what lies beyond is clipped.
    Fixed(f32, f32),
}

/// How tiles are laid out.
#[derive(Clone, Copy, Debug)]
pub struct GridStyle {
    /// Tiles in a row.
    pub per_row: usize,
    /// Pixels between tiles and around them, not enlarged.
    pub gap: usize,
    /// How many pixels wide and high a tile's pixel becomes.
    pub zoom: usize,
    /// What is black and what is white.
    pub scale: Scale,
}

impl Default for GridStyle {
    /// Eight a row, two pixels apart, one scale for all, as torchvision's `make_grid`.
    fn default() -> Self {
        Self { per_row: 8, gap: 2, zoom: 1, scale: Scale::Shared }
    }
}

/// Lays tiles of one size out in rows.
///
/// Errors if there is none, if sizes differ, if a tile has other than 1 or 3 channels, if `per_row`
/// or `zoom` is 0, or if the sheet would exceed 2^26 pixels.
pub fn grid(tiles: &[Tile], style: &GridStyle) -> Result<RgbImage> {
    let first = checked(tiles)?;
    let columns = style.per_row.min(tiles.len());
    let (width, height) = sheet_size(first, columns, tiles.len(), style)?;
    let mut sheet = RgbImage::from_pixel(width, height, SHEET);
    let shared = range(tiles);
    for (index, tile) in tiles.iter().enumerate() {
        let range = match style.scale {
            Scale::Shared => shared,
            Scale::PerTile => range(std::slice::from_ref(tile)),
            Scale::Fixed(low, high) => (low, high),
        };
        let left = style.gap + index % columns * (tile.width * style.zoom + style.gap);
        let top = style.gap + index / columns * (tile.height * style.zoom + style.gap);
        for y in 0..tile.height * style.zoom {
            for x in 0..tile.width * style.zoom {
                let colour = tile.colour(y / style.zoom, x / style.zoom, range);
                sheet.put_pixel((left + x) as u32, (top + y) as u32, colour);
            }
        }
    }
    Ok(sheet)
}

/// The first tile, if all have its size and 1 or 3 channels.
fn checked(tiles: &[Tile]) -> Result<&Tile> {
    let Some(first) = tiles.first() else {
        return refuse("a grid expects at least one tile, got none");
    };
    let expected = first.size();
    for (index, tile) in tiles.iter().enumerate() {
        let (size, area, values) =
            (tile.size(), tile.width.saturating_mul(tile.height), tile.pixels.len());
        if size != expected {
            return refuse(format!("tile {index} is {size}, the first is {expected}"));
        }
        if area == 0 || (values != area && values != area.saturating_mul(3)) {
            let expected = "1 or 3 values a pixel";
            return refuse(format!(
                "tile {index} of {size} expects {expected}, got {values} values"
            ));
        }
    }
    Ok(first)
}

fn sheet_size(tile: &Tile, columns: usize, count: usize, style: &GridStyle) -> Result<(u32, u32)> {
    let (per_row, zoom) = (style.per_row, style.zoom);
    if per_row == 0 || zoom == 0 {
        return refuse(format!(
            "a grid expects per_row and zoom of 1 or more, got {per_row} and {zoom}"
        ));
    }
    let side = |tiles: usize, length: usize| {
        let pitch = length.saturating_mul(zoom).saturating_add(style.gap);
        tiles.saturating_mul(pitch).saturating_add(style.gap)
    };
    let (width, height) = (side(columns, tile.width), side(count.div_ceil(columns), tile.height));
    if width.saturating_mul(height) > LARGEST {
        return refuse(format!("a sheet of {width}x{height} pixels is too large; lower the zoom"));
    }
    Ok((width as u32, height as u32))
}

/// The least and greatest finite value; equal if there is none to tell apart.
fn range(tiles: &[Tile]) -> (f32, f32) {
    let values = tiles.iter().flat_map(|tile| &tile.pixels).copied();
    let extremes = values.filter(|value| value.is_finite()).map(|value| (value, value));
    extremes.reduce(|(low, high), (value, _)| (low.min(value), high.max(value))).unwrap_or_default()
}

/// The bytes of a PNG file.
pub fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let written = picture.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|cause| Error::Drawing { what: "tiles", cause: cause.to_string() })?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(width: usize, height: usize, pixels: &[f32]) -> Tile {
        Tile { width, height, pixels: pixels.to_vec() }
    }

    fn grey(pixels: &[f32]) -> Tile {
        tile(pixels.len(), 1, pixels)
    }

    fn drawn(tiles: &[Tile], scale: Scale) -> RgbImage {
        let style = GridStyle { per_row: 1, gap: 0, zoom: 1, scale };
        grid(tiles, &style).unwrap()
    }

    fn shades(picture: &RgbImage) -> Vec<u8> {
        picture.pixels().map(|pixel| pixel.0[0]).collect()
    }

    #[test]
    fn tiles_stand_where_they_should() {
        let tiles = vec![tile(3, 2, &[1.0; 6]); 3];
        let style = GridStyle { per_row: 2, gap: 2, zoom: 5, scale: Scale::Fixed(0.0, 1.0) };
        let sheet = grid(&tiles, &style).unwrap();
        assert_eq!(sheet.dimensions(), (2 + 15 + 2 + 15 + 2, 2 + 10 + 2 + 10 + 2));
        for (x, y, pixel) in sheet.enumerate_pixels() {
            let (left, right) = ((2..17).contains(&x), (19..34).contains(&x));
            let (upper, lower) = ((2..12).contains(&y), (14..24).contains(&y));
            let inside = upper && (left || right) || lower && left;
            assert_eq!(pixel.0 == [255; 3], inside, "at {x}, {y}");
        }
    }

    #[test]
    fn a_scale_is_shared_or_each_tiles_own() {
        let tiles = [grey(&[0.0, 1.0]), grey(&[2.0, 4.0])];
        assert_eq!(shades(&drawn(&tiles, Scale::Shared)), [0, 64, 128, 255]);
        assert_eq!(shades(&drawn(&tiles, Scale::PerTile)), [0, 255, 0, 255]);
        assert_eq!(shades(&drawn(&tiles, Scale::Fixed(1.0, 3.0))), [0, 0, 128, 255]);
    }

    #[test]
    fn constants_are_mid_grey_and_broken_values_do_not_set_the_scale() {
        assert_eq!(shades(&drawn(&[grey(&[7.0, 7.0])], Scale::Shared)), [128, 128]);
        let odd = [f32::NEG_INFINITY, 0.0, f32::NAN, 1.0, f32::INFINITY];
        let picture = drawn(&[grey(&odd)], Scale::Shared);
        assert_eq!(shades(&picture), [0, 0, 255, 255, 255]);
        assert_eq!(*picture.get_pixel(2, 0), NOT_A_NUMBER);
        assert_eq!(
            shades(&drawn(&[grey(&[f32::MIN, 0.0, f32::MAX])], Scale::Shared)),
            [0, 128, 255]
        );
        assert_eq!(*drawn(&[grey(&[f32::NAN])], Scale::PerTile).get_pixel(0, 0), NOT_A_NUMBER);
    }

    #[test]
    fn three_channels_are_planes_of_red_green_blue_and_a_png_keeps_them() {
        let tiles = Tile::split(&[0.0, 1.0, 0.4, 0.6, 1.0, 0.0], [1, 3, 1, 2]).unwrap();
        let bytes = png(&drawn(&tiles, Scale::Fixed(0.0, 1.0))).unwrap();
        let back = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(back.as_raw(), &[0, 102, 255, 255, 153, 0]);
    }

    #[test]
    fn what_is_no_grid_is_an_error() {
        let message = |tiles: &[Tile], style| grid(tiles, &style).unwrap_err().to_string();
        let style = GridStyle::default();
        assert_eq!(message(&[], style), "a grid expects at least one tile, got none");
        assert_eq!(
            message(&[grey(&[1.0]), grey(&[1.0, 2.0])], style),
            "tile 1 is 2x1, the first is 1x1"
        );
        let two = tile(1, 1, &[0.0; 2]);
        assert_eq!(
            message(&[two], style),
            "tile 0 of 1x1 expects 1 or 3 values a pixel, got 2 values"
        );
        assert!(
            message(&[grey(&[1.0])], GridStyle { per_row: 0, ..style }).contains("got 0 and 1")
        );
        assert!(
            message(&[grey(&[1.0])], GridStyle { zoom: 1 << 20, ..style })
                .contains("lower the zoom")
        );
        let message = Tile::split(&[0.0; 5], [2, 1, 1, 3]).unwrap_err().to_string();
        assert_eq!(message, "tiles of shape [2, 1, 1, 3] expect 6 values, got 5");
    }
}
