//! Grids of tiles as PNG: first-layer kernels, activation maps, batches of images.
//!
//! A kernel means something only beside its neighbours, so tiles stand in rows on one sheet, and
//! kernels share one scale: a kernel near zero looks flat, as it is. Activation maps differ in range
//! by orders of magnitude, and there every tile has its own scale. Enlarging repeats pixels and
//! never blends them, since a 3x3 kernel has nine values and should show nine.
//!
//! The sheet is blue and a NaN is magenta, colours that no grey tile contains, so neither an edge
//! nor a broken value can be taken for data.

use std::io::Cursor;

use font8x8::{BASIC_FONTS, UnicodeFonts};
use image::{ImageFormat, Rgb, RgbImage};

use super::{Error, Result, refuse};

const SHEET: Rgb<u8> = Rgb([58, 84, 110]);
const NOT_A_NUMBER: Rgb<u8> = Rgb([255, 0, 255]);

/// Pixels between tiles and around them, as torchvision's `make_grid` has it.
const GAP: usize = 2;

/// Pixels of a letter's side, and of a line of them with the space around it.
const GLYPH: usize = 8;
const LINE: usize = GLYPH + 2 * GAP;

/// The largest sheet, in pixels: 192 MiB while it is drawn.
const LARGEST: usize = 1 << 26;

/// Small pictures of one size: one value per pixel (grey), or three planes of them (red, green, blue).
pub struct Tiles<'a> {
    values: &'a [f32],
    shape: [usize; 4],
}

impl<'a> Tiles<'a> {
    /// A tensor's values of shape `[tiles, channels, height, width]`, with 1 or 3 channels.
    pub fn new(values: &'a [f32], shape: [usize; 4]) -> Result<Self> {
        let expected = shape.iter().fold(1, |product: usize, side| product.saturating_mul(*side));
        if !matches!(shape[1], 1 | 3) || expected == 0 || values.len() != expected {
            let came = values.len();
            return refuse(format!(
                "tiles of shape {shape:?} expect 1 or 3 channels and {expected} values, got {came}"
            ));
        }
        Ok(Self { values, shape })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// The tiles' values, one tile after another.
    fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        let [_, channels, height, width] = self.shape;
        self.values.chunks_exact(channels * height * width)
    }

    /// The colour of pixel `index` of a tile, with `range` mapped to black and white.
    fn colour(&self, tile: &[f32], index: usize, range: (f32, f32)) -> Rgb<u8> {
        let [_, channels, height, width] = self.shape;
        // A grey tile has one plane, which serves all three colours.
        let planes = [0, 1, 2].map(|plane| plane % channels * height * width);
        let values = planes.map(|plane| tile[plane + index]);
        if values.iter().any(|value| value.is_nan()) {
            return NOT_A_NUMBER;
        }
        Rgb(values.map(|value| shade(value, range)))
    }
}

/// 0 to 255 for the ends of the range. A range of one value is black, as a map that never fires should be.
fn shade(value: f32, (low, high): (f32, f32)) -> u8 {
    // In f64, since the difference of two finite f32 may overflow.
    let [value, low, high] = [value, low, high].map(f64::from);
    let level = if high > low { (value - low) / (high - low) } else { 0.0 };
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
    /// Tiles in a row, at least 1.
    pub per_row: usize,
    /// How many pixels wide and high a tile's pixel becomes, at least 1.
    pub zoom: usize,
    /// What is black and what is white.
    pub scale: Scale,
}

/// Lays tiles out in rows. Errors if the sheet would exceed 2^26 pixels.
pub fn grid(tiles: &Tiles, style: &GridStyle) -> Result<RgbImage> {
    labelled_grid(tiles, style, &[])
}

