//! Data: files in, batches out.
//!
//! Training is as reproducible as the stream of batches that it sees. So this crate keeps two
//! things apart. A [`Dataset`] is random access: sample *i*, under a random key, is a pure function
//! of both. A [`Loader`] decides the order and the grouping, also as a pure function (of seed and
//! epoch), and gets batches decoded ahead of time on many threads. As neither has a state that is
//! advanced, the number of threads cannot show in a batch, an epoch can be resumed in its middle
//! without reading its beginning, and two runs with one seed see the same bits.
//!
//! Readers take files as they come from strangers: cut short, mislabelled, or with a header that
//! promises more than the file holds. They report a [`DataError`] that names the file, and they
//! allocate in proportion to what is there, not to what a header says.
//!
//! * [`idx`]: the IDX format, any rank and type; [`Mnist`] on it, with 10,000 digits built in.
//! * [`Cifar10`]: the official binary batches.
//! * [`Images`]: images in memory, a byte per value, scaled to [0, 1] as they are read.
//! * [`Photos`]: photo files, decoded on demand; [`Transforms`] say what happens to each [`Photo`] on its way.
//! * [`Subset`]: part of a dataset, by index or by seeded split.
//!
//! ```
//! use striate_data::{Loader, Mnist};
//! use striate_tensor::Device;
//!
//! let device = Device::cpu();
//! let digits = Mnist::shipped()?;
//! for batch in Loader::new(&digits.train).batch(100).shuffle(1).epoch(0).take(3) {
//!     let (images, labels) = batch?.to(&device)?;
//!     assert_eq!(images.shape(), [100, 1, 28, 28]);
//!     assert_eq!(labels.shape(), [100]);
//! }
//! # Ok::<(), striate_data::DataError>(())
//! ```

mod cifar10;
mod dataset;
mod error;
pub mod idx;
mod images;
mod loader;
mod mnist;
mod photo;
mod photos;
mod torch;
mod transform;

pub use cifar10::Cifar10;
pub use dataset::{Dataset, Subset};
pub use error::{DataError, Result};
pub use idx::{Idx, IdxValues};
pub use images::Images;
pub use loader::{Batch, Batches, Loader};
pub use mnist::Mnist;
pub use photo::{Corners, Photo};
pub use photos::Photos;
pub use torch::torch_permutation;
pub use transform::{IMAGENET, Transform, Transforms};
