//! Folders and files that are not what they should be.

use super::*;

#[test]
fn what_cannot_be_trained_says_why() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let (folder, nowhere) = (text(&run), out.path().join("nowhere"));
    fails(&["train", "mnist-cnm"], "no model is called mnist-cnm; there are vgg4, ");
    fails(&["train", "vgg16"], "vgg16 has no recipe here; `striate photos` trains");
    fails(&["train", "vgg4"], "expected --data DIR, a folder with the binary version of CIFAR-10");
    fails(&["train", "mnist-mlp", "--data", text(&nowhere)], "nowhere");
    fails(&["train", "mnist-mlp", "--out", folder], "the folder is not empty");
    fails(&["train", "mnist-mlp", "--out", "/proc/none"], "/proc/none");
    fails(
        &["train", "mnist-mlp", "--out", text(&nowhere), "--resume"],
        "expected the folder of a run",
    );
    fails(
        &["train", "mnist-cnn", "--out", folder, "--resume"],
        "the run's model was \"mnist-mlp\"",
    );
    fails(
        &["train", "mnist-mlp", "--out", folder, "--resume", "--seed", "9"],
        "the run's seed was 1",
    );
    fails(
        &["train", "mnist-mlp", "--out", folder, "--resume", "--data", text(&nowhere)],
        "the run's data was",
    );
    train(&data, &out, "run", &["--resume", "--epochs", "3"]);
    fails(
        &["train", "mnist-mlp", "--out", folder, "--resume", "--epochs", "2"],
        "3 epochs have begun, not 2",
    );
    fails(&["train", "mnist-mlp", "--resume"], "--out");
    fails(&["train", "mnist-mlp", "--epochs", "0"], "--epochs");
    fails(&["train", "mnist-mlp", "--threads", "99999999"], "--threads");
    fails(&["train", "mnist-mlp", "--seed", "-1"], "-1");
}

#[test]
fn data_that_cannot_be_read_names_the_file_and_leaves_no_folder() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let fresh = out.path().join("fresh");
    let arguments = ["train", "mnist-mlp", "--data", text(data.path()), "--out", text(&fresh)];
    let images = data.path().join("train-images-idx3-ubyte");
    let whole = fs::read(&images).unwrap();
    let cut = &whole[..whole.len() - 1];
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x63];
    let empty = [0x0803u32, 0, 28, 28].map(u32::to_be_bytes).concat();
    for damaged in [cut, b"no digits", &gzip, &[], &empty] {
        fs::write(&images, damaged).unwrap();
        fails(&arguments, "train-images-idx3-ubyte");
    }
    let no_labels = [0x0801u32, 0].map(u32::to_be_bytes).concat();
    fs::write(data.path().join("train-labels-idx1-ubyte"), no_labels).unwrap();
    fails(&arguments, "expected images to train on");
    fs::remove_file(&images).unwrap();
    fails(&arguments, "train-images-idx3-ubyte");
    assert!(!fresh.exists());
}

#[test]
fn damaged_runs_say_which_file() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let folder = text(&run);
    fails(&["predict", folder, text(&run.join("metrics.csv"))], "metrics.csv");
    fails(&["predict", folder, "no-such-picture.png"], "no-such-picture.png");
    fails(&["predict", folder, folder], folder);
    let weights = run.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..4], &[], b"{}"] {
        fs::write(&weights, damaged).unwrap();
        fails(&["evaluate", folder], "model.safetensors");
    }
    let resume = ["train", "mnist-mlp", "--out", folder, "--resume", "--epochs", "2"];
    let (checkpoint, table) = (run.join("checkpoint.safetensors"), run.join("metrics.csv"));
    let rows = fs::read_to_string(&table).unwrap();
    let header = rows.lines().next().unwrap();
    fs::remove_file(&table).unwrap();
    fails(&resume, "metrics.csv");
    fs::write(&table, header).unwrap();
    fails(&resume, "metrics.csv: expected 1 epochs as in the checkpoint, got 0");
    fs::write(&table, format!("{header}\nno numbers")).unwrap();
    fails(&resume, "metrics.csv: line 2: expected seven numbers, got \"no numbers\"");
    // The weights are looked at next only if the table is whole.
    fs::write(&table, &rows).unwrap();
    // Weights alone are no checkpoint, and the weights of another network are not this one's.
    fs::write(&checkpoint, &bytes).unwrap();
    fails(&resume, "checkpoint.safetensors: restore");
    fs::write(&checkpoint, b"no checkpoint").unwrap();
    fails(&resume, "checkpoint.safetensors");
    fs::write(&weights, &bytes).unwrap();
    let config = fs::read_to_string(run.join("config.json")).unwrap();
    let edited = |from: &str, to: &str| {
        assert!(config.contains(from), "{config}");
        fs::write(run.join("config.json"), config.replace(from, to)).unwrap();
    };
    edited("\"batch\": 100", "\"batch\": 0");
    fails(&resume, "the run's recipe was (0, ");
    edited("mnist-mlp", "mnist-cnn");
    fails(&["evaluate", folder], "model.safetensors: load_state: missing: conv1.0.bias");
    edited("mnist-mlp", "mnist-cnm");
    fails(&["evaluate", folder], "no model is called mnist-cnm");
    edited("\"seed\": 1", "\"seed\": -1");
    fails(&["evaluate", folder], "config.json: ");
    edited("}", "");
    fails(&["evaluate", folder], "config.json: ");
    fails(&["evaluate", text(out.path())], "expected the folder of a run");
}
