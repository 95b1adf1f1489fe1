//! The mean that follows: what a noisy loss is drawn as.

use serde::{Deserialize, Serialize};
use striate_conv::Float;

/// An exponential mean of the losses so far, corrected for having begun at 0, as fastai reports the training loss:
///
/// ```text
/// m <- 0.98 m + 0.02 loss        value = m / (1 - 0.98^n) after n losses
/// ```
///
/// About the last fifty steps count. It is no epoch's mean: it lies below one while the loss falls.
///
/// ```
/// use striate_nn::Smoothed;
/// let mut smoothed = Smoothed::default();
/// assert!(smoothed.value().is_nan());
/// smoothed.add(2.0);
/// assert!((smoothed.value() - 2.0).abs() < 1e-12);
/// smoothed.add(1.0);
/// assert!((smoothed.value() - (0.98 * 2.0 + 1.0) / 1.98).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Smoothed {
    mean: f64,
    count: u32,
}

const BETA: f64 = 0.98;

impl Smoothed {
    /// Takes in one more loss.
    pub fn add(&mut self, loss: f64) {
        self.mean = BETA * self.mean + (1.0 - BETA) * loss;
        self.count = self.count.saturating_add(1);
    }

    /// The mean; not a number before the first loss.
    pub fn value(&self) -> f64 {
        self.mean / (1.0 - Float::powf(BETA, f64::from(self.count)))
    }
}
