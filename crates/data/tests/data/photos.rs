//! Photos in folders: layouts, labels, batches on any number of threads, and files that are no photos.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use striate_data::{Batch, Dataset, IMAGENET, Loader, Photos, Result, Transform, Transforms};
use tempfile::TempDir;

use crate::{expect_error, real_data};

const BREEDS: [&str; 3] = ["pug", "beagle", "whippet"];

/// Twelve photos of different sizes, each of one colour that its number gives; four of each breed.
fn kennel() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("train")).unwrap();
    let mut list = String::from("id,breed\n");
    for number in 0..12u8 {
        let colour = Rgb([20 * number, 100, 255 - 20 * number]);
        let photo = RgbImage::from_pixel(30 + u32::from(number), 40 - u32::from(number), colour);
        photo.save(folder.path().join(format!("train/dog{number}.jpg"))).unwrap();
        list += &format!("dog{number},{}\n", BREEDS[usize::from(number) % 3]);
    }
    fs::write(folder.path().join("labels.csv"), list).unwrap();
    folder
}

fn plain() -> Transforms {
    Transforms::new([Transform::PadToSquare, Transform::Resize([8, 8])]).unwrap()
}

fn augmented() -> Transforms {
    let steps = [
        Transform::HorizontalFlip(0.5),
        Transform::Rotation(30.0),
        Transform::ColorJitter { brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.2 },
        Transform::Perspective { distortion: 0.5, probability: 0.5 },
        Transform::RandomResizedCrop([8, 8]),
    ];
    let (mean, std_dev) = IMAGENET;
    let transforms = Transforms::new(steps).unwrap().normalize(mean, std_dev);
    transforms.unwrap().random_erasing(0.5).unwrap()
}

#[test]
fn a_list_gives_sorted_classes_and_the_photos_in_its_order() {
    let folder = kennel();
    let photos = Photos::from_dir(&folder, plain()).unwrap();
    assert_eq!(photos.classes(), ["beagle", "pug", "whippet"]);
    assert_eq!(photos.labels(), [1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2]);
    assert_eq!(photos.sample_shape(), [3, 8, 8]);
    let photo = photos.photo(4).unwrap();
    assert_eq!((photo.width(), photo.height()), (34, 36));

    let batch = Loader::new(&photos).batch(12).into_iter().next().unwrap().unwrap();
    // The middle of each sample has the colour of its photo, as far as JPEG keeps it.
    for (number, sample) in batch.images.chunks_exact(3 * 64).enumerate() {
        let expected = [20 * number, 100, 255 - 20 * number].map(|byte| byte as f32 / 255.0);
        for (plane, expected) in sample.chunks_exact(64).zip(expected) {
            assert!((plane[4 * 8 + 4] - expected).abs() < 0.02, "photo {number}");
        }
    }
}

#[test]
fn sub_folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (class, names) in [("pug", &["b.png", "a.JPG", "notes.txt"][..]), ("beagle", &["c.jpeg"])] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for name in names {
            fs::write(folder.path().join(class).join(name), "").unwrap();
        }
    }
    let photos = Photos::from_dir(&folder, plain()).unwrap();
    assert_eq!(photos.classes(), ["beagle", "pug"]);
    assert_eq!(photos.labels(), [0, 1, 1]);
    let name = |index| photos.path(index).unwrap().file_name().unwrap().to_str().unwrap();
    assert_eq!([0, 1, 2].map(name), ["c.jpeg", "a.JPG", "b.png"]);
    assert_eq!(photos.path(3), None);
}