/// The same with a line of text below each tile, cut where the tile ends; without labels there are no lines.
pub fn labelled_grid(tiles: &Tiles, style: &GridStyle, labels: &[String]) -> Result<RgbImage> {
    let [count, _, height, width] = tiles.shape;
    let (zoom, columns) = (style.zoom.max(1), style.per_row.clamp(1, count));
    let [down, across] = [height, width].map(|side| side.saturating_mul(zoom).saturating_add(GAP));
    let down = down.saturating_add(if labels.is_empty() { 0 } else { LINE });
    let sides = [columns.saturating_mul(across), count.div_ceil(columns).saturating_mul(down)];
    let [sheet_width, sheet_height] = sides.map(|side| side.saturating_add(GAP));
    if sheet_width.saturating_mul(sheet_height) > LARGEST {
        return refuse(format!("a sheet of {sheet_width}x{sheet_height} pixels is too large"));
    }
    let mut sheet = RgbImage::from_pixel(sheet_width as u32, sheet_height as u32, SHEET);
    let shared = range(tiles.values);
    for (number, tile) in tiles.iter().enumerate() {
        let range = match style.scale {
            Scale::Shared => shared,
            Scale::PerTile => range(tile),
            Scale::Fixed(low, high) => (low, high),
        };
        let (left, top) = (GAP + number % columns * across, GAP + number / columns * down);
        for y in 0..height * zoom {
            for x in 0..width * zoom {
                let colour = tiles.colour(tile, y / zoom * width + x / zoom, range);
                sheet.put_pixel((left + x) as u32, (top + y) as u32, colour);
            }
        }
        if let Some(label) = labels.get(number) {
            write_label(&mut sheet, label, [left, top + height * zoom + GAP], width * zoom);
        }
    }
    Ok(sheet)
}

/// Writes as much of `text` as fits into `width` pixels, centred.
fn write_label(sheet: &mut RgbImage, text: &str, [left, top]: [usize; 2], width: usize) {
    let glyphs = text.chars().map(|letter| BASIC_FONTS.get(letter).unwrap_or_default());
    let glyphs: Vec<[u8; GLYPH]> = glyphs.take(width / GLYPH).collect();
    let start = left + (width - glyphs.len() * GLYPH) / 2;
    for (place, glyph) in glyphs.iter().enumerate() {
        for (y, row) in glyph.iter().enumerate() {
            for x in (0..GLYPH).filter(|x| (row >> x) & 1 == 1) {
                let at = [start + place * GLYPH + x, top + y].map(|pixel| pixel as u32);
                sheet.put_pixel(at[0], at[1], Rgb([255; 3]));
            }
        }
    }
}

