//! Photos in files, decoded when they are wanted.
//!
//! Ten thousand photos are a gigabyte of JPEG and ten of pixels, so what is kept is a list of names. A sample is
//! read, decoded and transformed by whichever of the loader's threads gets to it.
//!
//! Two layouts are known. One lists names and classes in `labels.csv`, with the photos in `train/<id>.jpg`; the
//! other has a sub-folder for each class. Either way classes are sorted by name, and a label is the place in that
//! order: the same on every machine and in every run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use striate_tensor::random::Key;

use crate::{DataError, Dataset, Photo, Result, Transforms};

const LABELS: &str = "labels.csv";
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Labelled photo files, transformed as they are read; cheap to clone.
///
/// A part is held out with [`Dataset::split`]. The same seed holds out the same photos whatever the transforms, so
/// the part to train on and the part to test on may differ in theirs:
///
/// ```no_run
/// use striate_data::{Dataset, Photos, Transform, Transforms};
///
/// let plain = [Transform::PadToSquare, Transform::Resize([224, 224])];
/// let augmented = [Transform::HorizontalFlip(0.5), Transform::Rotation(30.0)];
/// let photos = Photos::from_dir("dog-breeds", Transforms::new(plain)?)?;
/// let fifth = photos.len() / 5;
/// let (_, valid) = photos.split(fifth, 42)?;
/// let augmented = Transforms::new(augmented.into_iter().chain(plain))?;
/// let (train, _) = photos.with(augmented).split(fifth, 42)?;
/// # Ok::<(), striate_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Photos {
    files: Arc<Files>,
    transforms: Arc<Transforms>,
}

#[derive(Debug)]
struct Files {
    paths: Vec<PathBuf>,
    labels: Vec<i64>,
    classes: Vec<String>,
}

impl Files {
    /// Files with the names of their classes.
    fn new(files: Vec<(PathBuf, String)>) -> Self {
        let names: BTreeSet<&String> = files.iter().map(|(_, class)| class).collect();
        let classes: Vec<String> = names.into_iter().cloned().collect();
        // Found where it came from: every class is in the list.
        let label = |class: &String| classes.partition_point(|other| other < class) as i64;
        let labels = files.iter().map(|(_, class)| label(class)).collect();
        Self { paths: files.into_iter().map(|(path, _)| path).collect(), labels, classes }
    }
}

impl Photos {
    /// The photos in `folder`, listed by its `labels.csv` if there is one, else in a sub-folder for each class.
    ///
    /// `labels.csv` has a heading and then lines `id,class`; a photo is `train/<id>.jpg`. In sub-folders, files
    /// that end in `jpg`, `jpeg` or `png` count, in the order of their names. No photo is opened.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, `labels.csv` has a line of another form or lists a photo that is not there, or
    /// there are no photos.
    pub fn from_dir(folder: impl AsRef<Path>, transforms: Transforms) -> Result<Self> {
        let folder = folder.as_ref();
        let files = match folder.join(LABELS).is_file() {
            true => listed(folder)?,
            false => sorted_into_folders(folder)?,
        };
        if files.is_empty() {
            let expected = format!("{LABELS}, or a sub-folder with photos for each class");
            return Err(DataError::content(&folder.display().to_string(), expected, "neither"));
        }
        Ok(Self { files: Arc::new(Files::new(files)), transforms: Arc::new(transforms) })
    }

    /// The same photos under other transforms.
    pub fn with(&self, transforms: Transforms) -> Self {
        Self { files: Arc::clone(&self.files), transforms: Arc::new(transforms) }
    }

    /// What is done to each photo.
    pub fn transforms(&self) -> &Transforms {
        &self.transforms
    }

    /// Where photo `index` lies.
    pub fn path(&self, index: usize) -> Option<&Path> {
        self.files.paths.get(index).map(PathBuf::as_path)
    }

    /// The labels of all photos, in order.
    pub fn labels(&self) -> &[i64] {
        &self.files.labels
    }

    /// Photo `index` as it lies on disk.
    ///
    /// # Errors
    ///
    /// If there is no such photo, or it cannot be decoded; the error names its file.
    pub fn photo(&self, index: usize) -> Result<Photo> {
        let path = self.path(index).ok_or_else(|| {
            DataError::argument("read", format!("photo {index} of {}", self.len()))
        })?;
        Photo::open(path)
    }

    /// Decodes every photo, in parallel, and returns what cannot be read, each error naming its file, in order.
    pub fn unreadable(&self) -> Vec<DataError> {
        (0..self.len()).into_par_iter().filter_map(|index| self.photo(index).err()).collect()
    }
}

impl Dataset for Photos {
    fn len(&self) -> usize {
        self.files.paths.len()
    }

    fn sample_shape(&self) -> &[usize] {
        self.transforms.sample_shape()
    }

    fn classes(&self) -> &[String] {
        &self.files.classes
    }

    fn read(&self, index: usize, key: Key, values: &mut [f32]) -> Result<i64> {
        self.transforms.write(self.photo(index)?, key, values)?;
        Ok(self.files.labels[index])
    }
}

fn listed(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let list = folder.join(LABELS);
    let name = list.display().to_string();
    let text = fs::read_to_string(&list).map_err(DataError::io(&name))?;
    let lines = text.lines().zip(1..).skip(1).filter(|(line, _)| !line.trim().is_empty());
    let file = |(line, number): (&str, usize)| {
        let wrong = |expected: &str| {
            DataError::content(&name, expected, format!("{line:?} in line {number}"))
        };
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[id, class] = &fields[..] else { return Err(wrong("lines of an id and a class")) };
        if id.is_empty() || class.is_empty() || id.contains(['/', '\\']) {
            return Err(wrong("a file's name without its folder, and a class"));
        }
        let path = folder.join("train").join(format!("{id}.jpg"));
        match path.is_file() {
            true => Ok((path, class.to_owned())),
            false => Err(wrong(&format!("a photo {}", path.display()))),
        }
    };
    lines.map(file).collect()
}

fn sorted_into_folders(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for class in sorted(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let photos = sorted(&class)?.into_iter().filter(|path| is_photo(path));
        files.extend(photos.map(|path| (path, name.clone())));
    }
    Ok(files)
}

fn is_photo(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.contains(&&*extension) && path.is_file()
}

/// What is in a folder, by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = folder.display().to_string();
    let entries = fs::read_dir(folder).map_err(DataError::io(&name))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> =
        paths.collect::<std::io::Result<_>>().map_err(DataError::io(&name))?;
    paths.sort();
    Ok(paths)
}
