//! Transforms: what happens to a photo on its way into a batch.
//!
//! A [`Transform`] is a value that says what may happen and how far. Its numbers come from the sample's key, which
//! the loader makes of seed, epoch and index: which thread decodes a photo, or in which order, cannot show, and epoch
//! 7 can be looked at without the six before it. Each step has numbers of its own, so taking a step out leaves what
//! the others do.
//!
//! [`Transforms`] is a row of steps that ends at one size, and then numbers: bytes over 255, normalised channel by
//! channel.

mod draws;

use striate_tensor::random::Key;

use crate::images::{Table, table};
use crate::photo::{Corners, Photo};
use crate::{DataError, Result};
use draws::Draws;

/// One step. Those with a probability or a range are random; ranges are uniform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// Left and right exchanged, with this probability.
    HorizontalFlip(f64),
    /// Turned by up to this many degrees either way, see [`Photo::rotate`].
    Rotation(f64),
    /// Brightness, contrast, saturation and hue changed, in random order.
    ColorJitter {
        /// The factor is in `1 - brightness ..= 1 + brightness`, but not below 0.
        brightness: f64,
        /// Likewise.
        contrast: f64,
        /// Likewise.
        saturation: f64,
        /// The turn is in `-hue ..= hue`, at most 0.5.
        hue: f64,
    },
    /// Seen in perspective: each corner moves inwards by up to half of this share of a side.
    Perspective {
        /// From 0 to 1.
        distortion: f64,
        /// Of moving at all.
        probability: f64,
    },
    /// Framed in black to a square.
    PadToSquare,
    /// The whole photo in `[width, height]`.
    Resize([usize; 2]),
    /// The shorter side in this size, the longer in proportion.
    ResizeShorter(usize),
    /// The middle of `[width, height]`.
    CenterCrop([usize; 2]),
    /// Any part of `[width, height]`; a smaller photo is framed in black first.
    RandomCrop([usize; 2]),
    /// A part of 8 to 100 % of the area, 3:4 to 4:3, in `[width, height]`.
    RandomResizedCrop([usize; 2]),
    /// Blurred.
    GaussianBlur {
        /// The window's side, odd.
        kernel: usize,
        /// The least and the greatest standard deviation, in pixels.
        sigma: (f64, f64),
    },
    /// Without colour, with this probability.
    Grayscale(f64),
}

impl Transform {
    /// The size after this step, given the size before it, where they are known.
    fn size(&self, before: Option<[usize; 2]>) -> Option<[usize; 2]> {
        match *self {
            Self::Resize(size)
            | Self::CenterCrop(size)
            | Self::RandomCrop(size)
            | Self::RandomResizedCrop(size) => Some(size),
            Self::PadToSquare => before.map(|[width, height]| [width.max(height); 2]),
            Self::ResizeShorter(size) => before.map(|[width, height]| {
                let short = width.min(height);
                [width, height].map(|side| side * size / short)
            }),
            _ => before,
        }
    }

    /// Whether two epochs may see different photos.
    fn is_random(&self) -> bool {
        match *self {
            Self::HorizontalFlip(most) | Self::Rotation(most) => most > 0.0,
            Self::Grayscale(probability) => probability > 0.0 && probability < 1.0,
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                [brightness, contrast, saturation, hue].iter().any(|range| *range > 0.0)
            }
            Self::Perspective { probability, .. } => probability > 0.0,
            Self::GaussianBlur { sigma, .. } => sigma.0 < sigma.1,
            Self::RandomCrop(_) | Self::RandomResizedCrop(_) => true,
            Self::PadToSquare | Self::Resize(_) | Self::ResizeShorter(_) | Self::CenterCrop(_) => {
                false
            }
        }
    }

    /// Why these settings cannot be; none if they can.
    fn problem(&self) -> Option<String> {
        let shares = match *self {
            Self::HorizontalFlip(probability) | Self::Grayscale(probability) => vec![probability],
            Self::ColorJitter { hue, .. } => vec![2.0 * hue],
            Self::Perspective { distortion, probability } => vec![distortion, probability],
            _ => Vec::new(),
        };
        let amounts = match *self {
            Self::Rotation(degrees) => vec![degrees],
            Self::ColorJitter { brightness, contrast, saturation, .. } => {
                vec![brightness, contrast, saturation]
            }
            Self::GaussianBlur { sigma, .. } => vec![sigma.0, sigma.1, sigma.1 - sigma.0],
            _ => Vec::new(),
        };
        let good = shares.iter().all(|share| (0.0..=1.0).contains(share))
            && amounts.iter().all(|amount| (0.0..=f64::from(u16::MAX)).contains(amount))
            && !matches!(self, Self::GaussianBlur { kernel, sigma } if kernel % 2 == 0 || sigma.0 <= 0.0)
            && !matches!(self, Self::ResizeShorter(0))
            && !self.size(None).is_some_and(|size| size.contains(&0));
        (!good).then(|| format!("{self:?} has a setting that is out of range"))
    }

    fn apply(&self, photo: Photo, draws: &mut Draws) -> Photo {
        match *self {
            Self::HorizontalFlip(probability) if draws.chance(probability) => photo.flip(),
            Self::Grayscale(probability) if draws.chance(probability) => photo.grayscale(),
            Self::HorizontalFlip(_) | Self::Grayscale(_) => photo,
            Self::Rotation(most) => photo.rotate(draws.uniform(-most, most)),
            Self::ColorJitter { brightness, contrast, saturation, hue } => {
                jitter(photo, [brightness, contrast, saturation], hue, draws)
            }
            Self::Perspective { distortion, probability } => match draws.chance(probability) {
                true => tilt(&photo, distortion, draws),
                false => photo,
            },
            Self::PadToSquare => photo.pad_to_square(),
            Self::Resize([width, height]) => photo.resize(width, height),
            Self::ResizeShorter(size) => photo.resize_shorter(size),
            Self::CenterCrop([width, height]) => photo.center_crop(width, height),
            Self::RandomCrop(size) => random_crop(photo, size, draws),
            Self::RandomResizedCrop([width, height]) => {
                random_part(&photo, draws).resize(width, height)
            }
            Self::GaussianBlur { kernel, sigma } => {
                photo.blur(kernel, draws.uniform(sigma.0, sigma.1))
            }
        }
    }
}

