//! Timing: what is printed has the right shape, and bad arguments are refused. How fast it is is no test's business.

use serde_json::Value;

use super::{fails, json, prints};

#[test]
fn a_convolution_is_timed_and_checked() {
    let small = ["--batch", "1", "--inputs", "4", "--outputs", "6", "--size", "9", "--stride", "2"];
    for extra in [&[][..], &["--transposed"], &["--groups", "2", "--dilation", "2"]] {
        let arguments = [&["bench", "conv"], &small[..], extra].concat();
        let table = prints(&arguments);
        assert_eq!(table.lines().count(), 4, "{table}");
        let result = json(&[&arguments[..], &["--json", "--threads", "1"]].concat());
        for name in ["forward", "input gradient", "weight gradient"] {
            let kernels = result["kernels"].as_array().unwrap();
            let kernel = kernels.iter().find(|kernel| kernel["kernel"] == name).unwrap();
            assert!(kernel["ms_min"].as_f64() <= kernel["ms_median"].as_f64());
            assert!(kernel["runs"].as_u64() >= Some(7));
            let error = kernel["relative_error"].as_f64().unwrap();
            assert!(error < 1e-6, "{name}: {error}");
        }
    }
}

#[test]
fn algorithms_are_chosen_by_name() {
    let small = ["bench", "conv", "--batch", "1", "--inputs", "8", "--outputs", "8", "--size", "8"];
    let by = |name| json(&[&small[..], &["--json", "--algorithm", name]].concat());
    let one = by("direct");
    let kernels = one["kernels"].as_array().unwrap();
    assert!(kernels.len() == 3 && kernels.iter().all(|kernel| kernel["algorithm"] == "direct"));
    assert!(by("all")["kernels"].as_array().unwrap().len() >= 6);
    fails(
        &[&small[..], &["--algorithm", "guess"]].concat(),
        "im2col or indirect or rows or direct",
    );
    let grouped = [&small[..], &["--groups", "2", "--algorithm", "winograd"]].concat();
    fails(&grouped, "expected all, or for this convolution im2col or indirect or rows or direct");
}

#[test]
fn a_geometry_that_cannot_be_is_refused() {
    fails(&["bench", "conv", "--size", "2", "--kernel", "7", "--padding", "0"], "7");
    fails(&["bench", "conv", "--inputs", "5", "--groups", "2"], "2 groups");
    fails(&["bench", "conv", "--size", "many"], "many");
    fails(
        &["bench", "conv", "--device", "gpu"],
        "expected a device such as cpu or cuda:0, got gpu",
    );
    fails(&["bench", "conv", "--device", "cuda:0", "--algorithm", "direct"], "--algorithm");
    fails(&["bench", "conv", "--tf32"], "expected a card for --tf32");
}

#[test]
fn precision_rules_out_winograd() {
    let by = |extra: &[&str]| {
        let result =
            json(&[&["bench", "conv", "--batch", "1", "--size", "16", "--json"], extra].concat());
        result["kernels"][0]["algorithm"].as_str().unwrap().to_owned()
    };
    if by(&[]) == "winograd" {
        assert_ne!(by(&["--precise"]), "winograd");
    } else {
        println!("SKIP: Winograd's algorithm is not for this processor");
    }
}

#[test]
fn a_sweep_is_timed_and_drawn() {
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let arguments = ["bench", "scaling", "--out", folder, "--seconds", "0"];
    let table = prints(&[&arguments[..], &["--sweep", "dilation"]].concat());
    assert_eq!(table.lines().count(), 9, "{table}");
    let read = |name| std::fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(read("scaling.csv").lines().count(), 9);
    assert_eq!(read("dilation.svg").matches("<circle").count(), 16);
    fails(&[&arguments[..], &["--sweep", "time"]].concat(), "expected a sweep of batch, channels");
}

/// A step that asks the system for memory again and again pays for it in page faults, up to a third of its time.
#[test]
#[cfg(target_os = "linux")]
fn training_settles_on_the_memory_that_was_predicted() {
    let lines = prints(&["bench", "peers", "--threads", "2", "--filter", "^(mnist_cnn|vgg4)$"]);
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let value = |name: &str| line[name].as_f64().unwrap();
        assert!(value("resident_growth_mb") > 0.0, "{line}");
        let share = value("pool_mb") / value("predicted_mb");
        assert!((0.9..1.1).contains(&share), "{line}");
        assert!(value("faults_per_step") < 10.0, "{line}");
    }
}

#[test]
fn peers_workloads_are_json_lines() {
    let line = json(&["bench", "peers", "--threads", "1", "--filter", "^fwd:c16-32_k5_14_b100$"]);
    assert_eq!(line["workload"], "fwd:c16-32_k5_14_b100");
    assert_eq!(line["threads"], 1);
    assert!(line["gflops"].as_f64() > Some(0.0));
    assert!(line["checksum"].as_f64() > Some(1.0));
    fails(&["bench", "peers", "--filter", "("], "--filter (");
    for threads in ["0", "99999999"] {
        fails(&["bench", "peers", "--threads", threads], "1..=1024");
    }
    assert_eq!(prints(&["bench", "peers", "--filter", "no such workload"]), "");
}
