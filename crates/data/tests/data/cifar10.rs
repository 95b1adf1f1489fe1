//! CIFAR-10's batches: where they lie, what they hold, and what they must not.

use std::fs;
use std::path::Path;

use striate_data::{Cifar10, Dataset};
use striate_tensor::random::{Key, Purpose};
use tempfile::TempDir;

use crate::{expect_error, real_data};

const RECORD: usize = 3073;

/// Records with the given labels; every value of record r is `10 * plane + r`.
fn records(labels: &[u8]) -> Vec<u8> {
    let record = |(r, &label): (usize, &u8)| {
        let planes = (0..3).flat_map(move |plane| [10 * plane + r as u8; 1024]);
        [label].into_iter().chain(planes)
    };
    labels.iter().enumerate().flat_map(record).collect()
}

fn fill(folder: &Path) {
    for number in 1..=5 {
        let labels = [number, 0, 9];
        fs::write(folder.join(format!("data_batch_{number}.bin")), records(&labels)).unwrap();
    }
    fs::write(folder.join("test_batch.bin"), records(&[7])).unwrap();
}

fn small_set() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    folder
}

#[test]
fn batches_are_read_in_order() {
    let folder = small_set();
    let Cifar10 { train, test } = Cifar10::from_dir(folder.path()).unwrap();
    assert_eq!(train.labels(), [1, 0, 9, 2, 0, 9, 3, 0, 9, 4, 0, 9, 5, 0, 9]);
    assert_eq!(test.labels(), [7]);
    assert_eq!(test.classes()[7], "horse");
    assert_eq!(train.sample_shape(), [3, 32, 32]);

    let mut values = [0.0; 3072];
    let label = train.read(5, Key::new(0, Purpose::Augment), &mut values);
    assert_eq!(label.unwrap(), 9);
    for (plane, expected) in values.chunks(1024).zip([2u8, 12, 22]) {
        assert!(plane.iter().all(|&v| v == f32::from(expected) / 255.0));
    }
}

#[test]
fn the_official_folder_is_found_and_its_names_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    fill(&inner);
    let names = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n";
    fs::write(inner.join("batches.meta.txt"), names).unwrap();
    let set = Cifar10::from_dir(folder.path()).unwrap();
    assert_eq!(set.test.classes()[7], "h");

    fs::write(inner.join("batches.meta.txt"), "a\nb\n").unwrap();
    let result = Cifar10::from_dir(folder.path());
    expect_error(result, &["batches.meta.txt", "10 class names", "found 2"]);
}

#[test]
fn damaged_batches_are_refused() {
    let folder = small_set();
    let path = folder.path().join("data_batch_3.bin");
    let read = || Cifar10::from_dir(folder.path());

    fs::write(&path, &records(&[1, 2, 3])[..3 * RECORD - 1]).unwrap();
    expect_error(read(), &["data_batch_3.bin", "of 3073 bytes", "9218 bytes"]);
    fs::write(&path, []).unwrap();
    expect_error(read(), &["data_batch_3.bin", "found 0 bytes"]);
    // Cut short between two records, which only its siblings can tell.
    fs::write(&path, records(&[1, 2])).unwrap();
    expect_error(read(), &["data_batch_3.bin", "3 records", "found 2"]);
    fs::write(&path, records(&[1, 10, 2])).unwrap();
    expect_error(read(), &["data_batch_3.bin", "0 to 9", "10 in record 1"]);
    fs::remove_file(&path).unwrap();
    expect_error(read(), &["data_batch_3.bin"]);
}

#[test]
fn the_whole_of_cifar10_is_read_where_it_is() {
    let Some(folder) = real_data("cifar-10-batches-bin") else {
        return;
    };
    let Cifar10 { train, test } = Cifar10::from_dir(folder).unwrap();
    for (images, of_each) in [(train, 5000), (test, 1000)] {
        let count = |class| images.labels().iter().filter(|&&l| l == class).count();
        assert!((0..10).all(|class| count(class) == of_each));
    }
}
