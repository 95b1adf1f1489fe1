//! Resizing with a triangle filter that is as wide as the step between outputs, so nothing aliases.
//!
//! For output `i`, with `scale = inputs / outputs` and `width = max(scale, 1)`:
//!
//! ```text
//! centre  = (i + 1/2) scale
//! weight  = max(0, 1 - |x + 1/2 - centre| / width)     for the inputs x within width of the centre
//! ```
//!
//! divided by their sum, and rounded to 22 binary places, as PIL does it: first along rows, rounded to bytes, then
//! along columns.

use super::Photo;

/// Binary places of a weight.
const PLACES: u32 = 22;

/// The inputs of one output: the first, and the weights from there on.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Window {
    /// The weighted sum of `input`, in which neighbours lie `step` apart, rounded to a byte.
    fn sum(&self, input: &[u8], step: usize) -> u8 {
        let taps = input[self.first * step..].iter().step_by(step).zip(&self.weights);
        let sum: i32 = taps.map(|(&byte, weight)| i32::from(byte) * weight).sum();
        ((sum + (1 << (PLACES - 1))) >> PLACES).clamp(0, 255) as u8
    }
}

/// The window of each of `outputs` over `inputs`.
fn windows(inputs: usize, outputs: usize) -> Vec<Window> {
    let scale = inputs as f64 / outputs as f64;
    let support = scale.max(1.0);
    let window = |output: usize| {
        let centre = (output as f64 + 0.5) * scale;
        // Casts of negative numbers saturate at 0.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(inputs);
        let distance = |x: usize| ((x as f64 - centre + 0.5) / support).abs();
        let weights: Vec<f64> = (first..end).map(|x| (1.0 - distance(x)).max(0.0)).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| (weight / sum * f64::from(1 << PLACES) + 0.5) as i32;
        Window { first, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..outputs).map(window).collect()
}

impl Photo {
    /// The whole photo in `width` x `height` pixels, at least one each.
    pub fn resize(&self, width: usize, height: usize) -> Self {
        self.across(width.max(1)).down(height.max(1))
    }

    /// Its shorter side resized to `size`, the longer in proportion, rounded down.
    pub fn resize_shorter(&self, size: usize) -> Self {
        let short = self.width.min(self.height);
        self.resize(self.width * size / short, self.height * size / short)
    }

    fn across(&self, width: usize) -> Self {
        if width == self.width {
            return self.clone();
        }
        let mut pixels = Vec::with_capacity(3 * width * self.height);
        let windows = windows(self.width, width);
        for row in self.pixels.chunks_exact(3 * self.width) {
            let sums = |window: &Window| [0, 1, 2].map(|channel| window.sum(&row[channel..], 3));
            pixels.extend(windows.iter().flat_map(sums));
        }
        Self { width, height: self.height, pixels }
    }

    fn down(&self, height: usize) -> Self {
        if height == self.height {
            return self.clone();
        }
        let row = 3 * self.width;
        let mut pixels = Vec::with_capacity(row * height);
        for window in windows(self.height, height) {
            pixels.extend((0..row).map(|column| window.sum(&self.pixels[column..], row)));
        }
        Self { width: self.width, height, pixels }
    }
}
