//! MNIST, and the 10,000 digits of it that are built in.
//!
//! The digits (28 x 28, grey, 0 to 9) are the first 10,000 training images of Y. LeCun, L. Bottou,
//! Y. Bengio, P. Haffner: *Gradient-based learning applied to document recognition*, Proc. IEEE
//! 86(11), 1998. Their last 2,000 are held out, always, so accuracies compare across versions.

use std::path::{Path, PathBuf};

use crate::{DataError, Idx, Images, Result};

const SHIPPED_IMAGES: &[u8] = include_bytes!("../datasets/digits/images-idx3-ubyte.gz");
const SHIPPED_LABELS: &[u8] = include_bytes!("../datasets/digits/labels-idx1-ubyte.gz");
const SHIPPED_TRAIN: usize = 8000;
const SIDE: usize = 28;
const CLASSES: usize = 10;

/// Handwritten digits: images to train on, and images that no step may see.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// The training images: 60,000 of them in the full set, 8,000 shipped.
    pub train: Images,
    /// The held-out images: 10,000 of them in the full set, 2,000 shipped.
    pub test: Images,
}

impl Mnist {
    /// The 10,000 digits that are compiled into this crate; the last 2,000 are held out.
    ///
    /// # Errors
    ///
    /// None in practice: the files are read with the checks that any file gets.
    pub fn shipped() -> Result<Self> {
        let images = Idx::read(SHIPPED_IMAGES, "the shipped images")?;
        let labels = Idx::read(SHIPPED_LABELS, "the shipped labels")?;
        let mut train = Digits::new(images, "the shipped images", labels, "the shipped labels")?;
        let test = train.split_off(SHIPPED_TRAIN);
        Ok(Self { train: train.into_images()?, test: test.into_images()? })
    }

    /// Reads the four original files in `folder`: `train-images-idx3-ubyte`,
    /// `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`.
    ///
    /// Each may be gzip (`.gz`) or unpacked, and be called `.idx3-` in place of `-idx3-`.
    ///
    /// # Errors
    ///
    /// If a file is missing or damaged, is not IDX of the right shape, or the numbers of images and
    /// labels differ.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self> {
        let read = |part| Digits::from_dir(folder.as_ref(), part)?.into_images();
        Ok(Self { train: read("train")?, test: read("t10k")? })
    }
}

/// Images and labels that belong together, one image after another.
struct Digits {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Digits {
    /// The images and the labels of one part, each with the name that errors give it.
    fn new(images: Idx, images_name: &str, labels: Idx, labels_name: &str) -> Result<Self> {
        let (shape, pixels) = images.into_bytes(3, images_name)?;
        let (_, labels) = labels.into_bytes(1, labels_name)?;
        if shape[1..] != [SIDE, SIDE] {
            let expected = format!("images of {SIDE} x {SIDE}");
            return Err(DataError::content(images_name, expected, format!("shape {shape:?}")));
        }
        if shape[0] != labels.len() {
            let expected = format!("{} labels, one for each of {images_name}", shape[0]);
            return Err(DataError::content(labels_name, expected, labels.len().to_string()));
        }
        if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= CLASSES) {
            let expected = "labels from 0 to 9";
            return Err(DataError::content(labels_name, expected, label.to_string()));
        }
        Ok(Self { pixels, labels })
    }

    fn from_dir(folder: &Path, part: &str) -> Result<Self> {
        let images = find(folder, part, "images", 3)?;
        let labels = find(folder, part, "labels", 1)?;
        Self::new(
            Idx::open(&images)?,
            &images.display().to_string(),
            Idx::open(&labels)?,
            &labels.display().to_string(),
        )
    }

    /// Cuts off everything from image `at`.
    fn split_off(&mut self, at: usize) -> Self {
        Self { pixels: self.pixels.split_off(at * SIDE * SIDE), labels: self.labels.split_off(at) }
    }

    fn into_images(self) -> Result<Images> {
        let classes = (0..CLASSES).map(|digit| digit.to_string()).collect();
        Images::new([1, SIDE, SIDE], self.pixels, self.labels, classes)
    }
}

/// The file of a part under whichever of its names is there.
fn find(folder: &Path, part: &str, kind: &str, rank: usize) -> Result<PathBuf> {
    let names: Vec<String> = ["-", "."]
        .iter()
        .flat_map(|dot| ["", ".gz"].map(|end| format!("{part}-{kind}{dot}idx{rank}-ubyte{end}")))
        .collect();
    let mut paths = names.iter().map(|name| folder.join(name));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let folder = folder.display().to_string();
        DataError::Missing { folder, names }
    })
}
