//! The algorithms as values: one enum of plain hyper-parameters, and what the optimizer asks of it.

use serde::{Deserialize, Serialize};
use striate_tensor::backend::Update;
use striate_tensor::{Error, Result};

use super::{Adam, RmsProp, Sgd};
use crate::schedule::Settings;

/// An algorithm and its hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam, and AdamW.
    Adam(Adam),
    /// RMSProp.
    RmsProp(RmsProp),
}

impl From<Sgd> for Rule {
    fn from(sgd: Sgd) -> Self {
        Rule::Sgd(sgd)
    }
}

impl From<Adam> for Rule {
    fn from(adam: Adam) -> Self {
        Rule::Adam(adam)
    }
}

impl From<RmsProp> for Rule {
    fn from(rmsprop: RmsProp) -> Self {
        Rule::RmsProp(rmsprop)
    }
}

impl Rule {
    /// The algorithm's name.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Sgd(_) => "SGD",
            Rule::Adam(adam) if adam.decoupled => "AdamW",
            Rule::Adam(_) => "Adam",
            Rule::RmsProp(_) => "RMSProp",
        }
    }

    /// The learning rate.
    pub fn lr(mut self) -> f64 {
        *self.dials().0
    }

    /// The momentum, which Adam calls beta1.
    pub fn momentum(mut self) -> f64 {
        *self.dials().1
    }

    /// The same rule with another learning rate.
    pub fn with_lr(mut self, lr: f64) -> Self {
        *self.dials().0 = lr;
        self
    }

    /// The rule at some point of a schedule.
    pub(super) fn scheduled(mut self, settings: Settings) -> Self {
        let (lr, momentum) = self.dials();
        *lr *= settings.factor;
        *momentum = settings.momentum.unwrap_or(*momentum);
        self
    }

    /// What a schedule turns: learning rate and momentum.
    fn dials(&mut self) -> (&mut f64, &mut f64) {
        match self {
            Rule::Sgd(sgd) => (&mut sgd.lr, &mut sgd.momentum),
            Rule::Adam(adam) => (&mut adam.lr, &mut adam.betas[0]),
            Rule::RmsProp(rmsprop) => (&mut rmsprop.lr, &mut rmsprop.momentum),
        }
    }

    /// The names, PyTorch's where it has one, of what is remembered of a parameter.
    pub(super) fn tensors(&self) -> &'static [&'static str] {
        match self {
            Rule::Sgd(_) => &["momentum"],
            Rule::Adam(_) => &["exp_avg", "exp_avg_sq"],
            Rule::RmsProp(_) => &["square_avg", "momentum"],
        }
    }

    /// The arithmetic of a parameter's `step`-th step, counted from 1; `fresh` if its state has just been made.
    pub(super) fn update(&self, step: u64, fresh: bool) -> Update {
        match self {
            Rule::Sgd(sgd) => sgd.update(fresh),
            Rule::Adam(adam) => adam.update(step),
            Rule::RmsProp(rmsprop) => rmsprop.update(),
        }
    }

    /// Fails unless every hyper-parameter is in its range.
    pub(super) fn check(&self) -> Result<()> {
        const UNBOUNDED: f64 = f64::INFINITY;
        let fail = |message: String| Err(Error::argument(self.name(), message));
        let ranges: &[(&str, f64, f64)] = match self {
            Rule::Sgd(sgd) if sgd.nesterov && (sgd.momentum == 0.0 || sgd.dampening != 0.0) => {
                return fail(format!(
                    "expected momentum and no dampening with nesterov, got momentum {}, dampening {}",
                    sgd.momentum, sgd.dampening
                ));
            }
            Rule::Sgd(sgd) => &[
                ("lr", sgd.lr, UNBOUNDED),
                ("momentum", sgd.momentum, UNBOUNDED),
                ("dampening", sgd.dampening, UNBOUNDED),
                ("weight_decay", sgd.weight_decay, UNBOUNDED),
            ],
            Rule::Adam(adam) => &[
                ("lr", adam.lr, UNBOUNDED),
                ("beta1", adam.betas[0], 1.0),
                ("beta2", adam.betas[1], 1.0),
                ("eps", adam.eps, UNBOUNDED),
                ("weight_decay", adam.weight_decay, UNBOUNDED),
            ],
            Rule::RmsProp(rmsprop) => &[
                ("lr", rmsprop.lr, UNBOUNDED),
                ("alpha", rmsprop.alpha, UNBOUNDED),
                ("eps", rmsprop.eps, UNBOUNDED),
                ("momentum", rmsprop.momentum, UNBOUNDED),
                ("weight_decay", rmsprop.weight_decay, UNBOUNDED),
            ],
        };
        // Written so that NaN is outside.
        match ranges.iter().find(|(_, value, end)| !(0.0..*end).contains(value)) {
            Some((name, value, end)) => fail(format!("expected {name} in [0, {end}), got {value}")),
            None => Ok(()),
        }
    }
}
