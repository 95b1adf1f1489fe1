//! An optimizer's memory, taken out and put back: what a run needs to go on to the same bits.
//!
//! Tensors go by name into the same kind of file as weights. All the rest is [`Progress`], a small value for
//! JSON. It also says how many tensors there are for each parameter, so a file that lost one is told from
//! a parameter that has none yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use striate_tensor::{Error, ErrorKind, Float, Result};

use super::{Optimizer, Rule};
use crate::State;
use crate::checkpoint::check;
use crate::schedule::Settings;

/// Everything that an [`Optimizer`] knows besides the parameters' values.
#[derive(Debug, Clone)]
pub struct OptimizerState<T: Float = f32> {
    /// `<path>.momentum` (SGD); `<path>.exp_avg`, `<path>.exp_avg_sq` (Adam); `<path>.square_avg`,
    /// `<path>.momentum` (RMSProp), each of its parameter's shape.
    pub tensors: State<T>,
    /// The rest.
    pub progress: Progress,
}

/// The part of an [`OptimizerState`] that is not tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How many steps have been taken.
    pub steps: u64,
    /// The rule of each group, unscheduled.
    pub rules: Vec<Rule>,
    /// What the schedule said last.
    pub settings: Settings,
    /// Each parameter by path.
    pub parameters: BTreeMap<String, ParameterProgress>,
}

/// The part of a [`Progress`] that concerns one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterProgress {
    /// The index of its group.
    pub group: usize,
    /// How many steps have moved it.
    pub steps: u64,
    /// How many tensors are kept for it.
    pub tensors: usize,
}

impl<T: Float> Optimizer<T> {
    /// A snapshot: later steps do not change it.
    pub fn state(&self) -> OptimizerState<T> {
        let mut tensors = State::new();
        let mut parameters = BTreeMap::new();
        for slot in &self.slots {
            let path = slot.parameter.path();
            let names = self.rules[slot.group].tensors().iter();
            let named = names.zip(&slot.state);
            tensors.extend(named.map(|(name, tensor)| (format!("{path}.{name}"), tensor.clone())));
            let progress = ParameterProgress {
                group: slot.group,
                steps: slot.steps,
                tensors: slot.state.len(),
            };
            parameters.insert(path.to_owned(), progress);
        }
        OptimizerState {
            tensors,
            progress: Progress {
                steps: self.steps,
                rules: self.rules.clone(),
                settings: self.settings,
                parameters,
            },
        }
    }

    /// Continues where `state` was taken, to the same bits; hyper-parameters and groups become the saved ones.
    ///
    /// Strict: fails, changing nothing, unless the algorithms of the groups, the parameters, the tensors' names and
    /// their shapes agree, with a list of what does not.
    pub fn load_state(&mut self, state: &OptimizerState<T>) -> Result<()> {
        let progress = &state.progress;
        self.expect_same_algorithms(&progress.rules)?;
        self.expect_same_parameters(&progress.parameters)?;
        let mut names = Vec::new();
        for slot in &self.slots {
            let path = slot.parameter.path();
            let saved = progress.parameters[path];
            let known = progress.rules.get(saved.group).map(Rule::tensors);
            let Some(kept) = known.and_then(|known| known.get(..saved.tensors)) else {
                return fail(format!(
                    "expected a group and tensors of its rule for {path}, got {saved:?}"
                ));
            };
            names.push(kept.iter().map(|name| format!("{path}.{name}")).collect::<Vec<_>>());
        }
        let expected = self.slots.iter().zip(&names).flat_map(|(slot, names)| {
            names.iter().map(|name| (name.as_str(), slot.parameter.shape().to_vec()))
        });
        check("load_state", &expected.collect(), &state.tensors)?;
        let mut loaded = Vec::new();
        for (slot, names) in self.slots.iter().zip(&names) {
            let device = slot.parameter.tensor().device().clone();
            let tensors = names.iter().map(|name| state.tensors[name].to_device(&device));
            loaded.push(tensors.collect::<Result<Vec<_>>>()?);
        }
        for (slot, tensors) in self.slots.iter_mut().zip(loaded) {
            let saved = progress.parameters[slot.parameter.path()];
            (slot.group, slot.steps, slot.state) = (saved.group, saved.steps, tensors);
        }
        self.steps = progress.steps;
        self.settings = progress.settings;
        self.rules.clone_from(&progress.rules);
        Ok(())
    }

    fn expect_same_algorithms(&self, saved: &[Rule]) -> Result<()> {
        let names = |rules: &[Rule]| rules.iter().map(Rule::name).collect::<Vec<_>>().join(", ");
        let (own, saved) = (names(&self.rules), names(saved));
        match own == saved {
            true => Ok(()),
            false => fail(format!("expected groups of {own}, got {saved}")),
        }
    }

    fn expect_same_parameters<V>(&self, saved: &BTreeMap<String, V>) -> Result<()> {
        let own: BTreeSet<&str> = self.slots.iter().map(|slot| slot.parameter.path()).collect();
        let saved: BTreeSet<&str> = saved.keys().map(String::as_str).collect();
        match own == saved {
            true => Ok(()),
            false => fail(format!(
                "parameters missing: {:?}; unexpected: {:?}",
                own.difference(&saved).collect::<Vec<_>>(),
                saved.difference(&own).collect::<Vec<_>>()
            )),
        }
    }
}

fn fail(message: String) -> Result<()> {
    Err(Error::new(ErrorKind::Data, "load_state", message))
}
