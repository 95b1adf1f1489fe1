//! Pictures, those drawn and those looked at.

use super::*;

#[test]
fn pictures_are_drawn() {
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| text(&out.path().join(name)).to_owned();
    let (kernels, maps, batch) = (file("kernels.png"), file("maps.png"), file("batch.png"));
    prints(&["show", "kernels", "mnist-cnn", "--out", &kernels]);
    prints(&["show", "activations", "mnist-cnn", "--layer", "conv1", "--out", &maps]);
    let labels = prints(&["show", "batch", "--out", &batch]);
    assert_eq!(labels.lines().last().unwrap().split(' ').count(), 6);
    for (path, tiles) in [(&kernels, 16), (&maps, 16), (&batch, 6)] {
        let (width, height) = image::open(path).unwrap().into_rgb8().dimensions();
        assert!(width * height > tiles * 100, "{path}: {width}x{height}");
    }
    // Kernels over 16 channels: a row of 16 tiles for each of 32 outputs, 5 * 11 pixels each and 2 between.
    prints(&["show", "kernels", "mnist-cnn", "--layer", "conv2.0", "--out", &kernels]);
    assert_eq!(image::image_dimensions(&kernels).unwrap(), (2 + 16 * 57, 2 + 32 * 57));
    // A network of 512 x 512 kernels fits on a sheet, too.
    prints(&["show", "kernels", "vgg16", "--layer", "features.28", "--out", &kernels]);
    assert_eq!(image::image_dimensions(&kernels).unwrap(), (2 + 512 * 8, 2 + 512 * 8));
}

#[test]
fn activations_are_of_a_picture_too() {
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| text(&out.path().join(name)).to_owned();
    let (picture, maps) = (file("picture.png"), file("maps.png"));
    image::RgbImage::from_fn(50, 40, |x, y| [x as u8, y as u8, 200].into()).save(&picture).unwrap();
    let arguments = ["show", "activations", "vgg4", "--image", &picture, "--out", &maps];
    let small = [&arguments[..], &["--layer", "conv1"]].concat();
    fails(&small, "there are ");
    let names = String::from_utf8(run(&small).stderr).unwrap();
    let first = names.split("there are ").nth(1).unwrap().split([',', '\n']).next().unwrap();
    prints(&[&arguments[..], &["--layer", first]].concat());
    assert!(image::open(&maps).is_ok());
}

#[test]
fn windows_slide() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("new/folder");
    prints(&["show", "sliding", "--out", text(&folder)]);
    for case in 1..=10 {
        let svg = fs::read_to_string(folder.join(format!("sliding-{case}.svg"))).unwrap();
        assert!(svg.contains("<animate"), "case {case}");
    }
    prints(&["show", "sliding", "7", "--still", "3", "--out", text(out.path())]);
    let svg = fs::read_to_string(out.path().join("sliding-7.svg")).unwrap();
    assert!(!svg.contains("<animate") && svg.contains("max pooling: output 13 = "), "{svg}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    for case in ["0", "11"] {
        misused(&["show", "sliding", case], "1..=10");
    }
}

#[test]
fn dead_logits_are_listed() {
    let dead = prints(&["show", "dead-logits", "--seeds", "2", "--images", "20"]);
    assert_eq!(dead.lines().count(), 4, "{dead}");
    fails(&["show", "dead-logits", "--images", "0"], "expected images in 1..=8000");
    misused(&["show", "dead-logits", "--seeds", "0"], "--seeds");
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let out = tempfile::tempdir().unwrap();
    let folder = text(out.path());
    fails(&["show", "kernels", "mnist-mlp"], "mnist-mlp has no convolution to draw");
    fails(&["show", "kernels", "mnist-cnn", "--layer", "conv2"], "there are conv1.0, conv2.0");
    fails(&["show", "kernels", folder], "expected the folder of a run");
    fails(&["show", "kernels", "mnist-cnn", "--out", folder], folder);
    let missing = text(&out.path().join("missing/k.png")).to_owned();
    fails(&["show", "kernels", "mnist-cnn", "--out", &missing], &missing);
    fails(&["show", "activations", "mnist-cnn", "--layer", "conv9"], "there are conv1.0, ");
    let activations = ["show", "activations", "mnist-cnn", "--layer", "conv1"];
    fails(&[&activations[..], &["--index", "2000"]].concat(), "below 2000");
    fails(&[&activations[..], &["--image", folder]].concat(), folder);
    fails(&["show", "activations", "vgg4", "--layer", "conv1"], "expected --image FILE");
    misused(&["show", "batch", "--count", "0"], "1..=1000");
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&["show", "sliding", "1", "--out", text(&file)], text(&file));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "failures leave nothing behind");
}
