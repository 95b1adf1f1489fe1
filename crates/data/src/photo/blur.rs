//! Gaussian blur: one window along rows, the same along columns.

use striate_conv::Float;

use super::Photo;

impl Photo {
    /// Blurred by a normal curve of standard deviation `sigma` pixels, cut to a window of `kernel` pixels, which is
    /// odd. Beyond an edge the photo is mirrored, without repeating the edge.
    ///
    /// ```text
    /// weight(x) = exp(-x^2 / (2 sigma^2)), x = -(kernel - 1) / 2 ... (kernel - 1) / 2, divided by their sum
    /// ```
    pub fn blur(&self, kernel: usize, sigma: f64) -> Self {
        let weights = normal_curve(kernel, sigma);
        let row = 3 * self.width;
        let values: Vec<f32> = self.pixels.iter().map(|&byte| f32::from(byte)).collect();
        let across = convolve(&values, &weights, |index| {
            let (start, place) = (index / row * row + index % 3, index % row / 3);
            (start, 3, place, self.width)
        });
        let down =
            convolve(&across, &weights, |index| (index % row, row, index / row, self.height));
        let pixels = down.into_iter().map(|value| value.round_ties_even() as u8).collect();
        Self { pixels, ..*self }
    }
}

fn normal_curve(kernel: usize, sigma: f64) -> Vec<f32> {
    let half = (kernel.max(1) - 1) as f64 / 2.0;
    let height = |x: usize| {
        let deviations = (x as f64 - half) / sigma;
        Float::exp(-0.5 * deviations * deviations)
    };
    let heights: Vec<f64> = (0..kernel.max(1)).map(height).collect();
    let sum: f64 = heights.iter().sum();
    heights.into_iter().map(|height| (height / sum) as f32).collect()
}

/// The weighted sum around each value. `line` says, for an index, where its line starts, how far neighbours on it lie
/// apart, its place on the line, and how many there are.
fn convolve(
    values: &[f32],
    weights: &[f32],
    line: impl Fn(usize) -> (usize, usize, usize, usize),
) -> Vec<f32> {
    let half = (weights.len() / 2) as isize;
    let sum = |index: usize| {
        let (start, step, place, len) = line(index);
        let taps = weights.iter().zip(-half..);
        taps.map(|(weight, offset)| {
            weight * values[start + step * mirrored(place as isize + offset, len)]
        })
        .sum()
    };
    (0..values.len()).map(sum).collect()
}

/// A place on a line of `len`, mirrored at both ends as often as it takes.
fn mirrored(place: isize, len: usize) -> usize {
    let period = (2 * len - 2).max(1) as isize;
    let place = place.rem_euclid(period) as usize;
    if place < len { place } else { 2 * len - 2 - place }
}
