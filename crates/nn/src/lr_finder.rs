//! The learning rate range test (Smith 2015): train for a hundred steps while the rate rises from far too small to far
//! too large, and look at the loss.
//!
//! While the rate is too small the loss stands still; then it falls; where the rate is too large it rises and
//! diverges. A good rate lies on the slope. Settings and suggestions are fastai's: the rate of step `i` of `n` is
//! `start (end / start)^(i / n)`, the loss is [`Smoothed`](crate::Smoothed), and the test ends as soon as it exceeds
//! four times its least value. It is a test, not training: network, optimizer and position are put back.
//!
//! ```
//! use striate_nn::{Init, LrFinder, Trainer, layers::Linear, optim::Adam};
//! use striate_tensor::{Device, Error, Tensor};
//!
//! let device = Device::cpu();
//! let images = Tensor::from_vec(vec![1.0f32, 0.0, 0.0, 1.0], [2, 2], &device)?;
//! let labels = Tensor::from_vec(vec![0, 1], [2], &device)?;
//! let batches = std::iter::repeat_with(|| Ok::<_, Error>((images.clone(), labels.clone())));
//!
//! let net = Linear::new(&Init::seed(1), 2, 2)?;
//! let mut trainer = Trainer::new(&net, Adam::new(1e-3), 1);
//! let curve = LrFinder::fastai().run(&mut trainer, batches)?;
//! assert!(curve.steepest().unwrap() > 1e-6 && trainer.steps() == 0);
//! # Ok::<(), Error>(())
//! ```

use striate_tensor::{Error, Float, Result, Tensor};

use crate::{Evaluation, Smoothed, Trainer};

/// Settings of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrFinder {
    /// The first rate.
    pub start: f64,
    /// The rate that the step after the last one would have.
    pub end: f64,
    /// Steps, unless the loss diverges before.
    pub steps: usize,
}

impl LrFinder {
    /// From 1e-7 towards 10 in 100 steps.
    pub fn fastai() -> Self {
        LrFinder { start: 1e-7, end: 10.0, steps: 100 }
    }

    /// Runs the test on `batches`, of which it takes one a step, and puts `trainer` and its network back where they
    /// were, to the bit.
    ///
    /// # Errors
    ///
    /// Rates that are not above zero, no steps, and whatever training fails with, except a loss that is not finite:
    /// that is a divergence, and ends the test.
    pub fn run<T: Float, E: Into<Error>>(
        &self,
        trainer: &mut Trainer<T>,
        batches: impl IntoIterator<Item = Result<(Tensor<T>, Tensor<i64>), E>>,
    ) -> Result<LrCurve> {
        let usable = |rate: f64| rate.is_finite() && rate > 0.0;
        if !usable(self.start) || !usable(self.end) || self.steps == 0 {
            let message = format!("expected rates above zero and at least one step, got {self:?}");
            return Err(Error::argument("lr_finder", message));
        }
        let before = trainer.checkpoint()?;
        let curve = self.rise(trainer, batches);
        trainer.restore(&before)?;
        curve
    }

    fn rise<T: Float, E: Into<Error>>(
        &self,
        trainer: &mut Trainer<T>,
        batches: impl IntoIterator<Item = Result<(Tensor<T>, Tensor<i64>), E>>,
    ) -> Result<LrCurve> {
        let position = |step: usize| step as f64 / self.steps as f64;
        let rate = |step: usize| {
            self.start * striate_conv::Float::powf(self.end / self.start, position(step))
        };
        let mut rates: Vec<f64> = (0..self.steps).map(rate).collect();
        let (mut losses, mut diverged) = (Vec::new(), false);
        let (mut smoothed, mut best) = (Smoothed::default(), f64::INFINITY);
        let mut so_far = Evaluation::default();
        for (rate, batch) in rates.iter().zip(batches) {
            let (inputs, labels) = batch.map_err(Into::into)?;
            let step = trainer.attempt_at(*rate, (&inputs, &labels), &mut so_far)?;
            smoothed.add(step.loss);
            losses.push(smoothed.value());
            best = best.min(smoothed.value());
            diverged = smoothed.value().is_nan() || smoothed.value() > 4.0 * best;
            if diverged {
                break;
            }
        }
        if losses.last().is_some_and(|loss| loss.is_nan()) {
            // fastai goes on from here, to no avail, and counts the steps when it leaves out the last five.
            losses.resize(self.steps, f64::NAN);
        }
        rates.truncate(losses.len());
        Ok(LrCurve { steps: self.steps, rates, losses, diverged })
    }
}

/// The smoothed loss at each rate.
#[derive(Debug, Clone, PartialEq)]
pub struct LrCurve {
    /// How many steps there were to be.
    pub steps: usize,
    /// The rates that were tried.
    pub rates: Vec<f64>,
    /// The smoothed loss after each; not a number from where the loss was none.
    pub losses: Vec<f64>,
    /// Whether the loss exceeded four times its least value, or was not finite.
    pub diverged: bool,
}

/// The points at the end that fastai leaves out: there the loss shoots up.
const END: usize = 5;

impl LrCurve {
    /// The points that fastai draws: all but the last five.
    pub fn drawn(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.rates.iter().copied().zip(self.losses.iter().copied());
        points.take(self.rates.len().saturating_sub(END)).take_while(|(_, loss)| loss.is_finite())
    }

    /// The points that suggestions are made from: not the first tenth of the steps either.
    fn considered(&self) -> Vec<(f64, f64)> {
        self.drawn().skip(self.steps / 10).collect()
    }

    /// The rate where the loss falls most steeply against the logarithm of the rate. None where fewer than two points
    /// are left.
    pub fn steepest(&self) -> Option<f64> {
        let points = self.considered();
        let slopes = points.windows(2).map(|pair| {
            let ((rate, loss), (next, then)) = (pair[0], pair[1]);
            ((then - loss) / (striate_conv::Float::ln(next) - striate_conv::Float::ln(rate)), rate)
        });
        slopes.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, rate)| rate)
    }

    /// The rate a little behind the middle of the longest valley: the longest sequence of points, not necessarily
    /// neighbours, of which each has a smaller loss than the one before. None where no point is left.
    pub fn valley(&self) -> Option<f64> {
        let points = self.considered();
        // lengths[i]: of the longest such sequence that ends with point i.
        let mut lengths: Vec<usize> = Vec::new();
        let mut end = 0;
        for (i, (_, loss)) in points.iter().enumerate() {
            let before =
                points[..i].iter().zip(&lengths).filter(|((_, earlier), _)| loss < earlier);
            lengths.push(1 + before.map(|(_, length)| *length).max().unwrap_or(0));
            if lengths[i] > lengths[end] {
                end = i;
            }
        }
        // fastai counts back from the end by the sequence's length, as if its points were neighbours and began before
        // the first; a lone point is its own valley.
        let length = if end == 0 { 0 } else { *lengths.get(end)? };
        let thirds = length as f64 / 3.0;
        let place = end as i64 - length as i64 + thirds as i64 + (thirds / 2.0) as i64;
        // Python counts a place before the first from the end.
        points.get(place.rem_euclid(points.len().max(1) as i64) as usize).map(|(rate, _)| *rate)
    }
}
