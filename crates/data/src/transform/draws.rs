//! The numbers of one step on one sample.

use std::ops::Range;

use striate_conv::Float;
use striate_tensor::random::Key;

/// How many numbers a step may draw.
const NUMBERS: u64 = 256;

/// A row of numbers that belongs to one step: what another step draws cannot shift it.
pub(super) struct Draws {
    key: Key,
    next: u64,
}

impl Draws {
    /// The numbers of step `number` under the sample's key.
    pub(super) fn new(key: Key, number: usize) -> Self {
        Self { key, next: number as u64 * NUMBERS }
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        self.next += 1;
        self.key.uniform(self.next - 1)
    }

    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `range`, which is not empty.
    pub(super) fn integer(&mut self, range: Range<usize>) -> usize {
        range.start + (self.unit() * range.len() as f64) as usize
    }

    /// A random order of `items`.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.integer(0..last + 1));
        }
    }

    /// A rectangle in `width` x `height` whose share of the area is uniform in `area` and whose width over height is
    /// uniform in the logarithm between the ends of `ratio`: `(left, top, width, height)`. None if ten did not fit.
    pub(super) fn rectangle(
        &mut self,
        [width, height]: [usize; 2],
        area: (f64, f64),
        ratio: (f64, f64),
    ) -> Option<[usize; 4]> {
        let fits = |draws: &mut Self| {
            let area = (width * height) as f64 * draws.uniform(area.0, area.1);
            let ratio = Float::exp(draws.uniform(Float::ln(ratio.0), Float::ln(ratio.1)));
            let w = (area * ratio).sqrt().round() as usize;
            let h = (area / ratio).sqrt().round() as usize;
            let fits = (1..=width).contains(&w) && (1..=height).contains(&h);
            fits.then(|| [draws.integer(0..width - w + 1), draws.integer(0..height - h + 1), w, h])
        };
        (0..10).find_map(|_| fits(self))
    }
}
