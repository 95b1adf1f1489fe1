//! Networks on photos: a kennel of painted dogs.

use image::{Rgb, RgbImage};

use super::*;

/// Thirty photos of three breeds, which their colour tells.
pub fn kennel() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("train")).unwrap();
    let mut list = String::from("id,breed\n");
    for number in 0..30u8 {
        let breed = usize::from(number) % 3;
        let mut colour = [20 + number, 40, 60];
        colour[breed] = 220;
        let photo = RgbImage::from_pixel(40, 30 + u32::from(number), Rgb(colour));
        photo.save(folder.path().join(format!("train/dog{number}.jpg"))).unwrap();
        list += &format!("dog{number},{}\n", ["pug", "beagle", "whippet"][breed]);
    }
    fs::write(folder.path().join("labels.csv"), list).unwrap();
    folder
}

/// A file of weights for VGG16's body, which the library makes.
pub fn weights(folder: &TempDir) -> String {
    use striate::nn::{Checkpoint, Distribution, Init};
    let init = Init::seed(5).weights(Distribution::HeNormal);
    let net: striate::models::Vgg16 = striate::models::vgg16(&init).unwrap();
    let path = folder.path().join("body.safetensors");
    Checkpoint::of(&net.features).save(&path).unwrap();
    text(&path).to_owned()
}

fn rows(run: &Path) -> Vec<String> {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    // Without the seconds.
    table.lines().skip(1).map(|row| row.rsplit_once(',').unwrap().0.to_owned()).collect()
}

/// Trains with `arguments` into `out`/`name`, and returns the folder.
fn photos(arguments: &[&str], data: &TempDir, out: &TempDir, name: &str) -> PathBuf {
    let run = out.path().join(name);
    let folders = ["--data", text(data.path()), "--out", text(&run), "--side", "32", "--quiet"];
    prints(&[&["photos"], arguments, &folders].concat());
    run
}

#[test]
fn a_network_learns_and_leaves_its_pictures() {
    let (data, out) = (kennel(), tempfile::tempdir().unwrap());
    let learn = ["dogs-vgg-norm", "--epochs", "2"];
    let run = photos(&learn, &data, &out, "norm");
    assert_eq!(rows(&run).len(), 2);
    for file in ["config.json", "steps.csv", "receipt.csv", "report.html", "mistakes.png"] {
        assert!(run.join(file).exists(), "{file}");
    }
    let confusion = fs::read_to_string(run.join("confusion.csv")).unwrap();
    assert_eq!(confusion.lines().next(), Some("class,beagle,pug,whippet"));
    let answers = fs::read_to_string(run.join("answers.csv")).unwrap();
    assert_eq!(answers.lines().count(), 7);
    let counts = confusion.lines().skip(1).flat_map(|row| row.split(',').skip(1));
    assert_eq!(counts.map(|count| count.parse::<u32>().unwrap()).sum::<u32>(), 6);
    assert_eq!(image::image_dimensions(run.join("confusion.png")).unwrap(), (724, 724));
    let threads = [&learn[..], &["--threads", "1"]].concat();
    assert_eq!(rows(&run), rows(&photos(&threads, &data, &out, "one thread")));
    // The folder serves the other commands as any run's does.
    let result = json(&["evaluate", text(&run), "--json"]);
    assert_eq!((&result["samples"], &result["model"]), (&6.into(), &"dogs-vgg-norm".into()));
    let accuracy: f64 = rows(&run)[1].split(',').nth(4).unwrap().parse().unwrap();
    assert_eq!(result["accuracy"], accuracy);
    let photo = data.path().join("train/dog0.jpg");
    let answer = prints(&["predict", text(&run), text(&photo), "--top", "9"]);
    let mut names: Vec<&str> = answer.lines().map(|line| line.split(' ').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["beagle", "pug", "whippet"]);
    assert!(prints(&["verify", text(&run)]).contains("3 of 3 lines compared"));
}

/// Augmented, with a body that thaws after the first epoch: stopped, and continued by nothing but its folder.
#[test]
fn a_run_on_photos_continues_to_the_same_bits() {
    let (data, out) = (kennel(), tempfile::tempdir().unwrap());
    let weights = weights(&out);
    let learn = ["vgg16", "--weights", &weights, "--unfreeze-after", "1", "--epochs"];
    let whole = photos(&[&learn[..], &["3"]].concat(), &data, &out, "whole");
    let parts = photos(&[&learn[..], &["1"]].concat(), &data, &out, "parts");
    let resume = ["photos", "vgg16", "--out", text(&parts), "--resume"];
    prints(&[&resume[..], &["--epochs", "3", "--quiet", "--threads", "1"]].concat());
    assert_eq!(results(&whole), results(&parts));
    let refused = |more: &[&str], message: &str| fails(&[&resume[..], more].concat(), message);
    refused(&["--rate", "0.5"], "the run's optimizer was");
    refused(&["--plain"], "the run's --plain was false");
    refused(&["--split", "4"], "the run's split was 1");
    refused(&["--unfreeze-after", "9"], "the run's thawing was Some(1)");
    refused(&["--precise"], "the run's precision was without --precise");
    fails(
        &["photos", "dogs-vgg", "--out", text(&parts), "--resume"],
        "the run's network was Vgg16",
    );
    fails(
        &["train", "mnist-mlp", "--out", text(&parts), "--resume"],
        "the run was made by `striate photos`",
    );
    fails(&["photos", "dogs-vgg"], "--data");
}

