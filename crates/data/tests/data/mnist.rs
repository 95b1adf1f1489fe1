//! The shipped digits against known facts, and the original files under all their names.

use std::fs;
use std::path::Path;

use striate_data::{Dataset, Images, Mnist};
use tempfile::TempDir;

use crate::idx::{encode, gzip};
use crate::{expect_error, real_data};

fn class_counts(images: &Images) -> [usize; 10] {
    let mut counts = [0; 10];
    for &label in images.labels() {
        counts[usize::from(label)] += 1;
    }
    counts
}

/// The 64-bit FNV-1a hash of all pixels and of all labels.
fn digests<'a>(parts: impl IntoIterator<Item = &'a Images> + Clone) -> [u64; 2] {
    let fnv = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3);
    let pixels = parts.clone().into_iter().flat_map(|images| {
        (0..images.len()).flat_map(|index| images.pixels(index).expect("in range"))
    });
    let labels = parts.into_iter().flat_map(Images::labels);
    [pixels.fold(0xcbf29ce484222325, fnv), labels.fold(0xcbf29ce484222325, fnv)]
}

#[test]
fn the_shipped_digits_are_the_first_ten_thousand() {
    let Mnist { train, test } = Mnist::shipped().unwrap();
    assert_eq!((train.len(), test.len()), (8000, 2000));
    assert_eq!(train.sample_shape(), [1, 28, 28]);
    assert_eq!(train.classes()[7], "7");
    assert_eq!(train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(class_counts(&train), [795, 906, 788, 811, 799, 702, 798, 853, 753, 795]);
    assert_eq!(class_counts(&test), [206, 221, 203, 221, 181, 161, 216, 217, 191, 183]);
    // Computed apart from this crate, from the first 10,000 of the original training files.
    let expected = [0x2dac5639ad2fa023, 0x56b1bbccee23a271];
    assert_eq!(digests([&train, &test]), expected);
}

#[test]
fn the_whole_of_mnist_is_read_where_it_is() {
    let Some(folder) = real_data("mnist") else {
        return;
    };
    let whole = Mnist::from_dir(folder).unwrap();
    assert_eq!((whole.train.len(), whole.test.len()), (60_000, 10_000));
    assert_eq!(
        class_counts(&whole.train),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    assert_eq!(class_counts(&whole.test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    let shipped = Mnist::shipped().unwrap();
    let same = |index| whole.train.pixels(index) == shipped.train.pixels(index);
    assert!((0..8000).all(same));
}

/// A folder with 3 training and 2 test images under the given kind of name.
fn small_set(dot: &str, end: &str, pack: fn(&[u8]) -> Vec<u8>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (part, labels) in [("train", &[1, 0, 9][..]), ("t10k", &[2, 3])] {
        let count = labels.len() as u32;
        let pixels: Vec<u8> = (0..count * 784).map(|x| x as u8).collect();
        let images = encode(8, &[count, 28, 28], &pixels);
        let labels = encode(8, &[count], labels);
        let write = |kind: &str, bytes: &[u8]| {
            let name = format!("{part}-{kind}-ubyte{end}").replace("-idx", &format!("{dot}idx"));
            fs::write(folder.path().join(name), pack(bytes)).unwrap();
        };
        write("images-idx3", &images);
        write("labels-idx1", &labels);
    }
    folder
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).unwrap();
}

#[test]
fn files_are_found_under_all_their_names() {
    for dot in ["-", "."] {
        for (end, pack) in [("", <[u8]>::to_vec as fn(&[u8]) -> _), (".gz", gzip)] {
            let folder = small_set(dot, end, pack);
            let set = Mnist::from_dir(folder.path()).unwrap();
            assert_eq!(set.train.labels(), [1, 0, 9]);
            assert_eq!(set.test.labels(), [2, 3]);
            assert_eq!(set.train.pixels(1).unwrap()[..2], [16, 17]);
            assert_eq!(set.train.pixels(3), None);
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let folder = small_set("-", ".gz", gzip);
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
    let names = ["t10k-labels-idx1-ubyte.gz", "t10k-labels.idx1-ubyte or "];
    expect_error(Mnist::from_dir(folder.path()), &names);
}

#[test]
fn files_that_do_not_fit_together_are_refused() {
    let folder = small_set("-", "", <[u8]>::to_vec);
    let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte");
    let read = || Mnist::from_dir(folder.path());

    replace(folder.path(), labels, &encode(8, &[2], &[1, 2]));
    expect_error(read(), &[labels, "3 labels", "found 2"]);
    replace(folder.path(), labels, &encode(8, &[3], &[1, 10, 2]));
    expect_error(read(), &[labels, "from 0 to 9", "found 10"]);
    replace(folder.path(), labels, &encode(8, &[3, 1], &[1, 2, 3]));
    expect_error(read(), &[labels, "u8 elements of rank 1", "[3, 1]"]);
    replace(folder.path(), labels, &encode(0x0b, &[1], &[1, 2]));
    expect_error(read(), &[labels, "i16"]);

    replace(folder.path(), labels, &encode(8, &[3], &[1, 2, 3]));
    replace(folder.path(), images, &encode(8, &[3, 2, 1], &[0; 6]));
    expect_error(read(), &[images, "28 x 28", "[3, 2, 1]"]);
    replace(folder.path(), images, &encode(8, &[3, 28, 28], &[0; 6]));
    expect_error(read(), &[images, "2352 bytes of data", "found 6"]);
}
