//! Reduce on plateau: the one schedule that looks at how training goes.

use serde::{Deserialize, Serialize};

use super::Settings;

/// What a better value of the watched quantity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// A lower one: a loss.
    Min,
    /// A higher one: an accuracy.
    Max,
}

/// By how much a value must beat the best one to count as better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Threshold {
    /// By this fraction of the best one.
    Relative(f64),
    /// By this much.
    Absolute(f64),
}

/// Multiplies the rate with `factor` when the watched quantity has not become better for more than `patience` epochs
/// (PyTorch's `ReduceLROnPlateau`, with its defaults but for `eps`, the smallest change of the rate, which is 0 here).
///
/// Options and state are saved together by serde, and what is read back goes on in the same way.
///
/// ```
/// use striate_nn::schedule::{Goal, Plateau};
/// let mut plateau = Plateau::new(Goal::Min).patience(1);
/// let factors = [0.9, 0.5, 0.6, 0.7, 0.4].map(|loss| plateau.observe(loss).factor);
/// assert_eq!(factors, [1.0, 1.0, 1.0, 0.1, 0.1]); // 0.6 is forgiven, 0.7 is not
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    goal: Goal,
    factor: f64,
    patience: usize,
    threshold: Threshold,
    cooldown: usize,
    min_factor: f64,
    /// None until there is a finite value.
    best: Option<f64>,
    bad_epochs: usize,
    cooldown_left: usize,
    current: f64,
}

impl Plateau {
    /// A tenth of the rate after 10 epochs without an improvement by 1e-4 of the best value.
    pub fn new(goal: Goal) -> Self {
        Plateau {
            goal,
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            min_factor: 0.0,
            best: None,
            bad_epochs: 0,
            cooldown_left: 0,
            current: 1.0,
        }
    }

    /// What the rate is multiplied with.
    pub fn factor(self, factor: f64) -> Self {
        Plateau { factor, ..self }
    }

    /// How many epochs in a row without improvement are forgiven.
    pub fn patience(self, patience: usize) -> Self {
        Plateau { patience, ..self }
    }

    /// What counts as an improvement.
    pub fn threshold(self, threshold: Threshold) -> Self {
        Plateau { threshold, ..self }
    }

    /// How many epochs after a reduction are not counted.
    pub fn cooldown(self, cooldown: usize) -> Self {
        Plateau { cooldown, ..self }
    }

    /// The smallest rate, as a fraction of the optimizer's own.
    pub fn min_factor(self, min_factor: f64) -> Self {
        Plateau { min_factor, ..self }
    }

    /// Takes in the value of one epoch, and says what applies from now on. A value that is not finite is never better.
    pub fn observe(&mut self, value: f64) -> Settings {
        if self.is_better(value) {
            self.best = Some(value);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.cooldown_left > 0 {
            self.cooldown_left -= 1;
            self.bad_epochs = 0;
        }
        if self.bad_epochs > self.patience {
            self.current = (self.current * self.factor).max(self.min_factor);
            self.cooldown_left = self.cooldown;
            self.bad_epochs = 0;
        }
        self.settings()
    }

    /// What applies now.
    pub fn settings(&self) -> Settings {
        Settings::scaled(self.current)
    }

    fn is_better(&self, value: f64) -> bool {
        let Some(best) = self.best else {
            return value.is_finite();
        };
        // The sign turns both goals into raising.
        let sign = match self.goal {
            Goal::Min => -1.0,
            Goal::Max => 1.0,
        };
        let bar = match self.threshold {
            Threshold::Relative(share) => best * (1.0 + sign * share),
            Threshold::Absolute(margin) => best + sign * margin,
        };
        value.is_finite() && sign * value > sign * bar
    }
}
