//! Images in memory, and parts of datasets.

use std::sync::Arc;

use striate_data::{DataError, Dataset, Idx, Images, Loader, Result};
use striate_tensor::random::{Key, Purpose};

use crate::expect_error;

/// `n` images of two channels of one pixel, with values `i` and `255 - i`, and labels i mod 2.
pub fn images(n: u8) -> Images {
    let pixels = (0..n).flat_map(|i| [i, 255 - i]).collect();
    let labels = (0..n).map(|i| i % 2).collect();
    let classes = ["even", "odd"].map(String::from).to_vec();
    Images::new([2, 1, 1], pixels, labels, classes).unwrap()
}

fn sample(dataset: &dyn Dataset, index: usize) -> Result<([f32; 2], i64)> {
    let mut values = [0.0; 2];
    let label = dataset.read(index, Key::new(0, Purpose::Augment), &mut values)?;
    Ok((values, label))
}

#[test]
fn bytes_are_scaled_and_normalised_by_channel() {
    let images = images(4);
    assert_eq!(sample(&images, 3).unwrap(), ([3.0 / 255.0, 252.0 / 255.0], 1));

    let normal = images.normalize(&[0.5, 0.1307], &[0.25, 0.3081]).unwrap();
    let expected = [(3.0 / 255.0 - 0.5f32) / 0.25, (252.0 / 255.0 - 0.1307f32) / 0.3081];
    assert_eq!(sample(&normal, 3).unwrap().0, expected);
    let again = normal.normalize(&[0.0, 0.0], &[1.0, 1.0]).unwrap();
    assert_eq!(sample(&again, 3).unwrap(), sample(&images, 3).unwrap());
}

#[test]
fn images_that_make_no_sense_are_refused() {
    let new = |shape, pixels, labels: &[u8]| {
        let classes = vec!["only".to_owned()];
        Images::new(shape, vec![0; pixels], labels.to_vec(), classes)
    };
    assert!(new([1, 2, 2], 8, &[0, 0]).is_ok());
    expect_error(new([1, 2, 2], 7, &[0, 0]), &["2 images of [1, 2, 2] in 7"]);
    expect_error(new([1, 0, 2], 0, &[0]), &["[1, 0, 2]"]);
    expect_error(new([usize::MAX, 2, 2], 8, &[0, 0]), &["in 8 bytes"]);
    let label = new([1, 2, 2], 8, &[0, 1]);
    expect_error(label, &["sample 1 has label 1 of 1 classes"]);
}

#[test]
fn reading_and_normalising_check_their_arguments() {
    let images = images(4);
    expect_error(sample(&images, 4), &["sample 4 of 4 images"]);
    let key = Key::new(0, Purpose::Augment);
    expect_error(images.read(0, key, &mut [0.0; 3]), &["[2, 1, 1] into 3"]);
    expect_error(images.normalize(&[0.5], &[1.0]), &["1 means", "2 channels"]);
    for (mean, std_dev) in [(f32::NAN, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f32::INFINITY)] {
        let result = images.normalize(&[0.0, mean], &[1.0, std_dev]);
        expect_error(result, &["normalize", "positive"]);
    }
}

#[test]
fn a_subset_has_the_samples_it_names() {
    let images = images(10);
    let subset = images.subset([7, 2, 7]).unwrap();
    assert_eq!(subset.len(), 3);
    assert_eq!(sample(&subset, 2).unwrap(), sample(&images, 7).unwrap());
    assert_eq!(subset.classes(), images.classes());

    let range = images.subset(4..10).unwrap().subset([1]).unwrap();
    assert_eq!(sample(&range, 0).unwrap(), sample(&images, 5).unwrap());

    expect_error(sample(&subset, 3), &["sample 3 of a subset of 3"]);
    expect_error(images.subset(4..11).map(|_| ()), &["sample 10 of a dataset of 10"]);
}

#[test]
fn a_split_parts_the_dataset_by_its_seed() {
    let images = images(100);
    let (train, valid) = images.split(20, 42).unwrap();
    assert_eq!((train.len(), valid.len()), (80, 20));
    assert!(train.indices().is_sorted() && valid.indices().is_sorted());
    let mut all = [train.indices(), valid.indices()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..100));

    let held_out = |seed| images.split(20, seed).unwrap().1.indices().to_vec();
    assert_eq!(held_out(42), valid.indices());
    assert_ne!(held_out(43), valid.indices());
    let mut expected = Key::new(42, Purpose::Split).permutation(100)[..20].to_vec();
    expected.sort_unstable();
    assert_eq!(valid.indices(), expected);

    expect_error(images.split(101, 1).map(|_| ()), &["101 samples", "of 100"]);
}

#[test]
fn a_dataset_may_be_shared_as_an_object() {
    let shared: Arc<dyn Dataset> = Arc::new(images(3));
    let batch = Loader::new(&shared).batch(3).epoch(0).next().unwrap().unwrap();
    assert_eq!(batch.labels, [0, 1, 0]);
    assert_eq!(Loader::new(&shared).dataset().classes(), shared.classes());
}

/// One `?` serves both crates; the message stays the same.
#[test]
fn data_errors_become_tensor_errors() {
    let convert = |error: DataError| striate_tensor::Error::from(error).to_string();
    let argument = || images(4).subset([9]).expect_err("out of range");
    assert_eq!(convert(argument()), argument().to_string());
    let file = || Idx::read(&b"PNG!"[..], "the file").expect_err("not IDX");
    assert_eq!(convert(file()), format!("load: {}", file()));
}
