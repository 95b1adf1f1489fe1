//! Each network has exactly the documents' parameters, sizes and cost.

use std::sync::{Arc, Mutex};

use striate_models::{CATALOGUE, Recipe, find};
use striate_nn::{
    Distribution, Init, Module, ModuleExt, Parameter, Pass, Summary, Window, receptive_fields,
    state,
};
use striate_tensor::{Device, Tensor};

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

/// The steps of a cycle were multiplied with the epochs as if they always fitted, which panicked in a debug build.
#[test]
fn as_many_epochs_as_can_be_written_make_a_trainer() {
    let entry = find("vgg4").unwrap();
    let recipe = Recipe { epochs: u64::MAX, ..(entry.recipe.unwrap())() };
    let net = (entry.build)(&Init::seed(1)).unwrap();
    assert_eq!(recipe.trainer(&*net, 1, 500).epochs(), 0);
}

#[test]
fn vgg16_is_a_body_and_a_head() {
    let net = striate_models::vgg16::<f32>(&Init::seed(1)).unwrap();
    assert_eq!(net.features.parameter_count(), 14_714_688);
    assert_eq!(net.head.parameter_count(), 586_872);
}

#[test]
fn vgg16_is_torchvisions_with_its_classifier() {
    let entry = find("vgg16-imagenet").unwrap();
    let net = (entry.build)(&Init::seed(1)).unwrap();
    assert_eq!((net.parameter_count(), entry.parameters), (138_357_544, 138_357_544));
    let paths: Vec<String> = net.parameters().iter().map(|p| p.path().to_owned()).collect();
    let convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].map(|n| ("features", n));
    let layers = convolutions.into_iter().chain([0, 3, 6].map(|n| ("classifier", n)));
    let names = layers.flat_map(|(part, n)| ["weight", "bias"].map(|p| format!("{part}.{n}.{p}")));
    assert_eq!(paths, names.collect::<Vec<_>>());
    let summary = Summary::new(&*net, entry.input).unwrap();
    assert_eq!(summary.rows.last().unwrap().output, [1000]);
}

/// Under He's initialisation the variance of a weight is two over the number of a sum's terms; by default it is a sixth of that.
#[test]
fn the_small_vgg_is_initialised_in_two_ways() {
    for (name, share) in [("dogs-vgg-he", 1.0), ("dogs-vgg", 1.0 / 6.0)] {
        let net = (find(name).unwrap().build)(&Init::seed(1)).unwrap();
        for weight in net.parameters().iter().filter(|p| p.shape().len() == 4) {
            let terms: usize = weight.shape()[1..].iter().product();
            let values = weight.tensor().to_vec().unwrap();
            let squares: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
            let found = squares / values.len() as f64 * terms as f64 / 2.0;
            assert!((found / share - 1.0).abs() < 0.1, "{name}, {}: {found}", weight.path());
        }
    }
}

/// The outputs of a linear layer, summed one after the other in f64.
fn linear(x: &[f64], [weight, bias]: [&Parameter; 2]) -> Vec<f64> {
    let (weight, bias) = (weight.tensor().to_vec().unwrap(), bias.tensor().to_vec().unwrap());
    let row = |(row, bias): (&[f32], &f32)| {
        row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(*bias)
    };
    weight.chunks(x.len()).zip(&bias).map(row).collect()
}

/// In evaluation: the body, the mean of each map (here one cell) in each of 7x7 places, channel after channel, and three linear
/// layers with ReLU between. While training, dropout takes part.
#[test]
fn vgg16s_classifier_is_three_linear_layers() {
    let init = Init::seed(1).weights(Distribution::HeNormal);
    let net = striate_models::vgg16_imagenet::<f32>(&init).unwrap();
    let photo = Tensor::arange(3 * 32 * 32, &Device::cpu()).unwrap();
    let photo = photo.affine(1e-3, -1.5).unwrap().reshape([1, 3, 32, 32]).unwrap();
    let outputs = |pass: &Pass| net.forward(&photo, pass).unwrap().to_vec().unwrap();

    let maps = net.features.forward(&photo, &Pass::evaluate()).unwrap().to_vec().unwrap();
    assert_eq!(maps.len(), 512);
    let mut x: Vec<f64> = maps.iter().flat_map(|&cell| [f64::from(cell); 49]).collect();
    let parameters = net.head.parameters();
    for layer in parameters.chunks(2) {
        x = linear(&x.iter().map(|x| x.max(0.0)).collect::<Vec<_>>(), [&layer[0], &layer[1]]);
    }
    let largest = x.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let ours = outputs(&Pass::evaluate());
    assert_eq!(ours.len(), x.len());
    let worst = ours.iter().zip(&x).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(largest > 0.1 && worst <= 1e-5 * largest, "{worst} beside {largest}");
    assert_ne!(outputs(&Pass::train(1, 0)), ours);
}

