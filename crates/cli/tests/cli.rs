//! The command as its users meet it: run on good input and on bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_striate"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// What a successful command prints.
fn prints(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&prints(arguments)).unwrap()
}

/// A command that must end with exit code 2 and one line that contains `message`.
fn fails(arguments: &[&str], message: &str) {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {stderr}");
    assert!(errors[0].starts_with("striate: "), "{arguments:?}: {stderr}");
    assert!(errors[0].contains(message), "{arguments:?}: expected {message}, got {stderr}");
}

/// A folder with the four files of a small MNIST: each image has a bright row, which is its label.
fn digits() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train", 200u32), ("t10k", 50)] {
        let mut images = [0x0803u32, count, 28, 28].map(u32::to_be_bytes).concat();
        let mut labels = [0x0801u32, count].map(u32::to_be_bytes).concat();
        for number in 0..count {
            let label = (number * 7 % 10) as usize;
            let mut image = [0u8; 784];
            image[label * 56..label * 56 + 28].fill(200);
            image[(number as usize * 31) % 784] = 255;
            images.extend(image);
            labels.push(label as u8);
        }
        fs::write(folder.path().join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.path().join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Trains mnist-mlp on `data` into a folder below `out`, with further arguments.
fn train(data: &TempDir, out: &TempDir, name: &str, more: &[&str]) -> PathBuf {
    let run = out.path().join(name);
    let (data, folder) = (text(data.path()), text(&run));
    let arguments = ["train", "mnist-mlp", "--data", data, "--out", folder, "--quiet"];
    prints(&[&arguments, more].concat());
    run
}

/// The weights, and the table without the seconds.
fn results(run: &Path) -> (Vec<u8>, Vec<String>) {
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rows = table.lines().map(|row| row.rsplit_once(',').unwrap().0.to_owned());
    (fs::read(run.join("model.safetensors")).unwrap(), rows.collect())
}

#[test]
fn a_run_leaves_its_folder_and_can_be_used() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "6"]);
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let header = "epoch,train_loss,train_accuracy,valid_loss,valid_accuracy,learning_rate,seconds";
    assert_eq!(table.lines().next(), Some(header));
    assert_eq!(table.lines().count(), 7);
    assert!(fs::read_to_string(run.join("curves.svg")).unwrap().contains("<svg"));
    let config: Value =
        serde_json::from_slice(&fs::read(run.join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["model"], &config["seed"]), (&"mnist-mlp".into(), &1.into()));

    let result = json(&["evaluate", text(&run), "--json"]);
    let last = table.lines().last().unwrap();
    let accuracy: f64 = last.split(',').nth(4).unwrap().parse().unwrap();
    assert_eq!(result["accuracy"], accuracy);
    assert_eq!(result["samples"], 50);
    assert!(accuracy > 0.9, "{last}");

    // A picture of the third class, as a file.
    let picture = out.path().join("two.png");
    let pixels = image::GrayImage::from_fn(28, 28, |_, y| [if y == 4 { 200 } else { 0 }].into());
    pixels.save(&picture).unwrap();
    let answer = prints(&["predict", text(&run), text(&picture), "--top", "2"]);
    assert!(answer.starts_with("2  "), "{answer}");
    assert_eq!(answer.lines().count(), 2);
}

#[test]
fn a_continued_run_has_the_bits_of_an_uninterrupted_one() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let whole = train(&data, &out, "whole", &["--epochs", "4", "--seed", "3"]);
    let parts = train(&data, &out, "parts", &["--epochs", "2", "--seed", "3", "--threads", "1"]);
    assert_ne!(results(&whole), results(&parts));
    train(&data, &out, "parts", &["--resume", "--epochs", "4", "--threads", "3"]);
    assert_eq!(results(&whole), results(&parts));
}

#[test]
fn a_killed_run_continues_to_the_same_bits() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = out.path().join("killed");
    let folders = ["--data", text(data.path()), "--out", text(&run)];
    let arguments = [&["train", "mnist-mlp", "--epochs", "15", "--quiet"], &folders[..]].concat();
    let mut child =
        command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !run.join("checkpoint.safetensors").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint appeared");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    train(&data, &out, "killed", &["--resume"]);
    let whole = train(&data, &out, "whole", &["--epochs", "15"]);
    assert_eq!(results(&whole), results(&run));
}

