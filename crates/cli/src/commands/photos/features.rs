//! Features of a frozen body, computed once.
//!
//! What reaches the head is the mean of each of the body's 512 maps, so that is what is kept: 10 MB for 4,800 photos,
//! where the maps would be 480.

use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use striate::data::{DataError, Photos, Subset};
use striate::nn::Checkpoint;
use striate::prelude::*;
use striate::tensor::random::Key;

use crate::{Failure, named};

/// The means of the maps, `[512, 1, 1]` a photo, with the photos' labels; cheap to clone.
#[derive(Clone)]
pub struct Features {
    values: Arc<[f32]>,
    labels: Arc<[i64]>,
    classes: Arc<[String]>,
    shape: [usize; 3],
}

/// The tensors of the file.
const FEATURES: &str = "features";
const LABELS: &str = "labels";

/// Photos at a time.
const BATCH: usize = 16;

impl Features {
    /// What the file holds, or, if there is none, what `body` makes of `photos`, which then fills it.
    ///
    /// Fails if the file belongs to other photos.
    pub fn cached(
        file: &Path,
        body: (&Sequential, &Device),
        photos: &Subset<Photos>,
    ) -> Result<Self, Failure> {
        if !file.exists() {
            Checkpoint { tensors: compute(body, photos)?, texts: Default::default() }.save(file)?;
        }
        let mut tensors = Checkpoint::<f32>::load(file, &Device::cpu())?.tensors;
        let labels = photos.indices().iter().map(|&index| photos.dataset().labels()[index]);
        let labels: Vec<i64> = labels.collect();
        let mut take = |name: &str| {
            tensors.remove(name).ok_or_else(|| format!("{}: expected {name}", file.display()))
        };
        let (features, stored) = (take(FEATURES)?, take(LABELS)?);
        let stored: Vec<i64> = stored.to_vec()?.iter().map(|label| *label as i64).collect();
        if stored != labels || features.shape().len() != 2 || features.shape()[0] != labels.len() {
            let found = format!("{:?}", features.shape());
            return Err(named(file)(format!(
                "expected the features of these {} photos, got others, {found}",
                labels.len()
            )));
        }
        Ok(Features {
            shape: [features.shape()[1], 1, 1],
            values: features.to_vec()?.into(),
            labels: labels.into(),
            classes: photos.classes().into(),
        })
    }
}

/// Runs the body on every photo, in their order.
fn compute(
    (body, device): (&Sequential, &Device),
    photos: &Subset<Photos>,
) -> Result<striate::nn::State, Failure> {
    let loader = Loader::new(photos).batch(BATCH);
    let style = ProgressStyle::with_template("features {wide_bar} {pos}/{len} {eta} left")?;
    let bar = ProgressBar::new(loader.batches_per_epoch() as u64).with_style(style);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for batch in loader.epoch(0) {
        let (images, batch_labels) = batch?.to(device)?;
        let maps = body.forward(&images, &Pass::evaluate())?;
        values.extend(maps.adaptive_avg_pool([1, 1])?.to_vec()?);
        labels.extend(batch_labels.to_vec()?.iter().map(|label| *label as f32));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let count = labels.len();
    let tensor =
        |values: Vec<f32>, shape: &[usize]| Tensor::from_vec(values, shape, &Device::cpu());
    let channels = values.len() / count;
    Ok([
        (FEATURES.to_owned(), tensor(values, &[count, channels])?),
        (LABELS.to_owned(), tensor(labels, &[count])?),
    ]
    .into())
}

impl Dataset for Features {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn read(&self, index: usize, _: Key, values: &mut [f32]) -> striate::data::Result<i64> {
        let Some(own) = self.values.chunks_exact(self.shape[0]).nth(index) else {
            let problem = format!("sample {index} of {}", self.len());
            return Err(DataError::Argument { operation: "read", problem });
        };
        values.copy_from_slice(own);
        Ok(self.labels[index])
    }
}