fn jitter(photo: Photo, ranges: [f64; 3], hue: f64, draws: &mut Draws) -> Photo {
    let factors = ranges.map(|range| draws.uniform((1.0 - range).max(0.0), 1.0 + range) as f32);
    let turn = draws.uniform(-hue, hue);
    let mut order = [0, 1, 2, 3];
    draws.shuffle(&mut order);
    order.iter().fold(photo, |photo, part| match part {
        0 => photo.brightness(factors[0]),
        1 => photo.contrast(factors[1]),
        2 => photo.saturation(factors[2]),
        _ => photo.hue(turn),
    })
}

fn tilt(photo: &Photo, distortion: f64, draws: &mut Draws) -> Photo {
    let [right, bottom] = [photo.width(), photo.height()].map(|side| (side - 1) as f64);
    let [across, down] =
        [photo.width(), photo.height()].map(|side| (distortion * (side / 2) as f64) as usize + 1);
    let mut inwards = || (draws.integer(0..across) as f64, draws.integer(0..down) as f64);
    let moves: Corners = std::array::from_fn(|_| inwards());
    let from = [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)];
    let to = std::array::from_fn(|corner| {
        let ((x, y), (dx, dy)) = (from[corner], moves[corner]);
        (if x > 0.0 { x - dx } else { dx }, if y > 0.0 { y - dy } else { dy })
    });
    photo.perspective(&from, &to)
}

fn random_crop(photo: Photo, [width, height]: [usize; 2], draws: &mut Draws) -> Photo {
    let framed = [photo.width().max(width), photo.height().max(height)];
    let photo = photo.center_crop(framed[0], framed[1]);
    let left = draws.integer(0..framed[0] - width + 1) as isize;
    let top = draws.integer(0..framed[1] - height + 1) as isize;
    photo.crop((left, top), width, height)
}

/// The part of a random-resized crop; the middle, as near to the allowed ratios as it gets, if ten did not fit.
fn random_part(photo: &Photo, draws: &mut Draws) -> Photo {
    const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);
    let [width, height] = [photo.width(), photo.height()];
    if let Some([left, top, w, h]) = draws.rectangle([width, height], (0.08, 1.0), RATIO) {
        return photo.crop((left as isize, top as isize), w, h);
    }
    let widest = ((height as f64 * RATIO.1).round() as usize).clamp(1, width);
    let highest = ((width as f64 / RATIO.0).round() as usize).clamp(1, height);
    photo.center_crop(widest, highest)
}

/// Mean and standard deviation of the three channels over ImageNet, by which networks that were trained on it
/// expect their photos normalised.
pub const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Steps, and how bytes become numbers.
///
/// ```
/// use striate_data::{Transform, Transforms};
///
/// let plain = [Transform::PadToSquare, Transform::Resize([224, 224])];
/// let random = [Transform::HorizontalFlip(0.5), Transform::Rotation(30.0)];
/// let augmented = Transforms::new(random.into_iter().chain(plain))?;
/// assert_eq!(augmented.sample_shape(), [3, 224, 224]);
/// assert!(augmented.is_random());
/// // Photos of any size cannot make a batch.
/// assert!(Transforms::new(random).is_err());
/// # Ok::<(), striate_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transforms {
    steps: Vec<Transform>,
    shape: [usize; 3],
    tables: [Table; 3],
    erasing: f64,
}

