//! What `striate photos` was asked for besides model, data, seed and epochs: the part of a run's configuration from which
//! its networks and its photos are made again.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use striate::data::{IMAGENET, Photo, Transform, Transforms};
use striate::models::{Vgg16, vgg16};
use striate::nn::{Checkpoint, State};
use striate::prelude::*;
use striate::tensor::random::{Key, Purpose};

use crate::{Failure, named};

/// What document 2 trains, and what it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The small VGG as published: the signal vanishes
    DogsVgg,
    /// The same, initialised after He et al.
    DogsVggHe,
    /// The same with batch norm
    DogsVggNorm,
    /// VGG16 with a new head
    Vgg16,
}

impl Network {
    /// The command line's name for it, and the catalogue's.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How long it is trained, if nothing is said.
    pub fn epochs(self) -> u64 {
        if self == Network::Vgg16 { 25 } else { 10 }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The network, and how it is initialised.
    pub network: Network,
    /// The file of the body's weights.
    pub weights: Option<PathBuf>,
    /// The file of its features, where they are computed once.
    pub cache_features: Option<PathBuf>,
    /// After how many epochs the body is trained, too.
    pub unfreeze_after: Option<u64>,
    /// The body's learning rate then.
    pub body_rate: f64,
    /// Whether training sees the photos without augmentation.
    pub plain: bool,
    /// The side of the squares that photos become.
    pub side: usize,
    /// How many classes are in use, if not all.
    pub classes: Option<u32>,
    /// The seed that chooses what is held out.
    pub split: u64,
}

/// The document's random steps.
pub const AUGMENTATION: [Transform; 4] = [
    Transform::HorizontalFlip(0.5),
    Transform::Rotation(30.0),
    Transform::ColorJitter { brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.2 },
    Transform::Perspective { distortion: 0.5, probability: 0.5 },
];

impl Settings {
    /// The document's transforms for training or testing, normalised where ImageNet's weights expect it.
    pub fn transforms(&self, augmented: bool) -> Result<Transforms, Failure> {
        let sized = [Transform::PadToSquare, Transform::Resize([self.side; 2])];
        let steps = AUGMENTATION.into_iter().filter(|_| augmented).chain(sized);
        let transforms = Transforms::new(steps)?;
        Ok(match self.network {
            Network::Vgg16 => transforms.normalize(IMAGENET.0, IMAGENET.1)?,
            _ => transforms,
        })
    }

    /// A photo as a batch of one, as the held-out ones are shown.
    pub fn sample(&self, photo: Photo) -> Result<Tensor, Failure> {
        let transforms = self.transforms(false)?;
        let shape = [&[1], transforms.sample_shape()].concat();
        let mut values = vec![0.0; shape.iter().product()];
        transforms.write(photo, Key::new(0, Purpose::Augment), &mut values)?;
        Ok(Tensor::from_vec(values, shape, &Device::cpu())?)
    }

    /// VGG16 with the body's weights from the file, which is frozen, and a fresh head.
    pub fn pretrained(&self, init: &Init) -> Result<Vgg16, Failure> {
        let net: Vgg16 = vgg16(init)?;
        let path = self.weights.as_deref().unwrap_or("".as_ref());
        net.load_features(&self.body()?).map_err(named(path))?;
        net.features.freeze(true);
        Ok(net)
    }

    fn body(&self) -> Result<State, Failure> {
        let path = self.weights.as_deref().unwrap_or("".as_ref());
        Ok(Checkpoint::load(path, &Device::cpu())?.tensors)
    }

    /// Adds to the `weights` of a run what was not trained and so is not among them: the body behind cached features.
    pub fn complete(&self, weights: &mut State) -> Result<(), Failure> {
        if self.cache_features.is_some() {
            let body = self.body()?.into_iter().filter(|(name, _)| name.starts_with("features."));
            weights.extend(body);
        }
        Ok(())
    }
}
