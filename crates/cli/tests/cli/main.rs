//! The command as its users meet it: run on good input and on bad.

mod bench;
mod book;
mod cifar;
mod compare;
mod damage;
mod data;
mod disk;
mod explain;
mod fields;
#[cfg(unix)]
mod interrupts;
mod photos;
mod pictures;
mod pooling;
mod rates;
mod receipts;
mod reports;
mod runs;
mod sizes;
mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("striate: "), "{arguments:?}: {stderr}");
    assert!(stderr.contains(message), "{arguments:?}: expected {message}, got {stderr}");
}

/// A folder with the four files of a small MNIST: each image has a bright row, which is its label.
fn digits() -> TempDir {
    digits_of(200, 50)
}

/// The same with so many images to train on and to test on.
fn digits_of(train: u32, test: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train", train), ("t10k", test)] {
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
fn lists_are_complete() {
    let models = json(&["models", "--json"]);
    let table = prints(&["models"]);
    assert_eq!(models.as_array().unwrap().len(), table.lines().count() - 1);
    for model in models.as_array().unwrap() {
        let row = table.lines().find(|row| row.split(' ').next() == model["name"].as_str());
        let trains = if model["train"] == true { " yes " } else { " no " };
        assert!(row.unwrap().contains(trains), "{row:?}");
        let [published, ours] = [&model["published"], &model["ours"]].map(|f| f.as_str().unwrap());
        assert!(!published.is_empty() && row.unwrap().contains(published), "{row:?}");
        assert!(row.unwrap().ends_with(ours), "{row:?}");
    }
    assert!(prints(&["devices"]).starts_with("cpu "));
}

#[test]
fn help_shows_where_to_start_and_every_command_has_one() {
    let help = prints(&["--help"]);
    assert!(help.contains("striate train mnist-cnn"), "{help}");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .map_while(|line| line.split_whitespace().next())
        .filter(|c| *c != "help")
        .collect();
    assert_eq!(commands.len(), 19, "{help}");
    for command in commands {
        assert!(prints(&[command, "--help"]).contains("Usage: striate"), "{command}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}

/// The parser's explanations were paragraphs.
#[test]
fn what_is_wrong_with_arguments_is_told_in_one_line() {
    fails(&["tarin"], "unrecognized subcommand 'tarin'; tip: a similar subcommand exists: 'train'");
    fails(&["train"], "arguments were not provided: <MODEL>\n");
    fails(&["train", "mnist-mlp", "--epoch", "1"], "'--epoch' found; tip: ");
    fails(
        &["train", "mnist-mlp", "--threads", "0"],
        "'--threads <THREADS>': 0 is not in 1..=1024\n",
    );
    fails(&["evaluate", "run", "and", "more"], "unexpected argument 'and' found\n");
    fails(&["arithmetic", "conv", "--kernel"], "a value is required for '--kernel <KERNEL>'");
}
