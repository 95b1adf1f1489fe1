//! Photos: three bytes a pixel, and what may be done to them.
//!
//! Each method is a pure function of the photo and plain numbers; who draws the numbers is no concern of it. The
//! reference is torchvision's functions on PIL images, with PIL's own arithmetic where that is what the pixels
//! show: fixed-point weights when resizing, 16.16 coordinates when turning, truncation when blending. So a network
//! that was trained there sees here what it has learnt to see. Fixtures hold each of them to it.

mod blur;
mod colour;
mod crop;
mod resize;
mod warp;

use std::io::Cursor;
use std::path::Path;

use image::ImageReader;
pub use warp::Corners;

use crate::{DataError, Result};

/// A picture of bytes, red, green, blue, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Photo {
    /// A photo of `width * height` pixels, three bytes each.
    ///
    /// # Errors
    ///
    /// If a side is zero or the number of bytes is another.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        let expected = width.checked_mul(height).and_then(|area| area.checked_mul(3));
        if width == 0 || height == 0 || expected != Some(pixels.len()) {
            let bytes = pixels.len();
            let problem = format!("a photo of {width}x{height} pixels in {bytes} bytes");
            return Err(DataError::argument("photo", problem));
        }
        Ok(Self { width, height, pixels })
    }

    /// Reads a JPEG or PNG file; which of them, its bytes say. Grey pictures become coloured, transparency is dropped.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or decoded; the error names it.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(DataError::io(&name))?;
        Self::decode(&bytes, &name)
    }

    /// The same from the bytes of a file, called `name` in errors.
    ///
    /// # Errors
    ///
    /// If they are no JPEG or PNG, or damaged.
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self> {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        let decoded = reader.map_err(DataError::io(name))?.decode();
        let decoded = decoded.map_err(|error| {
            DataError::content(name, "a JPEG or PNG picture", format!("another file: {error}"))
        })?;
        let rgb = decoded.into_rgb8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        Self::new(width, height, rgb.into_raw())
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes: red, green, blue of the first pixel of the first row, and so on.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixel in column `x` and row `y`.
    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let index = 3 * (y * self.width + x);
        [self.pixels[index], self.pixels[index + 1], self.pixels[index + 2]]
    }

    /// A photo of the given size whose pixels are a function of column and row.
    fn from_fn(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = rows.flat_map(|(x, y)| pixel(x, y)).collect();
        Self { width, height, pixels }
    }

    /// The same photo with each pixel changed on its own.
    fn map(mut self, pixel: impl Fn([u8; 3]) -> [u8; 3]) -> Self {
        for rgb in self.pixels.as_chunks_mut().0 {
            *rgb = pixel(*rgb);
        }
        self
    }
}
