//! Which data a run uses, and pictures from files as samples.

use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Rgba};
use serde::{Deserialize, Serialize};
use striate::data::{IMAGENET, Images, Photo, Subset, torch_permutation};
use striate::models::{Corpus, Entry, Recipe};
use striate::prelude::*;

use crate::commands::data::resolve;
use crate::{Failure, named};

/// The samples of a run.
pub struct Samples {
    /// What is trained on.
    pub train: Subset<Images>,
    /// What is looked at after every epoch.
    pub valid: Subset<Images>,
    /// What is looked at once, when training has ended; none if these are the images of `valid`.
    pub test: Option<Images>,
}

/// The seed with which document 1 holds out a fifth.
const SPLIT_SEED: u32 = 42;

impl Samples {
    /// Normalises the images as the recipe says, and holds out what its document holds out.
    fn new(train: &Images, test: &Images, recipe: &Recipe) -> Result<Self, Failure> {
        let prepare = |images: &Images| match recipe.normalize {
            Some((mean, std)) => {
                let channels = images.sample_shape()[0];
                images.normalize(&vec![mean; channels], &vec![std; channels])
            }
            None => Ok(images.clone()),
        };
        let (train, test) = (prepare(train)?, prepare(test)?);
        let all = |images: &Images| images.subset(0..images.len());
        Ok(match recipe.corpus {
            Corpus::Digits => Samples { train: all(&train)?, valid: all(&test)?, test: None },
            Corpus::Cifar10 => {
                let order = torch_permutation(SPLIT_SEED, train.len())?;
                let (held_out, rest) = order.split_at(train.len() / 5);
                Samples {
                    train: train.subset(rest.iter().copied())?,
                    valid: train.subset(held_out.iter().copied())?,
                    test: Some(test),
                }
            }
        })
    }
}

/// Where the samples come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The 10,000 that are part of the program.
    Shipped,
    /// A folder with the four files of MNIST, or the six of CIFAR-10.
    Folder(PathBuf),
}

impl Source {
    /// The folder given on the command line, or the fetched data set of that name, or the shipped digits. The path
    /// becomes absolute, so that a run can be continued from anywhere.
    pub fn from_option(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(folder) = folder else { return Ok(Source::Shipped) };
        let folder = resolve(folder)?;
        Ok(Source::Folder(std::path::absolute(&folder).map_err(named(&folder))?))
    }

