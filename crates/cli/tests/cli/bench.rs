//! Timing: what is printed has the right shape, and bad arguments are refused. How fast it is is no test's business.

use super::{fails, json, misused, prints};

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
    fails(&[&small[..], &["--algorithm", "guess"]].concat(), "im2col or indirect or direct");
    let strided = [&small[..], &["--stride", "2", "--algorithm", "winograd"]].concat();
    fails(&strided, "expected all, or for this convolution im2col or indirect or direct");
}

#[test]
fn a_geometry_that_cannot_be_is_refused() {
    fails(&["bench", "conv", "--size", "2", "--kernel", "7", "--padding", "0"], "7");
    fails(&["bench", "conv", "--inputs", "5", "--groups", "2"], "2 groups");
    misused(&["bench", "conv", "--size", "many"], "many");
    fails(
        &["bench", "conv", "--device", "gpu"],
        "expected a device such as cpu or cuda:0, got gpu",
    );
    misused(&["bench", "conv", "--device", "cuda:0", "--algorithm", "direct"], "--algorithm");
}

#[test]
fn peers_workloads_are_json_lines() {
    let line = json(&["bench", "peers", "--threads", "1", "--filter", "^fwd:c16-32_k5_14_b100$"]);
    assert_eq!(line["workload"], "fwd:c16-32_k5_14_b100");
    assert_eq!(line["threads"], 1);
    assert!(line["gflops"].as_f64() > Some(0.0));
    fails(&["bench", "peers", "--filter", "("], "--filter (");
    assert_eq!(prints(&["bench", "peers", "--filter", "no such workload"]), "");
}
