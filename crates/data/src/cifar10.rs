//! CIFAR-10 as its authors publish it for programs in C.
//!
//! A. Krizhevsky: *Learning multiple layers of features from tiny images*, 2009. Each `.bin` file
//! is a row of records of 3,073 bytes: the label, then 32 x 32 red, green and blue values, plane by
//! plane. That is the `[channels, height, width]` of [`Images`], so records are only cut apart.

use std::fs;
use std::path::Path;

use crate::{DataError, Images, Result};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
const FOLDER: &str = "cifar-10-batches-bin";
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Colour photos of ten classes, 3 x 32 x 32.
#[derive(Clone, Debug)]
pub struct Cifar10 {
    /// The training images: five batches, 50,000 images in the official files.
    pub train: Images,
    /// The test images: 10,000 in the official file.
    pub test: Images,
}

impl Cifar10 {
    /// Reads `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` in `folder`, or in its
    /// sub-folder `cifar-10-batches-bin`.
    ///
    /// The names of the classes come from `batches.meta.txt`; without this file they are the
    /// official ones.
    ///
    /// # Errors
    ///
    /// If a file is missing, empty, or not a whole number of records; if the training batches,
    /// which are equally long, are not (one is cut short); if a label is above 9; if
    /// `batches.meta.txt` does not name ten classes.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let inner = folder.join(FOLDER);
        let folder = if inner.is_dir() { &inner } else { folder };
        let classes = class_names(&folder.join("batches.meta.txt"))?;

        let mut train = Records::default();
        for number in 1..=5 {
            let path = folder.join(format!("data_batch_{number}.bin"));
            let count = train.append(&path)?;
            if train.labels.len() != number * count {
                let expected = (train.labels.len() - count) / (number - 1);
                return Err(DataError::content(
                    &path.display().to_string(),
                    format!("{expected} records, as in the batches before it"),
                    count.to_string(),
                ));
            }
        }
        let mut test = Records::default();
        test.append(&folder.join("test_batch.bin"))?;
        Ok(Self { train: train.into_images(classes.clone())?, test: test.into_images(classes)? })
    }
}

#[derive(Default)]
struct Records {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Records {
    /// Appends the records of the file at `path`, and returns how many it holds.
    fn append(&mut self, path: &Path) -> Result<usize> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(DataError::io(&name))?;
        if bytes.is_empty() || bytes.len() % RECORD != 0 {
            let expected = format!("records of {RECORD} bytes");
            let found = format!("{} bytes", bytes.len());
            return Err(DataError::content(&name, expected, found));
        }
        let records = bytes.len() / RECORD;
        self.pixels.reserve(records * PIXELS);
        for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
            let (label, pixels) = (record[0], &record[1..]);
            if usize::from(label) >= CLASSES.len() {
                let found = format!("{label} in record {index}");
                return Err(DataError::content(&name, "labels from 0 to 9", found));
            }
            self.labels.push(label);
            self.pixels.extend_from_slice(pixels);
        }
        Ok(records)
    }

    fn into_images(self, classes: Vec<String>) -> Result<Images> {
        Images::new(SHAPE, self.pixels, self.labels, classes)
    }
}

/// One name a line; blank lines, as at the end of the official file, do not count.
fn class_names(path: &Path) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(CLASSES.map(String::from).to_vec());
    }
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(DataError::io(&name))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(String::from).collect();
    if names.len() != CLASSES.len() {
        let (expected, found) = ("10 class names", names.len().to_string());
        return Err(DataError::content(&name, expected, found));
    }
    Ok(names)
}
