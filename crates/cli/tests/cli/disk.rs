//! A disk that is full.

use super::*;

/// A limit on the size of files stands in for it: the table of epochs still fits, weights do not.
#[cfg(unix)]
#[test]
fn a_full_disk_ends_a_run_and_loses_nothing() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let whole = train(&data, &out, "whole", &["--epochs", "2"]);
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let checkpoint = || fs::read(run.join("checkpoint.safetensors")).unwrap();
    let before = (checkpoint(), fs::read(run.join("model.safetensors")).unwrap());

    // The signal that would end the process is ignored, as a full disk sends none.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let resume =
        ["train", "mnist-mlp", "--resume", "--quiet", "--epochs", "2", "--out", text(&run)];
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_striate")])
        .args(resume)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(text(&run)) && stderr.contains("File too large"), "{stderr}");

    assert!(before == (checkpoint(), fs::read(run.join("model.safetensors")).unwrap()));
    let names = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")));
    prints(&resume);
    assert!(results(&run) == results(&whole));
}
