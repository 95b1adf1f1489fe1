//! VGG16 with the weights that ImageNet taught it, against what onnxruntime computes with them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use striate::models::{Vgg16, vgg16};
use striate::nn::{Checkpoint, Init, Module, Pass};
use striate::tensor::{Device, Tensor};

/// The folder of weights in `$STRIATE_DATA`, if it is there; says so if it is not.
fn weights() -> Option<PathBuf> {
    let folder = std::env::var_os("STRIATE_DATA").map(|root| PathBuf::from(root).join("weights"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        // Not by a macro, whose output the test harness would swallow.
        let _ = io::stderr().write_all(b"SKIP: no folder weights in STRIATE_DATA\n");
    }
    folder
}

/// Bytes `[height, width, 3]` as a normalised batch of one.
fn normalised(photo: &Tensor) -> Tensor {
    let photo = photo.permute([2, 0, 1]).unwrap().affine(1.0 / 255.0, 0.0).unwrap();
    let column =
        |values: [f32; 3]| Tensor::from_vec(values.to_vec(), [3, 1, 1], &Device::cpu()).unwrap();
    let centred = (&photo - &column([0.485, 0.456, 0.406])).unwrap();
    (&centred / &column([0.229, 0.224, 0.225])).unwrap().unsqueeze(0).unwrap()
}

#[test]
fn activations_are_another_runtimes() {
    let Some(folder) = weights() else { return };
    let load = |name: &str| Checkpoint::<f32>::load(&folder.join(name), &Device::cpu()).unwrap();
    let net: Vgg16 = vgg16(&Init::seed(1)).unwrap();
    net.load_features(&load("vgg16_features_rgb_imagenetnorm.safetensors").tensors).unwrap();
    let expected = load("vgg16_reference_activations.safetensors").tensors;

    let seen = Arc::new(Mutex::new(Vec::new()));
    let layers = [("pool3", "features.16"), ("pool4", "features.23"), ("pool5", "features.30")];
    let pass = layers.into_iter().fold(Pass::evaluate(), |pass, (name, path)| {
        let seen = seen.clone();
        pass.hook(path, move |visit| {
            seen.lock().unwrap().push((name, visit.output.to_vec()?));
            Ok(())
        })
    });
    net.features.forward(&normalised(&expected["input_u8_hwc_rgb"]), &pass).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for (name, ours) in seen.iter() {
        let theirs = expected[&format!("rgb_imagenetnorm.{name}")].to_vec().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let pairs = || ours.iter().zip(&theirs).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let rms = (pairs().map(|(_, b)| b * b).sum::<f64>() / ours.len() as f64).sqrt();
        let worst = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{name}: worst {:.1e} of the rms", worst / rms);
        assert!(worst <= 1e-4 * rms, "{name}: {worst} beside an rms of {rms}");
    }
}
