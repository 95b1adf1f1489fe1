//! Light and colour, pixel by pixel.
//!
//! Brightness, contrast and saturation are one formula: away from, or towards, a picture that has none of it.
//!
//! ```text
//! out = dull + factor (photo - dull)
//! ```
//!
//! with `dull` black, the mean grey, or the grey of each pixel. A factor of 1 changes nothing.

use super::Photo;

impl Photo {
    /// Brighter, or towards black below 1.
    pub fn brightness(self, factor: f32) -> Self {
        self.map(|pixel| pixel.map(|value| blend(0, value, factor)))
    }

    /// More contrast, or towards the mean grey below 1.
    pub fn contrast(self, factor: f32) -> Self {
        let sum: u64 = self.pixels.as_chunks().0.iter().map(|rgb| u64::from(grey(*rgb))).sum();
        let mean = (sum as f64 / (self.width * self.height) as f64 + 0.5) as u8;
        self.map(|pixel| pixel.map(|value| blend(mean, value, factor)))
    }

    /// More colour, or towards grey below 1.
    pub fn saturation(self, factor: f32) -> Self {
        self.map(|pixel| pixel.map(|value| blend(grey(pixel), value, factor)))
    }

    /// All hues turned by a share of the circle, from -0.5 to 0.5.
    pub fn hue(self, turn: f64) -> Self {
        // Hues are bytes that wrap.
        let turn = (turn * 255.0) as i32 as u8;
        self.map(|pixel| {
            let [hue, saturation, value] = to_hsv(pixel);
            from_hsv([hue.wrapping_add(turn), saturation, value])
        })
    }

    /// Without colour.
    pub fn grayscale(self) -> Self {
        self.map(|pixel| [grey(pixel); 3])
    }
}

/// Luma as of ITU-R 601-2, in 16 binary places.
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}

/// Rounded down, and kept within a byte by the cast.
fn blend(dull: u8, value: u8, factor: f32) -> u8 {
    let [dull, value] = [dull, value].map(f32::from);
    (dull + factor * (value - dull)) as u8
}

/// Hue, saturation and value as bytes; the fractions are rounded down.
fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (least, most) = (red.min(green).min(blue), red.max(green).max(blue));
    if least == most {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [r, g, b] = [red, green, blue].map(|colour| f32::from(most - colour) / range);
    let sixths = match most {
        _ if red == most => b - g,
        _ if green == most => 2.0 + r - b,
        _ => 4.0 + g - r,
    };
    let hue = (f64::from(sixths) / 6.0 + 1.0) % 1.0;
    let saturation = range / f32::from(most);
    [(hue as f32 as f64 * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// The inverse, as far as bytes can be.
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let (sector, rest) = (sixths.floor(), sixths.fract());
    let share = f64::from(saturation) / 255.0;
    let faded = |by: f64| (f64::from(value) * (1.0 - share * by)).round() as u8;
    let (low, falling, rising) = (faded(1.0), faded(rest), faded(1.0 - rest));
    match sector as u8 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}
