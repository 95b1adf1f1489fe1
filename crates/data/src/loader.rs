//! Batches, in order, ahead of time.
//!
//! An epoch is a list of indices cut into batches; both are known before anything is read. So a
//! batch is a function of its number, and all that threads can change is how soon it is there. A
//! thread in the background makes one batch after another, decoding its samples in parallel with
//! rayon, and hands them over through a channel that holds [`Loader::prefetch`] of them: a slow
//! consumer stops the thread, not the other way round. It never takes a decision, so there is
//! nothing to lose with it: dropping the iterator closes the channel and thereby ends it, an error
//! is sent like a batch, and a panic in a dataset is reported as an error.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rayon::prelude::*;
use striate_tensor::Buffer;
use striate_tensor::random::{Key, Purpose};
use striate_tensor::{Device, Tensor};

use crate::{DataError, Dataset, Result};

/// How long a thread of rayon's pool waits for a batch before it looks for other work.
const PATIENCE: Duration = Duration::from_micros(100);

/// Delivers a dataset in batches, epoch by epoch.
///
/// Built by value; cheap to clone. Iterating over a loader itself is epoch 0.
///
/// ```
/// use striate_data::{Loader, Mnist};
///
/// let digits = Mnist::shipped()?;
/// let loader = Loader::new(&digits.train).batch(64).shuffle(1).drop_last(true);
/// for epoch in 0..2 {
///     for batch in loader.epoch(epoch) {
///         assert_eq!(batch?.labels.len(), 64);
///     }
/// }
/// assert_eq!(loader.batches_per_epoch(), 125);
/// # Ok::<(), striate_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    batch: usize,
    seed: u64,
    shuffle: bool,
    drop_last: bool,
    prefetch: usize,
    workers: Option<usize>,
}

impl Loader {
    /// A loader of `dataset` in its order, one sample a batch; the dataset is cloned, which is
    /// cheap for those of this crate. An `Arc<dyn Dataset>` will do as well.
    pub fn new<D: Dataset + Clone + 'static>(dataset: &D) -> Self {
        Self {
            dataset: Arc::new(dataset.clone()),
            batch: 1,
            seed: 0,
            shuffle: false,
            drop_last: false,
            prefetch: 2,
            workers: None,
        }
    }

    /// The number of samples in a batch. With 0, an epoch is a single error.
    pub fn batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Visits the samples in an order that depends on `seed` and the epoch: the permutation of
    /// [`Purpose::Shuffle`] at step `epoch`. Also sets the [`seed`](Loader::seed).
    pub fn shuffle(self, seed: u64) -> Self {
        Self { seed, shuffle: true, ..self }
    }

    /// The seed of the samples' random transforms, 0 if not given. Sample `i` is read in epoch `e`
    /// under the key of [`Purpose::Augment`] at step `e`, stream `i`.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether to leave out the last batch if it is not full. It is kept if not said otherwise.
    pub fn drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }

    /// How many finished batches may wait to be taken: 2 if not said otherwise. More evens out
    /// batches that take long, and costs their memory.
    pub fn prefetch(self, prefetch: usize) -> Self {
        Self { prefetch, ..self }
    }

    /// Decodes on `workers` threads of its own. If not given, on rayon's global pool, which
    /// computation shares.
    pub fn workers(self, workers: usize) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// The number of samples in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The dataset that is delivered.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.dataset
    }

    /// The number of batches in an epoch: samples / batch size, rounded up, or down with
    /// [`drop_last`](Loader::drop_last); 0 for a batch size of 0.
    pub fn batches_per_epoch(&self) -> usize {
        let samples = self.dataset.len();
        match self.batch {
            0 => 0,
            batch if self.drop_last => samples / batch,
            batch => samples.div_ceil(batch),
        }
    }

    /// Refuses what cannot be cut into batches.
    fn check(&self) -> Result<()> {
        let shape = self.dataset.sample_shape();
        let problem = if self.batch == 0 {
            "a batch of 0 samples".to_owned()
        } else if shape.contains(&0) {
            format!("samples of shape {shape:?}, which hold nothing")
        } else {
            return Ok(());
        };
        Err(DataError::argument("loader", problem))
    }

    /// The batches of epoch `epoch`. Nothing is read before the first is asked for.
    pub fn epoch(&self, epoch: u64) -> Batches {
        let samples = self.dataset.len();
        let shuffled = || {
            let key = Key::new(self.seed, Purpose::Shuffle).step(epoch);
            key.permutation(samples)
        };
        Batches {
            plan: Arc::new(Plan {
                order: self.shuffle.then(shuffled),
                // One place for the error, if there are no batches to be had.
                count: self.check().map_or(1, |()| self.batches_per_epoch()),
                epoch,
                loader: self.clone(),
            }),
            next: 0,
            worker: None,
        }
    }
}

impl IntoIterator for &Loader {
    type Item = Result<Batch>;
    type IntoIter = Batches;

    fn into_iter(self) -> Batches {
        self.epoch(0)
    }
}

impl IntoIterator for Loader {
    type Item = Result<Batch>;
    type IntoIter = Batches;

    fn into_iter(self) -> Batches {
        self.epoch(0)
    }
}

/// Samples that are processed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The samples' values, one sample after another.
    pub images: Buffer<f32>,
    /// The shape of `images`: the number of samples, then the shape of one.
    pub shape: Vec<usize>,
    /// The samples' labels.
    pub labels: Vec<i64>,
    /// The samples' indices in the dataset.
    pub indices: Vec<usize>,
}