impl Transforms {
    /// These steps, in order; values in [0, 1].
    ///
    /// # Errors
    ///
    /// If photos do not all have one size in the end, or a setting is out of range.
    pub fn new(steps: impl IntoIterator<Item = Transform>) -> Result<Self> {
        let steps: Vec<Transform> = steps.into_iter().collect();
        if let Some(problem) = steps.iter().find_map(Transform::problem) {
            return Err(DataError::argument("transforms", problem));
        }
        let size = steps.iter().fold(None, |size, step| step.size(size));
        let Some([width, height]) = size else {
            let problem = "expects a step that gives all photos one size, such as a crop";
            return Err(DataError::argument("transforms", problem));
        };
        Ok(Self { steps, shape: [3, height, width], tables: [table(0.0, 1.0); 3], erasing: 0.0 })
    }

    /// The same with values `(x / 255 - mean) / std_dev`, channel by channel.
    ///
    /// # Errors
    ///
    /// If a number is not finite, or a deviation not positive.
    pub fn normalize(self, mean: [f32; 3], std_dev: [f32; 3]) -> Result<Self> {
        let good =
            mean.iter().all(|m| m.is_finite()) && std_dev.iter().all(|s| s.is_finite() && *s > 0.0);
        if !good {
            let problem = format!(
                "expects finite means and positive standard deviations, got {mean:?} and {std_dev:?}"
            );
            return Err(DataError::argument("normalize", problem));
        }
        let tables = std::array::from_fn(|channel| table(mean[channel], std_dev[channel]));
        Ok(Self { tables, ..self })
    }

    /// The same with a rectangle of 2 to 33 % of the area, 3:10 to 10:3, set to 0 after normalising, with this
    /// probability (Zhong et al. 2020).
    ///
    /// # Errors
    ///
    /// If the probability is not in [0, 1].
    pub fn random_erasing(self, probability: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&probability) {
            let problem = format!("expects a probability in 0..=1, got {probability}");
            return Err(DataError::argument("random_erasing", problem));
        }
        Ok(Self { erasing: probability, ..self })
    }

    /// `[3, height, width]`.
    pub fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether two epochs may see different samples of one photo.
    pub fn is_random(&self) -> bool {
        self.erasing > 0.0 || self.steps.iter().any(Transform::is_random)
    }

    /// The photo after all steps, drawn under `key`.
    pub fn apply(&self, photo: Photo, key: Key) -> Photo {
        let steps = self.steps.iter().enumerate();
        steps.fold(photo, |photo, (number, step)| step.apply(photo, &mut Draws::new(key, number)))
    }

    /// The sample of a photo after all steps: its planes, normalised, into `values`.
    ///
    /// # Errors
    ///
    /// If `values` has not as many elements as [`sample_shape`](Transforms::sample_shape) says.
    pub fn write(&self, photo: Photo, key: Key, values: &mut [f32]) -> Result<()> {
        let photo = self.apply(photo, key);
        let [channels, height, width] = self.shape;
        if [photo.height(), photo.width()] != [height, width]
            || values.len() != channels * height * width
        {
            let (size, len) = ([photo.width(), photo.height()], values.len());
            let problem = format!("a photo of {size:?} for {:?} into {len} values", self.shape);
            return Err(DataError::argument("transforms", problem));
        }
        let planes = values.chunks_exact_mut(width * height).zip(&self.tables);
        for (channel, (plane, table)) in planes.enumerate() {
            let bytes = photo.pixels()[channel..].iter().step_by(channels);
            plane.iter_mut().zip(bytes).for_each(|(v, byte)| *v = table[usize::from(*byte)]);
        }
        let mut draws = Draws::new(key, self.steps.len());
        if draws.chance(self.erasing) {
            let part = draws.rectangle([width, height], (0.02, 0.33), (0.3, 3.3));
            part.into_iter().for_each(|part| erase(values, width, height, part));
        }
        Ok(())
    }
}

/// Sets a rectangle `[left, top, width, height]` of every plane to 0.
fn erase(values: &mut [f32], width: usize, height: usize, [left, top, w, h]: [usize; 4]) {
    for plane in values.chunks_exact_mut(width * height) {
        let rows = plane.chunks_exact_mut(width).skip(top).take(h);
        rows.for_each(|row| row[left..left + w].fill(0.0));
    }
}