/// The least and greatest finite value; equal if there is none to tell apart.
fn range(values: &[f32]) -> (f32, f32) {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let extremes = finite.map(|value| (value, value));
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

    /// The shades of grey tiles of one row each, without the sheet between them.
    fn shades(values: &[f32], count: usize, scale: Scale) -> Vec<[u8; 3]> {
        let width = values.len() / count;
        let tiles = Tiles::new(values, [count, 1, 1, width]).unwrap();
        let sheet = grid(&tiles, &GridStyle { per_row: 1, zoom: 1, scale }).unwrap();
        sheet.pixels().map(|pixel| pixel.0).filter(|colour| *colour != SHEET.0).collect()
    }

    fn grey<const N: usize>(shades: [u8; N]) -> Vec<[u8; 3]> {
        shades.map(|shade| [shade; 3]).to_vec()
    }

    #[test]
    fn tiles_stand_where_they_should() {
        let tiles = Tiles::new(&[1.0; 18], [3, 1, 2, 3]).unwrap();
        let style = GridStyle { per_row: 2, zoom: 5, scale: Scale::Fixed(0.0, 1.0) };
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
    fn labels_stand_below_their_tiles_and_are_cut() {
        let tiles = Tiles::new(&[0.0; 2], [2, 1, 1, 1]).unwrap();
        let style = GridStyle { per_row: 2, zoom: 20, scale: Scale::Fixed(0.0, 1.0) };
        let sheet =
            |labels: [&str; 2]| labelled_grid(&tiles, &style, &labels.map(str::to_owned)).unwrap();
        let written = sheet(["dog", "dolphin"]);
        assert_eq!(written.dimensions(), (2 + 2 * 22, 2 + 20 + 2 + 12));
        let white = |sheet: &RgbImage| -> Vec<(u32, u32)> {
            let pixels = sheet.enumerate_pixels().filter(|pixel| pixel.2.0 == [255; 3]);
            pixels.map(|(x, y, _)| (x, y)).collect()
        };
        // Two letters of eight pixels fit into twenty, and both words begin with the same.
        let (left, right): (Vec<_>, Vec<_>) = white(&written).into_iter().partition(|at| at.0 < 23);
        let moved: Vec<(u32, u32)> = left.iter().map(|(x, y)| (x + 22, *y)).collect();
        assert_eq!(moved, right);
        assert!(
            !left.is_empty()
                && left.iter().all(|(x, y)| (4..20).contains(x) && (24..32).contains(y))
        );
        assert!(white(&sheet(["", "é"])).is_empty());
    }

    #[test]
    fn a_scale_is_shared_or_each_tiles_own() {
        let values = [0.0, 1.0, 2.0, 4.0];
        assert_eq!(shades(&values, 2, Scale::Shared), grey([0, 64, 128, 255]));
        assert_eq!(shades(&values, 2, Scale::PerTile), grey([0, 255, 0, 255]));
        assert_eq!(shades(&values, 2, Scale::Fixed(1.0, 3.0)), grey([0, 0, 128, 255]));
    }

    #[test]
    fn constants_are_black_and_broken_values_do_not_set_the_scale() {
        assert_eq!(shades(&[7.0, 7.0], 1, Scale::Shared), grey([0, 0]));
        let odd = [f32::NEG_INFINITY, 0.0, f32::NAN, 1.0, f32::INFINITY];
        let expected = [[0; 3], [0; 3], NOT_A_NUMBER.0, [255; 3], [255; 3]];
        assert_eq!(shades(&odd, 1, Scale::Shared), expected);
        assert_eq!(shades(&[f32::MIN, 0.0, f32::MAX], 1, Scale::Shared), grey([0, 128, 255]));
        assert_eq!(shades(&[f32::NAN], 1, Scale::PerTile), [NOT_A_NUMBER.0]);
    }

    #[test]
    fn three_channels_are_planes_of_red_green_blue_and_a_png_keeps_them() {
        let tiles = Tiles::new(&[0.0, 1.0, 0.4, 0.6, 1.0, 0.0], [1, 3, 1, 2]).unwrap();
        let style = GridStyle { per_row: 1, zoom: 1, scale: Scale::Fixed(0.0, 1.0) };
        let bytes = png(&grid(&tiles, &style).unwrap()).unwrap();
        let back = image::load_from_memory(&bytes).unwrap().to_rgb8();
        let pixels = [2, 3].map(|x| back.get_pixel(x, 2).0);
        assert_eq!(pixels, [[0, 102, 255], [255, 153, 0]]);
    }

    #[test]
    fn what_is_no_grid_is_an_error() {
        let message = |shape| Tiles::new(&[0.0; 5], shape).err().map(|error| error.to_string());
        let expected = "tiles of shape [2, 1, 1, 3] expect 1 or 3 channels and 6 values, got 5";
        assert_eq!(message([2, 1, 1, 3]).as_deref(), Some(expected));
        assert!(message([0, 1, 1, 3]).is_some());
        assert!(message([1, 5, 1, 1]).is_some());
        assert!(message([5, 1, 1, 1]).is_none());
        let tiles = Tiles::new(&[0.0; 5], [5, 1, 1, 1]).unwrap();
        let style = GridStyle { per_row: 1, zoom: 1 << 20, scale: Scale::Shared };
        assert!(grid(&tiles, &style).unwrap_err().to_string().contains("is too large"));
    }
}
