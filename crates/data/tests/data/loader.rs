//! The loader: which batches, the same on any number of threads, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use striate_data::{Batch, Batches, DataError, Dataset, Loader, Result};
use striate_tensor::Device;
use striate_tensor::random::{Key, Purpose};

use crate::datasets::images;
use crate::expect_error;

/// 100 samples: the index, and a random number. Counts how many are read.
#[derive(Clone)]
struct Probe {
    reads: Arc<AtomicUsize>,
    shape: [usize; 1],
    on_read: fn(usize) -> Result<()>,
}

impl Probe {
    fn new(on_read: fn(usize) -> Result<()>) -> Self {
        Self { reads: Arc::default(), shape: [2], on_read }
    }

    fn good() -> Self {
        Self::new(|_| Ok(()))
    }
}

impl Dataset for Probe {
    fn len(&self) -> usize {
        100
    }

    fn sample_shape(&self) -> &[usize] {
        &self.shape
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn read(&self, index: usize, key: Key, values: &mut [f32]) -> Result<i64> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        (self.on_read)(index)?;
        values.copy_from_slice(&[index as f32, key.uniform(0) as f32]);
        Ok(index as i64 % 7)
    }
}

fn contents(batches: Batches) -> Vec<Batch> {
    batches.map(|batch| batch.expect("good samples")).collect()
}

fn order(batches: Batches) -> Vec<usize> {
    let indices = |batch: Result<Batch>| batch.expect("good samples").indices;
    batches.flat_map(indices).collect()
}

#[test]
fn batches_follow_the_dataset_and_keep_the_rest() {
    let loader = Loader::new(&images(10)).batch(4);
    let batches: Vec<Batch> = loader.epoch(0).collect::<Result<_>>().unwrap();
    assert_eq!(loader.batches_per_epoch(), 3);
    let shapes: Vec<_> = batches.iter().map(|batch| &batch.shape[..]).collect();
    assert_eq!(shapes, [[4, 2, 1, 1], [4, 2, 1, 1], [2, 2, 1, 1]]);
    assert_eq!(batches[2].indices, [8, 9]);
    assert_eq!(batches[2].labels, [0, 1]);
    assert_eq!(batches[2].images[..], [8.0, 247.0, 9.0, 246.0].map(|x| x / 255.0));
}

#[test]
fn an_incomplete_batch_can_be_left_out() {
    let lengths = |batch, drop_last| {
        let loader = Loader::new(&images(10)).batch(batch).drop_last(drop_last);
        let lengths: Vec<_> = loader.epoch(0).map(|b| b.unwrap().labels.len()).collect();
        assert_eq!(loader.batches_per_epoch(), lengths.len());
        lengths
    };
    assert_eq!(lengths(4, true), [4, 4]);
    assert_eq!(lengths(5, true), [5, 5]);
    assert_eq!(lengths(5, false), [5, 5]);
    assert_eq!(lengths(11, true), []);
    assert_eq!(lengths(usize::MAX, false), [10]);
}

#[test]
fn shuffling_depends_on_seed_and_epoch() {
    let loader = Loader::new(&Probe::good()).batch(8).shuffle(5);
    let expected = Key::new(5, Purpose::Shuffle).step(3).permutation(100);
    assert_eq!(order(loader.epoch(3)), expected);
    assert_eq!(order(loader.epoch(3)), expected);
    assert_ne!(order(loader.epoch(4)), expected);
    assert_ne!(order(loader.clone().shuffle(6).epoch(3)), expected);
    assert_eq!(order((&loader).into_iter()), order(loader.epoch(0)));
    assert_eq!(order(Loader::new(&Probe::good()).epoch(3)), Vec::from_iter(0..100));
}

#[test]
fn a_sample_draws_the_same_wherever_it_stands() {
    let loader = Loader::new(&Probe::good()).batch(8).seed(5);
    let drawn = |batches: Batches| {
        let batches = batches.map(|batch| batch.unwrap());
        let mut drawn: Vec<_> = batches
            .flat_map(|batch| batch.images.chunks(2).map(|v| [v[0], v[1]]).collect::<Vec<_>>())
            .collect();
        drawn.sort_by(|a, b| a[0].total_cmp(&b[0]));
        drawn
    };
    let key = Key::new(5, Purpose::Augment).step(2).stream(17);
    assert_eq!(drawn(loader.epoch(2))[17], [17.0, key.uniform(0) as f32]);
    assert_eq!(drawn(loader.epoch(2)), drawn(loader.clone().shuffle(5).epoch(2)));
    assert_ne!(drawn(loader.epoch(2)), drawn(loader.epoch(3)));
}

#[test]
fn threads_do_not_show() {
    let loader = Loader::new(&Probe::good()).batch(7).shuffle(1);
    let global = contents(loader.epoch(2));
    for workers in [1, 2, 4] {
        for prefetch in [0, 1, 5] {
            let loader = loader.clone().workers(workers).prefetch(prefetch);
            assert_eq!(contents(loader.epoch(2)), global);
        }
    }
}

