//! Schedules: how learning rate and momentum change while training.
//!
//! A schedule is a value and a pure function of time: [`Schedule::at`] says by what factor to scale the rates that
//! the optimizer was made with, and nothing has to be remembered or restored. Whether a unit of time is a
//! step or an epoch is up to who asks. [`Plateau`] alone reacts to what happens, so it has a state, which
//! serde saves along with its options.
//!
//! ```
//! use striate_nn::{Init, layers::Linear, schedule::Schedule};
//! use striate_nn::optim::{Optimizer, Sgd};
//!
//! let net: Linear = Linear::new(&Init::seed(1), 2, 1)?;
//! let mut sgd = Optimizer::new(&net, Sgd::new(0.1));
//! let schedule = Schedule::Cosine { period: 100, floor: 0.0 }.warm_up(10, 0.1);
//! let mut rates = Vec::new();
//! for step in [0, 5, 10, 60, 110] {
//!     sgd.set(schedule.at(step));
//!     rates.push((sgd.lr() * 1e6).round() / 1e6);
//! }
//! assert_eq!(rates, [0.01, 0.055, 0.1, 0.05, 0.0]);
//! # Ok::<(), striate_tensor::Error>(())
//! ```
//!
//! All rates are fractions of the optimizer's own, so one schedule serves groups of different rates. Where PyTorch
//! asks for a rate (`eta_min`, `min_lr`), this asks for that rate over the base rate.

mod one_cycle;
mod plateau;

use serde::{Deserialize, Serialize};
use striate_conv::Float;

pub use one_cycle::OneCycle;
pub use plateau::{Goal, Plateau, Threshold};

/// What a schedule sets at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What every group's own learning rate is multiplied with.
    pub factor: f64,
    /// The momentum (beta1 of Adam) of every group; `None` leaves each group its own.
    pub momentum: Option<f64>,
}

impl Settings {
    /// The rates multiplied with `factor`, the momentum as it is.
    pub fn scaled(factor: f64) -> Self {
        Settings { factor, momentum: None }
    }
}

impl Default for Settings {
    /// Everything as the optimizer was made.
    fn default() -> Self {
        Settings::scaled(1.0)
    }
}

/// A factor on the learning rate, and perhaps a momentum, as a function of time `t`.
///
/// The equations are those of PyTorch's schedulers in closed form. A `size` or `period` of 0 counts as 1; a factor
/// that is negative or not finite is reported by the optimizer's next step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Schedule {
    /// `1`.
    Constant,
    /// `gamma^floor(t / size)` (`StepLR`).
    Step {
        /// How long a rate is kept.
        size: usize,
        /// What it is then multiplied with.
        gamma: f64,
    },
    /// `gamma^n` with `n` the number of milestones that are not after `t` (`MultiStepLR`).
    MultiStep {
        /// When the rate changes.
        milestones: Vec<usize>,
        /// What it is then multiplied with.
        gamma: f64,
    },
    /// `gamma^t` (`ExponentialLR`).
    Exponential {
        /// What the rate is multiplied with each time.
        gamma: f64,
    },
    /// `floor + (1 - floor) (1 + cos(pi t / period)) / 2` until `period`, then `floor` (Loshchilov and Hutter 2016
    /// without restarts; `CosineAnnealingLR`, which would rise again).
    Cosine {
        /// How long it takes to come down.
        period: usize,
        /// Where it ends, as a fraction of the rate.
        floor: f64,
    },
    /// Up and down again, with the momentum in the opposite sense.
    OneCycle(OneCycle),
    /// Made by [`Schedule::warm_up`].
    WarmUp {
        /// How long the warm-up takes.
        steps: usize,
        /// Where it starts, as a fraction of where `then` starts.
        start: f64,
        /// What follows.
        then: Box<Schedule>,
    },
}

impl From<OneCycle> for Schedule {
    fn from(cycle: OneCycle) -> Self {
        Schedule::OneCycle(cycle)
    }
}

impl Schedule {
    /// This schedule put off by `steps`, in which the factor rises linearly from `start` times its first value to
    /// that value (PyTorch's `LinearLR` followed by another in a `SequentialLR`).
    pub fn warm_up(self, steps: usize, start: f64) -> Self {
        Schedule::WarmUp { steps, start, then: Box::new(self) }
    }

    /// What applies at time `step`, counted from 0.
    pub fn at(&self, step: usize) -> Settings {
        let time = step as f64;
        let factor = match self {
            Schedule::Constant => 1.0,
            Schedule::Step { size, gamma } => Float::powf(*gamma, (step / size.max(&1)) as f64),
            Schedule::MultiStep { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| milestone <= step).count();
                Float::powf(*gamma, passed as f64)
            }
            Schedule::Exponential { gamma } => Float::powf(*gamma, time),
            Schedule::Cosine { period, floor } => {
                Anneal::Cosine.between(1.0, *floor, time / *period.max(&1) as f64)
            }
            Schedule::OneCycle(cycle) => return cycle.at(step),
            Schedule::WarmUp { steps, start, then } => match step.checked_sub(*steps) {
                Some(step) => return then.at(step),
                None => {
                    let Settings { factor, momentum } = then.at(0);
                    let share = Anneal::Linear.between(*start, 1.0, time / *steps as f64);
                    let factor = factor * share;
                    return Settings { factor, momentum };
                }
            },
        };
        Settings::scaled(factor)
    }
}

/// The shape of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anneal {
    /// Half a period of a cosine: flat at both ends.
    Cosine,
    /// A straight line.
    Linear,
}

impl Anneal {
    /// The value at `progress`, from `from` at 0 to `to` at 1; constant outside.
    fn between(self, from: f64, to: f64, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        let covered = match self {
            Anneal::Cosine => (1.0 - (0.5 * progress).sin_cos_turns().1) / 2.0,
            Anneal::Linear => progress,
        };
        from + (to - from) * covered
    }
}
