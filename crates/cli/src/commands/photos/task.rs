//! What is trained on which photos.

use std::sync::Arc;

use striate::data::{IMAGENET, Photo, Photos, Subset, Transform, Transforms};
use striate::models::{Vgg16, dogs_vgg, dogs_vgg_norm, vgg16};
use striate::nn::{Checkpoint, Distribution};
use striate::prelude::*;

use super::features::Features;
use super::{Arguments, Network};
use crate::{Failure, named};

/// A network, and the samples to train it on and to test it on.
pub struct Task {
    /// What is trained: the head alone, if the features are cached.
    pub net: Box<dyn Module>,
    /// The parameters that are frozen for a while, or for good.
    pub body: Vec<Parameter>,
    pub train: Arc<dyn Dataset>,
    pub valid: Arc<dyn Dataset>,
    /// What computes.
    pub device: Device,
    /// The photos behind `valid`.
    pub photos: HeldOut,
}

/// The photos that are held out, in the order of their samples.
pub struct HeldOut(Subset<Subset<Photos>>, usize);

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

    /// How many classes are in use.
    pub fn classes(&self) -> usize {
        self.1
    }

    /// The name of a class.
    pub fn class(&self, label: usize) -> &str {
        &self.all().classes()[label]
    }

    fn all(&self) -> &Photos {
        self.0.dataset().dataset()
    }
}

impl Task {
    pub fn new(arguments: &Arguments, device: Device) -> Result<Self, Failure> {
        let photos = Photos::from_dir(&arguments.data, transforms(arguments, false)?)?;
        let classes = photos.classes().len().min(arguments.classes.unwrap_or(u32::MAX) as usize);
        if classes > BREEDS {
            let folder = arguments.data.display();
            return Err(format!("{folder}: expected up to {BREEDS} classes, got {classes}").into());
        }
        let labels = photos.labels().iter().enumerate();
        let chosen = labels.filter(|(_, label)| **label < classes as i64).map(|(index, _)| index);
        let photos = photos.subset(chosen)?;
        let fifth = photos.len() / 5;
        if fifth == 0 {
            return Err(
                format!("{}: expected five photos or more", arguments.data.display()).into()
            );
        }
        let (train, valid) = photos.split(fifth, arguments.split)?;
        let augmented = photos.dataset().with(transforms(arguments, !arguments.plain)?);
        let augmented = augmented.subset(photos.indices().iter().copied())?;
        let train = augmented.subset(train.indices().iter().copied())?;
        let held_out = HeldOut(valid.clone(), classes);
        let init = Init::seed(arguments.seed);
        let (net, body): (Box<dyn Module>, _) = match arguments.network {
            Network::DogsVgg => (Box::new(dogs_vgg(&init)?), Vec::new()),
            Network::DogsVggHe => {
                (Box::new(dogs_vgg(&init.weights(Distribution::HeNormal))?), Vec::new())
            }
            Network::DogsVggNorm => (Box::new(dogs_vgg_norm(&init)?), Vec::new()),
            Network::Vgg16 => {
                let net = pretrained(arguments, &init)?;
                net.to_device(&device)?;
                if let Some(cache) = &arguments.cache_features {
                    let features = Features::cached(cache, (&net.features, &device), &photos)?;
                    let (train, valid) = features.split(fifth, arguments.split)?;
                    return Ok(Task {
                        net: Box::new(net.head),
                        body: Vec::new(),
                        train: Arc::new(train),
                        valid: Arc::new(valid),
                        device,
                        photos: held_out,
                    });
                }
                let body = net.features.parameters();
                (Box::new(net), body)
            }
        };
        net.to_device(&device)?;
        let (train, valid) = (Arc::new(train), Arc::new(valid));
        Ok(Task { net, body, train, valid, device, photos: held_out })
    }
}

/// The outputs of document 2's networks.
const BREEDS: usize = 120;

/// VGG16 with the body's weights from the file, which is frozen, and a fresh head.
fn pretrained(arguments: &Arguments, init: &Init) -> Result<Vgg16, Failure> {
    let net: Vgg16 = vgg16(init)?;
    let path = arguments.weights.as_deref().unwrap_or("".as_ref());
    let weights = Checkpoint::load(path, &Device::cpu())?;
    net.load_features(&weights.tensors).map_err(named(path))?;
    net.features.freeze(true);
    Ok(net)
}

/// The document's random steps.
pub const AUGMENTATION: [Transform; 4] = [
    Transform::HorizontalFlip(0.5),
    Transform::Rotation(30.0),
    Transform::ColorJitter { brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.2 },
    Transform::Perspective { distortion: 0.5, probability: 0.5 },
];

/// The document's transforms for training or testing, normalised where ImageNet's weights expect it.
fn transforms(arguments: &Arguments, augmented: bool) -> Result<Transforms, Failure> {
    let sized = [Transform::PadToSquare, Transform::Resize([arguments.side; 2])];
    let steps = AUGMENTATION.into_iter().filter(|_| augmented).chain(sized);
    let transforms = Transforms::new(steps)?;
    Ok(match arguments.network {
        Network::Vgg16 => transforms.normalize(IMAGENET.0, IMAGENET.1)?,
        _ => transforms,
    })
}
