//! `config.json`: what a run was asked to do, and all that it takes to do it again.

use serde::{Deserialize, Serialize};
use striate::models::Entry;
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
    /// Whether a card was to round factors for its tensor cores.
    #[serde(default)]
    pub tf32: bool,
    /// The names of the classes in use.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What a run on photos was asked for besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photos: Option<Settings>,
}

/// `Adam lr 0.01, betas [0.9, 0.99]`, and so on.
pub fn rule(rule: &Rule) -> String {
    let json = serde_json::to_string(rule).unwrap_or_default();
    json.replace(['{', '}', '"'], "").replace(':', " ").replace(',', ", ")
}

impl Config {
    /// What the command line calls what is trained: networks on photos differ in more than their model.
    pub fn name(&self) -> String {
        self.photos.as_ref().map_or(self.model.clone(), |photos| photos.network.name())
    }

    /// The shape of one sample of the network `entry`, which is the run's.
    pub fn input(&self, entry: &Entry) -> Vec<usize> {
        let photo = self.photos.as_ref().map(|photos| vec![3, photos.side, photos.side]);
        photo.unwrap_or_else(|| entry.input.to_vec())
    }

    /// What this run has in common with those that were only seeded otherwise.
    pub fn without_seeds(mut self) -> Self {
        self.seed = 0;
        if let Some(photos) = &mut self.photos {
            photos.split = 0;
        }
        self
    }

    /// What stands above the run's pictures.
    pub fn title(&self) -> String {
        format!("{}, seed {}", self.name(), self.seed)
    }
}
