//! Receipts: a run is repeated to its bits, and whatever does not belong to it is found out.

use super::*;

/// A command that must end with exit code 1 and one line that contains all of `message`.
fn deviates(arguments: &[&str], kernels: Option<&str>, message: &[&str]) {
    let mut command = command(arguments);
    command.envs(kernels.map(|kernels| ("STRIATE_KERNEL", kernels)));
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(message.iter().all(|part| stderr.contains(part)), "{stderr}");
}

fn receipt(run: &Path) -> String {
    fs::read_to_string(run.join("receipt.csv")).unwrap()
}

#[test]
fn a_run_is_verified_epoch_by_epoch() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "2"]);
    // Continuing does not begin the receipt anew.
    train(&data, &out, "run", &["--resume", "--epochs", "3"]);
    let lines: Vec<String> = receipt(&run).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "epoch,kernels,sha256");
    let epochs: Vec<&str> = lines[1..].iter().map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(epochs, ["0", "1", "2", "3"]);
    let told = prints(&["verify", text(&run), "--threads", "1"]);
    assert_eq!(told.matches("the same bits").count(), 5, "{told}");
    assert!(told.ends_with("4 of 4 lines compared: the same bits\n"), "{told}");
    let digest = lines[4].rsplit(',').next().unwrap();
    assert!(told.contains(&format!("epoch   3  {digest}")), "{told}");
    let some = prints(&["verify", text(&run), "--epochs", "1"]);
    assert!(some.ends_with("2 of 4 lines compared: the same bits\n"), "{some}");
    let other = train(&data, &out, "other", &["--epochs", "3", "--seed", "2"]);
    assert_ne!(receipt(&run), receipt(&other));
}

#[test]
fn what_is_not_the_runs_deviates() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "2"]);
    let verify = ["verify", text(&run)];
    let replaced = |file: &str, from: &str, to: &str| {
        let path = run.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{before}");
        fs::write(&path, before.replacen(from, to, 1)).unwrap();
        before
    };
    let config = replaced("config.json", "\"seed\": 1", "\"seed\": 2");
    deviates(&verify, None, &["receipt.csv: expected", "after epoch 0", "config.json is not"]);
    fs::write(run.join("config.json"), config).unwrap();

    // A digest that training never came to.
    let whole = receipt(&run);
    let row = whole.lines().nth(2).unwrap();
    let digest = row.rsplit(',').next().unwrap();
    let wrong = format!("{:0>64}", "beef");
    fs::write(run.join("receipt.csv"), whole.replace(digest, &wrong)).unwrap();
    deviates(&verify, None, &[&format!("expected {wrong} after epoch 1, got {digest}")]);
    // Up to there it agrees.
    prints(&[&verify[..], &["--epochs", "0"]].concat());
    fs::write(run.join("receipt.csv"), &whole).unwrap();

    // Other data.
    let images = data.path().join("train-images-idx3-ubyte");
    let mut bytes = fs::read(&images).unwrap();
    bytes[1000] ^= 1;
    fs::write(&images, &bytes).unwrap();
    deviates(&verify, None, &["after epoch 1", "data or program differ"]);
    bytes[1000] ^= 1;
    fs::write(&images, &bytes).unwrap();
    prints(&verify);

    // Other weights.
    let other = train(&data, &out, "other", &["--epochs", "1", "--seed", "5"]);
    fs::copy(other.join("model.safetensors"), run.join("model.safetensors")).unwrap();
    deviates(&verify, None, &["model.safetensors: expected the parameters of an epoch"]);
}

/// Kernels add in another order; where a processor has but one kind, there is nothing to tell apart.
#[test]
fn kernels_are_named() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let kernels = receipt(&run).lines().last().unwrap().split(',').nth(1).unwrap().to_owned();
    if kernels == "portable" {
        println!("SKIP: this processor has one kind of kernels");
        return;
    }
    let verify = ["verify", text(&run)];
    let message = [&format!("computed on {kernels}, this on portable")[..], "STRIATE_KERNEL"];
    deviates(&verify, Some("portable"), &message);
    let output = command(&verify).env("STRIATE_KERNEL", "portable").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("made on {kernels}: bits may differ")), "{told}");
}

#[test]
fn receipts_that_cannot_be_read_say_which_line() {
    let (data, out) = (digits(), tempfile::tempdir().unwrap());
    let run = train(&data, &out, "run", &["--epochs", "1"]);
    let verify = ["verify", text(&run)];
    let whole = receipt(&run);
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 9);
    for (damaged, message) in [
        (cut.as_str(), "receipt.csv: line 3: expected an epoch, kernels and 64"),
        ("", "line 1: expected epoch,kernels,sha256"),
        ("epoch,kernels,sha256\n", "expected the receipt of an epoch"),
        ("epoch,kernels,sha256\n0,,", "line 2"),
    ] {
        fs::write(run.join("receipt.csv"), damaged).unwrap();
        fails(&verify, message);
    }
    fs::remove_file(run.join("receipt.csv")).unwrap();
    fails(&verify, "receipt.csv");
    // A run from before there were receipts goes on, and has one from then on.
    train(&data, &out, "run", &["--resume", "--epochs", "2"]);
    assert!(prints(&verify).ends_with("1 of 1 lines compared: the same bits\n"));
    fails(&["verify", text(out.path())], "expected the folder of a run");
}

/// Kernels that there are none of were taken for the best.
#[test]
fn unknown_kernels_are_refused() {
    let output = command(&["models"]).env("STRIATE_KERNEL", "avx1024").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("STRIATE_KERNEL=avx1024: expected portable, avx2 or avx512"));
    let output = command(&["models"]).env("STRIATE_KERNEL", "portable").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}