    /// The samples that the recipe asks for. Fails if either part is empty.
    pub fn load(&self, recipe: &Recipe) -> Result<Samples, Failure> {
        let (train, test) = match (recipe.corpus, self) {
            (Corpus::Digits, source) => {
                let digits = match source {
                    Source::Shipped => Mnist::shipped()?,
                    Source::Folder(folder) => Mnist::from_dir(folder)?,
                };
                (digits.train, digits.test)
            }
            (Corpus::Cifar10, Source::Folder(folder)) => {
                let photos = Cifar10::from_dir(folder)?;
                (photos.train, photos.test)
            }
            (Corpus::Cifar10, Source::Shipped) => {
                return Err(
                    "expected --data DIR, a folder with the binary version of CIFAR-10, or \
                            --data cifar10 after `striate data fetch cifar10`"
                        .into(),
                );
            }
        };
        match [train.len(), test.len()] {
            [0, _] | [_, 0] => {
                Err(format!("{self}: expected images to train on and to test on").into())
            }
            _ => Samples::new(&train, &test, recipe),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Shipped => write!(f, "the 10,000 shipped digits"),
            Source::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// The recipe of a network, or an error that says there is none to be run.
pub fn recipe(entry: &Entry) -> Result<Recipe, Failure> {
    let make = entry.recipe.ok_or_else(|| {
        format!("{} has no recipe here; `striate photos` trains document 2's networks", entry.name)
    })?;
    Ok(make())
}

/// A picture file as a batch of one sample `[1, channels, height, width]`, scaled and normalised like the
/// network's training data.
pub fn picture(path: &Path, entry: &Entry, invert: bool) -> Result<Tensor, Failure> {
    let picture = open(path, invert)?;
    let &[channels, height, width] = entry.input else {
        return Err(format!("{} does not take pictures", entry.name).into());
    };
    let picture = picture.resize_exact(width as u32, height as u32, FilterType::Triangle);
    let interleaved = match channels {
        1 => picture.into_luma8().into_raw(),
        _ => picture.into_rgb8().into_raw(),
    };
    let (mean, std) = normalization(entry);
    let plane = height * width;
    let values = (0..channels * plane).map(|i| {
        let byte = interleaved[i % plane * channels + i / plane];
        (f32::from(byte) / 255.0 - mean[i / plane]) / std[i / plane]
    });
    let shape = [1, channels, height, width];
    Ok(Tensor::from_vec(values.collect(), shape, &Device::cpu())?)
}

/// What is taken off each channel of a network's pixels in [0, 1], and what they are then divided by.
pub fn normalization(entry: &Entry) -> ([f32; 3], [f32; 3]) {
    let recipe = entry.recipe.and_then(|recipe| recipe().normalize);
    match (entry.name, recipe) {
        // Its weights come from ImageNet.
        ("vgg16" | "vgg16-imagenet" | "resnet18-imagenet", _) => IMAGENET,
        (_, Some((mean, std))) => ([mean; 3], [std; 3]),
        (_, None) => ([0.0; 3], [1.0; 3]),
    }
}

/// A picture file as a photo of its own size.
pub fn photo(path: &Path, invert: bool) -> Result<Photo, Failure> {
    let pixels = open(path, invert)?.into_rgb8();
    let [width, height] = [pixels.width(), pixels.height()].map(|side| side as usize);
    Ok(Photo::new(width, height, pixels.into_raw())?)
}

fn open(path: &Path, invert: bool) -> Result<DynamicImage, Failure> {
    // The format is what the bytes say, not what the name says.
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut picture = opaque(reader.map_err(named(path))?.decode().map_err(named(path))?);
    if invert {
        picture.invert();
    }
    Ok(picture)
}

/// A picture as it looks on white paper: what is transparent shows the paper. Before anything is scaled, so that the
/// hidden colours of transparent pixels do not bleed into their neighbours.
fn opaque(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let mut pixels = picture.into_rgba16();
    for Rgba([colours @ .., alpha]) in pixels.pixels_mut() {
        let (own, paper) = (u32::from(*alpha), u32::from(u16::MAX - *alpha));
        for colour in colours {
            // The sum is at most 65535 squared: a weighted mean of two numbers of 16 bits.
            let mixed = u32::from(*colour) * own + u32::from(u16::MAX) * paper;
            *colour = (mixed / u32::from(u16::MAX)) as u16;
        }
        *alpha = u16::MAX;
    }
    DynamicImage::ImageRgba16(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, LumaA, RgbaImage};

    /// Ink, hidden ink, and ink that half shows, in grey and in colour, with 8 bits and with 16.
    #[test]
    fn what_is_transparent_shows_white_paper() {
        let grey = GrayAlphaImage::from_raw(3, 1, vec![0, 255, 0, 0, 0, 128]).unwrap();
        let deep =
            ImageBuffer::<LumaA<u16>, _>::from_raw(3, 1, vec![0, u16::MAX, 0, 0, 0, 128 * 257]);
        let colour =
            RgbaImage::from_raw(3, 1, vec![0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 128]).unwrap();
        let pictures = [
            DynamicImage::ImageLumaA8(grey),
            DynamicImage::ImageLumaA16(deep.unwrap()),
            DynamicImage::ImageRgba8(colour),
        ];
        for picture in pictures {
            assert_eq!(opaque(picture).into_luma8().into_raw(), [0, 255, 127]);
        }
    }
}
