//! Where the output goes: readers that leave, disks that are full, no environment at all.

use std::io::{BufRead, BufReader, Read};

use super::*;

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child =
        command(&["arithmetic"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("1. no padding"), "{line}");
    assert!(child.wait().unwrap().success());
    let mut complaint = String::new();
    child.stderr.unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(complaint, "");
}

#[test]
fn an_empty_environment_is_enough() {
    let output = command(&["summary", "mnist-cnn"]).env_clear().output().unwrap();
    assert!(output.status.success());
}

#[cfg(target_os = "linux")]
#[test]
fn streams_that_cannot_be_written_are_failures() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["models"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.starts_with("striate: standard output: "), "{complaint}");
    let status = command(&["train", "mnist-cnm"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// Files may grow to 100 blocks only, as on a disk that is nearly full.
#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_the_run_can_be_continued() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 100; exec "$@""#, "sh"])
        .args([env!("CARGO_BIN_EXE_striate"), "train", "mnist-mlp", "--epochs", "1"])
        .args(["--data", text(data.path()), "--out", text(&run)])
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("model.safetensors: "), "{complaint}");
    train(&data, &out, "run", &["--resume"]);
    let files = fs::read_dir(&run).unwrap().map(|file| file.unwrap().file_name());
    assert_eq!(files.count(), 8, "nothing but the files of a run");
}