#[test]
fn batches_are_the_same_on_any_number_of_threads_and_differ_between_epochs() {
    let folder = kennel();
    let photos = Photos::from_dir(&folder, augmented()).unwrap();
    let epoch = |workers, epoch| -> Vec<Batch> {
        let loader = Loader::new(&photos).batch(5).shuffle(7).workers(workers);
        loader.epoch(epoch).collect::<Result<_>>().unwrap()
    };
    let alone = epoch(1, 2);
    assert_eq!(alone, epoch(4, 2));
    assert_ne!(alone, epoch(1, 3));
    // What happens to a photo does not depend on its neighbours.
    let loader = Loader::new(&photos).batch(1).seed(7);
    let single: Vec<Batch> = loader.epoch(2).collect::<Result<_>>().unwrap();
    let samples = alone[0].images.chunks_exact(3 * 64);
    for (&index, sample) in alone[0].indices.iter().zip(samples) {
        assert_eq!(single[index].images[..], *sample);
    }
}

#[test]
fn one_seed_holds_out_the_same_photos_under_any_transforms() {
    let folder = kennel();
    let photos = Photos::from_dir(&folder, plain()).unwrap();
    let (train, valid) = photos.split(3, 1).unwrap();
    let (other, _) = photos.with(augmented()).split(3, 1).unwrap();
    assert_eq!(train.indices(), other.indices());
    assert_eq!((train.len(), valid.len()), (9, 3));
    assert_ne!(valid.indices(), photos.split(3, 2).unwrap().1.indices());
}

#[test]
fn what_is_no_photo_is_reported_by_name() {
    let folder = kennel();
    let file = |name: &str| folder.path().join("train").join(name);
    fs::write(file("dog3.jpg"), "not a photo").unwrap();
    let whole = fs::read(file("dog7.jpg")).unwrap();
    fs::write(file("dog7.jpg"), &whole[..40]).unwrap();
    let photos = Photos::from_dir(&folder, plain()).unwrap();
    let unreadable: Vec<String> = photos.unreadable().iter().map(ToString::to_string).collect();
    assert_eq!(unreadable.len(), 2, "{unreadable:?}");
    assert!(unreadable[0].contains("dog3.jpg") && unreadable[1].contains("dog7.jpg"));
    let loader = Loader::new(&photos).batch(6);
    let batches: Vec<Result<Batch>> = loader.epoch(0).collect();
    for (batch, name) in batches.into_iter().zip(["dog3.jpg", "dog7.jpg"]) {
        expect_error(batch, &[name, "a JPEG or PNG picture"]);
    }
}

#[test]
fn lists_that_lie_are_errors() {
    let folder = kennel();
    let list = folder.path().join("labels.csv");
    let with = |text: &str| {
        fs::write(&list, text).unwrap();
        Photos::from_dir(&folder, plain())
    };
    let name = list.to_str().unwrap();
    expect_error(with("id,breed\ndog1,pug\ndog2\n"), &[name, "\"dog2\" in line 3"]);
    expect_error(with("id,breed\ndog99,pug\n"), &[name, "dog99.jpg", "line 2"]);
    expect_error(with("id,breed\n../dog1,pug\n"), &[name, "without its folder"]);
    expect_error(with("id,breed\ndog1,\n"), &[name, "line 2"]);
    expect_error(with("id,breed\n"), &["labels.csv, or a sub-folder"]);
    assert_eq!(with("id,breed\r\ndog1,pug\r\n\r\n").unwrap().classes(), ["pug"]);
    let missing = Path::new("no/such/folder");
    expect_error(Photos::from_dir(missing, plain()), &["no/such/folder"]);
}

#[test]
fn the_dogs_are_120_breeds_of_40() {
    let Some(folder) = real_data("dog-breeds") else { return };
    let photos = Photos::from_dir(folder, plain()).unwrap();
    assert_eq!((photos.len(), photos.classes().len()), (4800, 120));
    let mut counts = vec![0; 120];
    photos.labels().iter().for_each(|label| counts[*label as usize] += 1);
    assert!(counts.iter().all(|count| *count == 40));
    assert!(photos.classes().is_sorted());
    let few = photos.subset((0..4800).step_by(100)).unwrap();
    assert!(Loader::new(&few).batch(48).into_iter().all(|batch| batch.is_ok()));
}
