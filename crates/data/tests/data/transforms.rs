//! Transforms: each deterministic form against torchvision's, the random ones by what they may do.

use std::path::Path;

use striate_data::{Photo, Transform, Transforms};
use striate_tensor::random::{Key, Purpose};

use crate::expect_error;

/// A picture that `tests/reference/photos.py` made.
fn fixture(name: &str) -> Photo {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/photos");
    Photo::open(&folder.join(format!("{name}.png"))).unwrap()
}

/// The share of pixels of which a colour differs by more than one level.
fn different(photo: &Photo, expected: &Photo) -> f64 {
    let sizes = [photo, expected].map(|photo| (photo.width(), photo.height()));
    assert_eq!(sizes[0], sizes[1]);
    let pixels = |photo: &Photo| photo.pixels().as_chunks::<3>().0.to_vec();
    let (ours, theirs) = (pixels(photo), pixels(expected));
    let far = |pair: &(&[u8; 3], &[u8; 3])| {
        pair.0.iter().zip(pair.1).any(|(ours, theirs)| ours.abs_diff(*theirs) > 1)
    };
    ours.iter().zip(&theirs).filter(far).count() as f64 / ours.len() as f64
}

#[test]
fn deterministic_forms_are_torchvisions() {
    let corners = |corners: [[u32; 2]; 4]| corners.map(|[x, y]| (f64::from(x), f64::from(y)));
    let from = corners([[0, 0], [60, 0], [60, 45], [0, 45]]);
    let to = corners([[9, 4], [55, 8], [48, 40], [3, 44]]);
    let photo = || fixture("input");
    let forms: [(&str, Photo); 24] = [
        ("flip", photo().flip()),
        ("rotate-17", photo().rotate(17.0)),
        ("rotate-minus-29.5", photo().rotate(-29.5)),
        ("brightness-0.6", photo().brightness(0.6)),
        ("brightness-1.45", photo().brightness(1.45)),
        ("contrast-0.55", photo().contrast(0.55)),
        ("contrast-1.5", photo().contrast(1.5)),
        ("saturation-0.5", photo().saturation(0.5)),
        ("saturation-1.4", photo().saturation(1.4)),
        ("hue-0.2", photo().hue(0.2)),
        ("hue-minus-0.13", photo().hue(-0.13)),
        ("perspective", photo().perspective(&from, &to)),
        ("pad", photo().pad_to_square()),
        ("resize-down", photo().resize(23, 17)),
        ("resize-up", photo().resize(75, 80)),
        ("resize-shorter", photo().resize_shorter(30)),
        ("pad-resize", photo().pad_to_square().resize(32, 32)),
        ("center-crop", photo().center_crop(20, 31)),
        ("center-crop-larger", photo().center_crop(30, 51)),
        ("crop", photo().crop((11, 5), 30, 20)),
        ("resized-crop", photo().crop((11, 5), 30, 20).resize(24, 24)),
        ("blur-5-1.2", photo().blur(5, 1.2)),
        ("blur-9-3", photo().blur(9, 3.0)),
        ("grayscale", photo().grayscale()),
    ];
    for (name, ours) in &forms {
        let share = different(ours, &fixture(name));
        println!("{name}: {share}");
        assert!(share <= 0.01, "{name}: {share} of the pixels differ by more than a level");
    }
}

const SIZE: Transform = Transform::Resize([24, 16]);

const JITTER: Transform =
    Transform::ColorJitter { brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.2 };

/// Every random step.
const RANDOM: [Transform; 8] = [
    Transform::HorizontalFlip(0.5),
    Transform::Rotation(30.0),
    JITTER,
    Transform::Perspective { distortion: 0.5, probability: 0.5 },
    Transform::RandomCrop([40, 30]),
    Transform::RandomResizedCrop([24, 16]),
    Transform::GaussianBlur { kernel: 3, sigma: (0.1, 2.0) },
    Transform::Grayscale(0.5),
];

fn sample(index: u64) -> Key {
    Key::new(1, Purpose::Augment).step(3).stream(index)
}

