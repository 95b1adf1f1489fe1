//! Training runs: what they leave, and what continues them.

use std::time::{Duration, Instant};

use super::*;

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

    // The same drawn black on white, larger, and under a name that says nothing of its format.
    let drawn = out.path().join("drawn.dat");
    let pixels =
        image::GrayImage::from_fn(84, 84, |_, y| [if y / 3 == 4 { 55 } else { 255 }].into());
    pixels.save_with_format(&drawn, image::ImageFormat::Png).unwrap();
    let answer = prints(&["predict", text(&run), text(&drawn), "--invert", "--top", "99"]);
    assert!(answer.starts_with("2  "), "{answer}");
    assert_eq!(answer.lines().count(), 10);
    let unknown = ["predict", text(&run), text(&picture), "--device", "gpu"];
    fails(&unknown, "expected a device such as cpu or cuda:0, got gpu");
    fails(
        &["evaluate", text(&run), "--device", "cuda:x"],
        "expected a device such as cpu or cuda:0, got cuda:x",
    );
    fails(&["predict", text(&run), text(&picture), "--top", "0"], "--top");
}

#[test]
fn precision_is_part_of_a_run() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let plain = train(&data, &out, "plain", &["--epochs", "1"]);
    for name in ["precise", "tf32"] {
        let option = format!("--{name}");
        let run = train(&data, &out, name, &["--epochs", "1", &option]);
        let config: Value =
            serde_json::from_slice(&fs::read(run.join("config.json")).unwrap()).unwrap();
        for other in ["precise", "tf32"] {
            assert_eq!(config[other], other == name);
        }
        train(&data, &out, name, &["--epochs", "2", "--resume"]);
        fails(
            &["train", "mnist-mlp", "--out", text(&plain), "--resume", &option],
            &format!("the run's precision was without {option}"),
        );
    }
}

#[test]
fn a_run_without_out_gets_a_folder_of_its_own() {
    let (data, home) = (digits(), tempfile::tempdir().unwrap());
    for folder in ["mnist-mlp", "mnist-mlp-2"] {
        let arguments = ["train", "mnist-mlp", "--epochs", "1", "--data", text(data.path())];
        let output = command(&arguments).current_dir(&home).output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(table.ends_with(&format!("run folder: runs/{folder}\n")), "{table}");
    }
}

#[test]
fn a_run_is_continued_from_anywhere() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let parts = (data.path().parent().unwrap(), data.path().file_name().unwrap());
    let arguments = ["train", "mnist-mlp", "--epochs", "1", "--out", text(&run), "--data"];
    let output = command(&arguments).arg(parts.1).current_dir(parts.0).output().unwrap();
    assert!(output.status.success());
    train(&data, &out, "run", &["--resume", "--epochs", "2"]);
    prints(&["evaluate", text(&run)]);
}

#[test]
fn a_continued_run_has_the_bits_of_an_uninterrupted_one() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let whole = train(&data, &out, "whole", &["--epochs", "4", "--seed", "3"]);
    let parts = train(&data, &out, "parts", &["--epochs", "2", "--seed", "3", "--threads", "1"]);
    assert_ne!(results(&whole), results(&parts));
    let table = fs::read_to_string(parts.join("metrics.csv")).unwrap();
    train(&data, &out, "parts", &["--resume", "--epochs", "4", "--threads", "3"]);
    assert_eq!(results(&whole), results(&parts));
    // The first epochs were not run again: they kept their seconds.
    assert!(fs::read_to_string(parts.join("metrics.csv")).unwrap().starts_with(&table));
    // Nothing is left to do.
    train(&data, &out, "parts", &["--resume"]);
    assert_eq!(results(&whole), results(&parts));
}

#[test]
fn a_killed_run_continues_to_the_same_bits() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = out.path().join("killed");
    let folders = ["--data", text(data.path()), "--out", text(&run)];
    let arguments = [&["train", "mnist-mlp", "--epochs", "40", "--quiet"], &folders[..]].concat();
    let mut child =
        command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !run.join("checkpoint.safetensors").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint appeared");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let epochs = results(&run).1.len() - 1;
    assert!(epochs < 40, "the run ended before it could be killed");
    train(&data, &out, "killed", &["--resume", "--threads", "1"]);
    let whole = train(&data, &out, "whole", &["--epochs", "40"]);
    assert_eq!(results(&whole), results(&run));
}

/// One header, then every third step, each with its epoch; and nothing on standard error, which is no terminal here.
#[test]
fn steps_are_logged_and_a_log_has_no_progress_bar() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let folders = ["--data", text(data.path()), "--out", text(&run)];
    let arguments = ["train", "mnist-mlp", "--epochs", "5", "--log-every", "3"];
    let output = super::run(&[&arguments[..], &folders].concat());
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    let table = fs::read_to_string(run.join("steps.csv")).unwrap();
    let mut lines = table.lines();
    let header = "step,epoch,loss,smoothed_loss,learning_rate,images_per_second";
    assert_eq!(lines.next(), Some(header));
    let rows: Vec<Vec<f64>> =
        lines.map(|row| row.split(',').map(|field| field.parse().unwrap()).collect()).collect();
    let place = |row: &Vec<f64>| (row[0], row[1]);
    assert_eq!(rows.iter().map(place).collect::<Vec<_>>(), [(3.0, 2.0), (6.0, 3.0), (9.0, 5.0)]);
    assert!(rows[2][2] < rows[0][2], "the loss falls: {table}");
    assert!(rows.iter().all(|row| row[4] == 1e-3 && row[5] > 0.0), "{table}");
    fails(&["train", "mnist-mlp", "--log-every", "0"], "--log-every");
}
