//! The learning rate range test.

use super::*;

#[test]
fn a_rate_is_found_on_the_shipped_digits() {
    let out = tempfile::tempdir().unwrap();
    let file = text(&out.path().join("rates.svg")).to_owned();
    let arguments = ["lr-find", "mnist-mlp", "--out", &file];
    let found = json(&[&arguments[..], &["--json"]].concat());
    let losses = found["losses"].as_array().unwrap();
    assert_eq!(
        (losses.len(), &found["rates"][0]),
        (found["rates"].as_array().unwrap().len(), &1e-7.into())
    );
    let svg = fs::read_to_string(&file).unwrap();
    assert!(svg.contains("learning rate") && svg.contains("1e-4"), "{svg}");
    for name in ["steepest", "valley"] {
        let rate = found[name].as_f64().unwrap();
        assert!((1e-5..1.0).contains(&rate), "{name}: {rate}");
        assert!(svg.contains(&format!("{name} {rate:.1e}")), "{svg}");
    }
    // The text says the same, on any number of threads.
    let printed = prints(&[&arguments[..], &["--threads", "1"]].concat());
    assert!(
        printed.contains(&format!("valley: {:.2e}\n", found["valley"].as_f64().unwrap())),
        "{printed}"
    );
    assert!(printed.contains(" steps") && printed.contains(" 1.0e-7   2.3"), "{printed}");
}

#[test]
fn a_device_is_found_whatever_there_is() {
    let out = tempfile::tempdir().unwrap();
    let file = text(&out.path().join("rates.svg")).to_owned();
    let printed =
        prints(&["lr-find", "mnist-mlp", "--steps", "6", "--device", "auto", "--out", &file]);
    let last = printed.lines().last().unwrap();
    let cards = prints(&["devices"]).contains("\ncuda:0 ");
    assert!(last.ends_with(if cards { "on cuda:0" } else { "on cpu" }), "{printed}");
}

#[test]
fn a_rate_is_found_on_photos() {
    let (data, out) = (super::cifar::photos(32), tempfile::tempdir().unwrap());
    let file = text(&out.path().join("rates.svg")).to_owned();
    let arguments = ["lr-find", "vgg4", "--data", text(data.path()), "--out", &file];
    // 128 photos are two batches, so the test runs over some epochs.
    let printed = prints(&[&arguments[..], &["--steps", "20"]].concat());
    assert!(printed.contains("20 of 20 steps") && printed.contains("steepest: "), "{printed}");
    assert!(
        prints(&[&arguments[..], &["--steps", "6"]].concat()).contains("steepest: too few points")
    );
    fails(&[&arguments[..], &["--start", "0"]].concat(), "expected rates above zero");
    fails(&[&arguments[..], &["--device", "gpu"]].concat(), "expected a device");
    fails(&["lr-find", "vgg4", "--out", &file], "expected --data DIR");
    fails(
        &["lr-find", "vgg16", "--out", &file],
        "vgg16 has no recipe here; `striate photos` trains",
    );
    let few = super::cifar::photos(4);
    fails(&["lr-find", "vgg4", "--data", text(few.path())], "expected a batch of 64 images");
    fails(&["lr-find", "vgg4", "--steps", "5"], "--steps");
}
