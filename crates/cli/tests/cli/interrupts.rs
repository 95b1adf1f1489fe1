//! Runs that are stopped in the middle of an epoch, politely and not.

use std::process::Child;
use std::time::{Duration, Instant};

use striate::nn::{Checkpoint, State};
use striate::prelude::Device;

use super::*;

/// Four epochs of twenty steps.
const ARGUMENTS: [&str; 5] = ["train", "mnist-cnn", "--log-every", "1", "--epochs"];

/// A folder of digits for twenty steps an epoch.
fn many_digits() -> TempDir {
    digits_of(2000, 50)
}

fn arguments<'a>(data: &'a TempDir, run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let folders = ["4", "--data", text(data.path()), "--out", text(run)];
    [&ARGUMENTS[..], &folders, more].concat()
}

fn begin(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The last step that `steps.csv` tells of.
fn last_step(run: &Path) -> u64 {
    let table = fs::read_to_string(run.join("steps.csv")).unwrap_or_default();
    let whole = table.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let row = whole.lines().next_back().unwrap_or_default();
    row.split(',').next().unwrap().parse().unwrap_or(0)
}

fn wait_for_step(run: &Path, step: u64) {
    let start = Instant::now();
    while last_step(run) < step {
        assert!(start.elapsed() < Duration::from_secs(60), "step {step} was never taken");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends Ctrl-C, and returns what the program prints and says when it has ended.
fn interrupt(child: Child) -> (String, String) {
    let process = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

/// Everything that training changes, bit for bit.
fn checkpoint(run: &Path) -> (State, String) {
    let checkpoint: Checkpoint =
        Checkpoint::load(&run.join("checkpoint.safetensors"), &Device::cpu()).unwrap();
    (checkpoint.tensors, checkpoint.texts["position"].clone())
}

fn bits(run: &Path) -> Vec<(String, Vec<u32>)> {
    let tensors = checkpoint(run).0.into_iter();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    tensors.map(|(name, tensor)| (name, bits(tensor.to_vec().unwrap()))).collect()
}

/// The rows of `steps.csv` without the images a second.
fn steps(run: &Path) -> Vec<String> {
    let table = fs::read_to_string(run.join("steps.csv")).unwrap();
    table.lines().map(|row| row.rsplit_once(',').unwrap().0.to_owned()).collect()
}

/// Interrupted in the second epoch, killed in the third on the way on, and continued twice.
#[test]
fn an_interrupted_run_continues_inside_the_epoch_to_the_same_bits() {
    let (data, out) = (many_digits(), tempfile::tempdir().unwrap());
    let (whole, parts) = (out.path().join("whole"), out.path().join("parts"));
    prints(&arguments(&data, &whole, &[]));

    let child = begin(&arguments(&data, &parts, &["--threads", "1"]));
    wait_for_step(&parts, 22);
    let (printed, said) = interrupt(child);
    let stopped = last_step(&parts);
    assert!((22..40).contains(&stopped), "{stopped}: not in the second epoch");
    let expected = format!("interrupted after step {stopped}; --out {} --resume", text(&parts));
    assert!(said.contains(&expected), "{said}");
    assert_eq!(printed.lines().filter(|line| line.starts_with("    ")).count(), 1, "{printed}");
    let begun = format!(r#""begun":{}"#, stopped - 20);
    assert!(checkpoint(&parts).1.contains(&begun), "{}", checkpoint(&parts).1);

    // The weights are still those that the table tells of.
    let rows = fs::read_to_string(parts.join("metrics.csv")).unwrap();
    let accuracy = rows.lines().last().unwrap().split(',').nth(4).unwrap().parse::<f64>().unwrap();
    assert_eq!(json(&["evaluate", text(&parts), "--json"])["accuracy"], accuracy);
    // What the run was for can still not be changed.
    let fewer = ["train", "mnist-cnn", "--out", text(&parts), "--resume", "--epochs", "1"];
    fails(&fewer, "2 epochs have begun, not 1");

    let mut child = begin(&arguments(&data, &parts, &["--resume"]));
    wait_for_step(&parts, 42);
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = last_step(&parts);

    let child = begin(&arguments(&data, &parts, &["--resume"]));
    wait_for_step(&parts, killed + 5);
    interrupt(child);
    prints(&arguments(&data, &parts, &["--resume", "--threads", "3"]));
    assert_eq!(bits(&whole), bits(&parts));
    assert_eq!(results(&whole), results(&parts));
    assert_eq!(steps(&whole), steps(&parts));
}

/// Before the first epoch has ended there are no weights, and the run can still be continued.
#[test]
fn a_run_is_interrupted_in_its_first_epoch() {
    let (data, out) = (many_digits(), tempfile::tempdir().unwrap());
    let (whole, parts) = (out.path().join("whole"), out.path().join("parts"));
    let child = begin(&arguments(&data, &parts, &[]));
    wait_for_step(&parts, 2);
    interrupt(child);
    assert!(!parts.join("model.safetensors").exists());
    fails(&["evaluate", text(&parts)], "model.safetensors");
    prints(&arguments(&data, &parts, &["--resume"]));
    prints(&arguments(&data, &whole, &[]));
    assert_eq!(bits(&whole), bits(&parts));
}
