//! Optimizers: what moves the parameters, given their gradients.
//!
//! An optimizer is three things, and each has its place. The algorithm with its hyper-parameters is a plain
//! value, a [`Rule`]: [`Sgd`], [`Adam`] (which is AdamW when decoupled) or [`RmsProp`]. What it remembers of each
//! parameter is held by the [`Optimizer`]. The arithmetic is a kernel that reads and writes each element
//! once ([`Update`](striate_tensor::backend::Update)).
//!
//! Since rules are values, a parameter group is a rule and those whom it concerns, and groups may even
//! differ in algorithm. Since hyper-parameters never change, a schedule cannot lose the rates that it started from:
//! it says by what factor all of them are scaled now ([`Settings`]).
//!
//! ```
//! use striate_nn::optim::{Adam, Optimizer};
//! use striate_nn::{Init, Module, Pass, layers::Linear};
//! use striate_tensor::{Device, Tensor};
//!
//! let net = Linear::new(&Init::seed(1), 2, 1)?;
//! // AdamW, with no decay for biases and norms.
//! let rule = Adam::new(1e-2).weight_decay(0.1).decoupled();
//! let mut adam = Optimizer::new(&net, rule)
//!     .group(rule.weight_decay(0.0), |parameter| parameter.shape().len() == 1);
//!
//! let x = Tensor::<f32>::ones([4, 2], &Device::cpu())?;
//! let mut losses = Vec::new();
//! for step in 0..20 {
//!     let y = net.forward(&x, &Pass::train(1, step))?;
//!     let loss = (&y * &y)?.mean(.., false)?;
//!     losses.push(loss.item()?);
//!     adam.step(&loss.backward()?)?;
//! }
//! assert!(losses[19] < losses[0]);
//! # Ok::<(), striate_tensor::Error>(())
//! ```

mod adam;
mod clip;
mod rmsprop;
mod rule;
mod sgd;
mod state;

use std::collections::HashSet;

use striate_tensor::{Device, ErrorContext, Float, Gradients, Result, Tensor};

pub use adam::Adam;
pub use clip::{clip_grad_norm, clip_grad_value};
pub use rmsprop::RmsProp;
pub use rule::Rule;
pub use sgd::Sgd;
pub use state::{OptimizerState, ParameterProgress, Progress};

use crate::schedule::Settings;
use crate::{Module, Parameter};

/// Moves parameters by their gradients, each by the rule of its group.
///
/// Group 0 is everybody whom no call of [`Optimizer::group`] claimed.
#[derive(Debug)]
pub struct Optimizer<T: Float = f32> {
    rules: Vec<Rule>,
    slots: Vec<Slot<T>>,
    settings: Settings,
    steps: u64,
}

/// A parameter and what is remembered of it.
#[derive(Debug)]
struct Slot<T: Float> {
    parameter: Parameter<T>,
    group: usize,
    /// How often this parameter moved: bias correction starts when it does.
    steps: u64,
    /// The tensors of [`Rule::tensors`], as many as have been needed so far.
    state: Vec<Tensor<T>>,
}

impl<T: Float> Optimizer<T> {
    /// An optimizer of all parameters of `net`.
    pub fn new(net: &(impl Module<T> + ?Sized), rule: impl Into<Rule>) -> Self {
        Self::over(net.parameters(), rule)
    }

    /// An optimizer of these parameters. One that is listed twice, as tied weights are, is moved once.
    pub fn over(parameters: impl IntoIterator<Item = Parameter<T>>, rule: impl Into<Rule>) -> Self {
        let mut seen = HashSet::new();
        let distinct = parameters.into_iter().filter(|parameter| seen.insert(parameter.id()));
        let slot = |parameter| Slot { parameter, group: 0, steps: 0, state: Vec::new() };
        Optimizer {
            rules: vec![rule.into()],
            slots: distinct.map(slot).collect(),
            settings: Settings::default(),
            steps: 0,
        }
    }

    /// Gives the parameters of whom `member` says so a rule of their own: a lower rate for a pre-trained body, no
    /// decay for biases and norms. The last group that claims a parameter has it.
    ///
    /// ```
    /// use striate_nn::{Init, Module, layers::Linear, optim::{Optimizer, Sgd}};
    /// let net: Linear = Linear::new(&Init::seed(1).at("head"), 8, 2)?;
    /// let sgd = Optimizer::new(&net, Sgd::new(0.1))
    ///     .group(Sgd::new(0.01), |parameter| parameter.path().starts_with("features."));
    /// assert_eq!(sgd.rules().map(|rule| rule.lr()).collect::<Vec<_>>(), [0.1, 0.01]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    pub fn group(mut self, rule: impl Into<Rule>, member: impl Fn(&Parameter<T>) -> bool) -> Self {
        let group = self.rules.len();
        self.rules.push(rule.into());
        let members = self.slots.iter_mut().filter(|slot| member(&slot.parameter));
        members.for_each(|slot| slot.group = group);
        self
    }

    /// Moves every parameter that has a gradient and is not frozen.
    ///
    /// Fails, moving nothing, if a hyper-parameter is out of range, be it as given or as scheduled. Gradients that
    /// are not finite are applied like any other.
    pub fn step(&mut self, gradients: &Gradients<T>) -> Result<()> {
        let rules: Vec<Rule> = self.rules().collect();
        rules.iter().try_for_each(Rule::check)?;
        let device = self.slots.first().map(|slot| slot.parameter.tensor().device().clone());
        device.unwrap_or_else(Device::cpu).enter(|| self.move_all(&rules, gradients))
    }

    fn move_all(&mut self, rules: &[Rule], gradients: &Gradients<T>) -> Result<()> {
        for slot in self.slots.iter_mut().filter(|slot| !slot.parameter.is_frozen()) {
            if let Some(gradient) = gradients.by_id(slot.parameter.id()) {
                slot.step(&rules[slot.group], gradient).at(slot.parameter.path())?;
            }
        }
        self.steps += 1;
        Ok(())
    }

    /// How many steps have been taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The rule of each group as it applies now, with the schedule's rate and momentum.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        self.rules.iter().map(|rule| rule.scheduled(self.settings))
    }

    /// The learning rate of group 0 as it applies now.
    pub fn lr(&self) -> f64 {
        self.rules[0].scheduled(self.settings).lr()
    }

    /// Makes `lr` the learning rate of group 0 from now on, and scales the others' by the same factor.
    /// Without effect on the momentum. A rate of 0 cannot be scaled to another, which the next step reports.
    pub fn set_lr(&mut self, lr: f64) {
        self.settings.factor = lr / self.rules[0].lr();
    }

    /// Does what a schedule says: scales every group's own rate, and sets every group's momentum if it
    /// names one.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }
}

impl<T: Float> Slot<T> {
    fn step(&mut self, rule: &Rule, gradient: &Tensor<T>) -> Result<()> {
        let update = |fresh| rule.update(self.steps + 1, fresh);
        let needed = update(false).state_len();
        let fresh = self.state.len() < needed;
        while self.state.len() < needed {
            self.state.push(Tensor::zeros(self.parameter.shape(), gradient.device())?);
        }
        self.parameter.update(&update(fresh), gradient, &mut self.state[..needed])?;
        self.steps += 1;
        Ok(())
    }
}
