//! `config.json`: what a run was asked to do, and all that it takes to do it again.

use serde::{Deserialize, Serialize};
use striate::nn::optim::Rule;

use crate::commands::photos::Settings;
use crate::data::Source;

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The version of this program.
    pub version: String,
    /// The network's name.
    pub model: String,
    /// The data.
    pub data: Source,
    /// The seed of weights, order and dropout.
    pub seed: u64,
    /// How many epochs.
    pub epochs: u64,
    /// Samples in a batch.
    pub batch: usize,
    /// The optimizer and its settings.
    pub optimizer: Rule,
    /// Mean and standard deviation taken off the pixels.
    pub normalize: Option<(f32, f32)>,
    /// Whether convolutions were never to be computed by Winograd's algorithm.
    #[serde(default)]
    pub precise: bool,
    /// The names of the classes in use.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What a run on photos was asked for besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photos: Option<Settings>,
}

impl Config {
    /// What the command line calls what is trained: networks on photos differ in more than their model.
    pub fn name(&self) -> String {
        self.photos.as_ref().map_or(self.model.clone(), |photos| photos.network.name())
    }

    /// What stands above the run's pictures.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.name(), self.seed)
    }
}
