//! Document 1's recipe, on a CIFAR-10 of a few pictures.

use super::*;

/// A folder with the six files: `per_batch` records each, whose red plane says the label.
pub fn photos(per_batch: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let names = (1..=5).map(|number| format!("data_batch_{number}")).chain(["test_batch".into()]);
    for name in names {
        let mut records = Vec::new();
        for number in 0..per_batch {
            let label = (number * 7 % 10) as u8;
            records.push(label);
            records.extend([25 * label; 1024]);
            records.extend([number as u8; 2048]);
        }
        fs::write(folder.path().join(format!("{name}.bin")), records).unwrap();
    }
    folder
}

#[test]
fn a_run_holds_out_a_fifth_and_ends_with_the_test_images() {
    let (data, out) = (photos(32), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let folders = ["--data", text(data.path()), "--out", text(&run)];
    let arguments = [&["train", "vgg4", "--epochs", "2", "--quiet"], &folders[..]].concat();
    let printed = prints(&arguments);
    assert!(printed.contains("25474 parameters, 128 images to train on, 32 held out"), "{printed}");
    assert!(printed.contains("test accuracy 0.") && printed.contains(" of 32), loss"), "{printed}");
    assert_eq!(json(&["evaluate", text(&run), "--json"])["samples"], 32);
    // Four steps up and down again: the last rate is far below the peak.
    let table = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let rate = |row: &str| row.split(',').nth(5).unwrap().parse::<f64>().unwrap();
    let rates: Vec<f64> = table.lines().skip(1).map(rate).collect();
    assert!((rates[0] - 0.01).abs() < 1e-12 && rates[1] < 0.003, "{rates:?}");
    let resumed = [&["train", "vgg4", "--resume", "--epochs", "3"], &folders[..]].concat();
    fails(&resumed, "the run's one cycle was for 2 epochs");
}

#[test]
fn too_few_photos_are_refused() {
    let (data, out) = (photos(4), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let arguments = ["train", "vgg4", "--data", text(data.path()), "--out", text(&run)];
    fails(&arguments, "expected a batch of 64 images to train on, got 16");
    assert!(!run.exists());
}
