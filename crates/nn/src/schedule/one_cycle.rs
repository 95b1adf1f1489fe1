//! One cycle (Smith and Topin 2017, *Super-Convergence*): the rate goes up to its peak and far down, while the
//! momentum goes down and up.
//!
//! PyTorch and fastai disagree in two details. Where the end is: PyTorch reaches the last value at the last
//! step, fastai would reach it one step later. And what the final rate is a fraction of: PyTorch's is the initial
//! rate, fastai's the peak. The first is an option here, the second a matter of arithmetic.

use serde::{Deserialize, Serialize};

use super::{Anneal, Settings};

/// One cycle of `total_steps` steps; the learning rate that the optimizer was made with is the peak.
///
/// ```text
/// learning rate   peak / div_factor  ->  peak  ->  peak / div_factor / final_div_factor
/// momentum        high               ->  low   ->  high
/// ```
///
/// The first arrow takes `pct_start` of the steps. With three phases a third arrow does the last descent: the
/// second mirrors the first, and the third, at high momentum, goes on from `peak / div_factor`. After
/// the end the last values stay.
///
/// ```
/// use striate_nn::schedule::OneCycle;
/// let cycle = OneCycle::fastai(18_750);
/// let peak = cycle.at(18_750 / 4); // just before and at a quarter of the way
/// assert!((cycle.at(0).factor - 1.0 / 25.0).abs() < 1e-15 && (1.0 - peak.factor) < 1e-6);
/// assert_eq!(cycle.at(0).momentum, Some(0.95));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneCycle {
    total_steps: usize,
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
    momentum: Option<[f64; 2]>,
    anneal: Anneal,
    three_phase: bool,
    ends_at_last_step: bool,
}

impl OneCycle {
    /// The cycle of PyTorch's `OneCycleLR` with its defaults.
    pub fn new(total_steps: usize) -> Self {
        OneCycle {
            total_steps,
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            momentum: Some([0.85, 0.95]),
            anneal: Anneal::Cosine,
            three_phase: false,
            ends_at_last_step: true,
        }
    }

    /// The cycle of fastai's `fit_one_cycle` with its defaults: a quarter of the steps from `peak / 25` to the peak,
    /// the rest towards `peak / 1e5`; the momentum is 0.95, 0.85, 0.95.
    pub fn fastai(total_steps: usize) -> Self {
        OneCycle {
            pct_start: 0.25,
            final_div_factor: 1e5 / 25.0,
            ends_at_last_step: false,
            ..OneCycle::new(total_steps)
        }
    }

    /// The fraction of the steps that lead up to the peak.
    pub fn pct_start(self, pct_start: f64) -> Self {
        OneCycle { pct_start, ..self }
    }

    /// The peak over the initial rate.
    pub fn div_factor(self, div_factor: f64) -> Self {
        OneCycle { div_factor, ..self }
    }

    /// The initial rate over the final one.
    pub fn final_div_factor(self, final_div_factor: f64) -> Self {
        OneCycle { final_div_factor, ..self }
    }

    /// Momentum (beta1 of Adam) at the peak, `low`, and at both ends, `high`.
    pub fn momentum(self, low: f64, high: f64) -> Self {
        OneCycle { momentum: Some([low, high]), ..self }
    }

    /// Leaves the momentum alone.
    pub fn constant_momentum(self) -> Self {
        OneCycle { momentum: None, ..self }
    }

    /// The shape of each phase.
    pub fn anneal(self, anneal: Anneal) -> Self {
        OneCycle { anneal, ..self }
    }

    /// Comes down as it went up, then goes on to the final rate in a third phase.
    pub fn three_phase(self) -> Self {
        OneCycle { three_phase: true, ..self }
    }

    /// What applies at `step`, counted from 0.
    pub fn at(&self, step: usize) -> Settings {
        let first = 1.0 / self.div_factor;
        let last = first / self.final_div_factor;
        let [low, high] = self.momentum.unwrap_or_default();
        // Times at which the phases end, with factor and momentum there; n phases ahead have taken n whole steps.
        let overlap = if self.ends_at_last_step { 1.0 } else { 0.0 };
        let total = self.total_steps as f64;
        let rise = self.pct_start * total - overlap;
        let end = (total - overlap, last, high);
        let phases: &[(f64, f64, f64)] = match self.three_phase {
            false => &[(rise, 1.0, low), end],
            true => &[(rise, 1.0, low), (2.0 * rise, first, high), end],
        };

        let time = step as f64;
        let index = phases.iter().position(|phase| time <= phase.0);
        let index = index.unwrap_or(phases.len() - 1);
        let start = match index {
            0 => (0.0, first, high),
            _ => phases[index - 1],
        };
        let end = phases[index];
        let length = end.0 - start.0;
        // A phase of no length is over when it begins.
        let progress = if length > 0.0 { (time - start.0) / length } else { 1.0 };
        Settings {
            factor: self.anneal.between(start.1, end.1, progress),
            momentum: self.momentum.map(|_| self.anneal.between(start.2, end.2, progress)),
        }
    }
}