#[test]
fn what_cannot_be_trained_says_why() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let (folder, nowhere) = (text(&run), out.path().join("nowhere"));
    fails(&["train", "mnist-cnm"], "no model is called mnist-cnm; there are vgg4, ");
    fails(&["train", "vgg4"], "vgg4 cannot be trained from here yet");
    fails(&["train", "mnist-mlp", "--data", text(&nowhere)], "nowhere");
    fails(&["train", "mnist-mlp", "--out", folder], "the folder is not empty");
    fails(&["train", "mnist-mlp", "--out", "/proc/none"], "/proc/none");
    fails(
        &["train", "mnist-mlp", "--out", text(&nowhere), "--resume"],
        "expected the folder of a run",
    );
    fails(&["train", "mnist-cnn", "--out", folder, "--resume"], "the run's model was mnist-mlp");
    fails(
        &["train", "mnist-mlp", "--out", folder, "--resume", "--seed", "9"],
        "the run's seed was 1",
    );
    let shortened = data.path().join("train-images-idx3-ubyte");
    let bytes = fs::read(&shortened).unwrap();
    fs::write(&shortened, &bytes[..bytes.len() - 1]).unwrap();
    let fresh = out.path().join("fresh");
    let arguments = ["train", "mnist-mlp", "--data", text(data.path()), "--out", text(&fresh)];
    fails(&arguments, "train-images-idx3-ubyte");
    assert!(!fresh.exists(), "unreadable data leaves no folder behind");
}

#[test]
fn damaged_runs_say_which_file() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let folder = text(&run);
    fails(&["predict", folder, text(&run.join("metrics.csv"))], "metrics.csv");
    fails(&["predict", folder, "no-such-picture.png"], "no-such-picture.png");
    let weights = run.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..4], &[], b"{}"] {
        fs::write(&weights, damaged).unwrap();
        fails(&["evaluate", folder], "model.safetensors");
    }
    fs::write(run.join("checkpoint.safetensors"), b"no checkpoint").unwrap();
    fails(
        &["train", "mnist-mlp", "--out", folder, "--resume", "--epochs", "2"],
        "checkpoint.safetensors",
    );
    fs::write(run.join("config.json"), b"{").unwrap();
    fails(&["evaluate", folder], "config.json");
    fails(&["evaluate", text(out.path())], "expected the folder of a run");
}

#[test]
fn arithmetic_is_the_documents() {
    let cases = json(&["arithmetic", "--json"]);
    let outputs: Vec<u64> =
        cases.as_array().unwrap().iter().map(|case| case["output"].as_u64().unwrap()).collect();
    assert_eq!(outputs, [2, 6, 5, 7, 3, 3, 13, 4, 5, 3]);
    let given = ["arithmetic", "conv-transpose", "--input", "2", "--stride", "2", "--json"];
    assert_eq!(json(&given)[0]["output"], 5);
    let text = prints(&["arithmetic", "conv", "--input", "5", "--kernel", "4", "--padding", "2"]);
    assert!(text.contains("shape [1, 1, 5, 5] -> [1, 1, 6, 6], 17 parameters"), "{text}");
    fails(&["arithmetic", "conv", "--input", "2", "--kernel", "3"], "3");
    fails(&["arithmetic", "conv", "--stride", "0"], "stride");
    fails(&["arithmetic", "conv", "--padding", "9223372036854775807"], "conv2d");
    fails(&["arithmetic", "max-pool", "--padding", "2"], "max_pool2d");
    fails(&["arithmetic", "conv-transpose", "--output-padding", "1"], "output padding");
}

#[test]
fn summaries_are_torchsummarys() {
    let table = prints(&["summary", "mnist-cnn"]);
    for line in ["Total params: 28,938", "Forward/backward pass size (MB): 0.32"] {
        assert!(table.contains(line), "{table}");
    }
    assert_eq!(
        json(&["summary", "vgg16", "--input", "3x64x64", "--json"])["parameters"],
        15_301_560
    );
    assert!(prints(&["summary", "mnist-net", "--tree"]).contains("(conv7): Conv2d(1024, 10"));
    fails(
        &["summary", "mnist-cnn", "--input", "3x28x28"],
        "conv2d in conv1.0: weight expects 1 input",
    );
    fails(&["summary", "mnist-cnn", "--input", "1x99999999999x99999999999"], "memory");
    let usage = run(&["summary", "mnist-cnn", "--input", "0x3"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn lists_are_complete() {
    let models = json(&["models", "--json"]);
    assert_eq!(models.as_array().unwrap().len(), prints(&["models"]).lines().count() - 1);
    assert!(prints(&["devices"]).starts_with("cpu "));
    assert!(prints(&["--help"]).contains("train"));
}

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
    prints(&["show", "sliding", "--out", text(out.path())]);
    for case in 1..=10 {
        let svg = fs::read_to_string(file(&format!("sliding-{case}.svg"))).unwrap();
        assert!(svg.contains("<animate") || svg.contains("@keyframes"), "case {case}");
    }
    let dead = prints(&["show", "dead-logits", "--seeds", "2", "--images", "20"]);
    assert_eq!(dead.lines().count(), 4, "{dead}");
    fails(&["show", "dead-logits", "--images", "0"], "expected images in 1..=8000");
    fails(&["show", "kernels", "mnist-mlp"], "mnist-mlp has no convolution to draw");
    fails(&["show", "activations", "mnist-cnn", "--layer", "conv9"], "there are conv1.0, ");
    fails(
        &["show", "activations", "mnist-cnn", "--layer", "conv1", "--index", "2000"],
        "below 2000",
    );
    fails(
        &["show", "kernels", "mnist-cnn", "--out", "/no/such/folder/k.png"],
        "/no/such/folder/k.png",
    );
}
