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
    assert_eq!(labels.lines().last().unwrap().split(' ').count(), 9);
    for (path, tiles) in [(&kernels, 16), (&maps, 16), (&batch, 9)] {
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
        fails(&["show", "sliding", case], "1..=10");
    }
}

/// Document 1's pictures: a batch with its labels, filters in colour, and what they find in a photo.
#[test]
fn photos_are_drawn_in_colour_with_their_labels() {
    let (data, out) = (super::cifar::photos(32), tempfile::tempdir().unwrap());
    let file = |name: &str| text(&out.path().join(name)).to_owned();
    let (kernels, maps, batch) = (file("kernels.png"), file("maps.png"), file("batch.png"));
    let photos = ["--data", text(data.path()), "--out"];
    let arguments = [&["show", "batch", "--model", "vgg4", "--count", "4"], &photos[..], &[&batch]];
    let labels = prints(&arguments.concat());
    let labels: Vec<&str> = labels.lines().last().unwrap().split(' ').collect();
    assert!(
        labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_err()),
        "{labels:?}"
    );
    // Two by two, each with a line of text below.
    assert_eq!(image::image_dimensions(&batch).unwrap(), (2 + 2 * 130, 2 + 2 * 142));
    prints(&["show", "kernels", "vgg4-dilation", "--out", &kernels]);
    let coloured = image::open(&kernels).unwrap().into_rgb8();
    // 16 kernels of 3x3 over three colours: eight in a row, 18 pixels for each of the kernel's.
    assert_eq!(coloured.dimensions(), (2 + 8 * 56, 2 + 2 * 56));
    assert!(coloured.get_pixel(10, 10).0.windows(2).any(|pair| pair[0] != pair[1]));
    let activations = ["show", "activations", "vgg4-dilation", "--layer", "model.2"];
    prints(&[&activations[..], &photos, &[&maps]].concat());
    assert_eq!(image::image_dimensions(&maps).unwrap(), (2 + 8 * 66, 2 + 2 * 66));
    fails(&[&activations[..], &photos, &[&maps, "--index", "32"]].concat(), "below 32");
    fails(&["show", "batch", "--model", "vgg4"], "expected --data DIR");
    fails(
        &["show", "batch", "--model", "vgg16"],
        "vgg16 has no recipe here; `striate photos` trains",
    );
}

#[test]
fn effective_fields_are_drawn_and_measured() {
    let (data, out) = (super::cifar::photos(32), tempfile::tempdir().unwrap());
    let file = text(&out.path().join("erf.png")).to_owned();
    let arguments = ["show", "erf", "vgg4", "vgg4-large-filter", "--images", "4", "--out", &file];
    let noise = prints(&arguments);
    assert!(
        noise.contains("vgg4, model.15 MaxPool2d: the field has 46x46 pixels; 95 % of"),
        "{noise}"
    );
    assert!(
        noise.contains("the field has 21x21 pixels") && noise.contains("on 4 images of noise"),
        "{noise}"
    );
    assert_eq!(image::image_dimensions(&file).unwrap(), (2 + 2 * 258, 2 + 258 + 12));
    // Outside of the field of 21 pixels around pixel 16 nothing is bright.
    let drawn = image::open(&file).unwrap().into_luma8();
    let pixel = |x: u32, y: u32| drawn.get_pixel(2 + 258 + x * 8, 2 + y * 8).0[0];
    assert_eq!([pixel(16, 5), pixel(5, 16), pixel(27, 16), pixel(16, 27)], [0; 4]);
    assert!(pixel(16, 16) > 100, "{}", pixel(16, 16));
    let photos = prints(&[&arguments[..], &["--data", text(data.path())]].concat());
    assert!(photos.contains("on 4 held-out images"), "{photos}");
    let digits = prints(&["show", "erf", "mnist-cnn", "--images", "20", "--out", &file]);
    assert!(digits.contains("on 20 held-out images"), "{digits}");
    let many = [&arguments[..4], &["--images", "33", "--data", text(data.path())]].concat();
    fails(&many, "expected at most 32 images, got 33");
    fails(
        &["show", "erf", "vgg4", "mnist-cnn"],
        "mnist-cnn: expected networks for pictures of one size",
    );
    fails(&["show", "erf", "mnist-mlp"], "mnist-mlp has no layer with windows");
    fails(&["show", "erf"], "NETWORKS");
}

#[test]
fn architectures_are_drawn_from_the_networks() {
    let out = tempfile::tempdir().unwrap();
    let file = text(&out.path().join("a.svg")).to_owned();
    // The input, 13 convolutions, 5 poolings, the mean, its flattening, and 3 linear layers.
    assert!(prints(&["show", "architecture", "vgg16", "--out", &file]).contains("24 slabs"));
    let svg = fs::read_to_string(&file).unwrap();
    for label in [
        "64×224×224 · Conv2d 3 padding 1, ReLU · 1,792<",
        "512×7×7 · MaxPool2d 2 stride 2<",
        "120 · Linear · 61,560<",
        "vgg16: 15,301,560 parameters, 15,347,216,384 multiply-accumulates<",
    ] {
        assert!(svg.contains(label), "{label}: {svg}");
    }
    prints(&["show", "architecture", "vgg16", "--input", "3x64x64", "--out", &file]);
    assert!(fs::read_to_string(&file).unwrap().contains("512×2×2 · MaxPool2d"));
    prints(&["show", "architecture", "mnist-mlp", "--out", &file]);
    fails(&["show", "architecture", "vgg17"], "no model is called vgg17");
    fails(&["show", "architecture", "vgg4", "--input", "1x32x32"], "conv2d in model.0");
}

