//! What is said of a convolution is what is true of it; how fast it is is no test's business.

use serde_json::Value;

use super::{fails, json, prints};

const SMALL: [&str; 11] = [
    "explain",
    "conv",
    "--batch",
    "2",
    "--inputs",
    "8",
    "--outputs",
    "16",
    "--size",
    "10",
    "--json",
];

fn kernels(result: &Value, layer: usize) -> &[Value] {
    result["layers"][layer]["kernels"].as_array().unwrap()
}

fn numbers(kernel: &Value, names: [&str; 3]) -> [f64; 3] {
    names.map(|name| kernel[name].as_f64().unwrap())
}

#[test]
fn the_cheapest_algorithm_is_chosen_and_the_work_is_counted() {
    let result = json(&SMALL);
    assert_eq!(kernels(&result, 0).len(), 3);
    for kernel in kernels(&result, 0) {
        let costs = kernel["costs"].as_object().unwrap();
        // What does not apply has none.
        let costs = costs.iter().filter_map(|(name, cost)| Some((name, cost.as_f64()?)));
        let least = costs.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(kernel["algorithm"], least.0.as_str(), "{}", kernel["costs"]);
        // 2 images of 16 channels of 10 x 10 outputs of 8 channels of 3 x 3 taps; 2 x 8 x 100 cells, 16 x 8 x 9 weights.
        assert_eq!(kernel["flop"], 2.0 * (2 * 16 * 100 * 8 * 9) as f64);
        assert_eq!(kernel["bytes"], 4.0 * (2 * 8 * 100 + 16 * 8 * 9 + 2 * 16 * 100) as f64);
        let machine = &result["machine"];
        let [flops, bandwidth] =
            ["gflops", "gigabytes_per_second"].map(|rate| machine[rate].as_f64().unwrap() * 1e6);
        let [flop, bytes, roofline] = numbers(kernel, ["flop", "bytes", "roofline_ms"]);
        let expected = (flop / flops).max(bytes / bandwidth);
        assert!((roofline / expected - 1.0).abs() < 1e-9, "{roofline} {expected}");
        let [share, median, least] = numbers(kernel, ["share_of_roofline", "ms_median", "ms_min"]);
        assert!((share * median / roofline - 1.0).abs() < 1e-9 && least <= median);
    }
}

#[test]
fn groups_of_few_channels_are_direct_and_a_transposed_layer_goes_forward_by_the_input_gradient() {
    let grouped = json(&[&SMALL[..], &["--groups", "8"]].concat());
    let kernel = &kernels(&grouped, 0)[0];
    assert_eq!(kernel["algorithm"], "direct");
    assert_eq!(kernel["costs"].as_object().unwrap().len(), 0);
    let transposed = json(&[&SMALL[..], &["--transposed", "--stride", "2"]].concat());
    let names: Vec<_> =
        kernels(&transposed, 0).iter().map(|kernel| kernel["operation"].clone()).collect();
    assert_eq!(names, ["forward", "input gradient", "weight gradient"]);
    assert!(transposed["layers"][0]["sizes"].as_str().unwrap().contains("8 x 10x10 to 16 x 19x19"));
}

#[test]
fn a_network_has_its_layers_and_no_gradient_of_its_images() {
    let result = json(&["explain", "mnist-cnn", "--batch", "2", "--threads", "1", "--json"]);
    assert_eq!(result["machine"]["threads"], 1);
    assert_eq!(result["layers"].as_array().unwrap().len(), 2);
    assert_eq!(kernels(&result, 0).len(), 2);
    assert_eq!(kernels(&result, 1).len(), 3);
    assert_eq!(result["layers"][1]["sizes"], "16 x 14x14 to 32 x 14x14, kernel 5x5, 2 images");
    let table = prints(&["explain", "mnist-cnn", "--batch", "2"]);
    assert!(table.contains("conv2.0: 16 x 14x14"), "{table}");
}

#[test]
fn what_cannot_be_explained_is_refused() {
    fails(&["explain", "nothing"], "no model is called nothing");
    fails(&["explain", "vgg4", "--batch", "0"], "expected at least 1");
    fails(&["explain", "conv", "--groups", "3"], "3 groups");
    fails(&["explain", "conv", "--size", "16384", "--inputs", "16384"], "memory");
    fails(&["explain"], "<MODEL>");
}
