//! Images in memory: a byte per value, and what each byte means.
//!
//! All of CIFAR-10 is 180 MB as bytes and 720 MB as `f32`, so the bytes are kept and turned into
//! numbers as they are read. Since a byte has 256 values, scaling to [0, 1] and normalising are one
//! table per channel: computed once, exactly as the formula says, and a look-up after that.

use std::fmt;
use std::sync::Arc;

use striate_tensor::random::Key;

use crate::{DataError, Dataset, Result};

/// The number that each byte stands for, in one channel.
pub(crate) type Table = [f32; 256];

/// Labelled images of one size, held as bytes; cheap to clone.
///
/// Sample `i` has shape `[channels, height, width]` and values `x / 255`, in [0, 1], or
/// `(x / 255 - mean) / std` after [`Images::normalize`].
///
/// ```
/// use striate_data::{Dataset, Images};
/// use striate_tensor::random::{Key, Purpose};
///
/// let classes = ["dark", "light"].map(String::from).to_vec();
/// let images = Images::new([1, 1, 2], vec![0, 51, 204, 255], vec![0, 1], classes)?;
/// let mut values = [0.0; 2];
/// let label = images.read(1, Key::new(0, Purpose::Augment), &mut values)?;
/// assert_eq!((label, values), (1, [0.8, 1.0]));
/// # Ok::<(), striate_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct Images {
    shape: [usize; 3],
    samples: Arc<Samples>,
    tables: Arc<[Table]>,
}

struct Samples {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    classes: Vec<String>,
}

impl Images {
    /// Images of `shape` `[channels, height, width]`, one after another in `pixels`, row-major; one
    /// label for each, an index into `classes`.
    ///
    /// # Errors
    ///
    /// If a dimension is zero, the numbers of pixels and labels do not match, or a label has no
    /// class.
    pub fn new(
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self> {
        let problem = |problem| Err(DataError::argument("images", problem));
        let image = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let len = image.and_then(|image| image.checked_mul(labels.len()));
        if shape.contains(&0) || len != Some(pixels.len()) {
            let (images, bytes) = (labels.len(), pixels.len());
            return problem(format!("{images} images of {shape:?} in {bytes} bytes"));
        }
        let unknown = |&label: &u8| usize::from(label) >= classes.len();
        if let Some(index) = labels.iter().position(unknown) {
            let (label, classes) = (labels[index], classes.len());
            return problem(format!("sample {index} has label {label} of {classes} classes"));
        }
        let mut tables = Vec::new();
        if tables.try_reserve_exact(shape[0]).is_err() {
            return problem(format!("no memory for the tables of {} channels", shape[0]));
        }
        tables.resize(shape[0], table(0.0, 1.0));
        let samples = Samples { pixels, labels, classes };
        Ok(Self { shape, samples: Arc::new(samples), tables: tables.into() })
    }

    /// The same images with values `(x / 255 - mean) / std`, channel by channel.
    ///
    /// Replaces an earlier normalisation. The bytes are shared, not copied.
    ///
    /// # Errors
    ///
    /// If there is not one mean and one standard deviation for each channel, or one of them is not
    /// finite, or a deviation is not positive.
    pub fn normalize(&self, mean: &[f32], std_dev: &[f32]) -> Result<Self> {
        let problem = |problem| Err(DataError::argument("normalize", problem));
        let channels = self.shape[0];
        if mean.len() != channels || std_dev.len() != channels {
            let (means, deviations) = (mean.len(), std_dev.len());
            return problem(format!(
                "{means} means and {deviations} standard deviations for {channels} channels"
            ));
        }
        if !mean.iter().chain(std_dev).all(|x| x.is_finite()) || std_dev.iter().any(|&s| s <= 0.0) {
            return problem(format!(
                "expects finite means and positive standard deviations, \
                 got {mean:?} and {std_dev:?}"
            ));
        }
        let tables = mean.iter().zip(std_dev).map(|(&m, &s)| table(m, s));
        Ok(Self { tables: tables.collect(), ..self.clone() })
    }

    /// The bytes of image `index`, `[channels, height, width]` row-major.
    pub fn pixels(&self, index: usize) -> Option<&[u8]> {
        self.samples.pixels.chunks_exact(self.image_len()).nth(index)
    }

    /// The labels of all images, in order.
    pub fn labels(&self) -> &[u8] {
        &self.samples.labels
    }

    fn image_len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Dataset for Images {
    fn len(&self) -> usize {
        self.samples.labels.len()
    }

    fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    fn classes(&self) -> &[String] {
        &self.samples.classes
    }

    fn read(&self, index: usize, _key: Key, values: &mut [f32]) -> Result<i64> {
        let problem = |problem| Err(DataError::argument("read", problem));
        let Some(pixels) = self.pixels(index) else {
            return problem(format!("sample {index} of {} images", self.len()));
        };
        if values.len() != pixels.len() {
            let len = values.len();
            return problem(format!("an image of {:?} into {len} values", self.shape));
        }
        let plane = pixels.len() / self.shape[0];
        let channels = pixels.chunks_exact(plane).zip(values.chunks_exact_mut(plane));
        for ((pixels, values), table) in channels.zip(&*self.tables) {
            for (value, &pixel) in values.iter_mut().zip(pixels) {
                *value = table[usize::from(pixel)];
            }
        }
        Ok(i64::from(self.samples.labels[index]))
    }
}

/// Shape and number: the pixels themselves would fill the screen.
impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images")
            .field("len", &self.len())
            .field("shape", &self.shape)
            .field("classes", &self.classes())
            .finish_non_exhaustive()
    }
}

/// `(x / 255 - mean) / std` for every byte x, each operation rounded to `f32`, as torchvision's
/// `ToTensor` and `Normalize` do one after the other.
pub(crate) fn table(mean: f32, std_dev: f32) -> Table {
    std::array::from_fn(|x| (x as f32 / 255.0 - mean) / std_dev)
}
