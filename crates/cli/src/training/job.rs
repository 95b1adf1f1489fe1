//! What a run trains on what, made from its configuration alone: the same configuration makes the same job, which is
//! what lets a run be continued, and repeated.

use std::sync::Arc;

use striate::conv::conv::allow_winograd;
use striate::models::Recipe;
use striate::nn::optim::Rule;
use striate::nn::{Evaluation, Loss, Step};
use striate::prelude::*;
use striate_cuda::allow_tf32;

use crate::Failure;
use crate::commands::entry;
use crate::commands::photos::{self, HeldOut};
use crate::data::recipe;
use crate::run::Config;

/// A network, its data and how it is trained.
pub struct Job {
    /// What is trained.
    pub net: Box<dyn Module>,
    /// What it is trained on, in shuffled batches.
    pub loader: Loader,
    /// What is looked at after every epoch.
    pub valid: Arc<dyn Dataset>,
    /// What is looked at once, when training has ended; none if that is `valid`, too.
    pub test: Option<Arc<dyn Dataset>>,
    /// The names of the classes in use; a network may have more outputs.
    pub classes: Vec<String>,
    /// The photos behind `valid`, if it is photos.
    pub photos: Option<HeldOut>,
    /// What computes.
    pub device: Device,
    /// What is minimised.
    pub loss: Loss<f32>,
    /// The seed of order and dropout.
    pub seed: u64,
    /// How it is trained.
    pub method: Method,
}

/// How a network is trained.
pub enum Method {
    /// By a document's recipe.
    Recipe(Recipe),
    /// By one rule at one rate, with a lower rate for a pre-trained body, which is frozen at first.
    Transfer {
        /// The rule of what is new.
        rule: Rule,
        /// The body's parameters.
        body: Vec<Parameter>,
        /// Adam's rate for them.
        body_rate: f64,
        /// After how many epochs they are trained; never, if none.
        unfreeze_after: Option<u64>,
    },
}

/// Samples at a time where nothing is trained.
pub const AT_ONCE: usize = 500;

impl Job {
    /// Reads the data and makes the network on `device`.
    pub fn new(config: &Config, device: &Device) -> Result<Self, Failure> {
        allow_winograd(!config.precise);
        allow_tf32(config.tf32);
        if let Some(settings) = &config.photos {
            return photos::job(config, settings, device);
        }
        let entry = entry(&config.model)?;
        let recipe = Recipe { epochs: config.epochs, ..recipe(entry)? };
        let samples = config.data.load(&recipe)?;
        let loader = Loader::new(&samples.train).batch(recipe.batch).shuffle(config.seed);
        let loader = loader.drop_last(recipe.drop_last);
        if loader.batches_per_epoch() == 0 {
            let (found, batch) = (samples.train.len(), recipe.batch);
            return Err(
                format!("expected a batch of {batch} images to train on, got {found}").into()
            );
        }
        let net = (entry.build)(&Init::seed(config.seed))?;
        net.to_device(device)?;
        Ok(Job {
            net,
            loader,
            classes: samples.valid.classes().to_vec(),
            valid: Arc::new(samples.valid),
            test: samples.test.map(|test| Arc::new(test) as Arc<dyn Dataset>),
            photos: None,
            device: device.clone(),
            loss: recipe.loss,
            seed: config.seed,
            method: Method::Recipe(recipe),
        })
    }

    /// A trainer at the start.
    pub fn trainer(&self) -> Trainer<'_> {
        match &self.method {
            Method::Recipe(recipe) => {
                recipe.trainer(&*self.net, self.seed, self.loader.batches_per_epoch())
            }
            Method::Transfer { rule, body, body_rate, .. } => {
                let in_body = |parameter: &Parameter| body.iter().any(|p| p.id() == parameter.id());
                let optimizer = Optimizer::new(&*self.net, *rule);
                let optimizer = optimizer.group(Adam::new(*body_rate), in_body);
                Trainer::with(&*self.net, optimizer, self.seed).loss(self.loss)
            }
        }
    }

    /// Trains until the epoch ends, or until `on_step` says false, from wherever `trainer` stands in it.
    pub fn epoch(
        &self,
        trainer: &mut Trainer,
        on_step: impl FnMut(&Step) -> bool,
    ) -> Result<Evaluation, Failure> {
        if let Method::Transfer { body, unfreeze_after, .. } = &self.method {
            let frozen = unfreeze_after.is_none_or(|after| trainer.epochs() < after);
            body.iter().for_each(|parameter| parameter.freeze(frozen));
        }
        let batches = self.loader.epoch(trainer.epochs()).skip_batches(trainer.begun() as usize);
        Ok(trainer.epoch(batches.map(|batch| batch?.to(&self.device)), on_step)?)
    }

    /// The training loss of an epoch as the recipe's document reports it: fastai, with which document 1 trains, has
    /// the smoothed one.
    pub fn train_loss(&self, trainer: &Trainer, epoch: &Evaluation) -> f64 {
        match &self.method {
            Method::Recipe(recipe) if recipe.one_cycle => trainer.smoothed_loss(),
            _ => epoch.loss(),
        }
    }

    /// The test samples, or, where there are none apart, the held-out ones.
    pub fn last(&self) -> &Arc<dyn Dataset> {
        self.test.as_ref().unwrap_or(&self.valid)
    }

    /// Samples that are not trained on, in batches on the device.
    pub fn batches(
        &self,
        samples: &Arc<dyn Dataset>,
    ) -> impl Iterator<Item = striate::data::Result<(Tensor, Tensor<i64>)>> {
        // Photos are large.
        let batch = if self.photos.is_some() { self.loader.batch_size() } else { AT_ONCE };
        let batches = Loader::new(samples).batch(batch).epoch(0);
        batches.map(move |batch| batch?.to(&self.device))
    }

    /// Loss and accuracy over `samples`.
    pub fn evaluate(&self, samples: &Arc<dyn Dataset>) -> Result<Evaluation, Failure> {
        Ok(evaluate(&*self.net, self.loss, self.batches(samples))?)
    }
}
