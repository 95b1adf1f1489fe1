//! What is trained on which photos: a run's configuration as a [`Job`].

use std::sync::Arc;

use striate::data::{Photo, Photos, Subset};
use striate::models::{dogs_vgg, dogs_vgg_he, dogs_vgg_norm};
use striate::prelude::*;

use super::features::Features;
use super::settings::{Network, Settings};
use crate::Failure;
use crate::data::Source;
use crate::run::Config;
use crate::training::{Job, Method};

/// The photos that are held out, in the order of their samples.
#[derive(Clone)]
pub struct HeldOut(Subset<Subset<Photos>>);

impl HeldOut {
    /// The place of a held-out sample among all photos.
    fn place(&self, index: usize) -> usize {
        self.0.dataset().indices()[self.0.indices()[index]]
    }

    /// The photo of a held-out sample as it lies on disk.
    pub fn photo(&self, index: usize) -> Result<Photo, Failure> {
        Ok(self.all().photo(self.place(index))?)
    }

    /// The file's name of a held-out sample.
    pub fn name(&self, index: usize) -> String {
        let path = self.all().path(self.place(index));
        let name = path.and_then(|path| path.file_stem()).unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn all(&self) -> &Photos {
        self.0.dataset().dataset()
    }
}

/// The outputs of document 2's networks.
const BREEDS: usize = 120;

/// Lists the photos and makes the network on `device`; with a cache, computes or reads the features.
pub fn job(config: &Config, settings: &Settings, device: &Device) -> Result<Job, Failure> {
    let Source::Folder(folder) = &config.data else {
        return Err("expected the folder of photos, --data DIR".into());
    };
    let photos = Photos::from_dir(folder, settings.transforms(false)?)?;
    let count = photos.classes().len().min(settings.classes.unwrap_or(u32::MAX) as usize);
    let expected = |what: String| -> Failure { format!("{}: {what}", folder.display()).into() };
    if count > BREEDS {
        return Err(expected(format!("expected up to {BREEDS} classes, got {count}")));
    }
    let classes = photos.classes()[..count].to_vec();
    let labels = photos.labels().iter().enumerate();
    let chosen = labels.filter(|(_, label)| **label < count as i64).map(|(index, _)| index);
    let photos = photos.subset(chosen)?;
    let fifth = photos.len() / 5;
    if fifth == 0 {
        return Err(expected("expected five photos or more".to_owned()));
    }
    let (train, valid) = photos.split(fifth, settings.split)?;
    let held_out = HeldOut(valid.clone());
    let init = Init::seed(config.seed);
    type Samples = Arc<dyn Dataset>;
    let (net, body, train, valid): (Box<dyn Module>, _, Samples, Samples) =
        match (settings.network, &settings.cache_features) {
            (Network::Vgg16, Some(cache)) => {
                let net = settings.pretrained(&init)?;
                net.to_device(device)?;
                let features = Features::cached(cache, (&net.features, device), &photos)?;
                let (train, valid) = features.split(fifth, settings.split)?;
                (Box::new(net.head), Vec::new(), Arc::new(train), Arc::new(valid))
            }
            _ => {
                let (net, body) = network(settings, &init)?;
                let augmented = photos.dataset().with(settings.transforms(!settings.plain)?);
                let augmented = augmented.subset(photos.indices().iter().copied())?;
                let train = augmented.subset(train.indices().iter().copied())?;
                (net, body, Arc::new(train), Arc::new(valid))
            }
        };
    net.to_device(device)?;
    Ok(Job {
        net,
        loader: Loader::new(&train).batch(config.batch).shuffle(config.seed),
        valid,
        test: None,
        classes,
        photos: Some(held_out),
        device: device.clone(),
        loss: Tensor::cross_entropy,
        seed: config.seed,
        method: Method::Transfer {
            rule: config.optimizer,
            body_rate: settings.body_rate,
            body,
            unfreeze_after: settings.unfreeze_after,
        },
    })
}

/// The network, and the parameters that are frozen for a while, or for good.
fn network(settings: &Settings, init: &Init) -> Result<(Box<dyn Module>, Vec<Parameter>), Failure> {
    Ok(match settings.network {
        Network::DogsVgg => (Box::new(dogs_vgg(init)?), Vec::new()),
        Network::DogsVggHe => (Box::new(dogs_vgg_he(init)?), Vec::new()),
        Network::DogsVggNorm => (Box::new(dogs_vgg_norm(init)?), Vec::new()),
        Network::Vgg16 => {
            let net = settings.pretrained(init)?;
            let body = net.features.parameters();
            (Box::new(net), body)
        }
    })
}