#[test]
fn photos_are_drawn_as_they_are_and_augmented() {
    let (data, out) = (kennel(), tempfile::tempdir().unwrap());
    let sheet = |name: &str, more: &[&str]| {
        let file = text(&out.path().join(name)).to_owned();
        let arguments = ["show", "photos", "--data", text(data.path()), "--out", &file];
        let names = prints(&[&arguments, more].concat());
        (image::open(file).unwrap().into_rgb8(), names.lines().last().unwrap().to_owned())
    };
    let (plain, names) = sheet("plain.png", &[]);
    let (augmented, same) = sheet("augmented.png", &["--augmented"]);
    assert_eq!(names, same);
    assert_eq!(names.split(' ').count(), 25);
    assert_eq!(plain.dimensions(), (5 * 130 + 2, 5 * 130 + 2));
    assert_ne!(plain, augmented);
    assert_eq!(augmented, sheet("again.png", &["--augmented"]).0);
    assert_ne!(augmented, sheet("later.png", &["--augmented", "--epoch", "1"]).0);
    fails(&["show", "photos", "--data", text(out.path())], "labels.csv");
}

#[test]
fn features_are_computed_once_and_change_nothing() {
    let (data, out) = (kennel(), tempfile::tempdir().unwrap());
    let weights = weights(&out);
    let cache = text(&out.path().join("features.safetensors")).to_owned();
    let plain = ["vgg16", "--weights", &weights, "--epochs", "2", "--plain"];
    let cached = ["vgg16", "--weights", &weights, "--epochs", "2", "--cache-features", &cache];
    let first = photos(&cached, &data, &out, "first");
    let stored = fs::read(&cache).unwrap();
    let again = photos(&cached, &data, &out, "again");
    assert_eq!(rows(&first), rows(&again));
    assert_eq!(stored, fs::read(&cache).unwrap());
    // The whole network, step by step, comes to the same but for rounding.
    let whole = photos(&plain, &data, &out, "whole");
    for (cached, whole) in rows(&first).iter().zip(rows(&whole)) {
        let numbers = |row: &str| row.split(',').map(|n| n.parse().unwrap()).collect::<Vec<f64>>();
        let pairs = numbers(cached).into_iter().zip(numbers(&whole));
        for (cached, whole) in pairs {
            assert!((cached - whole).abs() <= 1e-3 * whole.abs(), "{cached}, {whole}");
        }
    }
    // The head that was trained stands on the body that was not, and says the same of a photo as the whole network.
    let photo = data.path().join("train/dog5.jpg");
    let answers = [&first, &whole].map(|run| {
        let answer = prints(&["predict", text(run), text(&photo), "--top", "1"]);
        let (name, probability) = answer.trim().split_once("  ").unwrap();
        (name.to_owned(), probability.parse::<f64>().unwrap())
    });
    assert_eq!(answers[0].0, answers[1].0);
    assert!((answers[0].1 - answers[1].1).abs() <= 1e-3, "{answers:?}");
    let [evaluated, other] =
        [&first, &whole].map(|run| json(&["evaluate", text(run), "--json"])["accuracy"].clone());
    assert_eq!(evaluated, other);
    // Another set of photos has other features.
    let other = [&cached[..], &["--classes", "2"]].concat();
    let folders = ["--data", text(data.path()), "--side", "32", "--quiet"];
    fails(
        &[&["photos"], &other[..], &folders].concat(),
        "expected the features of these 20 photos",
    );
}

#[test]
fn a_thawed_body_changes_and_a_frozen_one_does_not() {
    use striate::nn::Checkpoint;
    use striate::prelude::Device;
    let (data, out) = (kennel(), tempfile::tempdir().unwrap());
    let weights = weights(&out);
    let first = |path: &Path| {
        let state = Checkpoint::<f32>::load(path, &Device::cpu()).unwrap().tensors;
        state["features.0.weight"].to_vec().unwrap()
    };
    let before = first(Path::new(&weights));
    let arguments = ["vgg16", "--weights", &weights, "--epochs", "1"];
    let frozen = photos(&arguments, &data, &out, "frozen");
    assert_eq!(first(&frozen.join("model.safetensors")), before);
    let thawed = [&arguments[..], &["--unfreeze-after", "0"]].concat();
    let thawed = photos(&thawed, &data, &out, "thawed");
    assert_ne!(first(&thawed.join("model.safetensors")), before);
}

#[test]
fn what_cannot_be_trained_says_why() {
    let (data, out) = (kennel(), tempfile::tempdir().unwrap());
    let data = text(data.path());
    let weights = weights(&out);
    fails(&["photos", "vgg16", "--data", data], "vgg16 needs it");
    fails(&["photos", "dogs-vgg", "--data", data, "--weights", &weights], "belongs to vgg16");
    fails(&["photos", "dogs-vgg", "--data", text(out.path())], "labels.csv, or a sub-folder");
    let missing = text(&out.path().join("missing")).to_owned();
    fails(&["photos", "vgg16", "--data", data, "--weights", &missing], &missing);
    fails(&["photos", "dogs-vgg", "--data", data, "--side", "100"], "a multiple of 32");
    fails(&["photos", "vgg17", "--data", data], "dogs-vgg-norm");
    fs::write(Path::new(data).join("train/dog4.jpg"), "").unwrap();
    let run = text(&out.path().join("run")).to_owned();
    let broken = ["photos", "dogs-vgg", "--data", data, "--side", "32", "--quiet", "--out", &run];
    fails(&broken, "dog4.jpg");
}