#[test]
fn random_steps_vary_with_the_key_and_repeat_under_it() {
    for step in RANDOM {
        let transforms = Transforms::new([step, SIZE]).unwrap();
        assert!(transforms.is_random(), "{step:?}");
        let of = |index| transforms.apply(fixture("input"), sample(index));
        let photos: Vec<Photo> = (0..12).map(of).collect();
        assert!(photos.iter().any(|photo| *photo != photos[0]), "{step:?} never does anything");
        assert_eq!(photos[7], of(7), "{step:?}");
        assert!(photos.iter().all(|photo| (photo.width(), photo.height()) == (24, 16)));
    }
}

#[test]
fn a_step_does_not_shift_the_numbers_of_another() {
    let flip = Transform::HorizontalFlip(0.5);
    let flipped = |first: Transform| {
        let transforms = Transforms::new([first, flip, SIZE]).unwrap();
        let plain = Transforms::new([first, SIZE]).unwrap();
        let differs = |index| {
            let [with, without] =
                [&transforms, &plain].map(|t| t.apply(fixture("input"), sample(index)));
            with != without
        };
        (0..40).map(differs).collect::<Vec<bool>>()
    };
    let after_jitter = flipped(JITTER);
    assert_eq!(after_jitter, flipped(Transform::PadToSquare));
    let count = after_jitter.iter().filter(|flipped| **flipped).count();
    assert!((10..=30).contains(&count), "{count} of 40 flipped");
}

/// Every drawn form is one of the deterministic forms with numbers in range.
#[test]
fn crops_are_parts_of_the_photo() {
    let photo = fixture("input");
    let transforms = Transforms::new([Transform::RandomCrop([20, 10])]).unwrap();
    for index in 0..20 {
        let part = transforms.apply(photo.clone(), sample(index));
        let mut places = (0..=41).flat_map(|x| (0..=36).map(move |y| (x, y)));
        assert!(places.any(|place| photo.crop(place, 20, 10) == part), "{index}");
    }
}

#[test]
fn only_what_is_random_says_so() {
    let plain = [Transform::PadToSquare, SIZE, Transform::CenterCrop([8, 8])];
    let never =
        [Transform::HorizontalFlip(0.0), Transform::Rotation(0.0), Transform::Grayscale(1.0)];
    let transforms = Transforms::new(never.into_iter().chain(plain)).unwrap();
    assert!(!transforms.is_random());
    assert!(transforms.random_erasing(0.1).unwrap().is_random());
}

#[test]
fn sizes_are_known_before_a_photo_is_seen() {
    let shape = |steps: &[Transform]| {
        Transforms::new(steps.iter().copied()).unwrap().sample_shape().to_vec()
    };
    assert_eq!(shape(&[SIZE, Transform::PadToSquare]), [3, 24, 24]);
    assert_eq!(shape(&[SIZE, Transform::ResizeShorter(8)]), [3, 8, 12]);
    assert_eq!(shape(&[Transform::ResizeShorter(8), Transform::CenterCrop([4, 6])]), [3, 6, 4]);
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let sized = |step| Transforms::new([step, SIZE]);
    for step in [
        Transform::HorizontalFlip(1.5),
        Transform::Grayscale(f64::NAN),
        Transform::Rotation(-1.0),
        Transform::Rotation(f64::INFINITY),
        Transform::ColorJitter { brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.6 },
        Transform::Perspective { distortion: 2.0, probability: 0.5 },
        Transform::GaussianBlur { kernel: 4, sigma: (1.0, 1.0) },
        Transform::GaussianBlur { kernel: 3, sigma: (0.0, 1.0) },
        Transform::GaussianBlur { kernel: 3, sigma: (2.0, 1.0) },
        Transform::RandomCrop([0, 3]),
        Transform::ResizeShorter(0),
    ] {
        expect_error(sized(step), &["transforms", "out of range"]);
    }
    expect_error(Transforms::new([Transform::PadToSquare]), &["gives all photos one size"]);
    expect_error(Transforms::new([SIZE]).unwrap().random_erasing(-0.1), &["-0.1"]);
    let normalized = Transforms::new([SIZE]).unwrap().normalize([0.0; 3], [1.0, 0.0, 1.0]);
    expect_error(normalized, &["positive standard deviations"]);
}
