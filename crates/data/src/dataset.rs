//! What a dataset is, and parts of one.
//!
//! The trait asks for random access and purity, no more: [`Dataset::read`] writes sample `index`
//! into memory that the caller owns (its row of a batch, so nothing is copied twice) and may use
//! the numbers of the `key` that it is passed for random transforms. It is object safe. Images in
//! memory and photos decoded on demand look the same to a [`Loader`](crate::Loader).

use std::sync::Arc;

use striate_tensor::random::{Key, Purpose};

use crate::{DataError, Result};

/// Labelled samples of one shape, in random access.
///
/// ```
/// use striate_data::{Dataset, Loader, Result};
/// use striate_tensor::random::Key;
///
/// /// Noise, and whether its first value is above one half.
/// #[derive(Clone)]
/// struct Noise {
///     classes: [String; 2],
/// }
///
/// impl Dataset for Noise {
///     fn len(&self) -> usize {
///         1000
///     }
///     fn sample_shape(&self) -> &[usize] {
///         &[16]
///     }
///     fn classes(&self) -> &[String] {
///         &self.classes
///     }
///     fn read(&self, _index: usize, key: Key, values: &mut [f32]) -> Result<i64> {
///         key.fill_uniform(values, 0.0, 1.0);
///         Ok(i64::from(values[0] > 0.5))
///     }
/// }
///
/// let noise = Noise { classes: ["low".into(), "high".into()] };
/// let batch = Loader::new(&noise).batch(10).into_iter().next();
/// assert_eq!(batch.expect("the first of 100")?.shape, [10, 16]);
/// # Ok::<(), striate_data::DataError>(())
/// ```
pub trait Dataset: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of every sample, without the batch axis: `[channels, height, width]` for images.
    fn sample_shape(&self) -> &[usize];

    /// The names of the classes; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Writes sample `index` into `values`, row-major, and returns its label.
    ///
    /// `values` has as many elements as [`sample_shape`](Dataset::sample_shape) says, and
    /// unspecified content. What is written must be a function of `index` and `key` alone; `key`
    /// differs between samples and between epochs.
    ///
    /// # Errors
    ///
    /// If `index` is not below [`len`](Dataset::len), or the sample cannot be read.
    fn read(&self, index: usize, key: Key, values: &mut [f32]) -> Result<i64>;

    /// The samples at `indices`, in this order: `0..1000`, or a list.
    ///
    /// # Errors
    ///
    /// If an index is not below [`len`](Dataset::len).
    fn subset(&self, indices: impl IntoIterator<Item = usize>) -> Result<Subset<Self>>
    where
        Self: Sized + Clone,
    {
        let indices: Arc<[usize]> = indices.into_iter().collect();
        let len = self.len();
        if let Some(index) = indices.iter().find(|&&index| index >= len) {
            let problem = format!("sample {index} of a dataset of {len}");
            return Err(DataError::argument("subset", problem));
        }
        let dataset = self.clone();
        Ok(Subset { dataset, indices })
    }

    /// Divides the dataset at random into `(training, held out)`, the latter of `held_out` samples.
    ///
    /// Held out are the first `held_out` indices of the permutation that `seed` gives under
    /// [`Purpose::Split`]; both parts keep the order of the dataset.
    ///
    /// # Errors
    ///
    /// If there are fewer than `held_out` samples.
    fn split(&self, held_out: usize, seed: u64) -> Result<(Subset<Self>, Subset<Self>)>
    where
        Self: Sized + Clone,
    {
        let len = self.len();
        if held_out > len {
            let problem = format!("{held_out} samples held out of a dataset of {len}");
            return Err(DataError::argument("split", problem));
        }
        let mut order = Key::new(seed, Purpose::Split).permutation(len);
        let (valid, train) = order.split_at_mut(held_out);
        valid.sort_unstable();
        train.sort_unstable();
        Ok((self.subset(train.iter().copied())?, self.subset(valid.iter().copied())?))
    }
}

/// A shared dataset is a dataset, so that `Arc<dyn Dataset>` goes wherever one is asked for.
impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn sample_shape(&self) -> &[usize] {
        (**self).sample_shape()
    }

    fn classes(&self) -> &[String] {
        (**self).classes()
    }

    fn read(&self, index: usize, key: Key, values: &mut [f32]) -> Result<i64> {
        (**self).read(index, key, values)
    }
}

/// Some of a dataset's samples: see [`Dataset::subset`] and [`Dataset::split`].
///
/// Cheap to clone if the dataset is. Sample `i` is sample `indices()[i]` of the dataset.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Arc<[usize]>,
}

impl<D> Subset<D> {
    /// The whole dataset that this is part of.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The place in the whole dataset of each of this part's samples.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn sample_shape(&self) -> &[usize] {
        self.dataset.sample_shape()
    }

    fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    fn read(&self, index: usize, key: Key, values: &mut [f32]) -> Result<i64> {
        let Some(&whole) = self.indices.get(index) else {
            let problem = format!("sample {index} of a subset of {}", self.len());
            return Err(DataError::argument("read", problem));
        };
        self.dataset.read(whole, key, values)
    }
}
