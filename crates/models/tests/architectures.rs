//! Each network has exactly the documents' parameters, sizes and cost.

use striate_models::{CATALOGUE, find};
use striate_nn::{Init, ModuleExt, Summary};

fn summary(name: &str, input: &[usize]) -> Summary {
    let net = (find(name).unwrap().build)(&Init::seed(1)).unwrap();
    Summary::new(&*net, input).unwrap()
}

#[test]
fn parameters_are_exact() {
    for entry in CATALOGUE {
        let net = (entry.build)(&Init::seed(1)).unwrap();
        assert_eq!(net.parameter_count(), entry.parameters, "{}", entry.name);
        let summary = Summary::new(&*net, entry.input).unwrap();
        let classes: usize = summary.rows.last().unwrap().output.iter().product();
        assert_eq!(classes, entry.classes, "{}", entry.name);
    }
}

#[test]
fn vgg16_is_a_body_and_a_head() {
    let net = striate_models::vgg16::<f32>(&Init::seed(1)).unwrap();
    assert_eq!(net.features.parameter_count(), 14_714_688);
    assert_eq!(net.head.parameter_count(), 586_872);
}

/// torchsummary's figures: input, forward and backward, parameters, total, in MB.
#[test]
fn megabytes_are_the_documents() {
    let published = [
        ("mnist-mlp", &[1, 784][..], ["0.00", "0.01", "1.52", "1.53"]),
        ("mnist-cnn", &[1, 28, 28], ["0.00", "0.32", "0.11", "0.44"]),
        ("dogs-vgg", &[3, 224, 224], ["0.57", "195.26", "20.11", "215.94"]),
        ("mnist-net", &[1, 28, 28], ["0.00", "1.51", "24.34", "25.85"]),
    ];
    for (name, input, expected) in published {
        let summary = summary(name, input);
        let found = [
            summary.input_megabytes(),
            summary.activation_megabytes(),
            summary.parameter_megabytes(),
            summary.total_megabytes(),
        ];
        assert_eq!(found.map(|mb| format!("{mb:.2}")), expected, "{name}");
    }
}

/// Millions of multiply-accumulates a picture.
#[test]
fn cost_is_the_documents() {
    for (name, millions) in [("vgg4", 2.0), ("vgg4-dilation", 8.9), ("vgg4-large-filter", 176.0)] {
        let macs = summary(name, &[3, 32, 32]).macs as f64 / 1e6;
        assert!((macs - millions).abs() < 0.05 * millions, "{name}: {macs}");
    }
}

#[test]
fn dilation_shrinks_the_maps_as_published() {
    let summary = summary("vgg4-dilation", &[3, 32, 32]);
    let sizes = summary.rows.iter().filter(|row| row.kind == "Conv2d").map(|row| row.output[1]);
    assert_eq!(sizes.collect::<Vec<_>>(), [32, 30, 24, 10, 1]);
}