#[test]
fn drawings_have_the_engines_numbers() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("drawings");
    prints(&["show", "drawing", "--out", text(&folder)]);
    let cells = |name: &str| -> Vec<i64> {
        let svg = fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap();
        let texts = svg.split("</text>").filter_map(|part| part.rsplit('>').next());
        texts.filter_map(|text| text.parse().ok()).collect()
    };
    let mut pooling = cells("max-pooling");
    // Four maxima of four numbers each: framed cells come last in the map, then the pooled ones.
    assert_eq!(pooling.len(), 20);
    let (mut maxima, mut framed) = (pooling.split_off(16), pooling.split_off(12));
    maxima.sort();
    framed.sort();
    assert_eq!(maxima, framed);
    assert_eq!(cells("padding").len(), 36 + 64 + 9 + 36);
    // Three planes of 4x4; of both kernels, three of 3x3 and three parts of 2x2; two sums.
    assert_eq!(cells("channels").len(), 3 * 16 + 2 * 3 * (9 + 4) + 2 * 4);
    prints(&["show", "drawing", "padding", "--out", text(out.path())]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    fails(&["show", "drawing", "stride"], "possible values: padding, max-pooling, channels");
}

#[test]
fn a_picture_is_pooled() {
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| text(&out.path().join(name)).to_owned();
    let (picture, pooled) = (file("picture.png"), file("pooled.png"));
    // One bright pixel in the dark.
    let pixel = |x, y| if (x, y) == (5, 2) { [250, 80, 0] } else { [0; 3] };
    image::RgbImage::from_fn(17, 9, |x, y| pixel(x, y).into()).save(&picture).unwrap();
    prints(&["show", "pooled", &picture, "--out", &pooled]);
    let drawn = image::open(&pooled).unwrap().into_rgb8();
    // Sides of 16 and 8: the rest is no multiple of four.
    assert_eq!(drawn.dimensions(), (2 + 3 * 18, 2 + 10 + 12));
    let bright = |tile: u32| {
        let inside =
            drawn.enumerate_pixels().filter(|(x, ..)| (tile * 18..tile * 18 + 18).contains(x));
        inside.filter(|pixel| pixel.2.0 == [250, 80, 0]).count()
    };
    assert_eq!([bright(0), bright(1), bright(2)], [1, 4, 16]);
    fails(&["show", "pooled", &picture, "--times", "4"], "too small to be pooled 4 times");
    fails(&["show", "pooled", &file("none.png")], "none.png");
}

#[test]
fn dead_logits_are_listed() {
    let dead = prints(&["show", "dead-logits", "--seeds", "2", "--images", "20"]);
    assert_eq!(dead.lines().count(), 4, "{dead}");
    fails(&["show", "dead-logits", "--images", "0"], "expected images in 1..=8000");
    fails(&["show", "dead-logits", "--seeds", "0"], "--seeds");
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let out = tempfile::tempdir().unwrap();
    let folder = text(out.path());
    fails(&["show", "kernels", "mnist-mlp"], "mnist-mlp has no convolution to draw");
    fails(&["show", "kernels", "mnist-cnn", "--layer", "conv2"], "there are conv1.0, conv2.0");
    fails(&["show", "kernels", folder], "expected the folder of a run");
    let taken = out.path().join("taken.png");
    fs::create_dir(&taken).unwrap();
    fails(&["show", "kernels", "mnist-cnn", "--out", text(&taken)], "taken.png: ");
    fs::remove_dir(&taken).unwrap();
    let missing = text(&out.path().join("missing/k.png")).to_owned();
    fails(&["show", "kernels", "mnist-cnn", "--out", &missing], &missing);
    fails(&["show", "activations", "mnist-cnn", "--layer", "conv9"], "there are conv1.0, ");
    let activations = ["show", "activations", "mnist-cnn", "--layer", "conv1"];
    fails(&[&activations[..], &["--index", "2000"]].concat(), "below 2000");
    fails(&[&activations[..], &["--image", folder]].concat(), folder);
    fails(&["show", "activations", "vgg4", "--layer", "conv1"], "expected --image FILE");
    fails(&["show", "batch", "--count", "0"], "1..=1000");
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&["show", "sliding", "1", "--out", text(&file)], text(&file));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "failures leave nothing behind");
}

/// What is written must be what the file's name says.
#[test]
fn files_are_named_after_what_is_written() {
    fails(&["show", "kernels", "mnist-cnn", "--out", "kernels.jpg"], "ends in .png");
    fails(&["show", "architecture", "vgg4", "--out", "slabs.png"], "ends in .svg");
    fails(&["pooling", "--draw", "pooled"], "ends in .png");
}