impl Batch {
    /// The images, of [`shape`](Batch::shape), and the labels, of shape `[samples]`, on `device`.
    ///
    /// # Errors
    ///
    /// If the device cannot take them.
    pub fn to(self, device: &Device) -> Result<(Tensor<f32>, Tensor<i64>)> {
        let samples = self.labels.len();
        Ok((
            Tensor::from_buffer(self.images, self.shape, device)?,
            Tensor::from_vec(self.labels, [samples], device)?,
        ))
    }
}

/// Which samples make which batch of an epoch.
struct Plan {
    loader: Loader,
    epoch: u64,
    /// The order in which samples are visited; their own, if there is none.
    order: Option<Vec<usize>>,
    count: usize,
}

impl Plan {
    /// Reads batch `number`, its samples in parallel. Of several errors the first sample's counts.
    fn read(&self, number: usize) -> Result<Batch> {
        let Loader { dataset, batch, .. } = &self.loader;
        let first = number * batch;
        let range = first..dataset.len().min(first + batch);
        let indices: Vec<usize> = match &self.order {
            Some(order) => order[range].to_vec(),
            None => range.collect(),
        };
        let sample_shape = dataset.sample_shape();
        let sample_len: usize = sample_shape.iter().product();
        let key = Key::new(self.loader.seed, Purpose::Augment).step(self.epoch);

        let mut images = Buffer::for_overwrite(indices.len() * sample_len);
        let labels: Vec<Result<i64>> = images
            .par_chunks_exact_mut(sample_len)
            .zip(&indices)
            .map(|(values, &index)| dataset.read(index, key.stream(index as u64), values))
            .collect();
        Ok(Batch {
            images,
            shape: [&[indices.len()], sample_shape].concat(),
            labels: labels.into_iter().collect::<Result<_>>()?,
            indices,
        })
    }
}

/// The batches of one epoch, made ahead of time.
///
/// A batch that cannot be read is an error in its place; the batches after it follow. If the
/// loader itself cannot work (see [`DataError::Worker`]), one error ends the epoch.
pub struct Batches {
    plan: Arc<Plan>,
    next: usize,
    /// Started by the first call of `next`.
    worker: Option<Worker>,
}

impl Batches {
    /// Goes on `batches` further without reading what lies between: a run that stopped after
    /// `n` batches of an epoch continues with `loader.epoch(e).skip_batches(n)`.
    pub fn skip_batches(self, batches: usize) -> Self {
        Self { next: self.next.saturating_add(batches), worker: None, plan: self.plan }
    }

    fn advance(&mut self) -> Result<Batch> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => {
                self.plan.loader.check()?;
                Worker::start(&self.plan, self.next)?
            }
        };
        match worker.receive() {
            Some(batch) => {
                self.worker = Some(worker);
                batch
            }
            None => Err(worker.failure()),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.next >= self.plan.count {
            return None;
        }
        let batch = self.advance();
        let alive = self.worker.is_some();
        self.next = if alive { self.next + 1 } else { self.plan.count };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.count.saturating_sub(self.next);
        (usize::from(left > 0), Some(left))
    }
}

/// The thread in the background, which ends by itself when nobody receives any more.
struct Worker {
    batches: Receiver<Result<Batch>>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts making the batches of `plan` from number `first` on.
    fn start(plan: &Arc<Plan>, first: usize) -> Result<Self> {
        let failed = |error: &dyn std::error::Error| DataError::Worker {
            problem: format!("cannot start its threads: {error}"),
        };
        let threads = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build();
        let pool = plan.loader.workers.map(threads);
        let pool = pool.transpose().map_err(|error| failed(&error))?;
        let (sender, batches) = sync_channel(plan.loader.prefetch.min(plan.count));
        let plan = Arc::clone(plan);
        let work = move || {
            for number in first..plan.count {
                let batch = match &pool {
                    Some(pool) => pool.install(|| plan.read(number)),
                    None => plan.read(number),
                };
                if sender.send(batch).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("striate-loader".to_owned());
        let thread = thread.spawn(work).map_err(|error| failed(&error))?;
        Ok(Self { batches, thread })
    }

    /// Waits for the next batch; none if the thread has ended.
    ///
    /// On a thread of rayon's pool, waiting idly could be waiting for oneself: with every thread of
    /// the pool in here, nobody would decode. So such a thread takes up work between its looks.
    fn receive(&self) -> Option<Result<Batch>> {
        if rayon::current_thread_index().is_none() {
            return self.batches.recv().ok();
        }
        let mut patience = Duration::ZERO;
        loop {
            match self.batches.recv_timeout(patience) {
                Ok(batch) => return Some(batch),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let worked = rayon::yield_now() == Some(rayon::Yield::Executed);
                    patience = if worked { Duration::ZERO } else { PATIENCE };
                }
            }
        }
    }

    /// Why the thread ended before its work was done.
    fn failure(self) -> DataError {
        let panic = self.thread.join().err();
        let message = panic.as_deref().and_then(panic_message);
        DataError::Worker {
            problem: format!("a sample panicked: {}", message.unwrap_or("no message")),
        }
    }
}

/// What a panic said; `panic!` with a text carries either of these types.
fn panic_message(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}