#[test]
fn skipping_reads_nothing_and_changes_nothing() {
    let probe = Probe::good();
    let loader = Loader::new(&probe).batch(7).shuffle(1).prefetch(0);
    let whole = contents(loader.epoch(2));
    probe.reads.store(0, Ordering::SeqCst);
    assert_eq!(contents(loader.epoch(2).skip_batches(12)), whole[12..]);
    assert_eq!(probe.reads.load(Ordering::SeqCst), 100 - 12 * 7);

    let mut begun = loader.epoch(2);
    begun.next().unwrap().unwrap();
    assert_eq!(contents(begun.skip_batches(3)), whole[4..]);
    assert!(contents(loader.epoch(2).skip_batches(usize::MAX)).is_empty());
}

#[test]
fn nothing_is_read_before_it_is_wanted_nor_far_ahead() {
    let probe = Probe::good();
    let mut batches = Loader::new(&probe).batch(5).prefetch(2).epoch(0);
    assert_eq!(probe.reads.load(Ordering::SeqCst), 0);
    batches.next().unwrap().unwrap();
    // One taken, two that wait, and one whose turn to wait has not come.
    wait_until(|| probe.reads.load(Ordering::SeqCst) == 20);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(probe.reads.load(Ordering::SeqCst), 20);
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        thread::yield_now();
    }
}

#[test]
fn an_error_stands_in_its_batch_and_the_rest_follows() {
    let bad = |index| match index {
        13 | 14 | 31 => Err(DataError::Worker { problem: format!("no sample {index}") }),
        _ => Ok(()),
    };
    let batches: Vec<_> = Loader::new(&Probe::new(bad)).batch(10).epoch(0).collect();
    assert_eq!(batches.len(), 10);
    for (number, batch) in batches.into_iter().enumerate() {
        match number {
            1 => expect_error(batch, &["no sample 13"]),
            3 => expect_error(batch, &["no sample 31"]),
            _ => assert_eq!(batch.unwrap().indices[0], 10 * number),
        }
    }
}

#[test]
fn a_panicking_dataset_is_an_error_and_the_end() {
    let probe = Probe::new(|index| match index {
        25 => panic!("sample 25 is cursed"),
        _ => Ok(()),
    });
    for loader in [Loader::new(&probe), Loader::new(&probe).workers(2)] {
        let mut batches = loader.batch(10).epoch(0);
        assert!(batches.next().unwrap().is_ok());
        assert!(batches.next().unwrap().is_ok());
        expect_error(batches.next().unwrap(), &["loader", "sample 25 is cursed"]);
        assert!(batches.next().is_none());
    }
}

#[test]
fn what_cannot_be_batched_is_one_error() {
    let mut empty = Probe::good();
    empty.shape = [0];
    let cases = [
        (Loader::new(&Probe::good()).batch(0), "a batch of 0 samples"),
        (Loader::new(&empty).batch(4), "shape [0]"),
    ];
    for (loader, message) in cases {
        let mut batches = loader.into_iter();
        expect_error(batches.next().unwrap(), &[message]);
        assert!(batches.next().is_none());
    }
    let nothing = images(10).subset([]).unwrap();
    assert!(Loader::new(&nothing).batch(4).into_iter().next().is_none());
}

#[test]
fn dropping_the_iterator_ends_its_thread() {
    let probe = Probe::good();
    for taken in [1, 3] {
        let mut batches = Loader::new(&probe).batch(2).epoch(0);
        assert!(batches.by_ref().take(taken).all(|batch| batch.is_ok()));
        drop(batches);
        // The thread held the only other clone of the dataset.
        wait_until(|| Arc::strong_count(&probe.reads) == 1);
    }
    assert!(probe.reads.load(Ordering::SeqCst) < 100);
}

/// With every thread of the pool waiting for a batch, one of them has to decode it.
#[test]
fn waiting_on_the_pool_that_decodes_does_not_block() {
    let loader = Loader::new(&Probe::good()).batch(7).shuffle(1);
    let expected = contents(loader.epoch(0));
    let all = rayon::broadcast(|_| contents(loader.epoch(0)));
    assert!(all.into_iter().all(|one| one == expected));
}

#[test]
fn a_batch_becomes_tensors() {
    let device = Device::cpu();
    let batch = Loader::new(&images(10)).batch(4).epoch(0).next();
    let (images, labels) = batch.unwrap().unwrap().to(&device).unwrap();
    assert_eq!(images.shape(), [4, 2, 1, 1]);
    assert_eq!(images.to_vec().unwrap()[4..6], [2.0 / 255.0, 253.0 / 255.0]);
    assert_eq!(labels.shape(), [4]);
    assert_eq!(labels.to_vec().unwrap(), [0, 1, 0, 1]);
}
