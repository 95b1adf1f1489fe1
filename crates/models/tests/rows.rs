//! The rows of the documents' tables, a test each: what the network is made of, its parameters, what its last map sees,
//! what comes out, and, where the document prints them, torchsummary's megabytes; then the ten cases of document 3's
//! arithmetic.
//!
//! A network is written as its layers in the order in which they run, each with its output: `conv3p1 16x32x32` is a
//! convolution with kernel 3 and padding 1 (`s` is stride, `d` dilation) whose output is 16 maps of 32x32.

use striate_models::arithmetic::{CASES, Kind};
use striate_models::{Entry, find};
use striate_nn::{Init, Module, Pass, ReceptiveField, Summary, Window};
use striate_tensor::{Device, Tensor};

/// A network's row.
struct Network {
    layers: String,
    parameters: usize,
    /// The field of the last map; none for a network without maps.
    field: Option<usize>,
    output: usize,
    /// Input, forward and backward, parameters, total.
    megabytes: Option<[&'static str; 4]>,
}

fn described(windows: &[Window]) -> String {
    let [window, same] = windows else { panic!("expected two axes, got {windows:?}") };
    assert_eq!(window, same);
    let settings = [('s', window.stride, 1), ('p', window.padding, 0), ('d', window.dilation, 1)];
    let settings = settings.iter().filter(|(_, value, usual)| value != usual);
    let settings: String = settings.map(|(letter, value, _)| format!("{letter}{value}")).collect();
    format!("{}{settings}", window.kernel)
}

/// Behind a mean over the map there are no fields, so there a kernel is read off the weight.
fn layers(summary: &Summary, fields: &ReceptiveField, net: &dyn Module) -> String {
    let parameters = net.parameters();
    let kernel = |path: &str| {
        let weight = parameters.iter().find(|p| p.path() == format!("{path}.weight"))?;
        weight.shape().get(3).map(usize::to_string)
    };
    let layers = summary.rows.iter().map(|row| {
        let kind = match row.kind.as_str() {
            "Conv2d" => "conv",
            "MaxPool2d" => "pool",
            "BatchNorm2d" => "norm",
            "ReLU" => "relu",
            "AdaptiveAvgPool2d" => "mean",
            "Flatten" => "flat",
            "Linear" => "linear",
            kind => panic!("{kind} is in no document"),
        };
        let window = fields.layers.iter().find(|layer| layer.path == row.path);
        let window = window.map(|layer| described(&layer.windows)).or_else(|| kernel(&row.path));
        let window = window.unwrap_or_default();
        let sizes: Vec<String> = row.output.iter().map(usize::to_string).collect();
        format!("{kind}{window} {}", sizes.join("x"))
    });
    layers.collect::<Vec<_>>().join(", ")
}

impl Network {
    fn check(&self, name: &str) {
        let entry: &Entry = find(name).unwrap();
        let net = (entry.build)(&Init::seed(1)).unwrap();
        let summary = Summary::new(&*net, entry.input).unwrap();
        let fields = ReceptiveField::of(&*net).unwrap();
        assert_eq!(layers(&summary, &fields, &*net), self.layers);
        assert_eq!((summary.parameters, entry.parameters), (self.parameters, self.parameters));
        let last = fields.layers.last().map(|layer| layer.fields[0].size());
        assert_eq!(last, self.field);
        let output: usize = summary.rows.last().unwrap().output.iter().product();
        assert_eq!((output, entry.classes), (self.output, self.output));
        let megabytes = [
            summary.input_megabytes(),
            summary.activation_megabytes(),
            summary.parameter_megabytes(),
            summary.total_megabytes(),
        ];
        if let Some(expected) = self.megabytes {
            assert_eq!(megabytes.map(|mb| format!("{mb:.2}")), expected);
        }
    }
}

/// Blocks of convolution, norm and ReLU, as document 1 has them: window, channels, and the side of what comes out.
fn document_1(blocks: [(&str, usize, usize); 4], pooled: bool) -> String {
    let mut layers: Vec<String> = Vec::new();
    for (window, channels, side) in blocks {
        for layer in [window, "norm", "relu"] {
            layers.push(format!("{layer} {channels}x{side}x{side}"));
        }
        if pooled {
            layers.push(format!("pool2s2 {channels}x{0}x{0}", side / 2));
        }
    }
    layers.join(", ") + ", mean 48x1x1, conv1 10x1x1, flat 10"
}

/// Blocks of 3x3 convolutions with ReLU, each pooled, from 224x224 on: how many, and their channels.
fn convolutions(blocks: &[(usize, usize)]) -> String {
    let mut layers: Vec<String> = Vec::new();
    let mut side = 224;
    for &(count, channels) in blocks {
        for _ in 0..count {
            layers
                .extend(["conv3p1", "relu"].map(|kind| format!("{kind} {channels}x{side}x{side}")));
        }
        side /= 2;
        layers.push(format!("pool2s2 {channels}x{side}x{side}"));
    }
    layers.join(", ")
}

const HEAD: &str =
    ", mean 512x1x1, flat 512, linear 512, relu 512, linear 512, relu 512, linear 120";

macro_rules! networks {
    ($($test:ident: $name:literal = $network:expr;)*) => {
        $(#[test]
        fn $test() {
            $network.check($name);
        })*
    };
}

networks! {
    vgg_4: "vgg4" = Network {
        layers: document_1(
            [("conv3p1", 16, 32), ("conv3p1", 24, 16), ("conv3p1", 32, 8), ("conv3p1", 48, 4)],
            true,
        ),
        parameters: 25_474,
        field: Some(46),
        output: 10,
        megabytes: None,
    };
    vgg4_dilation: "vgg4-dilation" = Network {
        layers: document_1(
            [
                ("conv3p1", 16, 32),
                ("conv3p1d2", 24, 30),
                ("conv3p1d4", 32, 24),
                ("conv3p1d8", 48, 10),
            ],
            false,
        ),
        parameters: 25_474,
        field: Some(31),
        output: 10,
        megabytes: None,
    };
    vgg4_dilation_same: "vgg4-dilation-same" = Network {
        layers: document_1(
            [
                ("conv3p1", 16, 32),
                ("conv3p2d2", 24, 32),
                ("conv3p4d4", 32, 32),
                ("conv3p8d8", 48, 32),
            ],
            false,
        ),
        parameters: 25_474,
        field: Some(31),
        output: 10,
        megabytes: None,
    };
    vgg4_large_filter: "vgg4-large-filter" = Network {
        layers: document_1(
            [("conv3p1", 16, 32), ("conv5p2", 24, 32), ("conv7p3", 32, 32), ("conv9p4", 48, 32)],
            false,
        ),
        parameters: 172_930,
        field: Some(21),
        output: 10,
        megabytes: None,
    };
    small_vgg: "dogs-vgg" = Network {
        layers: convolutions(&[(2, 64), (2, 128), (2, 256), (2, 512)]) + HEAD,
        parameters: 5_272_248,
        field: Some(76),
        output: 120,
        megabytes: Some(["0.57", "195.26", "20.11", "215.94"]),
    };
    small_vgg_after_he: "dogs-vgg-he" = Network {
        layers: convolutions(&[(2, 64), (2, 128), (2, 256), (2, 512)]) + HEAD,
        parameters: 5_272_248,
        field: Some(76),
        output: 120,
        megabytes: Some(["0.57", "195.26", "20.11", "215.94"]),
    };
    vgg16: "vgg16" = Network {
        layers: convolutions(&[(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]) + HEAD,
        parameters: 14_714_688 + 586_872,
        field: Some(212),
        output: 120,
        megabytes: None,
    };
    mlp: "mnist-mlp" = Network {
        layers: "linear 500, relu 500, linear 10".into(),
        parameters: 397_510,
        field: None,
        output: 10,
        megabytes: Some(["0.00", "0.01", "1.52", "1.53"]),
    };
    cnn: "mnist-cnn" = Network {
        layers: "conv5p2 16x28x28, relu 16x28x28, pool2s2 16x14x14, conv5p2 32x14x14, relu 32x14x14, \
                 pool2s2 32x7x7, linear 10"
            .into(),
        parameters: 28_938,
        field: Some(16),
        output: 10,
        megabytes: Some(["0.00", "0.32", "0.11", "0.44"]),
    };
    // Its ReLUs are calls of a function, and no rows.
    net: "mnist-net" = Network {
        layers: "conv3p1 32x28x28, conv3p1 64x28x28, pool2s2 64x14x14, conv3p1 128x14x14, conv3p1 256x14x14, \
                 pool2s2 256x7x7, conv3 512x5x5, conv3 1024x3x3, conv3 10x1x1"
            .into(),
        parameters: 6_379_786,
        field: Some(40),
        output: 10,
        megabytes: Some(["0.00", "1.51", "24.34", "25.85"]),
    };
}

/// A row of the arithmetic: kind, input, kernel, stride, padding and dilation; output and parameters.
fn check_case(number: usize, kind: Kind, sizes: [usize; 5], expected: [usize; 2]) {
    let case = &CASES[number - 1];
    let found = [case.input, case.kernel, case.stride, case.padding, case.dilation];
    assert_eq!((case.kind, found), (kind, sizes));
    let summary = case.summary().unwrap();
    let [channels, height, width] = summary.rows[0].output[..] else { panic!("expected maps") };
    assert_eq!(([height, width], summary.parameters), ([expected[0]; 2], expected[1]));
    assert_eq!(channels, case.channels);
    // The layer itself gives what the summary says.
    let input = Tensor::ones([1, 1, case.input, case.input], &Device::cpu()).unwrap();
    let layer = case.layer(&Init::seed(1)).unwrap();
    let output = layer.forward(&input, &Pass::evaluate()).unwrap();
    assert_eq!(output.shape(), [1, channels, height, width]);
}

macro_rules! cases {
    ($($number:literal $test:ident: $kind:ident, $sizes:expr => $expected:expr;)*) => {
        $(#[test]
        fn $test() {
            check_case($number, Kind::$kind, $sizes, $expected);
        })*

        #[test]
        fn there_are_no_other_cases() {
            assert_eq!(CASES.len(), [$($number),*].len());
        }
    };
}

cases! {
    1 no_padding: Convolution, [4, 3, 1, 0, 1] => [2, 10];
    2 padding: Convolution, [5, 4, 1, 2, 1] => [6, 17];
    3 half_padding: Convolution, [5, 3, 1, 1, 1] => [5, 10];
    4 full_padding: Convolution, [5, 3, 1, 2, 1] => [7, 320];
    5 stride: Convolution, [5, 3, 2, 1, 1] => [3, 10];
    6 the_same_output_from_one_more: Convolution, [6, 3, 2, 1, 1] => [3, 10];
    7 max_pooling: Pooling, [28, 3, 2, 0, 1] => [13, 0];
    8 transposed: Transposed, [2, 3, 1, 0, 1] => [4, 10];
    9 transposed_with_stride: Transposed, [2, 3, 2, 0, 1] => [5, 10];
    10 dilated: Convolution, [7, 3, 1, 0, 2] => [3, 10];
}
