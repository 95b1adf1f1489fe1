//! Sizes: the arithmetic of single layers and the summaries of networks.

use super::*;

#[test]
fn arithmetic_is_the_documents() {
    let cases = json(&["arithmetic", "--json"]);
    let outputs: Vec<u64> =
        cases.as_array().unwrap().iter().map(|case| case["output"].as_u64().unwrap()).collect();
    assert_eq!(outputs, [2, 6, 5, 7, 3, 3, 13, 4, 5, 3]);
    let given = ["arithmetic", "conv-transpose", "--input", "2", "--stride", "2", "--json"];
    assert_eq!(json(&given)[0]["output"], 5);
    let text = prints(&["arithmetic", "conv", "--input", "5", "--kernel", "4", "--padding", "2"]);
    assert!(text.contains("shape [1, 1, 5, 5] -> [1, 1, 6, 6], 17 parameters"), "{text}");
    assert!(prints(&["arithmetic"]).contains("\n10. dilated (Conv2d)\n"));
    // Large layers are computed, but not run: this one would take 4 GB.
    let large = prints(&["arithmetic", "conv", "--input", "16384", "--kernel", "16384"]);
    assert!(large.contains("268435457 parameters") && large.lines().count() == 4, "{large}");
    fails(&["arithmetic", "conv", "--input", "2", "--kernel", "3"], "3");
    fails(&["arithmetic", "conv", "--stride", "0"], "stride");
    fails(&["arithmetic", "conv", "--dilation", "0"], "dilation");
    fails(&["arithmetic", "conv", "--input", "0"], "empty");
    fails(&["arithmetic", "conv", "--output-padding", "1"], "only a conv-transpose");
    fails(&["arithmetic", "max-pool", "--padding", "2"], "max_pool2d");
    fails(&["arithmetic", "conv-transpose", "--output-padding", "1"], "output padding");
    for size in ["-1", "1.5", "99999", "18446744073709551616"] {
        fails(&["arithmetic", "conv", &format!("--input={size}")], "expected a size in 0..=16384");
    }
    fails(&["arithmetic", "--kernel", "4"], "LAYER");
    fails(&["arithmetic", "convolution"], "possible values: conv, conv-transpose, max-pool");
}

#[test]
fn summaries_are_torchsummarys() {
    let table = prints(&["summary", "mnist-cnn"]);
    for line in ["Total params: 28,938", "Forward/backward pass size (MB): 0.32"] {
        assert!(table.contains(line), "{table}");
    }
    assert_eq!(
        json(&["summary", "vgg16", "--input", "3x64x64", "--json"])["parameters"],
        15_301_560
    );
    let fastais = prints(&["summary", "vgg4", "--recipe"]);
    for line in [
        "Sequential (input shape: 64 x 3 x 32 x 32)",
        "Conv2d 64 x 16 x 32 x 32 448 True",
        "MaxPool2d 64 x 16 x 16 x 16 0 False",
        "Total params: 25,474",
        "Loss function: cross-entropy",
        "Epochs: 30, batches of 64, the last incomplete one dropped",
    ] {
        let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(fastais.lines().any(|found| plain(found) == line), "{line}: {fastais}");
    }
    fails(&["summary", "vgg16", "--recipe"], "vgg16 has no recipe here; `striate photos` trains");
    assert!(prints(&["summary", "mnist-net", "--tree"]).contains("(conv7): Conv2d(1024, 10"));
    fails(&["summary", "mnist-cnn", "--batch", "0"], "expected at least 1");
    fails(
        &["summary", "mnist-cnn", "--input", "3x28x28"],
        "conv2d in conv1.0: weight expects 1 input",
    );
    fails(&["summary", "vgg17"], "no model is called vgg17");
    fails(&["summary", "mnist-cnn", "--input", "1x0x3"], "empty");
    fails(&["summary", "mnist-cnn", "--input", "0x3"], "conv2d in conv1.0");
    let many = ["16384"; 6].join("x");
    fails(&["summary", "mnist-mlp", "--input", &many], "memory");
    // The operations of the largest input that is taken still fit into their counter.
    let large = json(&["summary", "vgg16", "--input", "3x16384x16384", "--json"]);
    let small = json(&["summary", "vgg16", "--input", "3x512x512", "--json"]);
    let convolutions = |summary: &Value| {
        let layers = summary["layers"].as_array().unwrap().clone();
        let macs = layers.iter().filter(|layer| layer["kind"] == "Conv2d");
        macs.map(|layer| layer["macs"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(convolutions(&large), convolutions(&small) * 1024);
    for input in ["99999999999999999999", "3x", "", "3x-1x3"] {
        fails(&["summary", "mnist-cnn", "--input", input], "--input");
    }
    fails(&["summary", "mnist-cnn", "--tree", "--json"], "--json");
}