/// Every layer of torchvision's, in its order: `tests/networks.rs` compares the numbers, too.
#[test]
fn resnet18_has_torchvisions_names() {
    let mut names = vec!["conv1.weight".to_owned(), "bn1.weight".into(), "bn1.bias".into()];
    for (stage, block) in (1..5).flat_map(|stage| [(stage, 0), (stage, 1)]) {
        let downsample: &[&str] = match (stage, block) {
            (2.., 0) => &["downsample.0.weight", "downsample.1.weight", "downsample.1.bias"],
            _ => &[],
        };
        let layers = ["conv1.weight", "bn1.weight", "bn1.bias"];
        let layers = layers.into_iter().chain(["conv2.weight", "bn2.weight", "bn2.bias"]);
        let layers = layers.chain(downsample.iter().copied());
        names.extend(layers.map(|layer| format!("layer{stage}.{block}.{layer}")));
    }
    names.extend(["fc.weight".into(), "fc.bias".into()]);
    for name in ["resnet18", "resnet18-imagenet"] {
        let net = (find(name).unwrap().build)(&Init::seed(1)).unwrap();
        let paths: Vec<String> = net.parameters().iter().map(|p| p.path().to_owned()).collect();
        assert_eq!(paths, names, "{name}");
        // Two moments and a counter for each of twenty batch norms.
        assert_eq!(net.running().len(), 3 * 20, "{name}");
    }
}

/// Without strides maps stay large; fewer channels keep the multiply-accumulates within half a per cent.
#[test]
fn resnets_have_nearly_equal_cost() {
    let macs = ["resnet18", "resnet18-dilation", "resnet18-large-kernel"]
        .map(|name| summary(name, &[3, 32, 32]).macs);
    assert_eq!(macs, [555_422_720, 557_040_216, 555_069_640]);
    assert!(macs.iter().all(|&each| each.abs_diff(macs[0]) * 200 < macs[0]), "{macs:?}");
}

/// Along the convolutions, an output of the dilated network sees as far as one of the strided.
#[test]
fn dilation_sees_as_far_as_strides() {
    let field = |stages: [[(usize, usize); 2]; 4]| {
        let stages = stages.into_iter().flat_map(|[first, rest]| [first, rest, rest, rest]);
        let windows: Vec<Window> = std::iter::once((1, 1))
            .chain(stages)
            .map(|(stride, dilation)| Window { stride, dilation, padding: dilation, kernel: 3 })
            .collect();
        let last = receptive_fields(&windows).unwrap().pop().unwrap();
        (last.size(), last.has_holes())
    };
    let strided = field([[(1, 1); 2], [(2, 1), (1, 1)], [(2, 1), (1, 1)], [(2, 1), (1, 1)]]);
    let dilated = field([[(1, 1); 2], [(1, 1), (1, 2)], [(1, 2), (1, 4)], [(1, 4), (1, 8)]]);
    assert_eq!((strided, dilated), ((109, false), (109, false)));
}

/// The head learns, the body has neither gradients nor a graph; thawed, it has both.
#[test]
fn a_frozen_body_is_not_trained() {
    let net = striate_models::vgg16::<f32>(&Init::seed(1)).unwrap();
    let photo = Tensor::ones([1, 3, 32, 32], &Device::cpu()).unwrap();
    let labels = Tensor::from_vec(vec![7], [1], &Device::cpu()).unwrap();
    let gradients = || {
        let logits = net.forward(&photo, &Pass::train(1, 0)).unwrap();
        let gradients = logits.cross_entropy(&labels).unwrap().backward().unwrap();
        let with = |p: &Parameter| gradients.by_id(p.id()).is_some();
        [net.features.parameters(), net.head.parameters()]
            .map(|p| p.iter().filter(|p| with(p)).count())
    };
    assert_eq!(gradients(), [26, 6]);
    net.features.freeze(true);
    assert_eq!(gradients(), [0, 6]);
    let features = Arc::new(Mutex::new(None));
    let seen = features.clone();
    let pass = Pass::train(1, 0).hook("features", move |visit| {
        *seen.lock().unwrap() = Some(visit.output.is_tracked());
        Ok(())
    });
    net.forward(&photo, &pass).unwrap();
    assert_eq!(*features.lock().unwrap(), Some(false));
}

#[test]
fn weights_of_a_whole_vgg16_serve_the_body_and_others_are_refused() {
    let [net, other] = [1, 2].map(|seed| striate_models::vgg16::<f32>(&Init::seed(seed)).unwrap());
    let mut weights = state(&other);
    weights.insert("classifier.0.bias".into(), Tensor::zeros([4096], &Device::cpu()).unwrap());
    net.load_features(&weights).unwrap();
    let first =
        |net: &striate_models::Vgg16| net.features.parameters()[0].tensor().to_vec().unwrap();
    assert_eq!(first(&net), first(&other));
    weights.remove("features.28.bias");
    let error = net.load_features(&weights).unwrap_err().to_string();
    assert!(error.contains("missing: features.28.bias"), "{error}");
}

/// Millions of multiply-accumulates a picture.
#[test]
fn cost_is_the_documents() {
    for (name, millions) in [("vgg4", 2.0), ("vgg4-dilation", 8.9), ("vgg4-large-filter", 176.0)] {
        let macs = summary(name, &[3, 32, 32]).macs as f64 / 1e6;
        assert!((macs - millions).abs() < 0.05 * millions, "{name}: {macs}");
    }
}
